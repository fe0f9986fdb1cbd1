"""Data sets: what they hold, that they can be made again, and that splits share nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from crater_ray.errors import UsageError
from training.data_sets import seeds
from training.data_sets.batches import epoch_batches
from training.data_sets.dataset import DataSet, join, read
from training.data_sets.synthesize import Order, synthesize
from training.network.trainable import position_targets


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


@pytest.mark.slow
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
    for batch in epoch_batches(data, rng, images=64, batch=16, crop=(108, 108), least_diameter=6.0):
        assert batch.labels[:, 0].tolist() == [1] * 8 + [0] * 8
        assert [len(found) for found in batch.craters] == [1] * 8 + [0] * 8
        x, y, diameter, visible = np.concatenate(batch.craters).T
        assert (diameter >= 6.0).all()
        assert (visible == 1).all()
        for centre in (x, y):
            assert (centre > diameter / 2 - 1).all()
            assert (centre < 108 - diameter / 2 + 1).all()


def test_turned_images_keep_the_crater_under_its_coordinates(sets: dict[str, DataSet]) -> None:
    marked = np.full((4, 108, 108), 10, np.uint8)
    marked[:, 30, 70] = 255
    table = sets["train"].table.slice(0, 4)
    for name, values in (("label", [1, 1, 0, 0]), ("x", [70.0] * 4), ("y", [30.0] * 4), ("diameter_px", [5.0] * 4)):
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    data = DataSet((marked,), table, {"digest": "marked"})
    for number in range(12):
        for batch in epoch_batches(
            data, np.random.default_rng(number), images=4, batch=4, crop=(108, 108), least_diameter=0.0
        ):
            for image, found in zip(batch.images[:2], batch.craters[:2], strict=True):
                assert image[int(found[0, 1]), int(found[0, 0]), 0] == 255


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> DataSet:
    """Images with four to twelve craters each, and blanks."""
    folder = tmp_path_factory.mktemp("crowd") / "set"
    order = Order("matched", 24, (300, 300), backgrounds=str(photographs), most_craters=12)
    synthesize(order, folder, workers=1)
    return read(folder)


@pytest.mark.slow
def test_a_crowd_does_not_touch_and_all_of_it_is_listed(crowd: DataSet) -> None:
    assert crowd.column("label").tolist() == [1, 0] * 12
    counts = [len(found) for found in crowd.craters]
    assert counts[1::2] == [0] * 12
    assert max(counts) > 4
    for found in crowd.craters[::2]:
        x, y, diameter, _ = found.T
        apart = np.hypot(x[:, None] - x, y[:, None] - y) - 0.79 * (diameter[:, None] + diameter)
        assert (apart[~np.eye(len(x), dtype=bool)] > 0).all()
        assert (diameter**2).sum() <= max(0.1 * 300 * 300, diameter.max() ** 2) + 1


def test_joined_sets_follow_one_another(crowd: DataSet, sets: dict[str, DataSet]) -> None:
    both = join([crowd.first(5), crowd])
    assert len(both) == 29
    assert (both.images([4, 5, 28]) == crowd.images([4, 0, 23])).all()
    assert [len(found) for found in both.craters] == [len(found) for found in (*crowd.craters[:5], *crowd.craters)]
    with pytest.raises(UsageError, match="one size"):
        join([crowd, sets["train"]])


def test_crops_of_a_crowd_are_labelled_by_what_they_hold(crowd: DataSet) -> None:
    for batch in epoch_batches(
        crowd, np.random.default_rng(1), images=96, batch=8, crop=(124, 124), least_diameter=8.0
    ):
        for label, found in zip(batch.labels[:, 0], batch.craters, strict=True):
            x, y, diameter, visible = found.T
            reach = diameter / 2
            inside = (np.minimum(x, y) >= reach) & (np.maximum(x, y) <= 123 - reach)
            assert (label == 1) == bool((inside & (visible == 1)).any())
            assert (visible[diameter < 8.0] == 0).all()
            if label == 0:
                assert not ((np.minimum(x, y) > -reach) & (np.maximum(x, y) < 123 + reach)).any()


def test_where_no_crater_is_large_enough_all_count(crowd: DataSet) -> None:
    rng = np.random.default_rng(1)
    batches = list(epoch_batches(crowd, rng, images=16, batch=8, crop=(124, 124), least_diameter=1000.0))
    assert len(batches) == 2
    assert all((batch.labels[:4] == 1).all() for batch in batches)
    for kept, having in ((0, "0 and 1"), (1, "1 and 0")):
        images = np.flatnonzero(crowd.column("label") == kept)[:1]
        alone = DataSet((crowd.images(images),), crowd.table.take(images), {"digest": "alone"})
        with pytest.raises(UsageError, match=having):
            next(epoch_batches(alone, rng, images=8, batch=8, crop=(124, 124), least_diameter=0.0))


def test_position_targets_mark_the_nearest_and_ignore_the_rest_that_sees_it() -> None:
    x, y = 45.5 + 16 * 3, 45.5 + 16 * 5
    crater = np.array([[x, y, 10.0, 1.0]])
    faint = np.array([[x, y, 10.0, 0.0]])
    second = np.array([[x, y, 10.0, 1.0], [x + 32, y, 10.0, 1.0]])
    nowhere = np.array([[np.nan, np.nan, np.nan, 1.0]])
    target = position_targets((384, 512), (crater, np.empty((0, 4)), nowhere, faint, second))
    assert target.shape == (5, 19, 27, 1)
    assert (target[0] == 1).sum() == 1
    assert target[0, 5, 3, 0] == 1
    assert target[0, 5, 5, 0] == -1
    assert target[0, 5, 10, 0] == 0
    assert (target[1] == 0).all()
    assert (target[2] == -1).all()
    assert target[3, 5, 3, 0] == -1
    assert (target[3] == 0).sum() == (target[0] == 0).sum()
    assert [target[4, 5, column, 0] for column in (3, 4, 5)] == [1, -1, 1]
