"""Key lists: what is read of them, and where their entries are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from crater_ray.errors import UsageError
from crater_ray.images.listing import Listing, open_archive
from crater_ray.runs.manifest import build
from crater_ray.scanning.loader import load
from crater_ray.storage.access import Access
from testbed.local_s3 import PUBLIC, LocalS3


def keys_and_uris(listing: Listing) -> dict[str, str]:
    table, _ = build(listing.batches)
    return dict(zip(table["key"].to_pylist(), table["uri"].to_pylist(), strict=True))


def test_text_list_of_keys_and_paths(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("# chosen by eye\nfm_1\n\nsub/x.png\n")
    found = keys_and_uris(open_archive(str(tmp_path / "keys.txt"), Access()))
    assert found == {"fm_1": f"file://{tmp_path}/fm_1/fm_1-001.jpg", "sub/x": f"file://{tmp_path}/sub/x.png"}


def test_lists_with_a_base_and_with_columns(tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_text("id,key,conf\n1,fm_1,6\n2,fm_2,7\n")
    pq.write_table(pa.table({"score": [0.5, 0.4], "key": ["fm_1", "fm_2"]}), tmp_path / "keys.parquet")
    expected = {f"fm_{i}": f"s3://bucket/real/fm_{i}/fm_{i}-001.jpg" for i in (1, 2)}
    for name in ("keys.csv", "keys.parquet"):
        assert keys_and_uris(open_archive(str(tmp_path / name), Access(), "s3://bucket/real")) == expected


def test_list_of_full_addresses_gets_keys_below_what_they_share(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("s3://b/real/fm_1/fm_1-001.jpg\ns3://b/real/fm_2/fm_2-001.jpg\n")
    assert set(keys_and_uris(open_archive(str(tmp_path / "a.txt"), Access()))) == {"fm_1", "fm_2"}
    (tmp_path / "b.txt").write_text("s3://b/real/fm_1/fm_1-001.jpg\n")
    assert set(keys_and_uris(open_archive(str(tmp_path / "b.txt"), Access()))) == {"fm_1"}
    (tmp_path / "c.txt").write_text("s3://b/real/x.jpg\ns3://other/real/x.jpg\n")
    assert set(keys_and_uris(open_archive(str(tmp_path / "c.txt"), Access()))) == {"b/real/x", "other/real/x"}


def test_list_on_s3(s3: LocalS3) -> None:
    s3.client.put_object(Bucket=PUBLIC, Key="lists/keys.txt", Body=b"fm_1\n")
    listing = open_archive(f"s3://{PUBLIC}/lists/keys.txt", Access(s3.endpoint_url, anonymous=True))
    assert keys_and_uris(listing) == {"fm_1": f"s3://{PUBLIC}/lists/fm_1/fm_1-001.jpg"}
    with pytest.raises(UsageError, match="no key list"):
        open_archive(f"s3://{PUBLIC}/lists/none.txt", Access(s3.endpoint_url, anonymous=True))


def test_lists_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n# nothing\n")
    (tmp_path / "no.parquet").write_bytes(b"no")
    for name in ("empty.txt", "no.parquet", "missing.csv"):
        with pytest.raises(UsageError):
            open_archive(str(tmp_path / name), Access())
    with pytest.raises(UsageError, match="--base goes with a key list"):
        open_archive(str(tmp_path), Access(), "x")


def test_entries_of_several_stores_get_keys_that_tell_them_apart(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("s3://bucket/real/x.jpg\n/data/real/x.jpg\n")
    found = keys_and_uris(open_archive(str(tmp_path / "keys.txt"), Access()))
    assert found == {"bucket/real/x": "s3://bucket/real/x.jpg", "data/real/x": "file:///data/real/x.jpg"}


def test_file_addresses_in_lists_name_any_file(tmp_path: Path) -> None:
    (tmp_path / "a b%.jpg").write_bytes(b"1")
    (tmp_path / "keys.txt").write_text((tmp_path / "a b%.jpg").as_uri() + "\n")
    found = keys_and_uris(open_archive(str(tmp_path / "keys.txt"), Access()))
    assert found == {"a b%": (tmp_path / "a b%.jpg").as_uri()}


def test_entries_with_a_files_suffix_are_files_and_others_keys(tmp_path: Path) -> None:
    files = ["x.bmp", "y.ome.tif", "z.JP2", "w.gif", "v.dm4", "u.pdf"]
    keys = ["fc_0009B8MmpmMmazxkRHRU.21333", "fm_-1_-2", "I1126N.7"]
    (tmp_path / "list.txt").write_text("\n".join(files + keys))
    table, _ = build(open_archive(str(tmp_path / "list.txt"), Access()).batches)
    expected = [*files, *(f"{key}/{key}-001.jpg" for key in keys)]
    assert sorted(table["uri"].to_pylist()) == sorted(f"file://{tmp_path}/{name}" for name in expected)


def test_what_is_no_readable_image_is_a_row_of_its_own(tmp_path: Path) -> None:
    Image.new("L", (120, 100)).save(tmp_path / "x.bmp")
    Image.new("L", (120, 100)).save(tmp_path / "#4 tray.png")
    (tmp_path / "list.txt").write_text("x.bmp\n#4 tray.png\n")
    table, _ = build(open_archive(str(tmp_path / "list.txt"), Access()).batches)
    loaded, _ = load(table["uri"].to_pylist(), Access())
    assert dict(zip(table["key"].to_pylist(), loaded.status, strict=True)) == {"#4 tray": "ok", "x": "unsupported"}
