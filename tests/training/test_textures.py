"""Textures: pictures of use are collected, by where they come from; drawings, sprites and repetitions are not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crater_ray.errors import UsageError
from training.finder.sources import read_arrays
from training.finder.textures import Textures, collect_textures
from training.scenes.grains import Kind, draw_grains


def picture(seed: int, shape: tuple[int, int] = (170, 180)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (shape[0] // 10, shape[1] // 10), np.uint8)
    rough = np.random.default_rng(seed + 100).integers(0, 40, shape, np.uint8)
    return Image.fromarray(np.clip(coarse.repeat(10, 0).repeat(10, 1)[: shape[0], : shape[1]] // 2 + rough, 0, 255))


def test_pictures_of_use_are_kept_by_their_collection(tmp_path: Path) -> None:
    for name in ("bricks", "stones"):
        (tmp_path / "in" / name / "deep").mkdir(parents=True)
    for number in range(3):
        picture(number).save(tmp_path / "in" / "bricks" / f"{number}.png")
    picture(0).save(tmp_path / "in" / "stones" / "again.png")
    picture(7, (900, 500)).save(tmp_path / "in" / "stones" / "deep" / "large.jpg")
    picture(8, (100, 300)).save(tmp_path / "in" / "stones" / "small.png")
    drawing = np.zeros((200, 200), np.uint8)
    drawing[50:90] = 200
    Image.fromarray(drawing).save(tmp_path / "in" / "stones" / "drawing.png")
    sprite = picture(9).convert("RGBA")
    sprite.putalpha(0)
    sprite.save(tmp_path / "in" / "stones" / "sprite.png")
    (tmp_path / "in" / "stones" / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "card.json").write_text("{}")
    counts = collect_textures(Textures(tmp_path / "in"), tmp_path, workers=1)
    kept = read_arrays(tmp_path / "textures.npz")
    assert json.loads((tmp_path / "card.json").read_text())["textures"] == counts
    # One of four is what the finder takes for a crater most of all.
    assert sum(counts.values()) == len(kept) == 3
    assert set(counts) <= {"bricks", "stones"}
    assert all(one.dtype == np.uint8 and max(one.shape) <= 448 for one in kept)
    with pytest.raises(UsageError, match="No pictures"):
        collect_textures(Textures(tmp_path / "nothing"), tmp_path, workers=1)


def test_grains_look_like_no_craters() -> None:
    """A bright border belongs to a grain that is brighter than its ground: else training would deny craters."""
    bright = 0
    for number in range(200):
        kind = Kind(np.random.default_rng(number), ground := 90.0)
        rim, floor = kind.level * (1 + kind.edge), kind.level
        bright += rim > floor + 10
        assert rim <= floor or floor - ground >= (rim - floor) / 3
    assert bright > 40
    assert np.ptp(draw_grains(np.random.default_rng(1), 96)) > 20
