"""Images in a bucket, for tests of storage that stumbles."""

from __future__ import annotations

import pytest

from testbed.local_s3 import PUBLIC, LocalS3
from tests.conftest import make_images


@pytest.fixture(scope="module")
def stored(s3: LocalS3, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Keys of 200 small images under stumbling/ in the public bucket."""
    folder = tmp_path_factory.mktemp("stored")
    keys = make_images(folder, 200)
    s3.upload(folder, PUBLIC, "stumbling/")
    return keys
