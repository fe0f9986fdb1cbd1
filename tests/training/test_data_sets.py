"""Data sets: what they hold, that they can be made again, and that splits share nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from crater_ray.errors import UsageError
from training import seeds
from training.batches import epoch
from training.dataset import DataSet, read
from training.synthesize import Order, synthesize
from training.trainable import position_targets


def test_half_the_images_have_a_crater_that_lies_inside(sets: dict[str, DataSet]) -> None:
    data = sets["train"]
    label, diameter = data.column("label"), data.column("diameter_px")
    assert data.shape == (150, 150)
    assert label.sum() == len(data) // 2
    assert np.isnan(diameter[label == 0]).all()
    assert ((diameter[label == 1] >= 3) & (diameter[label == 1] <= 40)).all()
    for axis in ("x", "y"):
        centre = data.column(axis)[label == 1]
        assert (centre > diameter[label == 1] / 2).all()
        assert (centre < 149 - diameter[label == 1] / 2).all()
    assert {"simulated", "merged-real", "merged-simulated"} <= set(data.column("source")[label == 1])


def test_splits_share_no_seed_crater_and_no_background(sets: dict[str, DataSet]) -> None:
    for column in ("seed_crater", "background"):
        used = {name: set(data.column(column)) - {-1} for name, data in sets.items()}
        assert all(used.values())
        assert not used["train"] & used["validation"]
        assert not used["train"] & used["test"]
        assert not used["validation"] & used["test"]


def test_the_split_leaves_nothing_out() -> None:
    parts = [seeds.split(97, name, 3) for name in seeds.SPLITS]
    assert sorted(np.concatenate(parts)) == list(range(97))


def test_the_same_order_makes_the_same_images_with_any_number_of_workers(tmp_path: Path) -> None:
    for workers in (1, 2):
        synthesize(Order("original", 20, seed=5), tmp_path / str(workers), workers=workers)
    first, second = read(tmp_path / "1"), read(tmp_path / "2")
    assert first.digest == second.digest
    assert (first.images(range(20)) == second.images(range(20))).all()
    assert (first.column("diameter_px")[first.column("label") == 1] >= 5).all()


def test_foreign_images_are_for_tests_only(tmp_path: Path, photographs: Path) -> None:
    card = synthesize(Order("foreign", 8, (150, 150), "test", backgrounds=str(photographs)), tmp_path / "a", workers=1)
    assert card["craters"] == 4
    with pytest.raises(UsageError, match="--split test"):
        synthesize(Order("foreign", 8), tmp_path / "b")


def test_wrong_orders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 92"):
        synthesize(Order("matched", 10, (64, 64)), tmp_path / "a")
    with pytest.raises(UsageError, match="original, matched"):
        synthesize(Order("mached", 10), tmp_path / "a")
    with pytest.raises(UsageError, match="no-such"):
        synthesize(Order("matched", 10, backgrounds=str(tmp_path / "no-such")), tmp_path / "a")
    with pytest.raises(UsageError, match="not a complete data set"):
        read(tmp_path)


def test_cut_outs_from_a_folder_are_used(tmp_path: Path) -> None:
    from PIL import Image

    rows, columns = np.indices((60, 60)) - 29.5
    radius = np.hypot(rows, columns)
    rgba = np.dstack([np.where(abs(radius - 20) < 4, 250, 60)] * 3 + [np.where(radius < 27, 255, 0)]).astype(np.uint8)
    for number in range(12):
        Image.fromarray(rgba).save(tmp_path / f"{number:02d}.png")
    order = Order("original", 10, seeds_folder=str(tmp_path))
    synthesize(order, tmp_path / "set", workers=1)
    used = set(read(tmp_path / "set").column("seed_crater")) - {-1}
    assert used <= set(seeds.split(12, "train", 0).tolist())
    Image.fromarray(rgba[..., :3]).save(tmp_path / "00.png")
    with pytest.raises(UsageError, match="must be a cut-out"):
        synthesize(order, tmp_path / "other")


def test_crops_keep_the_crater_and_know_where_it_went(sets: dict[str, DataSet]) -> None:
    data = sets["train"]
    rng = np.random.default_rng(0)
    for batch in epoch(data, rng, images=64, batch=16, crop=(108, 108), least_diameter=6.0):
        crater = batch.labels[:, 0] == 1
        assert crater.sum() == 8
        assert (np.isfinite(batch.x) == crater).all()
        for centre in (batch.x[crater], batch.y[crater]):
            assert (centre > batch.diameter[crater] / 2 - 1).all()
            assert (centre < 108 - batch.diameter[crater] / 2 + 1).all()


def test_turned_images_keep_the_crater_under_its_coordinates(sets: dict[str, DataSet]) -> None:
    marked = np.full((4, 108, 108), 10, np.uint8)
    marked[:, 30, 70] = 255
    table = sets["train"].table.slice(0, 4)
    for name, values in (("label", [1, 1, 0, 0]), ("x", [70.0] * 4), ("y", [30.0] * 4), ("diameter_px", [5.0] * 4)):
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    data = DataSet((marked,), table, {"digest": "marked"})
    for number in range(12):
        for batch in epoch(data, np.random.default_rng(number), images=4, batch=4, crop=(108, 108), least_diameter=0.0):
            for image, x, y in zip(batch.images, batch.x, batch.y, strict=True):
                assert image[int(y), int(x), 0] == 255


def test_position_targets_mark_the_nearest_and_ignore_the_rest_that_sees_it() -> None:
    nothing = np.nan
    target = position_targets(
        (384, 512),
        np.array([1, 0, 1]),
        np.array([45.5 + 16 * 3, nothing, nothing]),
        np.array([45.5 + 16 * 5, nothing, nothing]),
        np.array([10.0, nothing, nothing]),
    )
    assert target.shape == (3, 19, 27, 1)
    assert target[0, 5, 3, 0] == 1
    assert target[0, 5, 5, 0] == -1
    assert target[0, 5, 10, 0] == 0
    assert (target[1] == 0).all()
    assert (target[2] == -1).all()
