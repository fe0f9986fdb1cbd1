"""Fetching: bytes in order from whichever stores the images are in, and long files one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crater_ray.images import fetch
from crater_ray.scanning.loader import load
from crater_ray.storage import bulk
from crater_ray.storage.access import Access
from crater_ray.storage.s3 import S3Store
from testbed.local_s3 import PUBLIC, LocalS3


def test_long_objects_are_fetched_one_by_one(s3: LocalS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a block of the longest allowed files fits into memory; and too long ones are refused unread."""
    monkeypatch.setattr(bulk, "AHEAD_BYTES", 20_000)
    monkeypatch.setattr(fetch, "MAX_BYTES", 60_000)
    rng = np.random.default_rng(0)
    for number, side in enumerate((100, 200, 300)):
        Image.fromarray(rng.integers(0, 256, (side, side), np.uint8)).save(tmp_path / f"{number}.png")
    s3.upload(tmp_path, PUBLIC, "long/")
    under_way: list[int] = []
    at_once: list[int] = []
    read = S3Store.get_within

    def watched(store: S3Store, address: str, longest: int) -> bytes | memoryview:
        under_way.append(longest)
        at_once.append(sum(length == 60_000 for length in under_way))
        try:
            return read(store, address, longest)
        finally:
            under_way.remove(longest)

    monkeypatch.setattr(S3Store, "get_within", watched)
    uris = [f"s3://{PUBLIC}/long/{number}.png" for number in (0, 1, 1, 1, 2, 0)]
    loaded, _ = load(uris, Access(s3.endpoint_url, anonymous=True))
    assert loaded.status == ["ok", "ok", "ok", "ok", "unsupported", "ok"]
    assert "more than 60,000 are refused" in str(loaded.values["error"][4])
    assert max(at_once) == 1
