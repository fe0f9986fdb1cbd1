"""The scores of a run, foil by foil, with what people said of them: what false alarms are counted from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.results.image_table import foils_of
from crater_ray.results.open_run import Results
from crater_ray.results.review.verdicts import Verdict
from crater_ray.runs.run import Run

WORDS = {"crater": 1, "not": 2}
"""Numbers of verdicts; 0 is every other image."""
MOST_FOILS = 1_000
"""With more names than this they are no foils, such as a folder for each image: then all images are of one."""


@dataclass(frozen=True)
class FoilScores:
    """What a run has of one foil.

    Attributes:
        foil: its name; empty where it is not known.
        scores: (n,) float32 of its images, rising.
        said: (n,) int8, what people said of each: see `WORDS`.
        least: scores up to here are the screen's own estimates.
    """

    foil: str
    scores: np.ndarray
    said: np.ndarray
    least: float

    def __len__(self) -> int:
        return len(self.scores)

    def judged_from(self) -> float:
        """The score from which on people have judged every image; infinite where they have not judged the best."""
        unknown = np.flatnonzero(self.said == 0)
        if not len(unknown):
            return 0.0
        last = int(unknown[-1])
        above = self.scores[last + 1 :]
        above = above[above > self.scores[last]]
        return float(above[0]) if len(above) else float("inf")


def scores_by_foil(
    run: Run, verdicts: Mapping[str, Verdict], image_table: pa.Table | None = None
) -> dict[str, FoilScores]:
    """The scores of a run's images by foil, sorted by name; under an empty name those whose foil is not known.

    Args:
        run: complete or not.
        verdicts: agreed ones by key, as `crater_ray.results.review.verdicts.consensus` gives them.
        image_table: for the foils; else frames' names tell, else the first folder of the key.
    """
    judged = {
        word: pa.array(sorted(k for k, v in verdicts.items() if v.verdict == word), pa.string()) for word in WORDS
    }
    foils: dict[str, list[tuple[np.ndarray, np.ndarray, float]]] = {}
    for part in Results(run).parts(["key", "score", "stage"]):
        rows = part.filter(pc.is_valid(part["score"]))
        scores = rows["score"].to_numpy().astype(np.float32)
        said = np.zeros(len(scores), np.int8)
        for word, keys in judged.items():
            said[pc.is_in(rows["key"], value_set=keys).to_numpy()] = WORDS[word]
        screened = pc.fill_null(pc.equal(rows["stage"], "screen"), False).to_numpy()
        names = pc.dictionary_encode(foils_of(rows, image_table).combine_chunks())
        which = names.indices.to_numpy()
        for number, foil in enumerate(names.dictionary.to_pylist()):
            mine = which == number
            least = float(scores[mine & screened].max(initial=0.0))
            foils.setdefault(foil, []).append((scores[mine], said[mine], least))
    if len(foils) > MOST_FOILS:
        foils = {"": [part for parts in foils.values() for part in parts]}
    found = {}
    for foil in sorted(foils):
        scores, said = (np.concatenate([part[place] for part in foils[foil]]) for place in (0, 1))
        order = np.argsort(scores, kind="stable")
        found[foil] = FoilScores(foil, scores[order], said[order], max(part[2] for part in foils[foil]))
    return found
