"""Tables of words and figures, for a terminal, Markdown and HTML alike."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from stargan_deploy.presentation.text import NOTHING, plain_markdown, visible

Column = tuple[str, Callable[[Any], str]]
"""Heading, and the words for an item."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells in words."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    num_names: int = 1
    """Columns at the start that hold names; the others hold figures, set right."""
    note: str = ""
    group_columns: tuple[str, ...] = ()
    """Columns of which a new value starts a new group of lines."""

    @classmethod
    def of(
        cls, title: str, items: Iterable[Any], columns: Sequence[Column], **look: Any
    ) -> "Table":
        """A table with a line for each item."""
        return cls(
            title=title,
            columns=tuple(name for name, _ in columns),
            lines=tuple(tuple(words(item) for _, words in columns) for item in items),
            **look,
        )

    @property
    def group_starts(self) -> list[bool]:
        """For each line, whether it starts a group after the first one."""
        places = [i for i, name in enumerate(self.columns) if name in self.group_columns]
        groups = [[line[place] for place in places] for line in self.lines]
        return [i > 0 and groups[i - 1] != group for i, group in enumerate(groups)]

    def without(self, *columns: str) -> "Table":
        """The table with fewer columns."""
        kept = [place for place, name in enumerate(self.columns) if name not in columns]
        return replace(
            self,
            columns=tuple(self.columns[place] for place in kept),
            lines=tuple(tuple(line[place] for place in kept) for line in self.lines),
            num_names=sum(place < self.num_names for place in kept),
        )

    def shared(self, *columns: str) -> dict[str, str]:
        """Those of the columns that say the same in all lines, with what they say."""
        found = {}
        for place, name in enumerate(self.columns):
            values = {line[place] for line in self.lines}
            if name in columns and len(values) == 1 and values != {NOTHING}:
                found[name] = values.pop()
        return found

    def merged(self, *columns: str) -> "Table":
        """The table with its shared columns in the title instead, and without empty ones."""
        same = self.shared(*columns)
        cells = zip(self.columns, zip(*self.lines, strict=True), strict=False)
        empty = [name for name, column in cells if set(column) <= {NOTHING, ""}]
        words = ", ".join(f"{name} {value}" for name, value in same.items() if value)
        title = f"{self.title}; {words}" if words else self.title
        return replace(self.without(*same, *empty), title=title)

    def markdown(self) -> str:
        """The table in Markdown, names to the left and figures to the right."""
        rules = ["---" if i < self.num_names else "---:" for i in range(len(self.columns))]
        cells = [map(plain_markdown, line) for line in (self.columns, *self.lines)]
        return "\n".join(f"| {' | '.join(line)} |" for line in (cells[0], rules, *cells[1:]))

    def print(self, console: Console, *, dispensable: Sequence[str] = ()) -> None:
        """Prints the table to a terminal.

        Args:
            console: the terminal.
            dispensable: columns that a narrow terminal can do without, in the order they go.
        """
        table, dropped = self, list(dispensable)
        while console.measure(table._rich()).maximum > console.width and dropped:
            table = table.without(dropped.pop(0))
        console.print(table._rich())

    def _rich(self) -> RichTable:
        """The table for a terminal; headings break at their spaces, so that columns are narrow."""
        grid = RichTable(
            title=Text(visible(self.title)),
            caption=Text(visible(self.note)) if self.note else None,
            title_justify="left",
            caption_justify="left",
            box=SIMPLE_HEAD,
            padding=0,
            show_edge=False,
        )
        for place, name in enumerate(self.columns):
            if place < self.num_names:
                grid.add_column(Text(visible(name)), overflow="fold")
            else:
                heading = Text(visible(name.replace(" ", "\n")))
                grid.add_column(heading, justify="right", no_wrap=True)
        for is_start, line in zip(self.group_starts, self.lines, strict=True):
            if is_start:
                grid.add_section()
            grid.add_row(*(Text(visible(cell)) for cell in line))
        return grid
