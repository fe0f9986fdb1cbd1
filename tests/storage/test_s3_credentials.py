"""Credentials that expire, in the middle of a scan too: a clear error, and the same command goes on once renewed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crater_ray.runs.run import open_existing
from crater_ray.scanning.loader import load
from crater_ray.storage import bulk
from crater_ray.storage import s3_clients as clients
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError
from testbed.faulty_s3 import faulty
from testbed.local_s3 import ACCESS_KEY, PUBLIC, RENEWED_ACCESS_KEY, SECRET_KEY, LocalS3
from tests.conftest import Cli


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Credentials in a file, as a renewing program keeps them; call it with the access key to renew them."""
    file = tmp_path / "credentials"

    def write(access_key: str) -> None:
        (tmp_path / "new").write_text(
            f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {SECRET_KEY}\n"
        )
        os.replace(tmp_path / "new", file)

    write(ACCESS_KEY)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    forget()
    yield write
    forget()


def forget() -> None:
    clients.bulk_store.cache_clear()
    clients.s3_client.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 401, 403])
def test_expired_credentials_are_a_clear_error_until_they_are_renewed(
    s3: LocalS3, stored: list[str], profile: Callable[[str], None], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PAUSES", ())
    uris = [f"s3://{PUBLIC}/stumbling/{key}/{key}-001.jpg" for key in stored[:6]]
    with faulty(s3.endpoint_url, {}) as proxy:
        access = Access(proxy.endpoint_url)
        assert set(load(uris, access)[0].status) == {"ok"}
        proxy.expired, proxy.expired_status, proxy.expire_after = {ACCESS_KEY}, status, 0
        with pytest.raises(StorageError, match=r"refused \(ExpiredToken\)\. Renew them"):
            load(uris, access, last_try=True)
        profile(RENEWED_ACCESS_KEY)
        assert set(load(uris, access)[0].status) == {"ok"}


def expiring_scan(proxy_url: str, run: str) -> list[str]:
    command = ["scan", f"s3://{PUBLIC}/stumbling", "--out", run, "--endpoint-url", proxy_url]
    return [*command, "--engine", "stand-in", "--shard-images", "20"]


def whole(run: str, endpoint_url: str) -> bool:
    with open_existing(run, Access(endpoint_url)) as opened:
        return opened.check().whole


@pytest.mark.slow
def test_scan_goes_on_with_credentials_that_are_renewed_in_mid_run(
    s3: LocalS3, stored: list[str], profile: Callable[[str], None], command: Cli
) -> None:
    s3.client.create_bucket(Bucket="renewed")
    with faulty(s3.endpoint_url, {}) as proxy:
        proxy.expired, proxy.expire_after = {ACCESS_KEY}, 50
        ended = threading.Event()

        def renew() -> None:
            while not proxy.done["expired"] and not ended.wait(0.05):
                pass
            profile(RENEWED_ACCESS_KEY)

        renewing = threading.Thread(target=renew)
        renewing.start()
        answer = command(*expiring_scan(proxy.endpoint_url, "s3://renewed/run"))
        ended.set()
        renewing.join()
        assert answer.returncode == 0, answer.stderr
        assert proxy.done["expired"]
        assert whole("s3://renewed/run", proxy.endpoint_url)


@pytest.mark.slow
def test_scan_with_expired_credentials_ends_in_a_clear_error_and_the_same_command_goes_on(
    s3: LocalS3, stored: list[str], profile: Callable[[str], None], command: Cli
) -> None:
    s3.client.create_bucket(Bucket="expired")
    with faulty(s3.endpoint_url, {}) as proxy:
        proxy.expired, proxy.expired_status, proxy.expire_after = {ACCESS_KEY}, 403, 60
        words = expiring_scan(proxy.endpoint_url, "s3://expired/run")
        answer = command(*words)
        assert answer.returncode == 1
        assert "refused (ExpiredToken). Renew them" in answer.stderr
        assert "Traceback" not in answer.stderr
        profile(RENEWED_ACCESS_KEY)
        assert command(*words).returncode == 0
        assert whole("s3://expired/run", proxy.endpoint_url)
