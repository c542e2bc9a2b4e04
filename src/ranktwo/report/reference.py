"""The tables of docs/columns.md and docs/config.md: what every column of a file and every key of a config means."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pyarrow

from ranktwo.report.pages import with_bars_escaped


class File(NamedTuple):
    """A Parquet file, or several files with the same columns."""

    heading: str
    """Its path, and what it has a row for."""
    schema: pyarrow.Schema
    """With the declarations that `store.columns.schema` writes into it."""


def of_columns(files: Iterable[File]) -> str:
    """A section for each file, with a table of its columns.

    A column that stands in several files is listed once, in the first of them.
    """
    listed: set[str] = set()
    sections = []
    for file in files:
        fields = [field for field in file.schema if field.name not in listed]
        listed.update(field.name for field in fields)
        sections.append(f"## {file.heading}\n\n{_table(COLUMN_HEADINGS, map(_cells, fields))}")
    return "\n\n".join(sections)


COLUMN_HEADINGS = ("column", "type", "unit", "in gaps", "meaning")


def _cells(field: pyarrow.Field) -> tuple[str, ...]:
    facts = {key.decode(): text.decode() for key, text in (field.metadata or {}).items()}
    in_gaps = "yes" if facts.get("headline") else ""
    return f"`{field.name}`", str(field.type), facts.get("unit", ""), in_gaps, facts.get("description", "")


def of_config(keys: Iterable[tuple[str, str, str, str]]) -> str:
    """A table of config keys; each is given with its allowed values, its default and its meaning."""
    return _table(("key", "values", "default", "meaning"), ((f"`{key}`", *rest) for key, *rest in keys))


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table without the columns that are empty in all its lines.

    tabulate, which writes the other tables, pads every line to the longest text; here a reworded text shall change no
    line but its own.
    """
    lines = list(lines)
    kept = [place for place in range(len(headings)) if any(line[place] for line in lines)]
    rows = [headings, ["---"] * len(headings), *([with_bars_escaped(text.strip()) for text in line] for line in lines)]
    return "\n".join(f"| {' | '.join(row[place] for place in kept)} |" for row in rows)
