"""Options that several commands share, and values of options that are written in a way of their own."""

from __future__ import annotations

from typing import Annotated

import typer

from crater_ray.errors import UsageError

Precision = Annotated[str, typer.Option(help="auto, float32, mixed_bfloat16 or mixed_float16.")]
Threads = Annotated[int, typer.Option(help="Cores to use; 0 for all.")]


def read_numbers(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers with commas between them.

    Raises:
        UsageError: they are something else.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} must be whole numbers with commas between them; received: {text!r}") from None


def read_shape(size: str) -> tuple[int, int]:
    """Height and width from `HEIGHTxWIDTH`.

    Raises:
        UsageError: it is something else.
    """
    try:
        height, width = (int(part) for part in size.lower().split("x"))
    except ValueError:
        raise UsageError(f"--size must be HEIGHTxWIDTH such as 150x150; received: {size!r}") from None
    return height, width
