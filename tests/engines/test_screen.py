"""Screening: who decided which image, the audit and what it says, and screens that must not be used."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from crater_ray.cli.summaries import show_outcome, show_status
from crater_ray.errors import UsageError
from crater_ray.network import bundle as bundles
from crater_ray.network.screen import SecondLook
from crater_ray.runs import audit
from crater_ray.runs.audit import Audit, chosen
from crater_ray.runs.run import open_existing
from crater_ray.scanning.scan import Outcome, scan
from crater_ray.settings import ScanSettings
from tests.conftest import Cli, make_images
from tests.made_screens import make_screen, screened_bundle

SECOND = SecondLook(0.1, 0.3, {"conv1": 1.5})


def settings(source: Path, out: Path, bundle: Path, **more: Any) -> ScanSettings:
    return ScanSettings(
        str(source), str(out), bundle, **({"engine": "stand-in", "screen": True, "shard_images": 25} | more)
    )


def table(out: Path) -> pa.Table:
    with open_existing(out) as run:
        return pa.concat_tables(run.parts())


@pytest.fixture(scope="module")
def sound(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return screened_bundle(untrained, tmp_path_factory.mktemp("bundles") / "sound")


@pytest.fixture(scope="module")
def blind(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A screen that finds everything empty."""
    return screened_bundle(untrained, tmp_path_factory.mktemp("bundles") / "blind", threshold=1.1)


@pytest.fixture
def audits_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "SHARE", 0.3)


@pytest.mark.slow
def test_images_below_the_screens_threshold_keep_its_verdict(
    ray_here: None, archive: Path, sound: Path, tmp_path: Path, quiet: Console, audits_much: None
) -> None:
    outcome = scan(settings(archive, tmp_path / "run", sound), quiet)
    rows = table(tmp_path / "run")
    assert rows.num_rows == 120
    stage, score = np.asarray(rows["stage"].to_pylist()), rows["score"].to_numpy()
    assert set(stage) == {"screen", "audit", "stand-in"}
    # Between the two, noise decides: the stand-ins look at different pixels.
    assert (score[stage == "stand-in"] > 0.38).all()
    assert (score[stage == "screen"] < 0.4).all()
    assert (score[stage == "audit"] < 0.42).all()
    run = open_existing(tmp_path / "run")
    expected = chosen(run.id, rows["key"].to_pylist())
    assert np.array_equal(stage == "audit", expected & (stage != "stand-in"))
    assert 0.1 < np.mean(expected) < 0.5
    assert outcome.check.audit is not None
    assert outcome.check.audit.record() == run.record["audit"] == (run.success() or {})["audit"]
    assert run.record["audit"]["audited"] == (stage == "audit").sum()
    assert run.record["audit"]["screened_out"] == (stage != "stand-in").sum()
    assert not run.record["audit"]["promise_broken"]


@pytest.mark.slow
def test_other_sizes_go_to_the_network_unscreened(ray_here: None, sound: Path, tmp_path: Path, quiet: Console) -> None:
    make_images(tmp_path / "images", 8, (100, 120))
    make_images(tmp_path / "images", 8, (96, 120), seed=1)
    scan(settings(tmp_path / "images", tmp_path / "run", sound), quiet)
    rows = table(tmp_path / "run").to_pylist()
    assert {row["stage"] for row in rows if row["height"] == 96} == {"stand-in"}
    assert "screen" in {row["stage"] for row in rows if row["height"] == 100}


@pytest.mark.slow
def test_broken_promise_is_said_loudly(
    ray_here: None, archive: Path, blind: Path, tmp_path: Path, quiet: Console, audits_much: None
) -> None:
    outcome = scan(settings(archive, tmp_path / "run", blind), quiet)
    rows = table(tmp_path / "run")
    found = [row for row in rows.to_pylist() if row["score"] >= 0.5]
    assert {row["stage"] for row in found} == {"audit"}, "audited candidates are kept, and only those"
    console = Console(width=200, record=True, file=io.StringIO())
    show_outcome(outcome, console)
    with open_existing(tmp_path / "run") as run:
        show_status(run, run.check(), console)
        assert run.record["audit"]["promise_broken"]
        assert run.record["audit"]["candidates_found"] == len(found)
    text = console.export_text()
    assert text.count("THE SCREEN MISSES MORE THAN PROMISED") == 2
    assert f"{len(found)} candidates found" in text


@pytest.mark.slow
def test_resumed_scan_audits_the_same_images(
    ray_here: None, archive: Path, sound: Path, tmp_path: Path, quiet: Console, audits_much: None
) -> None:
    out = tmp_path / "run"
    scan(settings(archive, out, sound), quiet)
    before = table(out)
    for name in ("part-00001.parquet", "part-00003.parquet"):
        (out / "parts" / name).unlink()
    (out / "_SUCCESS").unlink()
    outcome = scan(settings(archive, out, sound), quiet)
    assert outcome.images == 50
    assert table(out).equals(before)


def test_another_screen_is_refused_on_resume(
    ray_here: None, archive: Path, sound: Path, blind: Path, tmp_path: Path, quiet: Console
) -> None:
    out = tmp_path / "run"
    scan(settings(archive, out, sound, selection=replace(settings(archive, out, sound).selection, limit=5)), quiet)
    for other in (settings(archive, out, blind), settings(archive, out, sound, screen=False)):
        with pytest.raises(UsageError, match="screen: the run has") as caught:
            scan(replace(other, selection=replace(other.selection, limit=5)), quiet)
        assert bundles.load(sound).screen.id in str(caught.value)  # type: ignore[union-attr]


def test_bundle_without_a_screen_says_so(archive: Path, untrained: Path, tmp_path: Path, cli: Cli) -> None:
    done = cli("scan", archive, "--out", tmp_path / "run", "--bundle", untrained, "--engine", "stand-in", "--screen")
    assert done.returncode == 2
    assert "has no screen" in done.stderr and "python -m training distill" in done.stderr
    assert not (tmp_path / "run").exists()


def test_threshold_below_the_screens_is_refused(archive: Path, sound: Path, tmp_path: Path, quiet: Console) -> None:
    with pytest.raises(UsageError, match=r"thresholds from 0\.5 on.*--threshold 0\.3"):
        scan(settings(archive, tmp_path / "run", sound, threshold=0.3), quiet)


@pytest.mark.parametrize("damage", ["weights", "threshold", "second look", "no entry", "kind", "missing", "network"])
def test_damaged_screen_is_refused(untrained: Path, tmp_path: Path, damage: str) -> None:
    folder = screened_bundle(untrained, tmp_path / "bundle")
    card = json.loads((folder / "card.json").read_text())
    screen = make_screen(card["id"])
    match damage:
        case "weights":
            screen.weights["conv1/bias"][0] += 1
            screen.save(folder)
        case "missing":
            (folder / "screen.npz").unlink()
        case "threshold":
            card["screen"]["threshold"] = 0.9
        case "second look":
            card["screen"]["second_look"] = {"start": 0.1, "threshold": 0.2, "ranges": {"conv1": 1.0}}
        case "no entry":
            del card["screen"]["ranges"]
        case "kind":
            card["screen"]["architecture"] = "screen-1"
        case "network":
            card["screen"] = make_screen("another").card()
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(UsageError, match=r"screen.*python -m training distill"):
        bundles.load(folder)


def test_second_look_at_images_smaller_than_a_window_is_refused(untrained: Path, tmp_path: Path) -> None:
    folder = screened_bundle(untrained, tmp_path / "bundle", second_look=SECOND)
    with pytest.raises(UsageError, match=r"100x120 pixels are smaller than a window.*training distill"):
        bundles.load(folder)


def test_screen_of_another_network_is_not_written(untrained: Path, tmp_path: Path) -> None:
    bundle = replace(bundles.load(untrained), screen=make_screen("another"))
    with pytest.raises(ValueError, match="another"):
        bundle.save(tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_bundle_keeps_its_screen(untrained: Path, tmp_path: Path) -> None:
    bundle = bundles.load(
        screened_bundle(untrained, tmp_path / "one", ranges={"conv1": 2.0}, second_look=SECOND, size=(192, 192))
    )
    again = bundles.load(replace(bundle, figures={"new": 1}).save(tmp_path / "two"))
    assert again.screen is not None and bundle.screen is not None
    assert again.screen.id == bundle.screen.id
    assert again.screen.second_look == SECOND
    assert replace(again.screen, second_look=None).id != again.screen.id
    assert again.id == bundle.id == bundles.load(untrained).id


def test_choice_is_random_and_by_run() -> None:
    keys = [f"fm_{number}" for number in range(40_000)]
    first, second = chosen("one", keys), chosen("two", keys)
    assert 140 < first.sum() < 260
    assert (first & second).sum() < 10
    assert np.array_equal(first[::-1], chosen("one", keys[::-1]))


def test_bound_holds_for_nearly_every_draw() -> None:
    """With 300 of 20,000 screened-out images in truth candidates, 95 of 100 bounds must lie above what was missed."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        drawn = rng.permutation(20_000)[:100]
        found = int((drawn < 300).sum())
        held += Audit(0.999, 19_900, 100, found, 1_000).missed_at_most >= 300 - found
    assert held >= 0.93 * 400


def test_bound_of_nothing_found_is_the_rule_of_three() -> None:
    assert Audit(0.999, 100_000, 1_000, 0, 50).missed_at_most == pytest.approx(300, abs=2)


def test_one_unlucky_find_is_no_broken_promise_but_many_are() -> None:
    assert not Audit(0.99, 376_000, 1_880, 1, 24_000).broken
    assert Audit(0.999, 376_000, 1_880, 8, 24_000).broken
    assert not Audit(0.999, 376_000, 1_880, 0, 24_000).broken


@pytest.mark.slow
def test_outcome_without_screen_has_no_audit(
    ray_here: None, archive: Path, untrained: Path, tmp_path: Path, quiet: Console
) -> None:
    outcome: Outcome = scan(settings(archive, tmp_path / "run", untrained, screen=False), quiet)
    assert outcome.check.audit is None
    assert "audit" not in json.loads((tmp_path / "run" / "_SUCCESS").read_text())
