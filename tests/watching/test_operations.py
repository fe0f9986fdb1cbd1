"""Watching a scan: metrics, log, status from elsewhere, and pages that say what the code says."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from crater_ray.runs.run import open_existing
from crater_ray.scanning.scan import scan
from crater_ray.settings import ScanSettings
from crater_ray.storage.access import Access
from crater_ray.watching.metrics import METRICS, exported
from testbed.local_s3 import PUBLIC, LocalS3
from tests.conftest import PATIENCE, Cli, make_images
from tests.made_runs import make_run, row

ROOT = Path(__file__).parents[2]


def test_dashboard_shows_exactly_the_metrics_that_there_are() -> None:
    dashboard = json.loads((ROOT / "cluster/grafana.json").read_text())
    used = set(re.findall(r"ray_crater_ray_\w+", json.dumps(dashboard)))
    assert used == exported()
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    tags = {tag for metric in METRICS.values() for tag in metric.tags} | {"le", "NodeAddress"}
    for names in re.findall(r"by \(([^)]*)\)", " ".join(queries)):
        assert set(names.split(", ")) <= tags


def scrape() -> dict[str, float]:
    """What Prometheus would read from this machine's Ray: values by name, run and status."""
    import ray

    found: dict[str, float] = {}
    port = ray.nodes()[0]["MetricsExportPort"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except OSError:
        return found
    for name, labels, value in re.findall(r"^(ray_crater_ray_\w+)(\{.*\})? (\S+)$", text, re.MULTILINE):
        told = [match[1] for tag in ("run", "status") if (match := re.search(rf'[{{,]{tag}="(\w+)"', labels))]
        series = " ".join([name, *told])
        found[series] = found.get(series, 0.0) + float(value)
    return found


def served(all_there: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """What is served once all is there, or at the end of all patience: processes report in their own time."""
    stop = time.monotonic() + PATIENCE
    while not all_there(found := scrape()) and time.monotonic() < stop:
        time.sleep(0.02)
    return found


def test_metrics_of_a_real_scan_are_served_to_prometheus(
    ray_here: None, archive: Path, tmp_path: Path, quiet: Console
) -> None:
    pytest.importorskip("opencensus", reason="metrics are served where ray[default] is (the extra cluster)")
    source = tmp_path / "archive"
    shutil.copytree(archive, source)
    (source / "empty.jpg").write_bytes(b"")
    size = sum(path.stat().st_size for path in source.rglob("*.jpg"))
    before = scrape().get("ray_crater_ray_bytes_total", 0.0)
    outcome = scan(ScanSettings(str(source), str(tmp_path / "run"), engine="stand-in", threshold=0.5), quiet)
    run = open_existing(tmp_path / "run").id
    expected = {
        f"ray_crater_ray_images_total {run} ok": 120,
        f"ray_crater_ray_images_total {run} unreadable": 1,
        f"ray_crater_ray_images_published_total {run}": 121,
        f"ray_crater_ray_images_left {run}": 0,
        f"ray_crater_ray_candidates_total {run}": outcome.check.candidates,
        "ray_crater_ray_bytes_total": before + size,
    }
    wanted = exported() - {"ray_crater_ray_retries_total"}  # nothing was retried
    found = served(lambda seen: expected.items() <= seen.items() and wanted <= {name.split()[0] for name in seen})
    assert {name: found.get(name) for name in expected} == expected
    assert wanted <= {name.split()[0] for name in found}
    assert outcome.check.candidates


@pytest.fixture(scope="module")
def logged(s3: LocalS3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, LocalS3]]:
    """A scan from a bucket, signed, with a log: three sound images and two that cannot be scored."""
    folder = tmp_path_factory.mktemp("logged")
    make_images(folder / "archive", 3)
    (folder / "archive" / "line\nbreak.jpg").write_bytes(b"")
    (folder / "archive" / "text.jpg").write_bytes(b"<html>")
    s3.upload(folder / "archive", PUBLIC, "logged/")
    yield folder / "run", folder / "scan.log", s3


@pytest.mark.slow
def test_log_has_one_object_a_line_with_run_shard_and_key(
    ray_here: None, logged: tuple[Path, Path, LocalS3], quiet: Console
) -> None:
    run, file, s3 = logged
    access = Access(s3.endpoint_url)
    settings = ScanSettings(
        f"s3://{PUBLIC}/logged", str(run), access=access, engine="stand-in", shard_images=2, log=file
    )
    scan(settings, quiet)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    opened = open_existing(run)
    for line in lines:
        assert set(line) == {"time", "level", "run", "shard", "key", "message"}
        assert line["run"] == opened.id
        assert line["level"] in ("info", "warning", "error")
    refused = {line["key"]: line for line in lines if line["key"] is not None}
    assert set(refused) == {"line\nbreak", "text"}
    assert "empty (0 bytes)" in refused["line\nbreak"]["message"]
    assert sorted(line["shard"] for line in lines if line["message"].startswith("published")) == [0, 1, 2]
    assert "a session begins: 3 of 3 shards to do" in [line["message"] for line in lines]
    assert lines[-1]["message"] == "the session ends: complete, 5 images published"
    for secret in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert s3.environment()[secret] not in file.read_text()
    (run / "parts/part-00001.parquet").unlink()
    scan(settings, quiet)
    again = file.read_text().splitlines()
    assert len(again) > len(lines), "a log is appended to"
    assert json.loads(again[-1])["message"] == "the session ends: complete, 2 images published"


def test_log_that_cannot_be_written_is_one_line(cli: Cli, archive: Path, tmp_path: Path) -> None:
    log = tmp_path / "no" / "folder" / "log"
    answer = cli("scan", archive, "--out", tmp_path / "run", "--engine", "stand-in", "--log", log)
    assert answer.returncode == 1
    assert "The log" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no file without room here")
def test_log_that_becomes_full_is_one_line_and_the_scan_goes_on(
    ray_here: None, cli: Cli, archive: Path, tmp_path: Path
) -> None:
    answer = cli("scan", archive, "--out", tmp_path / "run", "--engine", "stand-in", "--log", "/dev/full")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.count("The log '/dev/full' cannot be written now: No space left on device") == 1
    assert "Traceback" not in answer.stderr


WITHOUT_RAY = """
import sys
for name in ("ray", "tensorflow", "keras", "obstore", "openvino"):
    sys.modules[name] = None  # importing it fails, as where it is not installed
sys.argv = ["crater-ray", *sys.argv[1:]]
from crater_ray.cli import main
main()
"""


def without_ray(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_RAY, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.slow
def test_status_and_verify_need_nothing_but_the_run_folder(s3: LocalS3, tmp_path: Path) -> None:
    """Another machine has neither the archive nor Ray nor the path that the scan used."""
    rows = [row(f"k{number}", number / 10) for number in range(9)]
    make_run(tmp_path / "here", rows, unpublished=1)
    shutil.move(tmp_path / "here", tmp_path / "elsewhere")
    status = without_ray("status", tmp_path / "elsewhere")
    assert status.returncode == 0, status.stderr
    assert "8 of 9 done" in status.stdout
    assert "not complete" in status.stdout
    assert without_ray("verify", tmp_path / "elsewhere").returncode == 1
    s3.client.create_bucket(Bucket="watched")
    s3.upload(tmp_path / "elsewhere", "watched", "run/")
    status = without_ray("status", "s3://watched/run", "--endpoint-url", s3.endpoint_url)
    assert status.returncode == 0, status.stderr
    assert "8 of 9 done" in status.stdout


def messages_of_the_code() -> str:
    """Every text in the package, one a line; what is filled in stands as three dots."""
    texts = []
    for path in sorted((ROOT / "crater_ray").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(p.value) if isinstance(p, ast.Constant) else "..." for p in node.values]
                texts.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


@pytest.mark.slow
def test_failures_of_the_operations_page_are_the_ones_that_the_code_reports() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    answers = re.findall(r"^### \d+\. .*?(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert len(answers) == 10
    known = messages_of_the_code()
    for answer in answers:
        seen = re.findall(r"```\n(.*?)```", answer, re.DOTALL)
        assert seen, f"no message shown: {answer[:80]}"
        for message in "".join(seen).splitlines():
            for piece in re.split(r"\.\.\.", message):
                assert piece.strip() in known, f"the code never says {piece.strip()!r}"
        for word in ("**Why.**", "**Do.**"):
            assert word in answer, answer[:80]


def test_operations_page_names_the_metrics_and_options_that_there_are(cli: Cli) -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(crater_ray_\w+)`", page)) == set(METRICS)
    helped = cli("scan", "--help").stdout
    for option in set(re.findall(r"`(--[a-z-]+)", page.split("## Metrics")[0])):
        assert option in helped


def test_every_test_that_the_guarantees_name_exists() -> None:
    page = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) >= 20
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    for line in rows:
        assert "`tests/" in line, f"a promise without a test: {line}"
