"""The benchmark of thresholds per foil, on a tiny archive."""

from __future__ import annotations

import pytest

from benchmarks.rows import RENDERERS
from tests.benchmarks.conftest import Measure


@pytest.mark.slow
def test_per_foil(measure: Measure, shared_ray: None) -> None:
    record = measure("per-foil", "--foils", "2", "--images", "25", "--craters", "5", "--engine", "openvino")
    f = record["figures"]
    assert (f["craters"], [row["images"] for row in f["budgets"]]) == (10, [1, 2, 4, 8])
    for row in f["budgets"]:
        assert sum(row["of_foils"].values()) == row["images"]
        assert 0 <= min(row["one"], row["own"]) <= max(row["one"], row["own"]) <= row["images"]
    assert len(RENDERERS["per-foil"](record)) == 4
