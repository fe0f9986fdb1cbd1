"""The protocol of the original training: how many images of which size, from how many frames, learnt how."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from crater_ray.errors import UsageError

FILE = "protocol.json"
MAY_CHANGE = ("patience",)
"""What a later call may say otherwise: it decides when training ends, not what it does."""


@dataclass(frozen=True)
class Protocol:
    """What is trained and measured. Half of all images have a crater.

    Attributes:
        crops, whole: images of step 1 and of step 2.
        crops_validation, whole_validation: images on which each step is validated.
        test: images on which the claim is measured.
        crop_shape, shape: their height and width in px, in step 1, and in step 2 and the test.
        frames: simulated frames, from which all of them are cut; of `frame_shape`, in px.
        frames_folder: images of real foil to be cut instead.
        seeds_folder: PNG cut-outs of analog craters instead of the simulator's 97.
        epoch_images: from one validation to the next in step 1; in step 2 so many as have that area.
        batches: images in a batch of each step.
        patience: epochs without a higher validation accuracy after which a step ends.
        seed: decides everything random.
    """

    crops: int = 20_000
    whole: int = 6_000
    crops_validation: int = 1_000
    whole_validation: int = 500
    test: int = 1_000
    crop_shape: tuple[int, int] = (150, 150)
    shape: tuple[int, int] = (384, 512)
    frames: int = 400
    frame_shape: tuple[int, int] = (768, 1024)
    frames_folder: str | None = None
    seeds_folder: str | None = None
    epoch_images: int = 6_000
    batches: tuple[int, int] = (64, 8)
    patience: int = 50
    seed: int = 0


def keep(protocol: Protocol, folder: Path) -> None:
    """Write down the protocol of a folder that has none yet.

    Raises:
        UsageError: it has another.
    """
    path, asked = folder / FILE, json.loads(json.dumps(asdict(protocol)))
    if path.exists():
        there = json.loads(path.read_text(encoding="utf-8"))
        changed = {
            name: (there.get(name), value)
            for name, value in asked.items()
            if name not in MAY_CHANGE and there.get(name) != value
        }
        if changed:
            raise UsageError(
                f"{str(folder)!r} holds a reproduction by another protocol (there, now): {changed}. "
                "Give the same options to go on, or another folder."
            )
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
