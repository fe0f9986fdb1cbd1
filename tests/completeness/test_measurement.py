"""Measuring completeness by a real scan: what is planted, what is found, and that the run itself stays as it is."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from benchmarks import paced
from crater_ray import open_run
from crater_ray.completeness import read_completeness
from crater_ray.completeness.measure import measure
from crater_ray.completeness.plan import SCHEMA, recipe_of
from crater_ray.completeness.planted import read_planted_craters
from crater_ray.completeness.publish import publish
from crater_ray.completeness.settings import Measurement
from crater_ray.errors import CraterRayError, UsageError
from crater_ray.planting.recipe import split
from crater_ray.results.review.verdicts import import_file
from crater_ray.runs.run import open_existing
from crater_ray.scanning.scan import scan
from crater_ray.settings import ScanSettings
from crater_ray.storage.access import Access
from testbed.local_s3 import LocalS3
from tests.completeness.conftest import IMAGES, PLANTED, make_foils, told
from tests.conftest import Cli
from tests.made_runs import make_run, row
from tests.scanning.test_faults import parts, wait_for_parts


@pytest.mark.slow
def test_craters_are_planted_into_the_runs_images_and_found(measured_run: Path) -> None:
    plan = pq.read_table(measured_run / "completeness" / "plan.parquet")
    assert plan.schema.equals(SCHEMA)
    with open_run(measured_run) as run, open_run(measured_run / "completeness") as planted:
        rows = planted.table()
        uris, recipes = split(rows["uri"].to_pylist())
        assert uris == plan["uri"].to_pylist()
        assert recipes == [recipe_of(crater) for crater in plan.to_pylist()]
        assert planted.settings["planted_in"] == run.run.id
        for name in ("bundle", "engine", "threshold", "screen", "source"):
            assert planted.settings[name] == run.settings[name]
        own = run.table(["key", "score", "x", "y", "status"], "status = 'ok'")
        scores = dict(zip(own["key"].to_pylist(), own["score"].to_pylist(), strict=True))
    assert set(plan["image"].to_pylist()) <= set(scores)
    assert plan["score_before"].to_pylist() == [scores[key] for key in plan["image"].to_pylist()]
    assert np.bincount([name == "second" for name in plan["foil"].to_pylist()]).tolist() == [27, 13]
    assert sum(plan["weight"].to_pylist()) == pytest.approx(IMAGES)
    measured = read_completeness(measured_run, pixel_nm=50)
    assert (measured.planted, measured.images, measured.unreadable) == (PLANTED, IMAGES, 0)
    visible = measured.share("visible")
    assert 0.2 < visible.lower < visible.share < visible.upper < 1
    assert measured.share("not visible").share < visible.share
    assert sum(share.planted for share in measured.shares["diameter_px"]) == measured.visible
    assert sum(share.planted for share in measured.shares["every_diameter_nm"]) == PLANTED
    assert {share.name for share in measured.shares["foil"]} == {"first", "second"}


def test_what_the_image_has_elsewhere_is_no_find(measured_run: Path) -> None:
    with open_existing(measured_run / "completeness") as planted:
        craters = read_planted_craters(planted)
    plan, rows = craters.plan.to_pylist(), open_run(measured_run / "completeness").table().to_pylist()
    found = craters.found(craters.threshold)
    for crater, one, hit in zip(plan, rows, found, strict=True):
        places = [one, *(one["places"] or ())]
        near = [
            np.hypot(place["x"] - crater["x"], place["y"] - crater["y"]) <= 8 + crater["diameter"] / 2
            for place in places
            if place["x"] is not None and place["score"] >= np.float32(craters.threshold)
        ]
        assert hit == any(near)
    assert (craters.score >= np.float32(craters.threshold)).sum() > found.sum(), "no image has a candidate elsewhere"


def test_the_run_itself_stays_as_it_is(measured_run: Path, cli: Cli) -> None:
    said = cli("verify", measured_run)
    assert said.returncode == 0
    assert f"{IMAGES + 1} rows for {IMAGES + 1} images" in said.stdout
    assert f"whole: {PLANTED} rows" in cli("verify", measured_run / "completeness").stdout
    with open_run(measured_run) as run:
        assert run.table().num_rows == IMAGES + 1
    planted = measured_run / "completeness"
    assert "holds planted craters" in cli("rescan", planted, "--out", measured_run.parent / "no").stderr
    assert "holds planted craters" in cli("gallery", planted).stderr
    assert "Give the run in whose folder it lies" in cli("completeness", planted).stderr


def test_the_same_command_does_nothing_twice_and_another_is_refused(measured_run: Path, untrained: Path) -> None:
    before = parts(measured_run / "completeness")
    with open_existing(measured_run) as run:
        assert measure(run, told(measured_run), Console(quiet=True)).images == 0
        with pytest.raises(UsageError, match="--seed 0, not 1"):
            measure(run, told(measured_run, seed=1), Console(quiet=True))
        with pytest.raises(UsageError, match="made with the network"):
            measure(run, told(measured_run, bundle=str(untrained)), Console(quiet=True))
    assert parts(measured_run / "completeness") == before


@pytest.mark.slow
def test_the_same_settings_plan_and_plant_the_same(measured_run: Path, scanned: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(scanned, again, ignore=shutil.ignore_patterns("completeness"))
    with open_existing(again) as run:
        measure(run, told(again), Console(quiet=True))
    first, second = (pq.read_table(folder / "completeness" / "plan.parquet") for folder in (measured_run, again))
    assert first.equals(second)
    columns = ["key", "uri", "score", "noise", "contrast"]
    rows = [open_run(folder / "completeness").table(columns) for folder in (measured_run, again)]
    assert rows[0].equals(rows[1])


@pytest.mark.slow
def test_killed_and_resumed_without_a_doubled_row(scanned: Path, tmp_path: Path, shared_ray: None) -> None:
    """Killed after its first parts, the command goes on where it was; what was done stays as it was written."""
    run, counts = tmp_path / "run", tmp_path / "counts"
    shutil.copytree(scanned, run, ignore=shutil.ignore_patterns("completeness"))
    counts.mkdir()
    paced.hold(counts, 25)
    arguments = ["completeness", str(run), "--images", "60", "--seed", "3"]
    with (tmp_path / "log").open("wb") as log:
        driver = subprocess.Popen(paced.command(0, counts, *arguments), stdout=log, stderr=log)
        try:
            wait_for_parts(run / "completeness", 1, driver)
            driver.send_signal(signal.SIGKILL)
        finally:
            driver.kill()
            driver.wait()
    done = parts(run / "completeness")
    assert 1 <= len(done) < 6
    assert not (run / "completeness" / "_SUCCESS").exists()
    with pytest.raises(CraterRayError, match="not complete"):
        read_completeness(run)
    with open_existing(run) as opened:
        assert measure(opened, Measurement(str(run), images=60, seed=3), Console(quiet=True)).failed == {}
    after = parts(run / "completeness")
    assert {name: after[name] for name in done} == done
    with open_run(run / "completeness") as planted:
        keys = planted.table(["key"])["key"].to_pylist()
    assert len(keys) == len(set(keys)) == 60


def test_verdicts_make_densities(measured_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(measured_run, run)
    before = read_completeness(run, pixel_nm=50)
    assert before.judged.candidates > 0
    assert (before.judged.usable, before.densities) == (False, [])
    with open_run(run) as results:
        candidates = results.candidates(columns=["key", "diameter"]).to_pylist()
    verdicts = ["crater", *["not"] * (len(candidates) - 1)]
    (tmp_path / "v.csv").write_text(
        "key,verdict\n" + "".join(f"{one['key']},{word}\n" for one, word in zip(candidates, verdicts, strict=True))
    )
    with open_existing(run) as opened:
        import_file(opened, tmp_path / "v.csv", "somebody")
    measured = read_completeness(run, pixel_nm=50)
    whole = measured.densities[0]
    area = IMAGES * 160 * 200 * 50**2 * 1e-12
    assert (whole.foil, whole.low, whole.confirmed) == ("", None, 1)
    assert 0.6 * area < whole.exposure < area
    assert whole.density == pytest.approx(1 / (whole.exposure * measured.share("all").share))
    assert whole.lower < whole.density < whole.upper  # type: ignore[operator]
    none = [one for one in measured.densities if one.low and not one.confirmed and one.upper and not one.foil]
    assert none
    assert all(one.upper > 3 / area for one in none)  # type: ignore[operator]
    assert read_completeness(run).unit == "1000 images"


def test_all_is_written_for_people_and_programs(measured_run: Path, tmp_path: Path) -> None:
    measured = read_completeness(measured_run, pixel_nm=50)
    with open_existing(measured_run) as run:
        written = publish(run, measured, Access(), page=tmp_path / "page.html", csv=tmp_path / "table.csv")
    assert [place.rpartition("/")[2] for place in written] == [
        "completeness.html", "completeness.csv", "completeness.json", "page.html", "table.csv",
    ]  # fmt: skip
    record = json.loads((measured_run / "completeness" / "completeness.json").read_text())
    assert record["planted"] == PLANTED
    assert record["shares"]["all"][0]["share"] == pytest.approx(measured.share("visible").share)
    with (tmp_path / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {"all", "diameter_px", "diameter_nm", "foil", "look", "noise", "blur", "budget"} <= {
        line["by"] for line in lines
    }
    assert (tmp_path / "page.html").read_bytes() == (measured_run / "completeness" / "completeness.html").read_bytes()


def test_runs_that_cannot_be_measured_are_refused_in_one_line(tmp_path: Path) -> None:
    rows = [row(f"k{number}", 0.5) for number in range(8)]
    with make_run(tmp_path / "half", rows, unpublished=1) as run, pytest.raises(CraterRayError, match="not complete"):
        measure(run, told(tmp_path / "half"), Console(quiet=True))
    with make_run(tmp_path / "foreign", [row("k", 0.5)]) as run:
        with pytest.raises(UsageError, match="Give it with --bundle"):
            measure(run, told(tmp_path / "foreign"), Console(quiet=True))
        run.record["settings"]["merged_from"] = []
        with pytest.raises(UsageError, match="merged"):
            measure(run, told(tmp_path / "foreign"), Console(quiet=True))
    for wrong in ({"images": 0}, {"diameters": (9.0, 5.0)}, {"strengths": (0.0, 1.0)}, {"seed": -1}):
        with pytest.raises(UsageError, match="received"):
            told(tmp_path, **wrong)


@pytest.mark.slow
def test_from_bucket_to_bucket(s3: LocalS3, ray_here: None, tmp_path: Path) -> None:
    """Images and run in buckets: the planted run lies below the run there, and the run does not see it."""
    make_foils(tmp_path)
    s3.client.create_bucket(Bucket="completeness")
    s3.upload(tmp_path, "completeness", "foils#1/")
    access = Access(s3.endpoint_url)
    address = "s3://completeness/run"
    settings = ScanSettings("s3://completeness/foils#1", address, engine="stand-in", shard_images=10, access=access)
    assert scan(settings, Console(quiet=True)).failed == {}
    with open_existing(address, access) as run:
        assert measure(run, told(address, images=12), Console(quiet=True)).failed == {}
        measured = read_completeness(address, endpoint_url=s3.endpoint_url)
        assert (measured.planted, measured.unreadable) == (12, 0)
        assert publish(run, measured, access)[0] == f"{address}/completeness/completeness.html"
        assert run.check().whole
    with open_run(address, s3.endpoint_url) as results:
        assert results.complete
        assert results.table().num_rows == IMAGES + 1
