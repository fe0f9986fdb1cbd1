"""`crater-ray calibrate`: agreement with float32 on an archive or on simulated images, and what the card then says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crater_ray.cli.app import app
from crater_ray.errors import UsageError
from crater_ray.network import bundle as bundles

pytest.importorskip("openvino")


@pytest.fixture
def bundle(untrained: Path, tmp_path: Path) -> Path:
    """A bundle without calibration in which every image is a candidate."""
    return replace(bundles.load(untrained), typical_threshold=0.0).save(tmp_path / "bundle")


def test_an_archive_calibrates_and_the_card_keeps_it(archive: Path, bundle: Path) -> None:
    before = bundles.load(bundle)
    command = ["calibrate", str(archive), "--bundle", str(bundle), "--images", "8", "--calibration", "4", "--write"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert "8: 8 kept, 0 gained" in result.output
    after = bundles.load(bundle)
    assert after.id == before.id
    entry = after.figures["openvino_int8"]
    assert (entry["images"], entry["kept_share"]) == (8, 1.0)
    assert entry["measured_on"]["source"] == str(archive)
    assert all(top > 0 for top in entry["ranges"].values())
    # What was written is what the engine then takes.
    from crater_ray.engines.registry import create

    assert create("openvino", after).kind == "cpu"


def test_simulated_images_serve_where_there_is_no_archive(bundle: Path) -> None:
    card = (bundle / "card.json").read_text()
    command = ["calibrate", "--bundle", str(bundle), "--engine", "openvino-bf16", "--images", "2", "--calibration", "2"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert "openvino-bf16 beside float32, on 2 images" in result.output
    assert (bundle / "card.json").read_text() == card, "without --write nothing is written"


@pytest.mark.slow
def test_too_few_kept_candidates_are_said(archive: Path, untrained: Path, tmp_path: Path) -> None:
    """Where the threshold lies among scores that hardly differ, rounding decides."""
    from crater_ray.engines.registry import create
    from crater_ray.scanning.calibration import batches
    from crater_ray.storage.access import Access

    plain = bundles.load(untrained)
    uris = [str(file) for file in sorted(archive.glob("*/*.jpg"))]
    scores = [score for some in batches(uris, Access()) for score in create("keras", plain).score(some).scores]
    threshold = float(sorted(scores)[len(scores) // 2])
    command = ["calibrate", str(archive), "--bundle", str(untrained), "--images", "116", "--calibration", "4"]
    result = CliRunner().invoke(app, [*command, "--threshold", str(threshold)])
    assert result.exit_code == 1, result.output
    assert "are wanted" in result.output


def test_what_cannot_be_kept_is_refused(archive: Path, untrained: Path, tmp_path: Path) -> None:
    command = ["calibrate", str(archive), "--images", "8", "--calibration", "4", "--write"]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, UsageError)
    assert "--bundle DIR" in str(result.exception)
    none = replace(bundles.load(untrained), typical_threshold=1.0).save(tmp_path / "none")
    before = json.loads((none / "card.json").read_text())
    result = CliRunner().invoke(app, [*command, "--bundle", str(none)])
    assert isinstance(result.exception, UsageError)
    assert "no candidate" in str(result.exception)
    assert json.loads((none / "card.json").read_text()) == before
