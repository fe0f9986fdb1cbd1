"""A bundle: the folder that holds a network's weights and the card that says what they are.

BUNDLE/
  card.json      id, architecture, preprocessing, typical threshold, how it was trained, its measured figures
  weights.npz    plain float32 arrays by name; never pickled objects, never code
  screen.npz     likewise, where there is a screen; what it is stands in the card
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from crater_ray.errors import UsageError
from crater_ray.network import finder, stardust
from crater_ray.network import screen as screens
from crater_ray.network.pruning import drop_inactive, filter_counts
from crater_ray.network.screen import Screen
from crater_ray.network.stardust import Weights, apply_weights

if TYPE_CHECKING:
    import keras

FORMAT = 1
CARD = "card.json"
PREPROCESSINGS: dict[str, tuple[str, ...]] = {
    stardust.ARCHITECTURE: get_args(stardust.Preprocessing),
    finder.ARCHITECTURE: ("local-contrast",),
}
"""The networks that a bundle may hold, and how each of them may take its pixels."""
MAX_WEIGHT_BYTES = 64_000_000
SHIPPED = Path(__file__).parent / "bundles"
"""The folder of the bundles that ship inside the package."""
STARDUST, FINDER = SHIPPED / "stardust", SHIPPED / "finder"
"""The network of the Stardust interstellar foil search, and ours."""
DEFAULT = FINDER
"""The one that is used unless another is asked for, and by the name `default`."""


@dataclass(frozen=True)
class Bundle:
    """A network ready to be used, and what is known about it.

    Attributes:
        weights: float32 arrays by name, as `crater_ray.network.stardust.read_weights` gives them.
        preprocessing: how raw pixels become network input; one that `PREPROCESSINGS` has for the architecture.
        typical_threshold: the score from which an image is usually looked at.
        trained: what made the weights (recipe, data, seed, versions).
        figures: what was measured with them.
        name: what people call it.
        screen: the small network that finds safely empty images, where there is one.
        architecture: which network it is: that of the publication, or the finder.
    """

    weights: Weights
    preprocessing: Any
    typical_threshold: float
    trained: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    name: str = "unnamed"
    screen: Screen | None = None
    architecture: str = stardust.ARCHITECTURE

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 of all that decides a score: weights and preprocessing."""
        digest = hashlib.sha256(f"{self.architecture}/{self.preprocessing}".encode())
        for name in sorted(self.weights):
            array = self.weights[name]
            digest.update(f"{name}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array, "<f4").tobytes())
        return digest.hexdigest()[:12]

    @property
    def gives_maps(self) -> bool:
        """Whether the network gives maps of centres (the finder) instead of one pooled answer for an image."""
        return self.architecture == finder.ARCHITECTURE

    def model(self, *, evidence: bool = False, dtype: str = "float32", compact: bool = False) -> keras.Model:
        """The Keras model with these weights; see `build` of `crater_ray.network.stardust` and of `.finder`.

        Args:
            evidence: also give what tells where the score comes from; the finder's maps say it in any case.
            dtype: Keras policy of the convolutions.
            compact: without its inactive filters: the same answers sooner; see `crater_ray.network.pruning`.
        """
        if self.gives_maps:
            return finder.model_of(self.weights, dtype=dtype)
        weights = drop_inactive(self.weights) if compact else self.weights
        model = stardust.build(self.preprocessing, evidence=evidence, dtype=dtype, filters=filter_counts(weights))
        apply_weights(model, weights)
        return model

    def save(self, folder: str | Path) -> Path:
        """Write the bundle folder (made when missing), card last, and return its path.

        Raises:
            ValueError: its screen was distilled from another network.
        """
        if self.screen is not None and self.screen.bundle != self.id:
            raise ValueError(f"The screen was distilled from {self.screen.bundle}; the network here is {self.id}.")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "weights.npz", **{name: self.weights[name] for name in sorted(self.weights)})  # type: ignore[arg-type]
        if self.screen is not None:
            self.screen.save(folder)
        (folder / CARD).write_text(json.dumps(self.card(), indent=2) + "\n", encoding="utf-8")
        return folder

    def card(self) -> dict[str, Any]:
        """What `card.json` holds."""
        return {
            "format": FORMAT,
            "id": self.id,
            "name": self.name,
            "architecture": self.architecture,
            "parameters": int(sum(array.size for name, array in self.weights.items() if name not in finder.SETTINGS)),
            "preprocessing": self.preprocessing,
            "typical_threshold": self.typical_threshold,
            "trained": self.trained,
            "figures": self.figures,
            **({"screen": self.screen.card()} if self.screen else {}),
        }


def shipped() -> list[str]:
    """Names of the bundles that ship with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/card.json"))


def load(folder: str | Path = DEFAULT) -> Bundle:
    """Read and check a bundle folder.

    Args:
        folder: the bundle, or the name of one that ships with the package, or `default`; `DEFAULT` when not given.

    Raises:
        UsageError: there is no bundle, it was damaged or changed, or it is of another kind. Weights are read as
            plain arrays: a folder that holds pickled objects or code instead is refused, never run.
    """
    folder = Path(folder)
    if not folder.exists():
        folder = DEFAULT if str(folder) == "default" else SHIPPED / folder if str(folder) in shipped() else folder
    card = _read_card(folder)
    try:
        with zipfile.ZipFile(folder / "weights.npz") as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > MAX_WEIGHT_BYTES:
            raise ValueError(f"{size:,} bytes unpacked are more than any network here has")
        with np.load(folder / "weights.npz", allow_pickle=False) as stored:
            weights = {name: np.asarray(stored[name], np.float32) for name in stored.files}
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as problem:
        raise UsageError(
            f"The bundle {str(folder)!r} has no readable weights.npz ({problem}). Fetch or train the bundle again."
        ) from None
    bundle = Bundle(
        weights=weights,
        preprocessing=card["preprocessing"],
        typical_threshold=float(card["typical_threshold"]),
        trained=dict(card.get("trained", {})),
        figures=dict(card.get("figures", {})),
        name=str(card.get("name", folder.name)),
        architecture=card["architecture"],
    )
    _check_weights(bundle, folder)
    if bundle.id != card["id"]:
        raise UsageError(
            f"The bundle {str(folder)!r} was damaged or changed: its card says {card['id']!r} "
            f"but its weights have the id {bundle.id!r}. Fetch or train the bundle again."
        )
    if "screen" in card:
        return replace(bundle, screen=screens.load(folder, card["screen"], bundle.id))
    return bundle


def _check_weights(bundle: Bundle, folder: Path) -> None:
    if bundle.gives_maps:
        try:
            finder.widths_of(bundle.weights)
        except ValueError as problem:
            raise UsageError(f"The weights of the bundle {str(folder)!r} cannot be used: {problem}") from None
        return
    count = sum(array.size for array in bundle.weights.values())
    if count != stardust.PARAMETERS:
        raise UsageError(
            f"The weights of the bundle {str(folder)!r} are not those of {bundle.architecture}: it has "
            f"{stardust.PARAMETERS:,} parameters; received: {count:,}"
        )


def _read_card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"No bundle at {str(folder)!r}: a bundle is a folder with card.json and weights.npz. "
            f"Check --bundle, or name one that ships with crater-ray: {', '.join(shipped())}."
        ) from None
    except (OSError, ValueError) as problem:
        raise UsageError(f"The card of the bundle {str(folder)!r} cannot be read: {problem}") from None
    wanted = {"format", "id", "architecture", "preprocessing", "typical_threshold"}
    if not isinstance(card, dict) or not wanted <= set(card):
        missing = sorted(wanted - set(card)) if isinstance(card, dict) else sorted(wanted)
        raise UsageError(f"The card of the bundle {str(folder)!r} lacks {', '.join(missing)}.")
    if card["format"] != FORMAT or card["architecture"] not in PREPROCESSINGS:
        raise UsageError(
            f"The bundle {str(folder)!r} is of another kind: this version reads format {FORMAT} of "
            f"{' and '.join(PREPROCESSINGS)}; received: format {card['format']} of {card['architecture']}"
        )
    threshold, notes = card["typical_threshold"], [card.get("trained", {}), card.get("figures", {})]
    if not isinstance(threshold, int | float) or not all(isinstance(note, dict) for note in notes):
        raise UsageError(
            f"The card of the bundle {str(folder)!r} must have a number as typical_threshold, and objects as trained "
            f"and figures; received: {str([threshold, *notes])[:200]}"
        )
    known = PREPROCESSINGS[card["architecture"]]
    if card["preprocessing"] not in known:
        raise UsageError(
            f"The bundle {str(folder)!r} wants the preprocessing {card['preprocessing']!r}, "
            f"which this version does not have. It has: {', '.join(known)}"
        )
    return card
