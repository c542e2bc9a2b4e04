"""How a column of a Parquet file is declared: once, beside the code that computes it, with its type, unit and meaning.

The declaration goes into the file: `pyarrow.parquet.read_schema(path).field(name).metadata` shows it, and
`python -m ranktwo reference columns` prints all of them.
"""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow

TEXT, WHOLE, REAL, BOOL = pyarrow.string(), pyarrow.int64(), pyarrow.float64(), pyarrow.bool_()
LOSS_UNIT = "nats, or sd^2 of y in regression"
"""The unit of every loss."""
WHOLES, REALS, TEXTS = pyarrow.list_(WHOLE), pyarrow.list_(REAL), pyarrow.list_(TEXT)


class Column(NamedTuple):
    """A column's type, what it means, and what readers of the file may do with it."""

    type: pyarrow.DataType
    meaning: str
    unit: str
    headline: bool
    kind: str


def column(type: pyarrow.DataType, meaning: str, *, unit: str = "", headline: bool = False, kind: str = "") -> Column:
    """Declare a column.

    unit: of a number; empty for a pure number and for text.
    headline: whether gaps.parquet shows the value, of the first matrix after training where there are several.
    kind: what group of measures it belongs to: `rank`, or `bound`, `rate`, `measure` of a generalization bound.
    """
    return Column(type, meaning, unit, headline, kind)


def schema(columns: Mapping[str, Column]) -> pyarrow.Schema:
    """The Parquet schema of these columns, in their order; every field carries its declaration."""
    return pyarrow.schema([_field(name, one) for name, one in columns.items()])


def _field(name: str, one: Column) -> pyarrow.Field:
    facts = {
        "description": one.meaning,
        "unit": one.unit,
        "headline": "yes" if one.headline else "",
        "kind": one.kind,
    }
    return pyarrow.field(name, one.type, metadata={key: text for key, text in facts.items() if text})


def headlines(schema: pyarrow.Schema) -> list[pyarrow.Field]:
    """The fields of a file's schema that are declared as headlines."""
    return [field for field in schema if b"headline" in (field.metadata or {})]


def kinds(schema: pyarrow.Schema) -> dict[str, str]:
    """The kind of each column that has one, by the column's name, in the schema's order."""
    found = {field.name: (field.metadata or {}).get(b"kind", b"").decode() for field in schema}
    return {name: kind for name, kind in found.items() if kind}
