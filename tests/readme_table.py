"""Puts the table of speeds into the README, from measured results.

python -m tests.readme_table
"""

from pathlib import Path

from stargan_deploy.benchmarking.report.tables import headline_table, replace_between_markers
from stargan_deploy.benchmarking.results import load_results

README = Path(__file__).parents[1] / "README.md"
RESULTS = README.parent / "benchmarks" / "results" / "amd-epyc-2-cores" / "results.json"
BATCH_SIZE = 8


def readme_as_it_should_be() -> str:
    table = headline_table(load_results(RESULTS), batch_size=BATCH_SIZE)
    return replace_between_markers(README.read_text(encoding="utf-8"), "benchmarks", table)


if __name__ == "__main__":
    README.write_text(readme_as_it_should_be(), encoding="utf-8")
