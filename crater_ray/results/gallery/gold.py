"""Gold standards among a gallery's candidates: in the same columns and order, told apart by nothing that is seen."""

from __future__ import annotations

import pyarrow as pa

from crater_ray.results.gallery.pages import ADDRESS, RECIPE, TRUTH

ALIAS = "alias"
"""Column of gold standards: the key under which they are shown."""


def mixed(candidates: pa.Table, gold: pa.Table) -> pa.Table:
    """Candidates and gold standards, best score first.

    Args:
        candidates: as a gallery shows them.
        gold: likewise, of the images that the gold standards are made of, with `ALIAS`, `ADDRESS`, `TRUTH` and
            `RECIPE`.
    """
    gold = gold.set_column(gold.schema.get_field_index("key"), "key", gold[ALIAS]).drop_columns([ALIAS])
    for name, values in ((ADDRESS, candidates["uri"]), (TRUTH, None), (RECIPE, None)):
        column = pa.nulls(candidates.num_rows, pa.string()) if values is None else values
        candidates = candidates.append_column(name, column)
    both = pa.concat_tables([candidates, gold.select(candidates.column_names)], promote_options="permissive")
    return both.sort_by([("score", "descending"), ("key", "ascending")])
