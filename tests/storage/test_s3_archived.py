"""Objects in cold storage: each is a row with its cure, the scan goes on, and a rescan takes what was restored."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crater_ray.errors import UsageError
from crater_ray.images.key_list import read_key_list
from crater_ray.scanning.loader import load
from crater_ray.storage import bulk
from crater_ray.storage import s3_clients as clients
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError
from testbed.faulty_s3 import FaultyS3, faulty
from testbed.local_s3 import PUBLIC, LocalS3
from tests.conftest import Cli, make_images

CURE = "the object is archived in cold storage: restore it, then `rescan --status archived`"


@pytest.fixture(scope="module")
def stored(s3: LocalS3, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("stored")
    keys = make_images(folder / "cold", 60) + make_images(folder / "warm", 20)
    s3.upload(folder, PUBLIC, "archived/")
    return keys


def scan(cli: Cli, proxy: FaultyS3, run: Path, *more: str) -> str:
    words = ["scan", f"s3://{PUBLIC}/archived", "--out", str(run), "--endpoint-url", proxy.endpoint_url, "--anonymous"]
    answer = cli(*words, "--engine", "stand-in", "--shard-images", "10", *more)
    assert answer.returncode == 0, answer.stderr
    return answer.stderr


@pytest.mark.slow
def test_whole_shards_in_cold_storage_are_rows_and_a_rescan_takes_them_once_restored(
    shared_ray: None, s3: LocalS3, stored: list[str], tmp_path: Path, cli: Cli
) -> None:
    with faulty(s3.endpoint_url, {"archived": 1.0}) as proxy:
        proxy.only = "/cold/"
        said = scan(cli, proxy, tmp_path / "run")
        assert "20 ok, 60 archived" in said
        assert "--status archived" in said
        assert cli("verify", tmp_path / "run").returncode == 0
        assert proxy.done["archived"] == 60, "each is asked for once, and nothing else is tried"
        tried = scan(cli, proxy, tmp_path / "none", "--dry-run")
        assert re.search(r"tried +80 images at random, 60 of them unreadable \(60 archived\)", tried)
        proxy.share.clear()
        again = cli(
            *("rescan", tmp_path / "run", "--status", "archived", "--out", tmp_path / "restored", "--anonymous"),
            *("--engine", "stand-in"),
        )
    assert again.returncode == 0, again.stderr
    assert "60 ok" in again.stderr


@pytest.mark.slow
def test_an_archive_that_is_cold_as_a_whole(
    shared_ray: None, s3: LocalS3, stored: list[str], tmp_path: Path, cli: Cli
) -> None:
    with faulty(s3.endpoint_url, {"archived": 1.0}) as proxy:
        assert "0 ok, 80 archived" in scan(cli, proxy, tmp_path / "run")
    assert cli("verify", tmp_path / "run").returncode == 0


@pytest.mark.parametrize("anonymous", [True, False])
def test_signed_or_not_and_by_either_client(s3: LocalS3, stored: list[str], anonymous: bool) -> None:
    uris = [f"s3://{PUBLIC}/archived/cold/{key}/{key}-001.jpg" for key in stored[:4]]
    uris[1] = f"s3://{PUBLIC}/archived/cold//odd/../{stored[0]}.jpg"  # only boto3 can name it
    with faulty(s3.endpoint_url, {"archived": 1.0}) as proxy:
        loaded, _ = load(uris, Access(proxy.endpoint_url, anonymous))
    assert loaded.status == ["archived"] * 4
    assert loaded.values["error"] == [CURE] * 4


def test_a_list_in_cold_storage_is_one_line(s3: LocalS3) -> None:
    s3.client.put_object(Bucket=PUBLIC, Key="archived-list/keys.txt", Body=b"x.jpg\n")
    with (
        faulty(s3.endpoint_url, {"archived": 1.0}) as proxy,
        pytest.raises((StorageError, UsageError), match=r"keys\.txt is archived in cold storage\. Restore it"),
    ):
        read_key_list(f"s3://{PUBLIC}/archived-list/keys.txt", Access(proxy.endpoint_url))


def test_other_refusals_stay_the_fault_of_storage(
    s3: LocalS3, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PAUSES", ())
    clients.bulk_store.cache_clear()
    uris = [f"s3://{PUBLIC}/archived/cold/{key}/{key}-001.jpg" for key in stored[:4]]
    with faulty(s3.endpoint_url, {"403": 1.0}) as proxy, pytest.raises(StorageError, match="denied"):
        load(uris, Access(proxy.endpoint_url), last_try=True)
