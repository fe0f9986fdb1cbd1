"""`python -m crater_ray.cli`: the command line without the installed script."""

from crater_ray.cli import main

if __name__ == "__main__":
    main()
