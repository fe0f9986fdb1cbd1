"""Storage that stumbles: what comes back in the end is whole, and no fault passes for a damaged image."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from rich.console import Console

from crater_ray.runs.run import open_existing
from crater_ray.scanning.loader import load
from crater_ray.scanning.scan import scan
from crater_ray.settings import ScanSettings
from crater_ray.storage import bulk
from crater_ray.storage import s3_clients as clients
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError
from crater_ray.storage.folder import open_folder
from testbed.faulty_s3 import faulty
from testbed.local_s3 import PUBLIC, LocalS3

FAULTS = ("500", "503", "reset", "cut", "short")


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_alone_never_becomes_a_verdict(
    s3: LocalS3, stored: list[str], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "RETRIES", 1)
    monkeypatch.setattr(bulk, "PAUSES", (0.01,))
    clients.bulk_store.cache_clear()
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
    clients.bulk_store.cache_clear()


def test_one_object_that_storage_never_gives_is_a_verdict_only_on_the_last_try(
    s3: LocalS3, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "RETRIES", 1)
    monkeypatch.setattr(bulk, "PAUSES", (0.01,))
    clients.bulk_store.cache_clear()
    uris = [f"s3://{PUBLIC}/stumbling/{key}/{key}-001.jpg" for key in stored[:4]]
    with faulty(s3.endpoint_url, {"500": 1.0}) as proxy:
        proxy.only = stored[2]
        access = Access(proxy.endpoint_url, anonymous=True)
        with pytest.raises(StorageError, match=stored[2]):
            load(uris, access)
        loaded, _ = load(uris, access, last_try=True)
    assert loaded.status == ["ok", "ok", "unreadable", "ok"]
    assert "500" in str(loaded.values["error"][2])
    clients.bulk_store.cache_clear()


REPEATS = {"500": 4, "503": 4, "reset": 4, "cut": 2, "short": 2}
"""As often as the client itself repeats a GET, and more often than we do; and as often as we do, where it does not."""


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_that_passes_is_outlasted_within_one_load(s3: LocalS3, stored: list[str], fault: str) -> None:
    uris = [f"s3://{PUBLIC}/stumbling/{key}/{key}-001.jpg" for key in stored[:8]]
    sizes = [s3.client.head_object(Bucket=PUBLIC, Key=uri.split("/", 3)[3])["ContentLength"] for uri in uris]
    with faulty(s3.endpoint_url, {fault: 1.0}) as proxy:
        proxy.times = REPEATS[fault]
        loaded, _ = load(uris, Access(proxy.endpoint_url, anonymous=True), sizes=sizes)
        assert proxy.done[fault] == 8 * REPEATS[fault]
    assert set(loaded.status) == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["stall", "hang"])
def test_stalled_request_is_given_up_and_repeated(
    s3: LocalS3, stored: list[str], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "TIMEOUT_SECONDS", 1.0)
    clients.bulk_store.cache_clear()
    uris = [f"s3://{PUBLIC}/stumbling/{key}/{key}-001.jpg" for key in stored[:8]]
    with faulty(s3.endpoint_url, {fault: 1.0}) as proxy:
        proxy.times, proxy.stall_seconds = 1, 100.0
        started = time.monotonic()
        loaded, _ = load(uris, Access(proxy.endpoint_url, anonymous=True))
        assert time.monotonic() - started < 20, "given up by chance: 30 s is the client's own limit"
        assert proxy.done[fault] == 8
    assert set(loaded.status) == {"ok"}
    clients.bulk_store.cache_clear()


@pytest.mark.slow
def test_stalled_listing_and_part_are_given_up_and_repeated(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "TIMEOUT_SECONDS", 1.0)
    clients.s3_client.cache_clear()
    s3.client.create_bucket(Bucket="stalled")
    with faulty(s3.endpoint_url, {"stall": 1.0}) as proxy:
        proxy.put_share = proxy.list_share = proxy.share
        proxy.times, proxy.stall_seconds = 1, 100.0
        folder = open_folder("s3://stalled/run", Access(proxy.endpoint_url))
        started = time.monotonic()
        folder.publish("parts/one", b"rows")
        assert dict(folder.names()) == {"parts/one": 4}
        assert folder.read("parts/one") == b"rows"
        assert time.monotonic() - started < 20
        assert proxy.done["stall"] == 3
    clients.s3_client.cache_clear()


@pytest.mark.slow
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
    monkeypatch.setattr(bulk, "PAUSES", ())
    uris = [f"s3://{PUBLIC}/stumbling/{key}/{key}-001.jpg" for key in stored[:4]]
    with (
        faulty(s3.endpoint_url, {"403": 1.0}) as proxy,
        pytest.raises(StorageError),
    ):
        load(uris, Access(proxy.endpoint_url, anonymous=True), last_try=True)


def test_objects_gone_in_mid_run_are_missing_rows(
    ray_here: None, s3: LocalS3, stored: list[str], tmp_path: Path, quiet: Console
) -> None:
    with faulty(s3.endpoint_url, {"404": 0.1}) as proxy:
        access = Access(proxy.endpoint_url, anonymous=True)
        outcome = scan(
            ScanSettings(f"s3://{PUBLIC}/stumbling", str(tmp_path / "run"), access=access, engine="stand-in"), quiet
        )
        gone = proxy.done["404"]
    assert gone
    assert outcome.failed == {}
    assert outcome.check.whole
    assert outcome.check.statuses == {"ok": 200 - gone, "missing": gone}


STORED_BUT_ERROR = {"500 after": 0.15, "reset after": 0.15, "404 after": 0.05}


@pytest.mark.slow
def test_parts_stored_with_an_error_for_an_answer_are_neither_lost_nor_doubled(
    ray_here: None, s3: LocalS3, stored: list[str], quiet: Console
) -> None:
    s3.client.create_bucket(Bucket="puts")
    with faulty(s3.endpoint_url, {}, seed=2) as proxy:
        proxy.put_share, proxy.put_only = {**STORED_BUT_ERROR, "503": 0.1, "reset": 0.1}, "/parts/"
        proxy.list_share = {"500": 0.2, "503": 0.2, "reset": 0.1}
        settings = ScanSettings(
            f"s3://{PUBLIC}/stumbling",
            "s3://puts/run",
            access=Access(proxy.endpoint_url),
            engine="stand-in",
            shard_images=10,
        )
        for _ in range(6):
            try:
                outcome = scan(settings, quiet)
                break
            except StorageError:
                continue  # what anybody would do: the same command again
        else:
            pytest.fail("the same command again and again did not get there")
        assert outcome.failed == {}
        assert sum(proxy.done[fault] for fault in STORED_BUT_ERROR) >= 3, proxy.done
        assert sum(proxy.done[fault] for fault in ("500", "503", "reset")) >= 3, proxy.done
        parts = {name for name in proxy.puts if "/parts/" in name}
    with open_existing("s3://puts/run", Access(s3.endpoint_url)) as run:
        check = run.check()
        keys = [key for rows in run.parts() for key in rows["key"].to_pylist()]
    assert check.whole
    assert keys == sorted(stored)
    assert len(parts) == 20


@pytest.mark.slow
def test_storage_that_answers_every_put_with_an_error_ends_the_scan_and_what_it_took_is_not_done_again(
    ray_here: None, s3: LocalS3, stored: list[str], quiet: Console
) -> None:
    s3.client.create_bucket(Bucket="liar")
    with faulty(s3.endpoint_url, {}) as proxy:
        proxy.put_share, proxy.put_only = {"404 after": 1.0}, "/parts/"
        access = Access(proxy.endpoint_url)
        settings = ScanSettings(
            f"s3://{PUBLIC}/stumbling", "s3://liar/run", access=access, engine="stand-in", shard_images=50
        )
        with pytest.raises(StorageError, match="s3://liar/run"):
            scan(settings, quiet)
        with open_existing("s3://liar/run", access) as run:
            taken = len(run.check().parts)
        assert taken
        proxy.put_share = {}
        outcome = scan(settings, quiet)
    assert outcome.check.whole
    assert outcome.images == 200 - 50 * taken
