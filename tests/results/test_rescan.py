"""Rescanning chosen images without listing the archive, and merging the outcome into one complete run."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from benchmarks.rescan import measure, right
from crater_ray import open_run
from crater_ray.errors import CraterRayError, UsageError
from crater_ray.results.merge import Merged, merge
from crater_ray.results.rescan import Conditions, choose, dry_run, rescan
from crater_ray.runs.manifest import Selection
from crater_ray.runs.run import open_existing
from crater_ray.scanning import scan as scan_module
from crater_ray.scanning.scan import Outcome, scan
from crater_ray.settings import ScanSettings
from crater_ray.storage.access import Access
from testbed.local_s3 import LocalS3
from tests.conftest import Cli, make_images
from tests.made_runs import ODD_KEYS, make_run, row


def forbid_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on, looking into an archive is an error."""

    def refuse(*_: object) -> None:
        raise AssertionError("the archive was listed")

    monkeypatch.setattr(scan_module, "open_archive", refuse)


@pytest.fixture
def small(tmp_path: Path, untrained: Path, ray_here: None, quiet: Console) -> Callable[..., Outcome]:
    """An archive of 12 images, the first two of them empty files, and a way to scan it."""
    keys = make_images(tmp_path / "archive", 12)
    for key in keys[:2]:
        (tmp_path / "archive" / key / f"{key}-001.jpg").write_bytes(b"")

    def run(out: str = "run", **more: object) -> Outcome:
        settings = {"bundle": untrained, "engine": "stand-in", "threshold": 0.5, "shard_images": 5} | more
        return scan(ScanSettings(str(tmp_path / "archive"), str(tmp_path / out), **settings), quiet)  # type: ignore[arg-type]

    return run


def again(
    tmp_path: Path, untrained: Path, quiet: Console, out: str, where: str | None = None, statuses: tuple[str, ...] = (),
    **more: object,
) -> Outcome:  # fmt: skip
    told = {"bundle": untrained, "engine": "stand-in", "threshold": 0.5} | more
    settings = ScanSettings(str(tmp_path / "run"), str(tmp_path / out), **told)  # type: ignore[arg-type]
    return rescan(settings, quiet, Conditions(where, statuses=statuses))


def rows(path: Path) -> dict[str, dict[str, object]]:
    with open_run(path) as results:
        return {one["key"]: one for one in results.table().to_pylist()}


def merged(tmp_path: Path, base: str, *others: str, out: str = "merged", threshold: float | None = None) -> Merged:
    runs = [open_existing(tmp_path / name) for name in (base, *others)]
    return merge(runs[0], runs[1:], str(tmp_path / out), Access(), threshold)


@pytest.mark.slow
def test_only_the_chosen_images_are_scored_again_and_merged(
    small: Callable[..., Outcome],
    tmp_path: Path,
    untrained: Path,
    quiet: Console,
    monkeypatch: pytest.MonkeyPatch,
    cli: Cli,
) -> None:
    small()
    forbid_listing(monkeypatch)
    before = rows(tmp_path / "run")
    chosen = {key for key, one in before.items() if (one["score"] or 0) >= 0.6}  # type: ignore[operator]
    assert 1 < len(chosen) < 6
    for key in chosen:  # what is there now is black: scores say which images were read again
        Image.fromarray(np.zeros((100, 120), np.uint8)).save(tmp_path / "archive" / key / f"{key}-001.jpg")

    outcome = again(tmp_path, untrained, quiet, "again", where="score >= 0.6", threshold=0.25)
    assert (outcome.check.images, outcome.check.whole) == (len(chosen), True)
    fresh = rows(tmp_path / "again")
    assert set(fresh) == chosen
    assert all(one["score"] < 0.01 for one in fresh.values())  # type: ignore[operator]
    with open_run(tmp_path / "run") as old, open_run(tmp_path / "again") as new:
        assert new.settings["rescan_of"] == {"run_id": old.run.id, "bundle": old.bundle}
        assert new.settings["where"] == "score >= 0.6"
        assert new.settings["source"] == old.settings["source"]

    result = merged(tmp_path, "run", "again")
    assert (result.replaced, result.recovered, result.lost) == (len(chosen), 0, 0)
    assert rows(tmp_path / "merged") == before | fresh
    verified = cli("verify", tmp_path / "merged")
    assert (verified.returncode, verified.stdout[:6]) == (0, "whole:")
    with open_run(tmp_path / "merged") as union:
        assert union.threshold == 0.25
        assert [one["bundle"] for one in union.settings["merged_from"]] == ["stand-in", "stand-in"]


@pytest.mark.slow
def test_failures_alone_can_be_tried_again(
    small: Callable[..., Outcome], tmp_path: Path, untrained: Path, quiet: Console
) -> None:
    assert small().check.statuses == {"ok": 10, "unreadable": 2}
    failed = [key for key, one in rows(tmp_path / "run").items() if one["status"] == "unreadable"]
    Image.fromarray(np.full((100, 120), 255, np.uint8)).save(tmp_path / "archive" / failed[0] / f"{failed[0]}-001.jpg")
    outcome = again(tmp_path, untrained, quiet, "retried", statuses=("unreadable", "missing"))
    assert outcome.check.statuses == {"ok": 1, "unreadable": 1}
    result = merged(tmp_path, "run", "retried")
    assert (result.replaced, result.recovered, result.lost) == (2, 1, 0)
    assert result.check.statuses == {"ok": 11, "unreadable": 1}
    assert result.check.candidates == result.candidates_before + 1


@pytest.mark.slow
def test_all_images_with_other_settings(
    small: Callable[..., Outcome], tmp_path: Path, untrained: Path, quiet: Console
) -> None:
    small()
    outcome = again(tmp_path, untrained, quiet, "again", shard_images=4)
    assert (outcome.check.images, outcome.check.shards) == (12, 3)
    assert rows(tmp_path / "again") == rows(tmp_path / "run")
    assert again(tmp_path, untrained, quiet, "again", shard_images=4).images == 0
    with pytest.raises(UsageError, match="belongs to another run"):
        again(tmp_path, untrained, quiet, "again", shard_images=4, where="score > 0")
    with pytest.raises(UsageError, match="is the earlier run itself"):
        again(tmp_path, untrained, quiet, "run")


@pytest.mark.slow
def test_a_rescan_takes_what_a_scan_takes(
    small: Callable[..., Outcome], tmp_path: Path, untrained: Path, quiet: Console
) -> None:
    small()
    few = {"selection": Selection(limit=5), "log": tmp_path / "log"}
    outcome = again(tmp_path, untrained, quiet, "few", statuses=("ok",), **few)
    assert (outcome.check.images, outcome.check.whole) == (5, True)
    assert "a session begins" in (tmp_path / "log").read_text()
    with open_run(tmp_path / "few") as some:
        assert some.settings["of_these"] == {"limit": 5, "sample": None, "seed": 0}
        assert (some.settings["limit"], some.settings["statuses"]) == (None, ["ok"])
    assert again(tmp_path, untrained, quiet, "few", statuses=("ok",), **few).images == 0
    sample = {"selection": Selection(sample=4, seed=1), "shard_images": 3}
    assert again(tmp_path, untrained, quiet, "sample", **sample).check.shards == 2
    assert len(rows(tmp_path / "sample")) == 4
    with pytest.raises(UsageError, match="has no screen"):
        again(tmp_path, untrained, quiet, "screened", screen=True)


@pytest.mark.slow
def test_a_dry_run_of_a_rescan_writes_nothing(
    small: Callable[..., Outcome], tmp_path: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small()
    forbid_listing(monkeypatch)
    told = Console(file=io.StringIO(), width=200)
    settings = ScanSettings(str(tmp_path / "run"), str(tmp_path / "dry"), untrained, engine="stand-in", shard_images=4)
    dry_run(settings, told, Conditions("score is not null"))
    said = told.file.getvalue()  # type: ignore[attr-defined]
    assert "10 of 12 images (83.3%) of the earlier run" in said
    assert "3 shards, parts/part-00000.parquet to parts/part-00002.parquet" in said
    assert "tried    10 images at random, 0 of them unreadable" in said
    assert not (tmp_path / "dry").exists()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Path]:
    listed = [row(key, number / 10, uri=f"file:///a/{number}") for number, key in enumerate(ODD_KEYS)]
    make_run(tmp_path / "made", [*listed, row("bad", None, uri="file:///a/b")])
    yield tmp_path / "made"


def test_keys_and_uris_choose_images(made: Path, tmp_path: Path, untrained: Path, quiet: Console) -> None:
    with open_existing(made) as old:
        assert sorted(choose(old, None, [ODD_KEYS[4], "file:///a/0"], (), 10)["key"].to_pylist()) == sorted(
            [ODD_KEYS[0], ODD_KEYS[4]]
        )
        both = choose(old, "score >= 0.3", [ODD_KEYS[1], ODD_KEYS[5]], ("ok",), 10)
        assert both["key"].to_pylist() == [ODD_KEYS[5]]
        assert choose(old, None, None, (), 4)["shard"].to_pylist() == [0] * 4 + [1] * 4 + [2]
        with pytest.raises(UsageError, match=r"names 2 images .* 'nobody', 'nothing'"):
            choose(old, None, ["nothing", ODD_KEYS[0], "nobody"][::-1], (), 10)
        with pytest.raises(UsageError, match=r"--where 'score > 1' and --status ok. Its rows: 8 ok, 1 unreadable"):
            choose(old, "score > 1", None, ("ok",), 10)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_lists_with_odd_keys(made: Path, tmp_path: Path, untrained: Path, quiet: Console, suffix: str) -> None:
    from crater_ray.images.key_list import read_key_list

    table = pa.table({"key": ODD_KEYS})
    path = tmp_path / f"keys.{suffix}"
    if suffix == "csv":
        pacsv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    with open_existing(made) as old:
        chosen = choose(old, None, read_key_list(str(path), Access()).entries, (), 10)
    assert sorted(chosen["key"].to_pylist()) == sorted(ODD_KEYS)


def test_rows_that_are_not_there_choose_nothing(tmp_path: Path) -> None:
    make_run(tmp_path / "run", [row(str(number), 0.5) for number in range(10)], unpublished=1)
    with open_existing(tmp_path / "run") as old:
        assert choose(old, None, None, (), 10).num_rows == 10
        with pytest.raises(CraterRayError, match=r"not complete \(1 of 3 shards"):
            choose(old, "score > 0", None, (), 10)


def test_a_condition_is_read_before_anything_is_written(made: Path, tmp_path: Path, cli: Cli) -> None:
    answer = cli("rescan", made, "--out", tmp_path / "new", "--where", "skore > 1")
    assert (answer.returncode, "no column 'skore'" in answer.stderr) == (2, True)
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "new").exists()


def test_later_rescans_win_and_keys_keep_their_order(tmp_path: Path) -> None:
    keys = [*ODD_KEYS, *(f"k{number:02d}" for number in range(20))]
    uri = {key: f"file:///a/{number}" for number, key in enumerate(keys)}
    make_run(tmp_path / "run", [row(key, 0.1, uri=uri[key]) for key in keys], shard_images=7)
    make_run(
        tmp_path / "one", [row(key, 0.2, uri=uri[key], bundle="one") for key in keys[::2]], bundle="one", shard_images=3
    )
    make_run(tmp_path / "two", [row(key, None, uri=uri[key], bundle="two") for key in keys[:4]], bundle="two")
    result = merged(tmp_path, "run", "one", "two")
    assert (result.replaced, result.lost, result.check.whole) == (16, 4, True)
    for key, one in rows(tmp_path / "merged").items():
        expected = "two" if key in keys[:4] else "one" if key in keys[::2] else "aaaaaaaaaaaa"
        assert (one["bundle"], one["uri"]) == (expected, uri[key])
    with open_run(tmp_path / "merged") as union:
        assert union.bundle == "aaaaaaaaaaaa + one + two"


def test_a_stopped_merge_goes_on(tmp_path: Path, cli: Cli) -> None:
    make_run(tmp_path / "run", [row(str(number), 0.1) for number in range(9)])
    make_run(tmp_path / "one", [row(str(number), 0.9) for number in range(0, 9, 3)])
    merged(tmp_path, "run", "one")
    (tmp_path / "merged/_SUCCESS").unlink()
    (tmp_path / "merged/parts/part-00001.parquet").unlink()
    answer = cli("merge", tmp_path / "run", tmp_path / "one", "--out", tmp_path / "merged")
    assert answer.returncode == 0, answer.stderr
    assert "9 images, 3 of them with the row of a rescan" in answer.stdout
    assert cli("verify", tmp_path / "merged").returncode == 0
    assert cli("merge", tmp_path / "run", tmp_path / "one", "--out", tmp_path / "run").returncode == 2


@pytest.mark.parametrize(
    "strange",
    [row("5", 0.9, uri="file:///elsewhere"), row("zz", 0.9), row("", 0.9), row("55", 0.9)],
    ids=["another uri", "after all", "before all", "between"],
)
def test_only_rescans_of_a_run_are_merged_with_it(tmp_path: Path, strange: dict[str, object]) -> None:
    make_run(tmp_path / "run", [row(str(number), 0.1) for number in range(9)])
    make_run(tmp_path / "one", [strange, row("1", 0.9)])
    with pytest.raises(UsageError, match="no rescan of"):
        merged(tmp_path, "run", "one")
    assert not (tmp_path / "merged").exists()


def test_an_incomplete_run_is_not_merged(tmp_path: Path) -> None:
    make_run(tmp_path / "run", [row(str(number), 0.1) for number in range(9)])
    make_run(tmp_path / "one", [row(str(number), 0.1) for number in range(9)], unpublished=1)
    with pytest.raises(CraterRayError, match="not whole"):
        merged(tmp_path, "run", "one")


@pytest.mark.slow
def test_a_rescan_of_a_bucket_reads_only_the_chosen_images(s3: LocalS3, ray_here: None) -> None:
    figures = measure(s3, 600, 5.0)
    assert figures["images_chosen"] == figures["rows_replaced"] == 30
    assert figures["reads_of_images"] == figures["images_read"] == 30
    assert figures["reads_of_others"] == figures["listings_of_the_archive"] == 0
    assert figures["merged_whole"]
    assert right(figures)
