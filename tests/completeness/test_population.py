"""A foil's own craters are told by those confirmed: the share found covers the truth where planted ones are clearer."""

from __future__ import annotations

import html
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crater_ray.completeness import population as population_module
from crater_ray.completeness import read_completeness
from crater_ray.completeness.clearness import FILE, SCHEMA, keep_clearness
from crater_ray.completeness.matched import matched_shares
from crater_ray.completeness.own import Own, own_craters
from crater_ray.completeness.page import page as make_page
from crater_ray.completeness.planted import PlantedCraters
from crater_ray.completeness.population import Clearness, Population, population_of
from crater_ray.completeness.shares import all_shares
from crater_ray.results.open_run import Results
from crater_ray.results.review.verdicts import import_file
from crater_ray.runs.run import open_existing
from crater_ray.storage.access import Access

SPREAD = 0.8
"""Of the logarithm of ratios of one size."""
SCATTER = 0.15
"""Of the logarithm of measured ratios."""


def chance_found(ratio: np.ndarray) -> np.ndarray:
    """Of craters by the logarithm of their ratio: half of those at 14."""
    return 0.95 / (1 + np.exp(-4.0 * (ratio - np.log(14.0))))


def draw(rng: np.random.Generator, count: int, clearer: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Diameters, logarithms of ratios, and which are found."""
    size = rng.uniform(np.log(3.0), np.log(40.0), count)
    ratio = 3.0 + 0.7 * (size - 2.4) + np.log(clearer) + rng.normal(0, SPREAD, count)
    return np.exp(size), ratio, rng.random(count) < chance_found(ratio)


def planted(rng: np.random.Generator, count: int = 400) -> PlantedCraters:
    diameter, ratio, found = draw(rng, count, 1.0)
    plan = pa.table(
        {
            "key": [f"p{number}" for number in range(count)],
            "foil": [""] * count,
            "weight": np.ones(count),
            "diameter": diameter,
            "ratio": np.exp(ratio),
            "visible": ratio >= np.log(12.0),
            "look": rng.choice(["fresh", "shallow"], count),
            **{name: np.ones(count) for name in ("contrast_to_noise", "noise", "blur")},
        }
    )
    score, unknown = np.where(found, 0.9, -np.inf).astype(np.float32), np.full(count, np.nan)
    return PlantedCraters(plan, score, unknown, diameter, np.full((count, 2), np.nan), score, unknown, 0, 0.5)


def seen(rng: np.random.Generator, craters: PlantedCraters, count: int, clearer: float) -> Clearness:
    """What a foil with so many craters shows of them."""
    diameter, ratio, found = draw(rng, count, clearer)
    compared = np.flatnonzero(craters.found(0.5))

    def measured(ratio: np.ndarray) -> np.ndarray:
        return np.exp(1.1 * ratio - 0.2 + rng.normal(0, SCATTER, len(ratio)))

    return Clearness(
        diameter[found], measured(ratio[found]), np.array([""] * found.sum(), object), compared,
        craters.column("diameter")[compared], measured(np.log(craters.column("ratio")[compared])),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("clearer", [0.4, 1.0])
def test_intervals_cover_a_foils_own_share(clearer: float) -> None:
    """Of ten foils with 60 craters each, found to about a third or a half."""
    rng = np.random.default_rng(3)
    _, ratio, _ = draw(rng, 100_000, clearer)
    true = chance_found(ratio).mean()
    visible = chance_found(ratio[ratio >= np.log(12.0)]).mean()
    covered, as_planted, factors = [], [], []
    for _ in range(10):
        craters = planted(rng)
        population = Population(craters, seen(rng, craters, 60, clearer), 0.5)
        shares = all_shares(craters, 0.5)
        of_visible, of_all = matched_shares(shares, craters, population, 0.5)["matched_all"]
        covered += [of_all.lower <= true <= of_all.upper, of_visible.lower <= visible <= of_visible.upper]
        as_planted.append(shares["all"][2].lower <= true <= shares["all"][2].upper)
        factors.append(population.clearer[1] <= clearer <= population.clearer[2])
        assert of_all.upper - of_all.lower > shares["all"][2].upper - shares["all"][2].lower
    assert sum(covered) >= 18
    assert sum(factors) >= 9
    assert sum(as_planted) <= 1 if clearer < 1 else sum(as_planted) >= 8


@pytest.mark.slow
def test_what_was_missed_covers_the_truth_by_size() -> None:
    """Of four foils with 60 craters each, whose diameters are measured to 15%."""
    rng = np.random.default_rng(8)
    right = []
    for _ in range(4):
        craters = planted(rng)
        craters = replace(craters, found_diameter=craters.found_diameter * np.exp(rng.normal(0, 0.15, len(craters))))
        diameter, ratio, found = draw(rng, 60, 0.6)
        clear = np.exp(1.1 * ratio - 0.2 + rng.normal(0, SCATTER, len(ratio)))
        given = diameter * np.exp(rng.normal(0, 0.15, len(diameter)))
        compared = np.flatnonzero(craters.found(0.5))
        like = np.exp(1.1 * np.log(craters.column("ratio")[compared]) - 0.2 + rng.normal(0, SCATTER, len(compared)))
        foils = np.array([""] * found.sum(), object)
        seen = Clearness(given[found], clear[found], foils, compared, craters.found_diameter[compared], like)
        population = Population(craters, seen, 0.5)
        shares = all_shares(craters, 0.5)
        own = matched_shares(shares, craters, population, 0.5)
        sizes = [own["matched_all"][0], *own["matched_diameter_px"]]
        for one in own_craters(craters, sizes, given[found], np.ones(found.sum(), bool), 0.5, population.likeness):
            low, high = one.low or 0, one.high or np.inf
            true = (diameter >= low) & (diameter < high) & (ratio >= np.log(12.0))
            missed = (true & ~found).sum()
            most = np.inf if one.missed_most is None else one.missed_most
            if true.sum() >= 3:
                right.append(one.missed_fewest <= missed <= most)
                share = 1 - missed / true.sum()
                right.append(share == 0 if one.lower is None else one.lower <= share <= one.upper)  # type: ignore[operator]
    assert len(right) > 30
    assert sum(right) >= 0.93 * len(right), f"{sum(right)} of {len(right)}"


@pytest.mark.slow
def test_every_class_of_size_is_matched_and_fainter_craters_are_found_less() -> None:
    rng = np.random.default_rng(4)
    craters = planted(rng)
    shares = all_shares(craters, 0.5)
    faint, clear = (
        matched_shares(shares, craters, Population(craters, seen(rng, craters, 150, clearer), 0.5), 0.5)
        for clearer in (0.4, 1.5)
    )
    assert set(faint) == {"matched_all", "matched_diameter_px", "matched_every_diameter_px"}
    for name, own in faint.items():
        before = [share for share in shares[name.removeprefix("matched_")] if share.name != "not visible"]
        assert [(one.low, one.high, one.planted) for one in own] == [(one.low, one.high, one.planted) for one in before]
        assert all(one.share < other.share for one, other in zip(own, clear[name], strict=True))
        assert all(0 <= one.lower <= one.share <= one.upper <= 1 for one in own)


def test_more_confirmed_craters_tell_more() -> None:
    rng = np.random.default_rng(5)
    craters = planted(rng, 1_000)
    few, many = (Population(craters, seen(rng, craters, count, 0.5), 0.5).clearer for count in (25, 400))
    assert many[2] / many[1] < 0.6 * few[2] / few[1]


@pytest.mark.slow
def test_one_confirmed_crater_widens_the_interval_and_none_leaves_it_as_planted() -> None:
    rng = np.random.default_rng(6)
    craters = planted(rng)
    whole = seen(rng, craters, 60, 0.5)

    def told(count: int) -> Population | None:
        first = (getattr(whole, name)[:count] for name in ("diameter", "ratio", "foil"))
        return population_of(craters, Clearness(*first, *list(vars(whole).values())[3:]), 0.5)

    shares = all_shares(craters, 0.5)
    widths, factors = [], []
    for count in (1, 4, len(whole.ratio)):
        population = told(count)
        assert population is not None
        share = matched_shares(shares, craters, population, 0.5)["matched_all"][1]
        widths.append(share.upper - share.lower)
        factors.append(population.clearer[2] / population.clearer[1])
    assert factors[0] > 1.5 * factors[1]
    assert factors[1] >= factors[2]
    assert widths[0] > widths[2]
    assert min(widths) > 2 * (shares["all"][2].upper - shares["all"][2].lower)
    assert told(0) is None
    uncompared = [one[:40] for one in list(vars(whole).values())[3:]]
    assert population_of(craters, Clearness(whole.diameter, whole.ratio, whole.foil, *uncompared), 0.5) is None


@pytest.mark.slow
def test_confirmed_craters_of_a_run_change_its_densities(
    measured_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population_module, "LEAST_COMPARED", 5)  # the run is small
    run_path = shutil.copytree(measured_run, tmp_path / "run")
    with open_existing(run_path) as run:
        keep_clearness(run, Access())
        assert not (run_path / "completeness" / FILE).exists()  # nobody confirmed anything yet
        rows = Results(run).candidates(columns=["key", "diameter"]).to_pylist()
        own = [row["key"] for row in rows if row["diameter"]][:7]
        lines = "".join(f"{row['key']},{'crater' if row['key'] in own else 'not'}\n" for row in rows)
        (tmp_path / "said.csv").write_text(f"key,verdict\n{lines}")
        import_file(run, tmp_path / "said.csv", "somebody")
        assert read_completeness(run_path, pixel_nm=50).population is None  # not measured yet
        keep_clearness(run, Access())
        written = (run_path / "completeness" / FILE).read_bytes()
        keep_clearness(run, Access())
        assert (run_path / "completeness" / FILE).read_bytes() == written
    table = pq.read_table(run_path / "completeness" / FILE)
    assert table.schema.equals(SCHEMA)
    assert sorted(row["key"] for row in table.to_pylist() if not row["planted"]) == sorted(own)
    assert all(row["ratio"] >= 3 for row in table.to_pylist())
    told, plain = read_completeness(run_path, pixel_nm=50), read_completeness(run_path, pixel_nm=50, match=False)
    assert told.population is not None
    assert told.population.confirmed == 7
    assert (told.densities[0].matched, plain.densities[0].matched) == (True, False)
    assert plain.densities[0].completeness == pytest.approx(plain.share("all").share)
    assert told.densities[0].completeness == pytest.approx(told.share("all", matched=True).share)
    assert told.record()["matched"]["confirmed"] == 7
    assert plain.record()["matched"] is None
    assert "matched_every_diameter_nm," in told.as_csv()
    assert "matched" not in plain.as_csv()
    assert "as clear as the confirmed" in make_page(told, "run", "", [])
    assert "The 7 confirmed craters say" in make_page(told, "run", "", [])
    assert "the foil's own craters to be as the planted ones" in html.unescape(make_page(plain, "run", "", []))
    whole, *classes = (one for one in told.own if not one.foil)
    foils = [one for one in told.own if one.foil]
    assert [one.foil for one in foils] == sorted({row["key"].split("/")[0] for row in rows})
    for some in (classes, foils):
        assert sum(one.confirmed for one in some) == whole.confirmed == 7
    confirmed = [sum(key.startswith(f"{one.foil}/") for key in own) for one in foils]
    assert [one.confirmed for one in foils] == confirmed
    assert [line.split(",")[3] for line in told.as_csv().splitlines() if line.startswith("own_foil,")] == [
        one.foil for one in foils
    ]
    assert [one.name for one in classes] == [share.name for share in told.sizes()]
    for one in told.own:
        assert one.missed_most is None or one.missed_fewest <= one.missed <= one.missed_most
        assert one.lower is None or one.lower <= one.share <= one.upper  # type: ignore[operator]
    assert whole.lower < told.share(matched=True).share < whole.upper  # type: ignore[operator]
    own = next(line for line in told.as_csv().splitlines() if line.startswith("own,,,all sizes,,7,"))
    assert own.endswith(f",{whole.missed_fewest},{whole.missed},{whole.missed_most}")
    assert "What this run has missed" in make_page(told, "run", "", [])


def test_what_reviewers_are_unsure_about_widens_what_is_missed() -> None:
    rng = np.random.default_rng(9)
    craters = planted(rng)
    sizes = [all_shares(craters, 0.5)["all"][0]]
    diameter, one = np.full(40, 12.0), np.ones(len(craters))

    def told(certain: int) -> Own:
        return own_craters(craters, sizes, diameter, np.arange(40) < certain, 0.5, one)[0]

    sure, unsure, nobody = (told(certain) for certain in (40, 20, 0))
    assert own_craters(craters, sizes, diameter, diameter > 0, 0.5, 400 * one)[0] == sure  # of a large archive
    assert (sure.confirmed, unsure.confirmed, nobody.confirmed) == (40, 20, 0)
    assert unsure.missed_fewest < sure.missed_fewest
    assert sure.missed_most is not None and unsure.missed_most is not None
    assert sure.missed_most * 0.8 < unsure.missed_most < sure.missed_most * 1.2
    assert (nobody.lower, nobody.share, nobody.upper) == (None, None, None)
    hopeless = replace(craters, candidate=np.full(len(craters), -np.inf, np.float32))
    assert (
        own_craters(hopeless, [all_shares(hopeless, 0.5)["all"][0]], diameter, one[:40] > 0, 0.5, one)[0].missed_most
        is None
    )


def test_what_is_missed_is_told_once_all_is_judged(measured_run: Path, tmp_path: Path) -> None:
    run_path = shutil.copytree(measured_run, tmp_path / "run")
    with open_existing(run_path) as run:
        keys = Results(run).candidates(columns=["key"])["key"].to_pylist()
        for judged, told in ((keys[:-1], 0), (keys[-1:], 1)):
            (tmp_path / "said.csv").write_text("key,verdict\n" + "".join(f"{key},not\n" for key in judged))
            import_file(run, tmp_path / "said.csv", "somebody")
            measured = read_completeness(run_path)
            own = measured.own
            assert len(own[:1]) == told
            if not told:
                before = make_page(measured, "run", "", [])
    assert "1 of " in before and "candidates are not judged: once all are" in before
    assert (own[0].confirmed, own[0].lower, own[0].upper) == (0, None, None)
    assert own[0].missed_most is not None


def test_a_class_beside_that_of_a_confirmed_crater_has_a_share_too() -> None:
    """One of 13 px may be of 11; none of them is of 4."""
    rng = np.random.default_rng(10)
    craters = planted(rng, 1_000)
    true = craters.column("diameter")
    craters = replace(craters, found_diameter=true * np.exp(rng.normal(0, 0.15, len(craters))))
    sizes = [all_shares(craters, 0.5)["all"][0], *all_shares(craters, 0.5)["diameter_px"]]
    told = own_craters(craters, sizes, np.array([13.0]), np.array([True]), 0.5, np.ones(len(craters)))
    by_name = {own.name: own for own in told}
    beside, far = by_name["8-12"], by_name["3-4"]
    assert (beside.confirmed, far.confirmed) == (0, 0)
    assert beside.lower == 0
    assert beside.upper is not None and beside.upper > 0.5
    assert (far.lower, far.share, far.upper) == (None, None, None)
    assert by_name["12-16"].share is not None
