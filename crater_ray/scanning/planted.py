"""Reading an image with a crater planted into it, in place of the image alone."""

from __future__ import annotations

from dataclasses import replace

from crater_ray.images.decode import decode, picture_in
from crater_ray.images.picture import Picture, Reading
from crater_ray.images.status import UNREADABLE, Refusal
from crater_ray.planting.recipe import Recipe


def read_planted(
    data: bytes | memoryview, recipe: Recipe, reading: Reading = Reading(), sidecar: str | None = None
) -> Picture | Refusal:
    """Decode an image file, plant a crater into its first page, and give the picture that it has there.

    Args:
        data: the file's bytes.
        recipe: which crater, and where in the file's pixels.
        reading, sidecar: as for `crater_ray.images.decode.read_picture`.

    Returns:
        The picture, with how the crater can be seen; or why there is none, also where the image has no such place
        (any more).
    """
    # They bring scipy, two thirds of what a Ray process would import of ours.
    from crater_ray.planting.plant import plant
    from crater_ray.planting.seen import Seen

    pixels = decode(data)
    if isinstance(pixels, Refusal):
        return pixels
    picture = picture_in(pixels, data, reading, sidecar)
    if isinstance(picture, Refusal):
        return picture
    height, width = picture.pixels.shape
    if not (0 <= recipe.x - picture.left <= width - 1 and 0 <= recipe.y - picture.top <= height - 1):
        reason = f"the image has changed since a crater was planned at {recipe.x:g}, {recipe.y:g}"
        return Refusal(UNREADABLE, reason, *pixels.shape)
    planted = plant(pixels, data, recipe)
    part = planted.pixels[picture.top : picture.top + height, picture.left : picture.left + width]
    return replace(picture, pixels=part, planted=(vars(Seen.of(planted, pixels, recipe)),))
