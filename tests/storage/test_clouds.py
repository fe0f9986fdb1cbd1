"""Google, Azure and the web as sources, and the first two as outputs: killed, resumed, and no secret written."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks import paced
from crater_ray.errors import CraterRayError, UsageError
from crater_ray.images.listing import open_archive
from crater_ray.runs.manifest import build
from crater_ray.scanning.loader import load
from crater_ray.storage import cloud
from crater_ray.storage.access import Access
from crater_ray.storage.errors import StorageError
from crater_ray.storage.folder import Folder, open_folder
from crater_ray.storage.registry import store_at
from testbed import local_azure, local_gcs, local_web
from testbed.local_azure import LocalAzure
from testbed.local_gcs import PAYING, PROJECT, LocalGcs
from testbed.local_s3 import SECRET_KEY
from tests.conftest import PATIENCE, Cli, make_images

IMAGES, SHARD = 60, 10
SECRETS = (local_gcs.TOKEN, local_azure.KEY, SECRET_KEY)


@dataclass
class Place:
    """A source with 60 images, and where its run goes.

    Attributes:
        source, out, options: of a scan.
        access: to both.
    """

    source: str
    out: str
    options: list[str]
    access: Access

    def folder(self) -> Folder:
        return open_folder(self.out, self.access)

    def parts(self) -> set[str]:
        return {name for name, _ in self.folder().names("parts/part-")}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    make_images(folder, IMAGES)
    return folder


@pytest.fixture(scope="module")
def web(images: Path) -> Iterator[local_web.LocalWeb]:
    with local_web.serving(images) as server:
        yield server


def named(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.jpg"))]


@pytest.fixture
def place(request: pytest.FixtureRequest, images: Path, tmp_path: Path) -> Place:
    if request.param == "https":
        web: local_web.LocalWeb = request.getfixturevalue("web")
        (tmp_path / "list.csv").write_text("url\n" + "".join(f"{web.url}/{name}\n" for name in named(images)))
        return Place(str(tmp_path / "list.csv"), str(tmp_path / "run"), [], Access())
    service: LocalGcs | LocalAzure = request.getfixturevalue({"gs": "gcs", "az": "azure"}[request.param])
    service.create("archive")
    for name in named(images):
        service.put("archive", f"real/{name}", (images / name).read_bytes())
    service.put("archive", "real/labels.csv", b"key,label\n")
    address = f"{request.param}://archive"
    options = ["--endpoint-url", service.endpoint_url]
    return Place(f"{address}/real", f"{address}/runs/first", options, Access(service.endpoint_url))


@pytest.mark.slow
@pytest.mark.parametrize("place", ["gs", "az", "https"], indirect=True)
def test_a_killed_scan_goes_on_and_writes_no_secret(
    place: Place, shared_ray: None, tmp_path: Path, command: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["scan", place.source, "--out", place.out, "--engine", "stand-in", "--shard-images", str(SHARD)]
    words += [*place.options, "--log", str(tmp_path / "log")]
    counts = tmp_path / "counts"
    counts.mkdir()
    paced.hold(counts, 3 * SHARD)
    with (tmp_path / "said").open("wb") as said:
        driver = subprocess.Popen(paced.command(0, counts, *words), stdout=said, stderr=said)
    try:
        while len(place.parts()) < 2:
            assert driver.poll() is None, (tmp_path / "said").read_text()
            time.sleep(0.1)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait(PATIENCE)
    done = place.parts()
    assert 2 <= len(done) < IMAGES // SHARD
    before = {name: place.folder().read(name) for name in done}
    again = command(*words)
    assert again.returncode == 0, again.stderr
    assert f"{IMAGES} ok" in again.stderr
    assert {name: place.folder().read(name) for name in done} == before, "finished shards were done again"
    verified = command("verify", place.out, *place.options)
    assert verified.returncode == 0, verified.stdout
    if "://" in place.source:
        assert "1 passed over: 1 .csv" in verified.stdout
    written = written_by(place, tmp_path) | {"stdout and stderr": (again.stdout + again.stderr).encode()}
    assert len(written) >= IMAGES // SHARD + 4
    assert set(SECRETS) <= set(os.environ.values()), "what is looked for is what the scan was given"
    for name, data in written.items():
        for secret in SECRETS:
            assert secret.encode() not in data, f"{secret} is in {name}"


def written_by(place: Place, tmp_path: Path) -> dict[str, bytes]:
    """Everything that a scan left, packed tables also as text."""
    found = {"log": (tmp_path / "log").read_bytes(), "killed": (tmp_path / "said").read_bytes()}
    for name, _ in place.folder().names():
        found[name] = place.folder().read(name)
        if name.endswith(".parquet"):
            with place.folder().local_copy(name) as path:
                table = pq.read_table(path)
                found[f"{name}, unpacked"] = repr((table.to_pydict(), table.schema.metadata)).encode()
    return found


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_lists_of_clouds_and_public_containers(
    scheme: str, request: pytest.FixtureRequest, images: Path, tmp_path: Path
) -> None:
    service: LocalGcs | LocalAzure = request.getfixturevalue({"gs": "gcs", "az": "azure"}[scheme])
    bucket = "public" if scheme == "gs" else "anybody"
    if isinstance(service, LocalAzure):
        service.create(bucket, public=True)
    first = named(images)[:3]
    for name in first:
        service.put(bucket, f"real/{name}", (images / name).read_bytes())
    service.put(bucket, "lists/keys.txt", "\n".join(Path(name).parent.name for name in first).encode())
    access = Access(service.endpoint_url, anonymous=True)
    table, _ = build(open_archive(f"{scheme}://{bucket}/lists/keys.txt", access, f"{scheme}://{bucket}/real").batches)
    assert load(table["uri"].to_pylist(), access)[0].status == ["ok"] * 3
    listed, _ = build(open_archive(f"{scheme}://{bucket}/real/", access).batches)
    assert listed["key"].to_pylist() == table["key"].to_pylist()
    gone = [*listed["uri"].to_pylist(), f"{scheme}://{bucket}/real/none.jpg", f"{scheme}://{bucket}/real//x/../y.jpg"]
    loaded, _ = load(gone, access)
    assert loaded.status == ["ok"] * 3 + ["missing", "unreadable"]


PROBLEMS: dict[str, tuple[str, dict[str, Any], str]] = {
    "no such container": ("{scheme}://never-made/x", {}, "There is no (bucket|container) at"),
    "nothing there": ("{scheme}://{bucket}/nothing", {}, "There is nothing under"),
    "not public": ("{scheme}://closed/x", {"anonymous": True}, "add --anonymous; otherwise"),
    "nothing answers": ("{scheme}://{bucket}/x", {"endpoint_url": "http://127.0.0.1:9/craterray"}, "cannot be reached"),
}


@pytest.mark.parametrize("scheme", ["gs", "az"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_is_wrong_is_one_line_with_its_cure(
    scheme: str, problem: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud, "RETRIES", 1)
    service: LocalGcs | LocalAzure = request.getfixturevalue({"gs": "gcs", "az": "azure"}[scheme])
    for bucket in ("problems", "closed"):
        try:
            service.create(bucket)
        except Exception as error:  # it was made by an earlier one
            assert "exist" in str(error).lower() or "409" in str(error) or "onflict" in repr(error)
    address, options, expected = PROBLEMS[problem]
    address = address.format(scheme=scheme, bucket="problems")
    with pytest.raises(CraterRayError, match=expected) as caught:
        list(open_archive(address, Access(**({"endpoint_url": service.endpoint_url} | options))).batches)
    assert "\n" not in str(caught.value)


def test_azure_is_reached_by_what_its_own_tools_know(azure: LocalAzure, monkeypatch: pytest.MonkeyPatch) -> None:
    azure.create("tools")
    azure.put("tools", "x", b"1")

    def read(**variables: str) -> bytes:
        for name in local_azure.ENVIRONMENT:
            monkeypatch.delenv(name, raising=False)
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            cloud.forget_clients()
            try:
                return store_at("az://tools/x", Access()).get("az://tools/x")
            finally:
                cloud.forget_clients()

    account, key = local_azure.ACCOUNT, local_azure.KEY
    connection = f"AccountName={account};AccountKey={key};BlobEndpoint={azure.endpoint_url};"
    assert read(AZURE_STORAGE_CONNECTION_STRING=connection) == b"1"
    assert read(AZURE_STORAGE_ACCOUNT=account, AZURE_STORAGE_KEY=key, AZURE_STORAGE_ENDPOINT=azure.endpoint_url) == b"1"
    with pytest.raises(UsageError, match=r"Which account has az://tools\? Set AZURE_STORAGE_CONNECTION_STRING"):
        read()
    wrong = f"AccountName={account};SharedAccessSignature=sv=2021&sig=vErYsEcReT%3D;BlobEndpoint={azure.endpoint_url}"
    with pytest.raises(StorageError, match="was refused") as caught:
        read(AZURE_STORAGE_CONNECTION_STRING=wrong)
    assert "vErYsEcReT" not in str(caught.value)


def test_archived_blobs_are_rows(azure: LocalAzure, images: Path) -> None:
    azure.create("cold")
    names = named(images)[:2]
    for name in names:
        azure.put("cold", name, (images / name).read_bytes())
    azure.archive("cold", names[1])
    loaded, _ = load([f"az://cold/{name}" for name in names], Access(azure.endpoint_url))
    assert loaded.status == ["ok", "archived"]
    assert "rescan --status archived" in loaded.values["error"][1]


def test_names_that_cannot_be_listed_are_said_not_left_out(azure: LocalAzure) -> None:
    azure.create("odd")
    azure.put("odd", "real/a.jpg", b"1")
    azure.put("odd", "real//b.jpg", b"1")
    with pytest.raises(UsageError, match=r"az://odd/real holds a name with empty or dotted parts"):
        list(open_archive("az://odd/real", Access(azure.endpoint_url)).batches)


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_objects_whose_names_end_like_folders_are_rows_or_counted(request: pytest.FixtureRequest, scheme: str) -> None:
    service: LocalGcs | LocalAzure = request.getfixturevalue({"gs": "gcs", "az": "azure"}[scheme])
    service.create("slashes")
    for name, content in (("real/a.jpg", b"1"), ("real/marker/", b""), ("real/odd.jpg/", b"pixels")):
        service.put("slashes", name, content)
    listing = open_archive(f"{scheme}://slashes/real", Access(service.endpoint_url))
    table, _ = build(listing.batches)
    assert table["key"].to_pylist() == ["a", "odd"]
    assert listing.passed_over() == {"(none)": 1}
    loaded, _ = load([table["uri"][1].as_py()], Access(service.endpoint_url))
    assert loaded.status == ["missing"], "these clients name no object that ends in a slash; the row says so"


def test_google_buckets_whose_requesters_pay(gcs: LocalGcs, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = named(images)[0]
    gcs.put(PAYING, f"real/{name}", (images / name).read_bytes())
    source = f"gs://{PAYING}/real"
    with pytest.raises(StorageError, match="add --requester-pays"):
        list(open_archive(source, Access(gcs.endpoint_url)).batches)
    paying = Access(gcs.endpoint_url, requester_pays=True)
    with pytest.raises(UsageError, match="Set GOOGLE_CLOUD_PROJECT"):
        list(open_archive(source, paying).batches)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    table, _ = build(open_archive(source, paying).batches)
    assert load(table["uri"].to_pylist(), paying)[0].status == ["ok"]
    assert gcs.paid >= 2


def test_runs_and_folders_cannot_lie_on_the_web(web: local_web.LocalWeb, cli: Cli, tmp_path: Path) -> None:
    answer = cli("scan", tmp_path, "--out", f"{web.url}/run", "--engine", "stand-in")
    assert answer.returncode == 2
    assert "A run lies in a local path, s3://bucket/prefix, gs://" in answer.stderr
    with pytest.raises(UsageError, match=r"does not list its files: give a key list"):
        list(open_archive(f"{web.url}/real", Access()).batches)
