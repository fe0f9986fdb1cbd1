"""Simulated frames: craters and defects where they are said to be, the same pixels for the same state."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from crater_ray.errors import UsageError
from crater_ray.simulate import Ranges, seed_crater, seed_library, simulate_frame
from crater_ray.simulate.crater import draw_crater
from crater_ray.simulate.fields import enlarged, shrunk

PLAIN = replace(
    Ranges(),
    roughness_slope=(0.005, 0.01),
    rolling_slope=(0.001, 0.002),
    groove_count=(0, 0),
    step_chance=0.0,
    grain_chance=0.0,
    island_chance=0.0,
    rectangle_chance=0.0,
    mottling=(0.0, 0.0),
    illumination=(0.0, 0.0),
    pit_count=(0, 0),
    inclusion_count=(0, 0),
    dust_count=(0, 0),
    blister_count=(0, 0),
    dent_count=(0, 0),
    stain_count=(0, 0),
    nick_count=(0, 0),
    scratch_count=(0, 0),
    speck_chance=0.0,
    streak_chance=0.0,
    defocus_chance=0.0,
    noise=(1.0, 2.0),
    brightness=(120.0, 120.0),
    contrast=(60.0, 60.0),
    gamma=(1.0, 1.0),
)
"""Foil with nothing on it, so that what is seen is the crater."""


def _average(diameter: float, number: int, seed: int) -> np.ndarray:
    """The mean of many plain frames around the stated centre, to the nearest pixel, less the bare foil."""
    half = int(0.8 * diameter)
    total = np.zeros((2 * half + 1, 2 * half + 1))
    for index in range(number):
        frame = simulate_frame(np.random.default_rng([seed, index]), (96, 100), (diameter,), PLAIN)
        x, y = round(frame.craters[0].x), round(frame.craters[0].y)
        total += frame.pixels[y - half : y + half + 1, x - half : x + half + 1] - np.median(frame.pixels)
    return total / number


@pytest.mark.parametrize("diameter", [5.0, 9.0, 24.0])
def test_a_crater_has_a_bright_rim_and_a_dark_floor_where_it_is_said_to_be(diameter: float) -> None:
    mean = _average(diameter, 40, seed=1)
    half = mean.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    far = np.hypot(x, y)
    floor = mean[far <= 0.2 * diameter].mean()
    rim = max(mean[(far >= r - 0.6) & (far <= r + 0.6)].mean() for r in diameter * np.arange(0.40, 0.65, 0.05))
    assert floor < -10
    assert rim > 5
    dark = np.clip(-mean, 0, None) * (far < 0.6 * diameter)
    assert abs((dark * x).sum() / dark.sum()) < 0.04 * diameter + 0.15
    assert abs((dark * y).sum() / dark.sum()) < 0.04 * diameter + 0.15


def test_the_contrast_to_noise_of_a_crater_falls_with_the_noise() -> None:
    quiet, loud = (
        [
            simulate_frame(np.random.default_rng(i), (96, 96), (12,), replace(PLAIN, noise=(n, n)))
            .craters[0]
            .contrast_to_noise
            for i in range(8)
        ]
        for n in (1.5, 12.0)
    )
    assert np.median(quiet) > 3 * np.median(loud) > 0


def test_craters_are_as_deep_and_as_round_as_known_ones() -> None:
    rng = np.random.default_rng(3)
    craters = [draw_crater(rng, 20.0, Ranges()) for _ in range(1500)]
    assert np.mean([crater.outline.axis_ratio > 1.5 for crater in craters]) < 0.10
    fresh = [draw_crater(rng, 20.0, replace(Ranges(), degraded_chance=0.0)) for _ in range(100)]
    assert all(0.56 <= crater.depth <= 0.60 for crater in fresh)
    line = np.linspace(-60, 60, 241, dtype=np.float32)
    for crater in fresh[:20]:
        relief = crater.relief(*np.meshgrid(line, line))
        height = relief.height
        assert -0.75 * 20 < height.min() < -0.40 * 20
        assert height.max() > 0
        beyond = np.hypot(*np.meshgrid(line, line)) > crater.reach + 1
        assert np.all(np.abs(height[beyond]) < 0.01)
        assert np.allclose(relief.emission[beyond], 1, atol=1e-3)


def test_a_frame_depends_on_nothing_but_the_state_of_its_generator() -> None:
    first = simulate_frame(np.random.default_rng(4), (120, 150), (6.0, 20.0))
    again = simulate_frame(np.random.default_rng(4), (120, 150), (6.0, 20.0))
    other = simulate_frame(np.random.default_rng(5), (120, 150), (6.0, 20.0))
    assert np.array_equal(first.pixels, again.pixels)
    assert first.craters == again.craters
    assert first.defects == again.defects
    assert not np.array_equal(first.pixels, other.pixels)


@pytest.mark.parametrize("shape", [(92, 92), (150, 150), (101, 133), (384, 512)])
def test_a_frame_has_the_shape_that_was_asked_for(shape: tuple[int, int]) -> None:
    frame = simulate_frame(np.random.default_rng(6), shape)
    assert frame.pixels.shape == shape
    assert frame.pixels.dtype == np.uint8
    assert frame.craters == ()
    assert 70 <= frame.jpeg_quality <= 92


def test_craters_lie_inside_and_apart() -> None:
    diameters = (5.0, 30.0, 12.0, 20.0)
    for seed in range(5):
        craters = simulate_frame(np.random.default_rng(seed), (200, 260), diameters).craters
        assert tuple(crater.diameter_px for crater in craters) == diameters
        for index, crater in enumerate(craters):
            assert crater.diameter_px / 2 < crater.x < 259 - crater.diameter_px / 2
            assert crater.diameter_px / 2 < crater.y < 199 - crater.diameter_px / 2
            for other in craters[:index]:
                gap = math.hypot(crater.x - other.x, crater.y - other.y)
                assert gap > (crater.diameter_px + other.diameter_px) / 2


@pytest.mark.parametrize(
    ("kind", "chosen"),
    [
        ("pit", {"pit_count": (6, 6)}),
        ("inclusion", {"inclusion_count": (6, 6)}),
        ("dust", {"dust_count": (6, 6)}),
        ("blister", {"blister_count": (6, 6)}),
        ("dent", {"dent_count": (6, 6), "dent_depth": (0.1, 0.14)}),
        ("nick", {"nick_count": (6, 6)}),
        ("stain", {"stain_count": (6, 6), "stain_contrast": (0.2, 0.3)}),
        ("scratch", {"scratch_count": (6, 6), "crossing_chance": 1.0, "scratch_depth": (0.5, 0.8)}),
        ("speck", {"speck_chance": 1.0, "speck_count": (30, 30)}),
    ],
)
def test_defects_are_listed_and_can_be_seen(kind: str, chosen: dict[str, tuple[float, float]]) -> None:
    shape = (384, 512)
    plain = replace(PLAIN, contrast=(120.0, 120.0), beam_sigma=(0.4, 0.6))
    ranges = replace(plain, **chosen, stringer_chance=0.0)  # type: ignore[arg-type]
    frame = simulate_frame(np.random.default_rng(8), shape, ranges=ranges)
    kinds = [defect.kind for defect in frame.defects]
    assert set(kinds) - {"scratch_end", "crossing"} == {kind}
    assert kinds.count(kind) >= 6
    if kind == "scratch":
        assert kinds.count("scratch_end") == 12
        assert kinds.count("crossing") == 1
    pixels = frame.pixels.astype(float)
    foil = np.median(pixels)
    strongest = 0.0
    for defect in frame.defects:
        x, y = round(defect.x), round(defect.y)
        if 3 <= x < shape[1] - 3 and 3 <= y < shape[0] - 3:
            around = math.ceil(defect.size_px) if kind != "scratch" else 3
            part = pixels[max(0, y - around) : y + around + 1, max(0, x - around) : x + around + 1]
            strongest = max(strongest, float(np.abs(part - foil).max()))
    nothing = simulate_frame(np.random.default_rng(8), shape, ranges=plain).pixels.astype(float)
    assert strongest > np.abs(nothing - np.median(nothing)).max() + 3


def test_enlarging_and_shrinking_keep_a_slope_in_its_place() -> None:
    slope = np.add.outer(np.arange(12, dtype=np.float32), 3 * np.arange(9, dtype=np.float32))
    large = enlarged(slope, 4)
    assert large.shape == (48, 36)
    assert np.allclose(shrunk(large, 4)[1:-1, 1:-1], slope[1:-1, 1:-1], atol=1e-4)


def test_seed_craters_are_soft_edged_cut_outs() -> None:
    library = seed_library(6, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(library, seed_library(6, seed=1), strict=True))
    assert len({cut_out.shape for cut_out in library}) > 1
    for cut_out in [*library, seed_crater(np.random.default_rng(0))]:
        assert cut_out.dtype == np.uint8
        assert cut_out.shape[0] == cut_out.shape[1]
        assert cut_out.shape[2] == 4
        assert np.array_equal(cut_out[..., 0], cut_out[..., 1])
        assert np.array_equal(cut_out[..., 0], cut_out[..., 2])
        alpha = cut_out[..., 3]
        middle = len(alpha) // 2
        assert alpha[middle, middle] == 255
        assert alpha[0, 0] == alpha[-1, -1] == 0
        assert ((alpha > 0) & (alpha < 255)).any()


def test_impossible_frames_and_ranges_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match="at least 92 pixels"):
        simulate_frame(rng, (91, 200))
    with pytest.raises(UsageError, match="does not fit"):
        simulate_frame(rng, (92, 92), (90.0,))
    with pytest.raises(UsageError, match="does not fit"):
        simulate_frame(rng, (92, 92), (0.0,))
    with pytest.raises(UsageError, match="without touching"):
        simulate_frame(rng, (92, 92), (30.0,) * 9)
    with pytest.raises(UsageError, match="noise must be"):
        Ranges(noise=(3.0, 1.0))
    with pytest.raises(UsageError, match="probability"):
        Ranges(grain_chance=1.5)
    with pytest.raises(UsageError, match="at least 6 px"):
        seed_crater(rng, 2.0)
    with pytest.raises(UsageError, match="received: -1"):
        seed_library(-1)
