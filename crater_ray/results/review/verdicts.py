"""Reviews: people's verdicts on images, kept with the run, and what they say about it.

Each imported file becomes one object `RUN/reviews/<digest>.json`, beside the parts and not among them: `verify`,
`status` and resuming look at `RUN/parts/` only and are not touched by reviews.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.errors import UsageError
from crater_ray.results.review.gold import TRUTHS, GoldStandard, GoldVerdict, kept_gold
from crater_ray.runs.run import Run, now
from crater_ray.storage.errors import explain

FORMAT = 1
KIND = "crater-ray verdicts"
VERDICTS = ("crater", "not", "unsure")
FOLDER = "reviews/"


@dataclass(frozen=True)
class Verdict:
    """What one person says of one image.

    Attributes:
        key: of the image.
        verdict: crater, not, unsure; empty for one that was taken back.
        reviewer: who.
        when: ISO 8601.
        x, y: where the crater is, in px, if the reviewer says so.
    """

    key: str
    verdict: str
    reviewer: str
    when: str
    x: float | None = None
    y: float | None = None


def import_file(run: Run, path: Path, reviewer: str | None = None, any_run: bool = False) -> int:
    """Keep the verdicts of a file with the run. The same file twice is the same as once.

    Args:
        run: what was reviewed.
        path: a file saved by a gallery, or a CSV with the columns `key` and `verdict`, and if wanted `reviewer`,
            `when`, `x`, `y`, `truth`. Rows with a truth (crater or not) are of gold standards, and so is what the run
            knows as such.
        reviewer: who, where the file does not say so.
        any_run: also take verdicts that were given on the gallery of another run over the same images.

    Returns:
        How many verdicts it holds, gold standards left out.

    Raises:
        UsageError: the file is not of this kind, of another run, or about images that the run does not have.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"There is no file {str(path)!r}.") from None
    except OSError as problem:
        raise explain(problem, str(path)) from None
    try:
        text = data.decode("utf-8-sig")
        said = _read_csv(text, reviewer) if path.suffix.lower() == ".csv" else _read_json(text, run, reviewer, any_run)
        verdicts, gold = _parted(said, kept_gold(run))
    except (ValueError, KeyError, TypeError) as problem:
        raise UsageError(f"{str(path)!r} is no file of verdicts: {problem}") from None
    _require_known(run, path, verdicts)
    content = {
        "format": FORMAT,
        "run_id": run.id,
        "imported": now(),
        "verdicts": [asdict(verdict) for verdict in verdicts],
        "gold": [asdict(one) for one in gold],
    }
    name = hashlib.sha256(data + (reviewer or "").encode()).hexdigest()[:16]
    text = json.dumps(content, ensure_ascii=True, indent=1) + "\n"
    run.folder.publish(f"{FOLDER}{name}.json", text.encode())
    return len(verdicts)


Said = list[tuple[Verdict, str | None]]
"""Verdicts, each with the truth where the file says that it is of a gold standard."""


def _parted(said: Said, known: Mapping[str, GoldStandard]) -> tuple[list[Verdict], list[GoldVerdict]]:
    """Verdicts on images of the run, and those on gold standards."""
    verdicts, gold = [], []
    for verdict, told in said:
        truth = known[verdict.key].truth if verdict.key in known else told
        if truth is None:
            verdicts.append(verdict)
        elif truth in TRUTHS:
            gold.append(GoldVerdict(verdict.key, truth, verdict.verdict, verdict.reviewer, verdict.when))
        else:
            raise ValueError(f"a truth must be one of {', '.join(TRUTHS)}; received: {truth!r} for {verdict.key!r}")
    return verdicts, gold


def _read_json(text: str, run: Run, reviewer: str | None, any_run: bool) -> Said:
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("kind") != KIND or content.get("format") != FORMAT:
        raise ValueError(f"it does not say that it is {KIND!r} of format {FORMAT}")
    if content["run_id"] != run.id and not any_run:
        raise UsageError(
            f"These verdicts were given on another run ({content['run_id']!r}; this one is {run.id!r}). "
            "If it is of the same images, add --any-run."
        )
    who = reviewer or content["reviewer"]
    return [(_verdict(entry, who), entry.get("gold")) for entry in content["verdicts"]]


def _read_csv(text: str, reviewer: str | None) -> Said:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = {"key", "verdict"} - set(reader.fieldnames or ())
    if missing:
        raise ValueError(f"it has no column {' and '.join(sorted(missing))}")
    return [(_verdict(row, row.get("reviewer") or reviewer), row.get("truth") or None) for row in reader]


def _verdict(entry: dict[str, Any], reviewer: str | None) -> Verdict:
    if not reviewer or not isinstance(reviewer, str):
        raise UsageError("The file does not say who reviewed. Add --reviewer NAME.")
    key, verdict = entry["key"], entry["verdict"]
    if not isinstance(key, str) or verdict not in (*VERDICTS, ""):
        raise ValueError(f"a verdict must be one of {', '.join(VERDICTS)}; received: {verdict!r} for {key!r}")
    place = [float(entry[name]) if entry.get(name) not in (None, "") else None for name in ("x", "y")]
    return Verdict(key, verdict, reviewer.strip(), str(entry.get("when") or now()), *place)


def _require_known(run: Run, path: Path, verdicts: list[Verdict]) -> None:
    wanted = pa.array(sorted({verdict.key for verdict in verdicts}), pa.string())
    for shard in range(run.manifest.shards):
        keys = run.manifest.shard(shard)["key"].combine_chunks()
        wanted = wanted.filter(pc.invert(pc.is_in(wanted, value_set=keys)))
    if len(wanted):
        some = ", ".join(repr(key) for key in wanted[:3].to_pylist()) + " ..." * (len(wanted) > 3)
        raise UsageError(f"{str(path)!r} has verdicts on {len(wanted):,} images that the run does not have: {some}")


def read_verdicts(run: Run) -> list[Verdict]:
    """All verdicts kept with a run; of several by one person on one image the newest. Sorted by key and reviewer."""
    newest: dict[tuple[str, str], Verdict] = {}
    for name in sorted(name for name, _ in run.folder.names(FOLDER)):
        if not name.endswith(".json"):
            continue
        try:
            content = json.loads(run.folder.read(name))
            verdicts = [Verdict(**entry) for entry in content["verdicts"]]
        except (ValueError, KeyError, TypeError) as problem:
            raise UsageError(f"{run.folder.uri}/{name} is damaged: {problem}. Remove it and import again.") from None
        for verdict in verdicts:
            old = newest.get((verdict.key, verdict.reviewer))
            if old is None or old.when <= verdict.when:
                newest[verdict.key, verdict.reviewer] = verdict
    return [newest[at] for at in sorted(newest) if newest[at].verdict]


def consensus(verdicts: list[Verdict]) -> dict[str, Verdict]:
    """One verdict per image: what more people say, `unsure` when crater and not are said equally often.

    The place is that of the newest verdict that gives one.
    """
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.key, []).append(verdict)
    agreed: dict[str, Verdict] = {}
    for key, some in found.items():
        votes = sum((one.verdict == "crater") - (one.verdict == "not") for one in some)
        word = "crater" if votes > 0 else "not" if votes < 0 else "unsure"
        placed = max((one for one in some if one.x is not None), key=lambda one: one.when, default=None)
        who = ", ".join(sorted(one.reviewer for one in some))
        place = (placed.x, placed.y) if placed else (None, None)
        agreed[key] = Verdict(key, word, who, max(one.when for one in some), *place)
    return agreed


def training_table(judged: pa.Table) -> pa.Table:
    """What `python -m training retrain` takes: the same columns, `verdict` crater or blank; unsure ones are left out.

    Args:
        judged: as `judged_rows` gives it.
    """
    sure = judged.filter(pc.not_equal(judged["verdict"], "unsure"))
    words = pc.if_else(pc.equal(sure["verdict"], "crater"), "crater", "blank")
    return sure.set_column(sure.schema.get_field_index("verdict"), "verdict", words)


def judged_rows(run: Run, agreed: dict[str, Verdict]) -> pa.Table:
    """The judged images: `key`, `uri`, `verdict`, `x`, `y`, `score`, by key.

    Args:
        run: what was reviewed.
        agreed: as `consensus` gives it. A place given by a reviewer goes before the network's.
    """
    wanted = pa.array(sorted(agreed), pa.string())
    rows: list[dict[str, Any]] = []
    for part_rows in run.parts():
        for row in part_rows.filter(pc.is_in(part_rows["key"], value_set=wanted)).to_pylist():
            said = agreed[row["key"]]
            place = (row["x"], row["y"]) if said.x is None else (said.x, said.y)
            rows.append(
                {"key": row["key"], "uri": row["uri"], "verdict": said.verdict, "x": place[0], "y": place[1]}
                | {"score": row["score"]}
            )
    text, number = pa.string(), pa.float32()
    names = {"key": text, "uri": text, "verdict": text, "x": number, "y": number, "score": number}
    return pa.Table.from_pylist(rows, schema=pa.schema(list(names.items())))
