"""A bucket that keeps versions: an image is one row, of its latest version, and so are the files of the run."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crater_ray.runs.run import open_existing
from crater_ray.storage.access import Access
from testbed.local_s3 import LocalS3
from tests.conftest import Cli

BUCKET = "versioned"
IMAGES = 30


def picture(level: int) -> bytes:
    rng = np.random.default_rng(level)
    out = io.BytesIO()
    Image.fromarray(rng.integers(level, level + 20, (100, 120), np.uint8)).save(out, "PNG")
    return out.getvalue()


def put(s3: LocalS3, number: int, level: int) -> None:
    s3.client.put_object(Bucket=BUCKET, Key=f"foil/{number:02d}.png", Body=picture(level))


def rows(access: Access) -> dict[str, float]:
    with open_existing(f"s3://{BUCKET}/run", access) as run:
        return {row["key"]: row["score"] for part in run.parts() for row in part.to_pylist()}


@pytest.mark.slow
def test_latest_versions_are_scored_once_each(shared_ray: None, s3: LocalS3, cli: Cli, tmp_path: Path) -> None:
    s3.client.create_bucket(Bucket=BUCKET)
    s3.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for number in range(IMAGES):
        put(s3, number, 30)
    for number in range(0, IMAGES, 2):
        put(s3, number, 200)  # written over
    s3.client.delete_object(Bucket=BUCKET, Key="foil/01.png")  # which leaves a marker, and the version
    versions = s3.client.list_object_versions(Bucket=BUCKET, Prefix="foil/")
    assert len(versions["Versions"]) == IMAGES + IMAGES // 2, "this server keeps versions"
    command = ["scan", f"s3://{BUCKET}/foil", "--out", f"s3://{BUCKET}/run", "--endpoint-url", s3.endpoint_url]
    command += ["--engine", "stand-in", "--shard-images", "10"]
    said = cli(*command)
    assert said.returncode == 0, said.stderr
    access = Access(endpoint_url=s3.endpoint_url)
    before = rows(access)
    assert set(before) == {f"{number:02d}" for number in range(IMAGES)} - {"01"}
    assert min(before[f"{number:02d}"] for number in range(0, IMAGES, 2)) > max(
        before[f"{number:02d}"] for number in range(3, IMAGES, 2)
    ), "of pictures that were written over, the latest is looked at"

    # A session that ended before the last part was there; meanwhile one of its images is written over.
    s3.client.delete_object(Bucket=BUCKET, Key="run/parts/part-00002.parquet")
    put(s3, 29, 200)
    again = cli(*command)
    assert again.returncode == 0, again.stderr
    after = rows(access)
    assert after["29"] > before["29"]
    assert {key: score for key, score in after.items() if key != "29"} == {
        key: score for key, score in before.items() if key != "29"
    }
    verified = cli("verify", f"s3://{BUCKET}/run", "--endpoint-url", s3.endpoint_url)
    assert verified.returncode == 0, verified.stdout
