"""The check of the documentation: what is named and not there is found, all else is left in peace."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.check import check

WRONG = {
    "`crater_ray/scanning/scanner.py`": "no crater_ray/scanning/scanner.py",
    "`scanning/scanner.py`": "no scanning/scanner.py",
    "`crater_ray/scaning/`": "no crater_ray/scaning/",
    "`scaning/`": "no scaning/",
    "`pyproject.tml`, `pyprojects.toml`": "no pyprojects.toml",
    "`benchmarks/results/*.txt`": "no benchmarks/results/*.txt",
    "`tests/docs/test_check.py::test_of_nothing`": "has no test_of_nothing",
    "`crater_ray.open_runs`": "no crater_ray.open_runs",
    "`crater_ray.network.built()`": "no crater_ray.network.built",
    "[the run](nowhere.md)": "leads nowhere",
    "[the run](#what-is-not-there)": "no heading for #what-is-not-there",
    "`crater-ray scann SOURCE`": "no command 'scann'",
    "`crater-ray scan SOURCE --outt RUN`": "no option --outt",
    "`crater-ray rescan ... --dry-runs`": "no option --dry-runs",
    "`--endpoint`": "no command has the option --endpoint",
    "`python -m training fits`": "no command 'fits'",
    "`python -m benchmarks scan --image 5`": "no option --image",
    "`python -m cluster.checks`": "no module cluster.checks",
    "`make tests`": "no target 'tests'",
    "```\nmake install demos\n```": "no target 'demos'",
    '```\nT="python -m training"\n$T fit fits/a \\\n   --dat data\n```': "no option --dat",
    '```\nray exec cluster/aws.yaml "crater-ray scan s3://A --ouut B"\n```': "no option --ouut",
    "```\nray up cluster/azure.yaml\n```": "no cluster/azure.yaml",
    "```bash\ncd x; KERAS_BACKEND=jax nice python -m benchmarks forwards | tee log\n```": "no command 'forwards'",
    "```\nscan --> scanner.py\n```": "no scanner.py",
}

FINE = """# A page

## Where `things` are
`crater_ray/scanning/scan.py`, `scanning/scan.py`, `scan.py`, `docs/`, `results/gallery/`, `cluster/aws.yaml`,
`crater_ray/*/scan.py`, `tests/docs/test_check.py::test_what_is_there_is_left_in_peace`, `crater_ray.open_run`,
`crater_ray.network.build()`, `cluster/`, `parts/`, `RUN/parts/part-*.parquet`, `verdicts.csv`, `data/whole`,
`<key>/<key>-001.jpg`, `.csv`, `s3://bucket/x.py`, `crater_ray_images`, `~/.ray/auth_token`, `/etc/profile.d/x.sh`,
`--endpoint-url`, `--stop`, `--images 5`, `score >= 0.01`, `crater-ray`, `make`, `make demo`, `crater-ray --help`,
`crater-ray COMMAND --help`, `crater-ray scan ... --log FILE`, `python -m pytest`, `pip install 'crater-ray[cpu]'`,
`python -m benchmarks scan --json benchmarks/results/not-yet.json`, `for example`.
[Up](#where-things-are), [elsewhere](https://example.org/x.md).

```bash
T="python -m training"  # make it short
$T fit fits/a --data data/a \\
   --minutes 5 && make demo PYTHON=python3
for split in train:300 test:150; do python -m training synthesize ${split%:*} --images ${split#*:}; done
crater-ray rescan RUN --bundle NEW --out RUN2 --where "score >= 0.001" | tee log
echo "a quote that is not closed
```

```python
import scanner  # scanner.py
```
"""


@pytest.mark.parametrize("named", WRONG)
def test_what_is_not_there_is_found_with_its_line(named: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\nText.\n{named}\n", encoding="utf-8")
    ((line, problem),) = check(page)
    assert WRONG[named] in problem
    assert line in (4, 5, 6)


def test_what_is_there_is_left_in_peace(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(FINE, encoding="utf-8")
    assert check(page) == []
