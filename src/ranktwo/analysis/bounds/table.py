"""TODO analysis.bounds.table."""

from typing import Any

import pyarrow

from ranktwo.analysis.bounds.net import Net
from ranktwo.analysis.bounds.register import REGISTRY, evaluate
from ranktwo.data.dataset import Dataset, training_data
from ranktwo.store import columns
from ranktwo.store.columns import REAL, Column
from ranktwo.store.records import Record, defined

# The stage


def described() -> dict[str, Column]:
    """Columns of what is registered, each with its kind and the first line of its docstring."""
    return {
        name: (REAL, f"{bound.kind.capitalize()}. {bound.source.splitlines()[0]}") for name, bound in REGISTRY.items()
    }


def table_schema() -> pyarrow.Schema:
    return columns.schema(["cell", "margin"], described())


def row(name: str, record: Record, data: Dataset, settings: dict[str, Any]) -> dict[str, Any]:
    """One cell's margin and registered values after training, null where undefined; settings as in `Net.of`."""
    net = Net.of(record.net(-1), record.net(0), *training_data(record.cell, data), data.task, **settings)
    values = {"margin": net.margin, **evaluate(net)}
    return {"cell": name} | {column: defined(value) for column, value in values.items()}
