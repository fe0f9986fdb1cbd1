"""Gold standards among what people judged: images whose answer is known. They are none of the run's, and never count.

The run keeps which keys are gold standards as `RUN/gold/<digest>.json`; a file that a gallery saved marks them as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from crater_ray.errors import UsageError
from crater_ray.runs.run import Run

FOLDER = "gold/"
FORMAT = 1
TRUTHS = ("crater", "not")


@dataclass(frozen=True)
class GoldStandard:
    """An image whose answer is known.

    Attributes:
        key: under which people see it; of no image of the run.
        truth: crater or not.
        image: key of the run's image that it is made of.
        x, y, diameter: of the planted crater, px; of a blank the place that is shown.
    """

    key: str
    truth: str
    image: str
    x: float | None = None
    y: float | None = None
    diameter: float | None = None


@dataclass(frozen=True)
class GoldVerdict:
    """What one person says of a gold standard.

    Attributes:
        key: of the gold standard.
        truth: what it is.
        verdict: crater, not, unsure; empty for one that was taken back.
        reviewer: who.
        when: ISO 8601.
    """

    key: str
    truth: str
    verdict: str
    reviewer: str
    when: str


def keep_gold(run: Run, some: Iterable[GoldStandard]) -> str:
    """Keep with a run which keys are gold standards. The same ones twice are the same as once.

    Returns:
        Where they are kept.
    """
    content = {"format": FORMAT, "run_id": run.id, "gold": [asdict(one) for one in some]}
    data = (json.dumps(content, ensure_ascii=True, indent=1) + "\n").encode()
    name = f"{FOLDER}{hashlib.sha256(data).hexdigest()[:16]}.json"
    run.folder.publish(name, data)
    return f"{run.folder.uri.rstrip('/')}/{name}"


def kept_gold(run: Run) -> dict[str, GoldStandard]:
    """All gold standards that a run knows, by key."""
    return {entry["key"]: GoldStandard(**entry) for entry in _entries(run, FOLDER)}


def read_gold_verdicts(run: Run, reviews: str) -> list[GoldVerdict]:
    """All verdicts on gold standards that are kept with a run; of several by one person on one the newest.

    Args:
        run: what was reviewed.
        reviews: the folder of reviews in the run's.
    """
    newest: dict[tuple[str, str], GoldVerdict] = {}
    for entry in _entries(run, reviews):
        one = GoldVerdict(**entry)
        old = newest.get((one.key, one.reviewer))
        if old is None or old.when <= one.when:
            newest[one.key, one.reviewer] = one
    return [newest[at] for at in sorted(newest) if newest[at].verdict]


def _entries(run: Run, folder: str) -> Iterator[dict[str, Any]]:
    for name in sorted(name for name, _ in run.folder.names(folder)):
        if name.endswith(".json"):
            try:
                yield from json.loads(run.folder.read(name)).get("gold", [])
            except (ValueError, AttributeError) as problem:
                raise UsageError(f"{run.folder.uri}/{name} is damaged: {problem}. Remove it.") from None
