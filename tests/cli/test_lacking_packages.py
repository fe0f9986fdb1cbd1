"""Commands for development and training say what to install when a package is not there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from crater_ray.errors import not_installed

WITHOUT = """
import runpy, sys
sys.modules.update(dict.fromkeys(("cv2", "psutil")))
sys.argv[0:1] = []
runpy.run_module(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    "words", [("benchmarks", "--help"), ("docs.check",), ("training", "finder-fit", "fit", "--sources", "none")]
)
def test_a_lacking_package_is_named_with_its_cure(words: tuple[str, ...]) -> None:
    answer = subprocess.run([sys.executable, "-c", WITHOUT, *words], capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "make install-dev" in answer.stderr


def test_a_part_of_the_project_that_is_lacking_is_a_fault_of_its_own() -> None:
    with pytest.raises(ModuleNotFoundError):
        not_installed(ModuleNotFoundError("No module named 'training.x'", name="training.x"))
