"""The audit of screening: some images that the screen found empty are looked at by the full network all the same.

Which ones is decided by a hash of the run and the key, so that a resumed scan, or another machine, takes the same.
Their rows say `stage` = `audit`: all that is stated here is counted from the parts alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SCREEN = "screen"
AUDIT = "audit"
"""What the column `stage` says of images that the screen alone looked at, and of those that it found empty but that
were audited."""

SHARE = 0.005
"""Part of the images found empty that is audited."""
CONFIDENCE = 0.95


def chosen(run_id: str, keys: Sequence[str]) -> np.ndarray:
    """Which images are audited if the screen finds them empty, (n,) bool."""
    limit = int(SHARE * 2**64)
    start = hashlib.blake2b(run_id.encode(), digest_size=8)

    def takes(key: str) -> bool:
        digest = start.copy()
        digest.update(key.encode("utf-8", "surrogatepass"))
        return int.from_bytes(digest.digest(), "big") < limit

    return np.fromiter((takes(key) for key in keys), bool, len(keys))


@dataclass
class Audit:
    """What the audit of a run found.

    Attributes:
        promise: share of the full network's candidates that the screen promises to let pass.
        screened: images that the screen alone found empty.
        audited: images that the screen found empty and the full network looked at.
        found: candidates among them.
        candidates: candidates of the whole run, those included.
    """

    promise: float
    screened: int = 0
    audited: int = 0
    found: int = 0
    candidates: int = 0

    def add(self, rows: pa.Table, threshold: float) -> None:
        """Count the rows of a part."""
        stage = rows["stage"]
        candidate = pc.greater_equal(rows["score"], pa.scalar(threshold, pa.float32()))
        self.screened += _count(pc.equal(stage, SCREEN))
        self.audited += _count(pc.equal(stage, AUDIT))
        self.found += _count(pc.and_(pc.equal(stage, AUDIT), candidate))
        self.candidates += _count(candidate)

    @property
    def missed_at_most(self) -> int:
        """The upper bound, at 95% confidence, on candidates among the images that the screen alone looked at.

        Source: the one-sided interval of Clopper and Pearson (1934) for the share in all that the screen found
        empty, of which the audited are a random sample.
        """
        return int(np.ceil(self._bound(self.found + 1, self.audited - self.found, CONFIDENCE) * self.screened))

    @property
    def broken(self) -> bool:
        """Whether the audit contradicts the promise: at 95% confidence, more candidates are missed than promised."""
        if not self.found:
            return False
        promised = (1.0 - self.promise) * self.candidates / (self.screened + self.audited)
        return self._bound(self.found, self.audited - self.found + 1, 1.0 - CONFIDENCE) > promised

    @staticmethod
    def _bound(a: int, b: int, level: float) -> float:
        from scipy.special import betaincinv

        return 1.0 if b == 0 else float(betaincinv(a, b, level))

    def record(self) -> dict[str, Any]:
        """What `_SUCCESS` and run.json keep of it."""
        return {
            "promise": self.promise,
            "screened_out": self.screened + self.audited,
            "audited": self.audited,
            "candidates_found": self.found,
            "missed_at_most": self.missed_at_most,
            "confidence": CONFIDENCE,
            "promise_broken": self.broken,
        }

    def text(self) -> str:
        """The same in words."""
        out = self.screened + self.audited
        if not self.audited:
            return f"{out:,} images screened out, none of them audited: nothing is known of candidates among them"
        return (
            f"{out:,} images screened out, {self.audited:,} of them audited: {self.found:,} "
            f"candidate{'s' * (self.found != 1)} found; with 95% confidence at most {self.missed_at_most:,} missed"
        )

    def warning(self) -> str:
        """What to say, loudly, when `broken`."""
        return (
            f"THE SCREEN MISSES MORE THAN PROMISED: it was to pass {100 * self.promise:.4g}% of the full network's "
            f"candidates, but {self.found:,} of {self.audited:,} audited images that it found empty are candidates. "
            "These images are unlike those it was made for: scan them without --screen, or distil a screen on them."
        )


def audit_of(record: Mapping[str, Any]) -> Audit | None:
    """An audit without counts for the run that this run.json belongs to; None when it has no screen.

    Merged runs have none either: where rows were replaced, those audited are no random sample any more.
    """
    if not record["settings"].get("screen") or "screen_promise" not in record:
        return None
    return Audit(promise=float(record["screen_promise"]))


def _count(mask: Any) -> int:
    return int(pc.sum(mask).as_py() or 0)
