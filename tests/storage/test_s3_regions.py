"""Buckets that lie in a region of their own, and buckets whose requesters pay: found, listed, read and written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crater_ray.images.listing import open_archive
from crater_ray.runs.manifest import build
from crater_ray.scanning.loader import load
from crater_ray.storage import bulk
from crater_ray.storage import s3_clients as clients
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError
from crater_ray.storage.folder import open_folder
from testbed.faulty_s3 import FaultyS3, faulty
from testbed.local_s3 import PUBLIC, LocalS3
from tests.conftest import Cli, make_images


@pytest.fixture(scope="module")
def stored(s3: LocalS3, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("stored")
    keys = make_images(folder, 12)
    s3.upload(folder, PUBLIC, "regional/")
    s3.client.create_bucket(Bucket="regional")
    return [f"s3://{PUBLIC}/regional/{key}/{key}-001.jpg" for key in keys]


@pytest.fixture
def proxy(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    monkeypatch.setattr(bulk, "PAUSES", ())
    with faulty(s3.endpoint_url, {}) as proxy:
        yield proxy


@pytest.mark.slow
@pytest.mark.parametrize("region", ["eu-central-1", "garage", "us-west-004"])
def test_a_region_is_learnt_from_the_refusal(proxy: FaultyS3, stored: list[str], region: str) -> None:
    proxy.region = region
    access = Access(proxy.endpoint_url)
    table, _ = build(open_archive(f"s3://{PUBLIC}/regional", access).batches)
    assert table.num_rows == 12
    assert load(stored, access)[0].status == ["ok"] * 12
    assert proxy.done["elsewhere"] <= 12 + 2, "each GET in flight is refused once at most"
    before = proxy.done["elsewhere"]
    assert load(stored, access)[0].status == ["ok"] * 12
    assert proxy.done["elsewhere"] == before
    folder = open_folder("s3://regional/run", access)
    folder.publish("parts/one", b"rows")
    assert folder.read("parts/one") == b"rows"


@pytest.mark.slow
def test_requester_pays_needs_its_option(
    shared_ray: None, proxy: FaultyS3, stored: list[str], tmp_path: Path, cli: Cli
) -> None:
    proxy.payer = True
    words = ["scan", f"s3://{PUBLIC}/regional", "--out", str(tmp_path / "run"), "--engine", "stand-in"]
    words += ["--endpoint-url", proxy.endpoint_url]
    refused = cli(*words)
    assert refused.returncode == 1
    assert "--requester-pays" in refused.stderr
    answer = cli(*words, "--requester-pays")
    assert answer.returncode == 0, answer.stderr
    assert "12 ok" in answer.stderr
    gallery = cli("gallery", tmp_path / "run", "--threshold", "0", "--requester-pays")
    assert gallery.returncode == 0, gallery.stderr
    assert len(list((tmp_path / "run-gallery").rglob("*.jpg"))) >= 12
    rescanned = cli("rescan", tmp_path / "run", "--out", tmp_path / "again", "--engine", "stand-in", "--requester-pays")
    assert "12 ok" in rescanned.stderr


@pytest.mark.slow
@pytest.mark.parametrize("anonymous", [True, False])
def test_requester_pays_is_said_by_both_clients(proxy: FaultyS3, stored: list[str], anonymous: bool) -> None:
    proxy.payer = True
    clients.bulk_store.cache_clear()
    with pytest.raises(StorageError, match="--requester-pays"):
        load(stored[:2], Access(proxy.endpoint_url, anonymous))
    paying = Access(proxy.endpoint_url, anonymous, requester_pays=True)
    assert load(stored, paying)[0].status == ["ok"] * 12
    folder = open_folder("s3://regional/paid", paying)
    folder.publish("parts/one", b"rows")
    assert dict(folder.names()) == {"parts/one": 4}
    folder.remove("parts/one")
    assert dict(folder.names()) == {}
