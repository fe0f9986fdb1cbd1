"""The command line: one file a command group."""


def main() -> None:
    """Run `crater-ray` as the shell does."""
    from crater_ray.cli.app import main

    main()
