"""A run and a gallery made by version 0.1.0: every command still works on them, and says what it said then."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import crater_ray
from crater_ray.network import bundle
from crater_ray.runs import part
from crater_ray.runs.run import open_existing
from testbed.local_s3 import LocalS3

OLD = Path(__file__).parent / "old_runs"
RUN_ID, BUNDLE = "8005985333fa4d9d9f035653a66284ff", "7c2bae4c37bb"
DIGESTS = [
    "c8f3af77582fdc5709954967ad0911b8135e54568f967732b6100971da51fc7a",
    "cafb1bd27f16b22bbcc0944fa433aec84b954af8f2aba009ebc43f0448245f3e",
    "11450007436766449e9058b244c4c4820519fcd6b68d091d768fb71eaf0f91fb",
]
STATUSES = {"ok": 23, "unreadable": 2, "unsupported": 1}
BEST = [
    "fc_0000k9pZN3p4CKqhedmC.45239",
    "fm_-106979_97964",
    "fm_-46306_-4842",
    "fc_0003iu37J1dIFox0KWqZ.64875",
    "fc_00031B4BoKAYjwE59r3m.33908",
    "fm_-29508_63915",
    "fm_43283_4297",
    "fc_0003dPJdLu9JrWZjfrmL.83969",
]
"""Its candidates."""

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD / "run-0.1", tmp_path / "run"))


@pytest.fixture(scope="module")
def endpoint(s3: LocalS3) -> str:
    """A store that has the run's images where its record says."""
    s3.client.create_bucket(Bucket="old")
    assert s3.upload(OLD / "images", "old", "real/") == 26
    return s3.endpoint_url


def done(answer: subprocess.CompletedProcess[str]) -> str:
    """What a command said; it must have succeeded."""
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_its_parts_are_whole_and_their_rows_have_the_same_digests(run: Path) -> None:
    with open_existing(run) as opened:
        check = opened.check()
        assert (opened.id, check.whole, check.candidates) == (RUN_ID, True, 8)
        assert dict(check.statuses) == STATUSES
        assert [check.parts[shard].digest for shard in range(3)] == DIGESTS
        for shard in range(3):  # columns that were added since are null, and the others give the digest that they gave
            rows, footer = opened.read_part(shard)
            then = pq.read_schema(run / part.name(shard)).names
            assert (rows.num_rows, part.digest(rows.select(then))) == (footer.rows, DIGESTS[shard])


def test_verify_and_status(run: Path, cli: Cli) -> None:
    assert done(cli("verify", run)).startswith("whole: 26 rows for 26 images in 3 parts (23 ok, 2 unreadable, 1 uns")
    said = " ".join(done(cli("status", run)).split())
    for line in (f"bundle {BUNDLE}, engine keras, threshold 0.7802", "candidates 8 ", "state complete"):
        assert line in said


def test_candidates_and_open_run(run: Path, cli: Cli, tmp_path: Path) -> None:
    done(cli("candidates", run, "--csv", tmp_path / "all.csv"))
    with (tmp_path / "all.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert list(listed[0])[:2] == ["Prediction", "FileName"]
    assert [row["key"] for row in listed] == BEST
    assert {row["bundle"] for row in listed} == {BUNDLE}
    with crater_ray.open_run(run) as results:
        assert (results.images, results.bundle, results.threshold, results.complete) == (26, BUNDLE, 0.7802, True)
        assert results.counts() == STATUSES
        best = results.candidates()
        assert best["key"].to_pylist() == BEST
        assert results.filter("score >= 0.7802 and diameter is null").table(["key"])["key"].to_pylist() == BEST[-1:]


@pytest.mark.slow
def test_rescan_merge_and_compare(run: Path, endpoint: str, cli: Cli, shared_ray: None, tmp_path: Path) -> None:
    assert bundle.load(bundle.STARDUST).id == BUNDLE
    again, merged = tmp_path / "again", tmp_path / "merged"
    done(
        cli(
            "rescan",
            run,
            "--out",
            again,
            "--endpoint-url",
            endpoint,
            "--engine",
            "keras",
            "--shard-images",
            "10",
            "--bundle",
            "stardust",
        )
    )
    with open_existing(run) as old, open_existing(again) as new:
        assert new.record["settings"]["rescan_of"] == {"run_id": RUN_ID, "bundle": BUNDLE}
        for shard in range(3):
            before, after = old.read_part(shard)[0], new.read_part(shard)[0]
            for name in ("key", "uri", "status", "height", "width", "bundle", "stage"):
                assert after[name].equals(before[name]), name
            assert after["error"].is_valid().equals(before["error"].is_valid())
            for name, least in (("score", 1e-4), ("x", 0.1), ("y", 0.1), ("diameter", 0.1)):
                pair = (np.asarray(rows[name].to_numpy(), np.float64) for rows in (before, after))
                np.testing.assert_allclose(*pair, rtol=0, atol=least, err_msg=name)
    assert "8 candidates; 8 in the first run" in done(cli("merge", run, again, "--out", merged))
    assert done(cli("verify", merged)).startswith("whole: 26 rows")
    said = done(cli("compare", run, merged))
    assert "candidates: 8 in A, 8 in B" in said
    assert "0 gained, 0 lost, 0 moved" in said


def test_its_gallery_is_made_anew_and_verdicts_given_there_count(
    run: Path, endpoint: str, cli: Cli, tmp_path: Path
) -> None:
    gallery = Path(shutil.copytree(OLD / "gallery-0.1", tmp_path / "gallery"))
    said = done(cli("gallery", run, "--out", gallery, "--threshold", "0.3", "--endpoint-url", endpoint))
    assert said.startswith("13 candidates")
    before, after = (
        json.loads((folder / "summary.js").read_text().removeprefix("craterRay.summary(").rstrip().removesuffix(");"))
        for folder in (OLD / "gallery-0.1", gallery)
    )
    assert after["facts"]["run_id"] == before["facts"]["run_id"] == RUN_ID
    assert after["distribution"] == before["distribution"]
    verdicts = [{"key": BEST[0], "verdict": "crater", "when": "2026-11-28T14:00:00Z"}]
    saved = {"kind": "crater-ray verdicts", "format": 1, "run_id": RUN_ID, "reviewer": "me", "verdicts": verdicts}
    (tmp_path / "verdicts.json").write_text(json.dumps(saved))
    assert "1 images judged: 1 crater" in done(cli("review", run, tmp_path / "verdicts.json"))
