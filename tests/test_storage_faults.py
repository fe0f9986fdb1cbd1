"""Storage that stumbles: what comes back in the end is whole, and no fault passes for a damaged image."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.faulty_s3 import faulty
from benchmarks.local_s3 import PUBLIC, LocalS3
from crater_ray import fetch, storage
from crater_ray.loader import load
from crater_ray.run import open_existing
from crater_ray.scan import scan
from crater_ray.settings import ScanSettings
from crater_ray.storage import Access, StorageError
from tests.conftest import make_images

FAULTS = ("500", "503", "reset", "cut", "short")


@pytest.fixture(scope="module")
def stored(s3: LocalS3, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("stored")
    keys = make_images(folder, 200)
    s3.upload(folder, PUBLIC, "stumbling/")
    return keys


def test_scan_over_stumbling_storage_is_whole(
    ray_here: None, s3: LocalS3, stored: list[str], tmp_path: Path, quiet: Console
) -> None:
    with faulty(s3.endpoint_url, dict.fromkeys(FAULTS, 0.02)) as proxy:
        access = Access(proxy.endpoint_url, anonymous=True)
        settings = ScanSettings(
            f"s3://{PUBLIC}/stumbling", str(tmp_path / "run"), access=access, engine="stand-in", shard_images=40
        )
        outcome = scan(settings, quiet)
        committed = proxy.done
    assert sum(committed.values()) >= 5, committed
    assert outcome.failed == {}
    with open_existing(tmp_path / "run") as run:
        check = run.check()
    assert check.whole
    assert check.statuses == {"ok": 200}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_alone_never_becomes_a_verdict(
    s3: LocalS3, stored: list[str], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "RETRIES", 1)
    monkeypatch.setattr(fetch, "PAUSES", (0.01,))
    storage.bulk_store.cache_clear()
    uris = [f"s3://{PUBLIC}/stumbling/{key}/{key}-001.jpg" for key in stored[:8]]
    access = Access(s3.endpoint_url, anonymous=True)
    sizes = [s3.client.head_object(Bucket=PUBLIC, Key=uri.split("/", 3)[3])["ContentLength"] for uri in uris]
    with faulty(s3.endpoint_url, {fault: 1.0}) as proxy:
        with pytest.raises(StorageError):
            load(uris, Access(proxy.endpoint_url, anonymous=True), sizes=sizes)
        assert proxy.done[fault]
        proxy.share.clear()
        loaded, _ = load(uris, Access(proxy.endpoint_url, anonymous=True), sizes=sizes)
        assert set(loaded.status) == {"ok"}
    assert set(load(uris, access, sizes=sizes)[0].status) == {"ok"}
    storage.bulk_store.cache_clear()


def test_stalled_request_is_given_up_and_repeated(
    s3: LocalS3, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "TIMEOUT_SECONDS", 1.0)
    storage.bulk_store.cache_clear()
    uris = [f"s3://{PUBLIC}/stumbling/{key}/{key}-001.jpg" for key in stored[:20]]
    with faulty(s3.endpoint_url, {"stall": 0.2}, seed=4) as proxy:
        loaded, _ = load(uris, Access(proxy.endpoint_url, anonymous=True))
        assert proxy.done["stall"]
    assert set(loaded.status) == {"ok"}
    storage.bulk_store.cache_clear()


def test_object_replaced_since_listing_is_believed_in_the_end(s3: LocalS3, stored: list[str]) -> None:
    uris = [f"s3://{PUBLIC}/stumbling/{key}/{key}-001.jpg" for key in stored[:3]]
    access = Access(s3.endpoint_url, anonymous=True)
    sizes = [None, 17, None]
    with pytest.raises(StorageError, match="17 were listed"):
        load(uris, access, sizes=sizes)
    assert set(load(uris, access, last_try=True, sizes=sizes)[0].status) == {"ok"}


def test_denied_objects_fail_the_block_and_say_why(
    s3: LocalS3, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "PAUSES", ())
    uris = [f"s3://{PUBLIC}/stumbling/{key}/{key}-001.jpg" for key in stored[:4]]
    with (
        faulty(s3.endpoint_url, {"403": 1.0}) as proxy,
        pytest.raises(StorageError),
    ):
        load(uris, Access(proxy.endpoint_url, anonymous=True), last_try=True)
