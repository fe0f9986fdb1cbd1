"""Keys, selection, sharding and the frozen file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from crater_ray.errors import CraterRayError, UsageError
from crater_ray.images.listing import LISTING
from crater_ray.runs.manifest import Manifest, Selection, build, unique_keys, write


def listing(*paths: str) -> pa.RecordBatch:
    rows = {"path": list(paths), "uri": [f"s3://b/{path}" for path in paths], "size": [1] * len(paths)}
    return pa.RecordBatch.from_pydict({**rows, "etag": ["e"] * len(paths)}, schema=LISTING)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("fm_-112786_-69214/fm_-112786_-69214-001.jpg", "fm_-112786_-69214"),
        ("fc_0009B8.21333/fc_0009B8.21333-001.jpg", "fc_0009B8.21333"),
        ("real/fm_1/fm_1-001.jpg", "real/fm_1"),
        ("fm_1/fm_2-001.jpg", "fm_1/fm_2-001"),
        ("fm_1/fm_1-002.jpg", "fm_1/fm_1-002"),
        ("I1009N_12.tif", "I1009N_12"),
        ("a.b/c", "a.b/c"),
        (".jpg", ".jpg"),
        ("line\nbreak.jpg", "line\nbreak"),
        ("ünï <b>&\"'.png", "ünï <b>&\"'"),
    ],
)
def test_key_is_the_path_without_suffix(path: str, key: str) -> None:
    assert unique_keys(pa.chunked_array([[path]])).to_pylist() == [key]


def test_keys_that_would_collide_keep_their_suffix() -> None:
    paths = ["a.jpg", "a.png", "b.jpg", "k/k-001.jpg", "k/k-001.tif", "a.jpg.tif"]
    keys = unique_keys(pa.chunked_array([paths[:2], paths[2:]])).to_pylist()
    assert keys == ["a.jpg", "a.png", "b", "k/k-001.jpg", "k/k-001.tif", "a.jpg.tif"]


def test_sorted_by_key_and_cut_into_shards() -> None:
    table, repeated = build([listing("c.jpg", "a.jpg"), listing("d.jpg", "b.jpg", "e.jpg")], shard_images=2)
    assert table["key"].to_pylist() == ["a", "b", "c", "d", "e"]
    assert table["shard"].to_pylist() == [0, 0, 1, 1, 2]
    assert table["uri"].to_pylist()[0] == "s3://b/a.jpg"
    assert repeated == 0


def test_an_image_listed_twice_is_taken_once() -> None:
    table, repeated = build([listing("b.jpg", "a.jpg", "b.jpg"), listing("a.jpg")])
    assert table["key"].to_pylist() == ["a", "b"]
    assert repeated == 2


def test_limit_stops_listing_and_sample_is_repeatable() -> None:
    def endless() -> object:
        number = 0
        while True:
            yield listing(*(f"{number + i:06d}.jpg" for i in range(10)))
            number += 10

    table, _ = build(endless(), Selection(limit=25))  # type: ignore[arg-type]
    assert table["key"].to_pylist() == [f"{i:06d}" for i in range(25)]
    everything = [listing(*(f"{i:03d}.jpg" for i in range(500)))]
    first, second, other = (build(everything, Selection(sample=40, seed=seed))[0]["key"] for seed in (1, 1, 2))
    assert first.equals(second)
    assert not first.equals(other)
    assert len(set(first.to_pylist())) == 40


def test_selection_must_be_positive() -> None:
    with pytest.raises(UsageError, match="--limit must be at least 1; received: 0"):
        Selection(limit=0)


def test_written_manifest_is_read_shard_by_shard(tmp_path: Path) -> None:
    table, _ = build([listing(*(f"{i:03d}.jpg" for i in range(25)))], shard_images=10)
    write(table, tmp_path / "m.parquet", "run-1", 10)
    manifest = Manifest(tmp_path / "m.parquet", "run-1")
    assert (manifest.images, manifest.shards) == (25, 3)
    assert manifest.shard(2)["key"].to_pylist() == ["020", "021", "022", "023", "024"]
    assert manifest.rows(2) == 5
    with pytest.raises(CraterRayError, match="another run"):
        Manifest(tmp_path / "m.parquet", "run-2")
    (tmp_path / "m.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(CraterRayError, match="cannot be read"):
        Manifest(tmp_path / "m.parquet", "run-1")
