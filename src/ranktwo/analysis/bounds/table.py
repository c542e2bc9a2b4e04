"""The generalization bounds, rates and measures of every cell of a stack after training."""

from typing import Any

import pyarrow

from ranktwo.analysis.bounds.net import Net, margin_of
from ranktwo.analysis.bounds.register import evaluate, formula_columns
from ranktwo.analysis.inputs import Inputs, analysis
from ranktwo.data.dataset import Dataset, training_data
from ranktwo.nets import net as nets
from ranktwo.store import columns
from ranktwo.store.columns import REAL, TEXT, column
from ranktwo.store.records import CELL, Record, defined
from ranktwo.study import theory

COLUMNS = {
    "margin": column(
        REAL,
        "gamma: a percentile (`bounds.percentile`) of f_y - max of the other f_j (of +-f/2 with one logit) over the "
        "training samples, noise included; null in regression.",
        headline=True,
    ),
}
REASON = {"no_bounds": column(TEXT, "Why the rates, bounds and measures are null: all are of bias-free ReLU layers.")}


def schema() -> pyarrow.Schema:
    """Of the table of `bounds`: the margin, and a column for each rate, bound and measure."""
    return columns.schema({**CELL, **COLUMNS, **formula_columns(), **REASON})


@analysis(rows="cell", schema=schema, settings="bounds")
def bounds(inputs: Inputs) -> pyarrow.Table:
    """Generalization bounds, rates and measures of the trained net."""
    data = inputs.data
    rows = [row(cell, record, data, inputs.settings) for cell, record in inputs.cells("bounds")]
    return pyarrow.Table.from_pylist(rows, schema=schema())


def row(cell: str, record: Record, data: Dataset, settings: dict[str, Any]) -> dict[str, Any]:
    """One cell's margin and formulas after training, null where undefined; settings as in `Net.of`."""
    x, y = training_data(record.cell, data)
    if reason := theory.why_not_relu_mlp(record.cell):
        outputs = nets.of(record.cell, data.shape, data.outputs).outputs([w[None] for w in record.whole_net(-1)], x)[0]
        margin = margin_of(outputs, y, data.task, settings["percentile"])
        return {"cell": cell, "margin": defined(margin), "no_bounds": reason}
    net = Net.of(record.net(-1), record.net(0), x, y, data.task, **settings)
    values = {"margin": net.margin, **evaluate(net)}
    return {"cell": cell} | {name: defined(value) for name, value in values.items()}
