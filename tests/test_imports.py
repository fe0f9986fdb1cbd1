"""Heavy packages are imported where they are used, not where a module of crater_ray is."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import PATIENCE

FRAMEWORKS = {"ray", "keras", "tensorflow", "jax", "torch", "openvino"}
HEAVY = FRAMEWORKS | {"numpy", "scipy", "pyarrow", "PIL", "boto3", "obstore"}
KERAS_LAYERS = {"crater_ray.network.normalize"}
"""Modules that define a class of Keras; only functions import them."""

EVERY_MODULE = f"""
import importlib, pkgutil, sys
import crater_ray
for module in pkgutil.walk_packages(crater_ray.__path__, "crater_ray."):
    if not module.name.endswith("__main__") and module.name not in {KERAS_LAYERS}:
        importlib.import_module(module.name)
        found = {FRAMEWORKS} & set(sys.modules)
        assert not found, f"importing {{module.name}} imports {{found}}"
print(len([name for name in sys.modules if name.startswith("crater_ray.")]))
"""

RAY_PROCESS = """
import sys
from crater_ray.scanning.cluster import PRELOADED
for module in PRELOADED:
    __import__(module)
assert "scipy" not in sys.modules
"""

HELP = f"""
import sys
from crater_ray.cli import main
sys.argv = ["crater-ray", "scan", "--help"]
try:
    main()
finally:
    assert not {HEAVY} & set(sys.modules), {HEAVY} & set(sys.modules)
"""


def said(code: str) -> str:
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_no_module_imports_a_framework_before_it_is_used() -> None:
    assert int(said(EVERY_MODULE)) > 60


def test_processes_of_ray_start_without_scipy() -> None:
    """Every scan starts some; only candidates and planted craters need it."""
    said(RAY_PROCESS)


def test_help_needs_no_heavy_package() -> None:
    assert "--out" in said(HELP)
