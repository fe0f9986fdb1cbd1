"""The network is the original one, on any backend, and bundles hold it safely."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from crater_ray.errors import UsageError
from crater_ray.images.bounds import SMALLEST_SIDE
from crater_ray.network import bundle as bundles
from crater_ray.network.stardust import RECEPTIVE_FIELD, STRIDE, feature_size


def test_layer_table() -> None:
    from crater_ray.network.stardust import build

    model = build()
    counts = [layer.count_params() for layer in model.layers if layer.count_params()]
    conv = [640, 36_928, 36_928, 36_928, 36_928, 36_928, 18_464, 9_248]
    dense = [1_056, 1_056, 528, 272, 272, 272, 17]
    assert counts == conv + dense
    assert model.count_params() == 216_465
    assert (RECEPTIVE_FIELD, STRIDE) == (92, 16)
    assert RECEPTIVE_FIELD == SMALLEST_SIDE
    assert (feature_size(384), feature_size(512), feature_size(92), feature_size(91)) == (19, 27, 1, 0)


BACKEND = """
import numpy as np, keras
from crater_ray.network.bundle import load
images = np.random.default_rng(0).integers(0, 255, (3, 100, 140, 1)).astype("uint8")
answer = load({folder!r}).model(evidence=True)(images)
print(keras.backend.backend(), *[float(x) for x in keras.ops.convert_to_numpy(answer["score"])])
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_same_scores_on_every_backend(backend: str, untrained: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    import os

    code = BACKEND.format(folder=str(untrained))
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    name, *scores = done.stdout.split()
    assert name == backend
    images = np.random.default_rng(0).integers(0, 255, (3, 100, 140, 1)).astype("uint8")
    here = bundles.load(untrained).model(evidence=True)(images)["score"]
    assert np.allclose([float(score) for score in scores], np.asarray(here), atol=1e-4)


@pytest.mark.parametrize("preprocessing", ["minmax", "sigma-clip"])
def test_exposure_does_not_change_the_score(preprocessing: str) -> None:
    from crater_ray.network.stardust import build

    model = build(preprocessing)  # type: ignore[arg-type]
    image = np.random.default_rng(1).integers(0, 100, (1, 120, 120, 1)).astype("uint8")
    brighter = image + 90
    doubled = image * 2
    scores = [float(model(x)[0, 0]) for x in (image, brighter, doubled)]
    assert np.allclose(scores, scores[0], atol=1e-4)


def test_one_bright_grain_does_not_spoil_sigma_clip() -> None:
    from crater_ray.network.normalize import Normalize

    image = np.random.default_rng(1).integers(60, 100, (1, 200, 200, 1)).astype("uint8")
    grain = image.copy()
    grain[0, 5:9, 5:9] = 255
    away = np.s_[0, 50:, 50:, 0]
    before, after = (np.asarray(Normalize("sigma-clip")(x))[away] for x in (image, grain))
    assert np.abs(before - after).max() < 0.05
    before, after = (np.asarray(Normalize("minmax")(x))[away] for x in (image, grain))
    assert np.abs(before - after).max() > 0.5


def test_shipped_bundle_is_sound() -> None:
    bundle = bundles.load(bundles.STARDUST)
    card = json.loads((bundles.STARDUST / "card.json").read_text())
    assert card["id"] == bundle.id
    assert card["parameters"] == 216_465
    assert card["trained"], "the card must say how it was trained"
    assert 0 < bundle.typical_threshold < 1


def test_bundle_comes_back_and_its_id_follows_the_weights(untrained: Path, tmp_path: Path) -> None:
    bundle = bundles.load(untrained)
    assert bundles.load(bundle.save(tmp_path / "copy")).id == bundle.id
    weights = {**bundle.weights, "dense7/bias": bundle.weights["dense7/bias"] + 1e-3}
    other = bundles.Bundle(weights, "minmax", 0.5)
    assert other.id != bundle.id
    assert bundles.Bundle(bundle.weights, "sigma-clip", 0.5).id != bundle.id


def test_damaged_bundles_are_refused(untrained: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No bundle at"):
        bundles.load(tmp_path)
    bundle = bundles.load(untrained)
    folder = bundle.save(tmp_path / "b")
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "id": "0" * 12}))
    with pytest.raises(UsageError, match="damaged or changed"):
        bundles.load(folder)
    (folder / "card.json").write_text(json.dumps({**card, "preprocessing": "magic"}))
    with pytest.raises(UsageError, match="magic"):
        bundles.load(folder)
    (folder / "card.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        bundles.load(folder)
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "weights.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(UsageError, match=r"weights\.npz"):
        bundles.load(folder)


def test_pickled_code_in_a_bundle_is_not_run(untrained: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path(tmp_path, "exploded"),))  # type: ignore[return-value]

    folder = bundles.load(untrained).save(tmp_path / "b")
    with (folder / "weights.npz").open("wb") as file:
        np.savez(file, **{"conv1/kernel": np.array([Bomb()], dtype=object)})
    with pytest.raises(UsageError, match=r"weights\.npz"):
        bundles.load(folder)
    assert not (tmp_path / "exploded").exists()
