"""The main job, end to end: every image exactly one row, from folders, buckets and key lists."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from crater_ray.errors import UsageError
from crater_ray.runs.columns import SCHEMA
from crater_ray.runs.manifest import Selection
from crater_ray.runs.run import Run, open_existing
from crater_ray.scanning import backlog
from crater_ray.scanning.scan import Outcome, scan
from crater_ray.settings import ScanSettings
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError
from testbed.local_s3 import PUBLIC, LocalS3
from tests.conftest import Cli, make_images


def rows(run: Run) -> pa.Table:
    return pa.concat_tables(run.parts())


def stand_in(source: Path | str, out: Path | str, **more: Any) -> ScanSettings:
    return ScanSettings(source=str(source), out=str(out), engine="stand-in", shard_images=25, **more)


@pytest.fixture(scope="module")
def scanned(ray_here: None, archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    out = tmp_path_factory.mktemp("scanned") / "run"
    return out, scan(stand_in(archive, out), Console(quiet=True))


FIXED = ["key", "uri", "status", "error", "height", "width", "score", "x", "y", "bundle", "stage"]


def test_run_folder_is_as_documented(scanned: tuple[Path, Outcome], archive: Path) -> None:
    out, outcome = scanned
    assert outcome.failed == {}
    assert sorted(path.name for path in out.iterdir()) == ["_SUCCESS", "manifest.parquet", "parts", "run.json"]
    assert [path.name for path in sorted((out / "parts").iterdir())] == [f"part-{i:05d}.parquet" for i in range(5)]
    manifest = pq.read_table(out / "manifest.parquet")
    assert manifest.column_names == ["key", "uri", "size", "etag", "shard"]
    table = pq.read_table(out / "parts")
    assert table.column_names == SCHEMA.names
    assert SCHEMA.names[:13] == [*FIXED, "diameter", "places"]
    assert table["key"].equals(manifest["key"])
    assert table.num_rows == 120
    assert set(table["status"].to_pylist()) == {"ok"}
    assert set(table["stage"].to_pylist()) == {"stand-in"}
    record = json.loads((out / "run.json").read_text())
    assert record["settings"]["source"] == str(archive)
    assert record["settings"]["shard_images"] == 25
    assert record["bundle_card"]["id"]
    assert record["versions"]["ray"]
    assert record["sessions"][0]["outcome"] == "complete"
    assert record["sessions"][0]["ended"] >= record["sessions"][0]["started"]
    success = json.loads((out / "_SUCCESS").read_text())
    assert [entry["rows"] for entry in success["parts"]] == [25, 25, 25, 25, 20]
    assert all(len(entry["digest"]) == 64 for entry in success["parts"])


def test_scores_belong_to_their_images(scanned: tuple[Path, Outcome]) -> None:
    """The archive gets brighter from key to key, and so must the stand-in's scores."""
    out, _ = scanned
    scores = pq.read_table(out / "parts")["score"].to_numpy()
    levels = [20 + 200 * number // 119 for number in range(120)]
    assert np.abs(scores * 255 - levels).max() < 6


def test_same_command_again_does_nothing_and_rewrites_no_part(
    scanned: tuple[Path, Outcome], archive: Path, quiet: Console
) -> None:
    out, _ = scanned
    before = {path: path.stat().st_mtime_ns for path in (out / "parts").iterdir()}
    again = scan(stand_in(archive, out), quiet)
    assert again.images == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "parts").iterdir()} == before


@pytest.mark.parametrize("change", [{"threshold": 0.7}, {"selection": Selection(limit=5)}, {"source": "/tmp"}])
def test_another_run_refuses_the_folder_and_shows_the_difference(
    scanned: tuple[Path, Outcome], archive: Path, quiet: Console, change: dict[str, Any]
) -> None:
    out, _ = scanned
    before = (out / "run.json").read_bytes()
    with pytest.raises(UsageError, match="belongs to another run") as caught:
        scan(replace(stand_in(archive, out), **change), quiet)
    assert next(iter(change)).replace("selection", "limit") in str(caught.value)
    assert (out / "run.json").read_bytes() == before


def test_folder_with_something_else_is_refused(archive: Path, tmp_path: Path, quiet: Console) -> None:
    (tmp_path / "thesis.txt").write_text("do not touch")
    with pytest.raises(UsageError, match=r"not empty and not a run.*thesis\.txt"):
        scan(stand_in(archive, tmp_path), quiet)


@pytest.mark.slow
def test_run_that_never_listed_anything_does_not_block_its_folder(
    ray_here: None, archive: Path, tmp_path: Path, quiet: Console
) -> None:
    mistyped = stand_in("s3://bucket/mistyped", tmp_path / "run", access=Access("http://127.0.0.1:9", anonymous=True))
    with pytest.raises(StorageError):
        scan(mistyped, quiet)
    assert scan(stand_in(archive, tmp_path / "run"), quiet).images == 120
    assert open_existing(tmp_path / "run").check().whole


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "emptied", "swapped", "altered", "removed"])
def test_damaged_part_is_noticed_and_done_again(
    scanned: tuple[Path, Outcome], archive: Path, tmp_path: Path, quiet: Console, damage: str
) -> None:
    out = Path(shutil.copytree(scanned[0], tmp_path / "run"))
    whole = rows(open_existing(out))
    victim, other = out / "parts/part-00002.parquet", out / "parts/part-00003.parquet"
    data = victim.read_bytes()
    if damage == "cut":
        victim.write_bytes(data[:-100])
    elif damage == "emptied":
        victim.write_bytes(b"")
    elif damage == "swapped":
        victim.write_bytes(other.read_bytes())
    elif damage == "altered":
        table = pq.read_table(victim)
        keys = pa.array(["stranger", *table["key"].to_pylist()[1:]])
        altered = table.set_column(0, SCHEMA.field("key"), keys).replace_schema_metadata(table.schema.metadata)
        pq.write_table(altered, victim)
    else:
        victim.unlink()
    untouched = {path: path.stat().st_mtime_ns for path in (out / "parts").iterdir() if path != victim}
    assert not open_existing(out).check().whole
    again = scan(stand_in(archive, out), quiet)
    assert again.images == 25
    assert open_existing(out).check().whole
    assert rows(open_existing(out)).equals(whole)
    assert {path: path.stat().st_mtime_ns for path in (out / "parts").iterdir() if path != victim} == untouched


def test_bad_images_become_rows(ray_here: None, tmp_path: Path, quiet: Console) -> None:
    source = tmp_path / "archive"
    keys = make_images(source, 30)
    bad = {
        keys[3]: (b"", "unreadable"),
        keys[7]: (b"<Error>SlowDown</Error>", "unreadable"),
        keys[11]: ((source / keys[11] / f"{keys[11]}-001.jpg").read_bytes()[:700], "unreadable"),
        keys[12]: (b"GIF89a" + bytes(50), "unsupported"),
    }
    for key, (data, _) in bad.items():
        (source / key / f"{key}-001.jpg").write_bytes(data)
    (source / "dangling.jpg").symlink_to(source / "nowhere")
    (source / 'odd "name" <b>\n,;.jpg').write_bytes((source / keys[0] / f"{keys[0]}-001.jpg").read_bytes())
    outcome = scan(stand_in(source, tmp_path / "run"), quiet)
    assert outcome.failed == {}
    table = rows(open_existing(tmp_path / "run")).to_pylist()
    by_key = {row["key"]: row for row in table}
    assert len(table) == len(by_key) == 32
    expected = {key: status for key, (_, status) in bad.items()} | {"dangling": "missing"}
    for key, row in by_key.items():
        assert row["status"] == expected.get(key, "ok")
        assert (row["error"] is None) == (row["status"] == "ok")
        assert (row["score"] is None) == (row["status"] != "ok")
    assert by_key['odd "name" <b>\n,;']["score"] is not None


@pytest.mark.slow
def test_from_bucket_to_bucket(ray_here: None, s3: LocalS3, tmp_path: Path, quiet: Console) -> None:
    keys = make_images(tmp_path / "archive", 60)
    s3.upload(tmp_path / "archive", PUBLIC, "scan/real/")
    image = (tmp_path / "archive" / keys[0] / f"{keys[0]}-001.jpg").read_bytes()
    odd = ["new\nline", "a  b+%41&ü", "=1+1", "q?x=1#y", "ctl\x01"]
    for key in odd:
        s3.client.put_object(Bucket=PUBLIC, Key=f"scan/real/{key}.jpg", Body=image)
    s3.client.create_bucket(Bucket="results")
    access = Access(s3.endpoint_url, anonymous=True)
    settings = stand_in(f"s3://{PUBLIC}/scan/real/", "s3://results/2026/run", access=access)
    outcome = scan(settings, quiet)
    assert outcome.failed == {}
    with open_existing("s3://results/2026/run", Access(s3.endpoint_url)) as run:
        assert run.check().whole
        table = rows(run)
        assert run.success() is not None
    assert table["key"].to_pylist() == sorted([*keys, *odd])
    assert set(table["status"].to_pylist()) == {"ok"}
    again = scan(settings, quiet)
    assert again.images == 0


@pytest.mark.slow
def test_endpoint_may_come_from_the_environment(
    s3: LocalS3, archive: Path, tmp_path: Path, command: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loaders, too, have it from there: Ray has to be started in this environment."""
    s3.upload(archive, PUBLIC, "by-environment/")
    s3.client.create_bucket(Bucket="by-environment")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint_url)
    done = command("scan", f"s3://{PUBLIC}/by-environment", "--out", "s3://by-environment/run", "--engine", "stand-in")
    assert done.returncode == 0, done.stderr
    assert command("verify", "s3://by-environment/run").returncode == 0
    assert "120 of 120" in command("status", "s3://by-environment/run").stdout


@pytest.mark.slow
def test_object_deleted_after_listing_is_missing(
    ray_here: None, s3: LocalS3, archive: Path, tmp_path: Path, quiet: Console
) -> None:
    s3.upload(archive, PUBLIC, "shrinking/")
    names = [path.name for path in sorted(archive.iterdir())]
    (tmp_path / "keys.txt").write_text("\n".join([*names, "never_there"]))
    access = Access(s3.endpoint_url, anonymous=True)
    settings = stand_in(tmp_path / "keys.txt", tmp_path / "run", access=access, base=f"s3://{PUBLIC}/shrinking")
    scan(settings, quiet)
    statuses = {row["key"]: row["status"] for row in rows(open_existing(tmp_path / "run")).to_pylist()}
    assert statuses == {**dict.fromkeys(names, "ok"), "never_there": "missing"}


@pytest.mark.slow
def test_unreachable_storage_fails_the_run_not_the_images(
    ray_here: None, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "MAX_TRIES", 1)  # each try of the loader already repeats for some seconds
    (tmp_path / "keys.txt").write_text("s3://bucket/k0.jpg\ns3://bucket/k1.jpg")
    access = Access("http://127.0.0.1:9", anonymous=True)
    settings = replace(stand_in(tmp_path / "keys.txt", tmp_path / "run", access=access), shard_images=1)
    outcome = scan(settings, quiet)
    assert set(outcome.failed) == {0, 1}
    assert "127.0.0.1:9" in outcome.failed[0]
    assert not outcome.check.whole
    assert list(open_existing(tmp_path / "run").parts()) == []


@pytest.mark.slow
def test_network_scans_every_kind_of_image(ray_here: None, untrained: Path, tmp_path: Path, quiet: Console) -> None:
    from crater_ray.network import bundle as bundles

    source = tmp_path / "archive"
    source.mkdir()
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (384, 512), np.uint8)
    Image.fromarray(gray).save(source / "gray.png")
    Image.fromarray(gray).convert("RGB").save(source / "rgb.png")
    Image.fromarray(gray.astype(np.uint16) * 257).save(source / "sixteen.tif")
    Image.fromarray(rng.integers(0, 255, (92, 300), np.uint8)).save(source / "low.png")
    Image.fromarray(rng.integers(0, 255, (768, 1024), np.uint8)).save(source / "frame.tif")
    scan(ScanSettings(str(source), str(tmp_path / "run"), untrained, threshold=0.0), quiet)
    table = {row["key"]: row for row in rows(open_existing(tmp_path / "run")).to_pylist()}
    bundle = bundles.load(untrained)
    alone = float(bundle.model()(gray[None, :, :, None])[0, 0])
    for name in ("gray", "rgb", "sixteen"):
        assert table[name]["score"] == pytest.approx(alone, abs=1e-5), name
    assert all(row["status"] == "ok" and row["x"] is not None for row in table.values())
    assert {row["stage"] for row in table.values()} == {"full"}
    assert {row["bundle"] for row in table.values()} == {bundle.id}


def test_commands_on_a_run(scanned: tuple[Path, Outcome], cli: Cli, tmp_path: Path) -> None:
    out, _ = scanned
    verified = cli("verify", out)
    assert verified.returncode == 0
    assert "120 rows for 120 images" in verified.stdout
    status = cli("status", out)
    assert status.returncode == 0
    assert "120 of 120" in status.stdout
    assert "complete" in status.stdout
    listed = cli("candidates", out, "--threshold", "0.6", "--csv", tmp_path / "c.csv")
    assert listed.returncode == 0
    with (tmp_path / "c.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    scores = pq.read_table(out / "parts")["score"].to_pylist()
    assert len(found) == sum(score >= 0.6 for score in scores)
    assert list(found[0])[:2] == ["Prediction", "FileName"]
    assert found[0]["FileName"].endswith("-001.jpg")
    assert [float(row["Prediction"]) for row in found] == sorted((float(r["Prediction"]) for r in found), reverse=True)


def test_verify_fails_on_what_is_not_whole(scanned: tuple[Path, Outcome], tmp_path: Path, cli: Cli) -> None:
    shutil.copytree(scanned[0], tmp_path / "run")
    (tmp_path / "run/parts/part-00001.parquet").unlink()
    (tmp_path / "run/parts/part-00009.parquet").write_bytes(b"?")
    answer = cli("verify", tmp_path / "run")
    assert answer.returncode == 1
    assert "missing: 1" in answer.stdout
    assert "part-00009.parquet does not belong here" in answer.stdout
    assert "1 missing" in cli("status", tmp_path / "run").stdout


@pytest.mark.slow
def test_wrong_use_ends_in_one_line_and_exit_2(cli: Cli, command: Cli, archive: Path, tmp_path: Path) -> None:
    wrong = (
        ("verify", tmp_path / "nothing"),
        ("status", tmp_path / "nothing"),
        ("candidates", tmp_path / "nothing"),
        ("scan", tmp_path / "nothing", "--out", tmp_path / "run"),
        ("scan", archive, "--out", tmp_path / "run", "--threshold", "2"),
        ("scan", archive, "--out", tmp_path / "run", "--bundle", tmp_path),
        ("scan", archive, "--out", tmp_path / "run", "--engine", "magic"),
        ("scan", archive, "--out", tmp_path / "run", "--endpoint-url", "localhost"),
        ("scan", archive),
        ("simulate", tmp_path / "s", "--images", "5", "--craters", "6"),
    )
    for answer in (*(cli(*arguments) for arguments in wrong), command(*wrong[0]), command(*wrong[-2])):
        assert answer.returncode == 2, answer
        assert answer.stderr.strip()
        assert "Traceback" not in answer.stderr
    assert not (tmp_path / "run" / "parts").exists()


def test_dry_run_says_what_would_run_and_writes_nothing(
    ray_here: None, cli: Cli, archive: Path, tmp_path: Path
) -> None:
    answer = cli("scan", archive, "--out", tmp_path / "run", "--engine", "stand-in", "--dry-run")
    assert answer.returncode == 0, answer.stderr
    for word in ("120 images", "1 shard,", "devices", "images a minute"):
        assert word in answer.stderr, answer.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_no_credentials_are_recorded(
    ray_here: None, s3: LocalS3, archive: Path, tmp_path: Path, quiet: Console
) -> None:
    s3.upload(archive, PUBLIC, "secret-check/")
    access = Access(s3.endpoint_url)
    scan(stand_in(f"s3://{PUBLIC}/secret-check", tmp_path / "run", access=access), quiet)
    secrets = [s3.environment()[name].encode() for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            assert not any(secret in path.read_bytes() for secret in secrets), path
