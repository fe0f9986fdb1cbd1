"""The trial of engines on this machine: real engines, in a process of its own; what came of it is kept."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from crater_ray.engines import kept, trial
from crater_ray.engines import processor as machine
from crater_ray.engines.choice import UNASKED, choose
from crater_ray.engines.registry import create, find
from crater_ray.engines.trial import Tried, judge
from crater_ray.network import bundle as bundles
from crater_ray.network.bundle import Bundle

pytest.importorskip("openvino")
NAMES = ["openvino-float", "openvino"]


@pytest.fixture(scope="module", autouse=True)
def _limits_of_this_process() -> None:
    """oneDNN reads its limits once, at its first use: those of `processor` must not reach tests of other files."""
    create("openvino-float", bundles.load(bundles.STARDUST)).score(np.zeros((1, 92, 92), np.uint8))


@pytest.fixture(autouse=True)
def processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without bfloat16 and GPU, whatever this one is, with an empty cache."""
    monkeypatch.setattr(machine, "has_gpu", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv(kept.ELSEWHERE, str(tmp_path / "cache"))


@pytest.fixture
def bundle() -> Bundle:
    shipped = bundles.load(bundles.STARDUST)
    card = shipped.figures["openvino_int8"] | {"kept_share": 1.0}
    return replace(shipped, figures=shipped.figures | {"openvino_int8": card})


def plant(bundle: Bundle, data: bytes, screened: bool = False) -> None:
    kept.write(trial.KIND, trial._key(bundle, NAMES, screened), data)


def said(rates: dict[str, float], **changes: object) -> bytes:
    one = Tried("", 1.0, 9, 9, 0.02, 0.005)
    found = [asdict(replace(one, engine=name, images_per_second=rate)) | changes for name, rate in rates.items()]
    return json.dumps(found).encode()


@pytest.mark.slow
def test_a_trial_finds_a_quick_engine_that_agrees_and_is_kept(bundle: Bundle) -> None:
    """On a processor without VNNI, 8-bit numbers say what float32 says; the second time nothing is computed."""
    made = choose("auto", bundle, screened=True)
    assert made.engine in NAMES
    assert "quickest here" in str(made.why)
    assert not made.warnings
    assert [one.engine for one in made.tried] == NAMES
    assert all(one.candidates > 4 and one.kept >= one.candidates - 1 for one in made.tried)
    assert made.tried[0].largest_difference == 0.0 < made.tried[1].largest_difference < 0.15
    key = trial._key(bundle, NAMES, True)
    assert json.loads(kept.read(trial.KIND, key) or b"") == [asdict(one) for one in made.tried]
    assert choose("auto", bundle, screened=True) == made


@pytest.mark.slow
def test_a_busy_machine_does_not_decide(bundle: Bundle) -> None:
    """Beside other work an engine is about as quick, by the time that cores worked for it, as alone."""
    engine, images = create("openvino-float", bundle), trial._images()
    engine.score(images[:4])  # compiled
    alone = max(trial._rate(engine, images) for _ in range(3))
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * machine.cores())]
    try:
        beside = max(trial._rate(engine, images) for _ in range(3))
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert 0.5 < beside / alone < 2.0  # by the clock it is a fifth


@pytest.mark.slow
def test_an_engine_that_finds_something_else_here_is_left_out_loudly(bundle: Bundle) -> None:
    card = bundle.figures["openvino_int8"]
    narrow = card | {"ranges": {name: top / 20 for name, top in card["ranges"].items()}}
    made = choose("auto", replace(bundle, figures={"openvino_int8": narrow}))
    assert made.engine == "openvino-float"
    assert len(made.warnings) == 1
    assert made.warnings[0].startswith("--engine openvino is not used on this machine: it")


@pytest.mark.slow
def test_a_trial_that_fails_is_said_and_not_kept(bundle: Bundle, tmp_path: Path) -> None:
    unknown = bundle.figures["openvino_int8"] | {"ranges": {"conv99": 1.0}}
    made = choose("auto", replace(bundle, figures={"openvino_int8": unknown}))
    assert made.engine == "keras"
    assert "conv99" in made.warnings[0]
    assert not [file for file in tmp_path.glob("cache/*/*") if file.suffix != ".lock"]


def test_what_was_kept_decides_and_close_ones_are_decided_by_precision(bundle: Bundle) -> None:
    plant(bundle, said({"openvino-float": 30.0, "openvino": 90.0}))
    made = choose("auto", bundle)
    assert (made.engine, made.why) == ("openvino", "quickest here with 90 images/s a core (openvino-float 30)")
    assert made.record()["tried"][1]["images_per_second"] == 90.0
    plant(bundle, said({"openvino-float": 88.0, "openvino": 90.0}))
    assert choose("auto", bundle).engine == "openvino-float"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        said({"openvino-float": 30.0}),
        said({"openvino-float": 30.0, "keras": 90.0}),
        said({"openvino-float": 30.0, "openvino": -1.0}),
        said({"openvino-float": 30.0, "openvino": 90.0}, kept=10),
        said({"openvino-float": 30.0, "openvino": 90.0}, unfit=3),
        said({"openvino-float": 30.0, "openvino": 90.0}, surplus=3),
        said({"openvino-float": 30.0, "openvino": 90.0}, mean_difference=float("nan")),
    ],
)
def test_what_was_kept_is_not_believed_blindly(data: bytes) -> None:
    assert trial._sound(data, NAMES) is None


def test_a_trial_belongs_to_machine_bundle_card_and_screen(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [trial._key(bundle, NAMES, screened) for screened in (False, True)]
    keys.append(trial._key(bundle, list(UNASKED), False))
    keys.append(trial._key(replace(bundle, figures={}), NAMES, False))
    keys.append(trial._key(replace(bundle, typical_threshold=0.5), NAMES, False))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
    keys.append(trial._key(bundle, NAMES, False))
    assert len({kept.name_of(key) for key in keys}) == len(keys)


def test_a_run_goes_on_with_its_engine(bundle: Bundle) -> None:
    plant(bundle, said({"openvino-float": 30.0, "openvino": 90.0}))
    made = choose("auto", bundle, begun="openvino-float")
    assert (made.engine, made.why) == ("openvino-float", "as the run began")
    assert choose("openvino", bundle, begun="keras").engine == "openvino"
    assert choose("auto", bundle, begun="an engine of another version").engine == "openvino"


@pytest.mark.parametrize(
    ("kept_", "largest", "mean", "why"),
    [
        (9, 0.06, 0.006, None),
        (8, 0.06, 0.006, None),
        (7, 0.06, 0.006, "it lost 2 of 9"),
        (9, 0.24, 0.006, "by up to 0.240, where the card says 0.065"),
        (9, 0.1, 0.05, "on average by 0.050"),
    ],
)
def test_differences_are_judged_by_the_card(kept_: int, largest: float, mean: float, why: str | None) -> None:
    card = {"largest_difference": 0.065, "mean_difference": 0.006}
    found = judge(Tried("openvino", 1.0, 9, kept_, largest, mean), card)
    assert found is None if why is None else why in str(found)


def test_engines_of_a_trial_import_no_tensorflow() -> None:
    assert all(find(name).package == "openvino" for name in UNASKED)
