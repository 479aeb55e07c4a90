"""Puts the table of speeds into the README, from measured results.

python -m tests.readme_table
"""

from pathlib import Path

from stargan_deploy.benchmarking.report.tables import headline_table
from stargan_deploy.benchmarking.results import load_results

README = Path(__file__).parents[1] / "README.md"
RESULTS = README.parent / "benchmarks" / "results" / "amd-epyc-2-cores" / "results.json"
BATCH_SIZE = 8


def readme_as_it_should_be() -> str:
    table = headline_table(load_results(RESULTS), batch_size=BATCH_SIZE)
    return replace_between_markers(README.read_text(encoding="utf-8"), "benchmarks", table)


def replace_between_markers(text: str, name: str, table: str) -> str:
    """A text in which everything between `<!-- NAME -->` and `<!-- /NAME -->` is replaced.

    Args:
        text: Markdown with both markers, each once and on a line of its own.
        name: of the markers.
        table: what to put there.

    Raises:
        ValueError: a marker is missing, comes twice, or they are in the wrong order.
    """
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    if text.count(first) != 1 or text.count(last) != 1 or text.index(first) > text.index(last):
        raise ValueError(f"the text does not have one line {first} followed by one line {last}")
    before, _, rest = text.partition(first)
    return f"{before}{first}\n\n{table.strip()}\n\n{last}{rest.partition(last)[2]}"


if __name__ == "__main__":
    README.write_text(readme_as_it_should_be(), encoding="utf-8")
