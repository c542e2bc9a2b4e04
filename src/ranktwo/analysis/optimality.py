"""How far two-layer nets are from the least decayed loss, at every snapshot: the dual ratio and the duality gap.

P = (1/N) sum_i l_i(f(x_i)) + mu/2 (||V||^2 + ||U||^2), on the training labels with their noise; P* is its least value
over nets of any width, and h the dual function, as in `optimum.duality` and `optimum.search`. All in float64.
"""

import math
from collections.abc import Iterator
from typing import Any

import pyarrow
import torch
from torch import Tensor

from ranktwo.analysis.inputs import Inputs, analysis
from ranktwo.analysis.optimum import certificate, duality, search
from ranktwo.analysis.optimum.search import Effort
from ranktwo.data.dataset import Dataset, training_data
from ranktwo.nets.losses import Task
from ranktwo.store import columns
from ranktwo.store.columns import LOSS_UNIT, REAL, REALS, TEXT, column
from ranktwo.store.records import SNAPSHOT, Record, defined
from ranktwo.study.axes import CELL_COLUMNS
from ranktwo.study.theory import why_no_programme

Values = dict[str, Any]
"""Columns of one row."""
OWN, FEWEST, MOST, NUMBERS = 6, 6, 20, 2**19
"""Starts of a search: of the net's neurons with the maximisers of the next snapshot; least and most of the other
points, and numbers of their product with x that they may have between the two."""
RANDOM, PRODUCTS = 250, 2**22
"""Most random points from which a search after training starts, too, and numbers of their product with x."""
ROWS = 128
"""Data points among the other points."""
QUICK = Effort(kept=4, steps=10, round=5, polished=False)
LAST = Effort(kept=16, steps=20, round=10)
"""How hard a search tries: some milliseconds for each net and snapshot, and more after training."""
COLUMNS = {
    "objective": column(
        REAL, "P = `train_loss` + mu/2 (||V||^2 + ||U||^2), what weight decay minimises.", unit=LOSS_UNIT, headline=True
    ),
    "dual_ratio": column(
        REAL,
        "max over ||v|| = 1 of h(v) = ||(1/N) sum_i e_i relu(v.x_i)||, e_i = dl_i/df, over mu: 1 at a global minimum "
        "of P that is not the zero net. A lower bound: the maximum is the greatest that was found.",
        headline=True,
    ),
    "duality_gap": column(
        REAL,
        "Upper bound of P - P*, P* the least P of any net of any width; as good as the search behind `dual_ratio`.",
        unit=LOSS_UNIT,
    ),
    "relative_gap": column(
        REAL, "`duality_gap`/`objective`: upper bound of the share of P that a better net could save.", headline=True
    ),
    "least_neuron": column(REAL, "Least h(v_j/||v_j||)/mu of the live neurons; 1 for each at a minimum of P."),
    "greatest_neuron": column(REAL, "Greatest of them. A neuron is live if ||u_j|| ||v_j|| is above 1e-6 of the most."),
    "balance": column(
        REAL,
        "Greatest | ||v_j||^2 - ||u_j||^2 |/(||v_j||^2 + ||u_j||^2) of the live neurons; 0 where P is stationary.",
        headline=True,
    ),
    "no_certificate": column(TEXT, "Why these columns are null."),
}
PLANE = {
    "dual_curve": column(
        REALS,
        "After training, h(cos(a) q_1 + sin(a) q_2)/mu at 181 angles a from 0 to 2 pi, q_1 and q_2 V's first two right "
        "singular vectors; null at other snapshots and if V has fewer than two.",
    ),
    "neuron_angles": column(
        REALS,
        "After training, the angle a of each live neuron's v_j in that plane, the weightiest neuron first.",
        unit="radians",
    ),
    "neuron_heights": column(REALS, "h(v_j/||v_j||)/mu of these neurons."),
    "neuron_shares": column(REALS, "||u_j|| ||v_j|| of these neurons over the sum of it."),
}
"""Columns that `plane` computes."""
ANGLES = 181
"""Points of `dual_curve`."""


def schema() -> pyarrow.Schema:
    """Of the table of `optimality`."""
    return columns.schema({**CELL_COLUMNS, **SNAPSHOT, **COLUMNS, **PLANE})


@analysis(rows="cell and snapshot", schema=schema)
def optimality(inputs: Inputs) -> pyarrow.Table:
    """How far every two-layer net is from the least decayed loss, at every snapshot."""
    reasons = {cell: why_none(record) for cell, record in inputs.records.items()}
    rows = {
        (cell, snapshot): record.cell
        | {"cell": cell, "step": step, **dict.fromkeys([*COLUMNS, *PLANE]), "no_certificate": reasons[cell]}
        for cell, record in inputs.records.items()
        for snapshot, step in enumerate(record.steps)
    }
    judged = {cell: record for cell, record in inputs.records.items() if reasons[cell] is None}
    total = sum(len(record.steps) for record in judged.values())
    progress = inputs.progress("optimality", total, "cell-snapshots")
    for place, values in certificates(judged, inputs.data):
        rows[place] |= values
        progress.add(1)
    progress.close()
    fields = schema()
    return pyarrow.Table.from_pylist([{name: row[name] for name in fields.names} for row in rows.values()], fields)


def why_none(record: Record) -> str | None:
    """Why a net has no certificate; None if it has one, wherever its weights are finite."""
    return why_no_programme(record.cell, record.cell.get("decay") or "unknown")


def certificates(records: dict[str, Record], data: Dataset) -> Iterator[tuple[tuple[str, int], Values]]:
    """The columns of each cell and snapshot: those of the last snapshot first, whose maximisers help the one before.

    The records are of one stack: nets of one width, on the same inputs. They are looked at one by one: the last bits of
    a product of many nets' matrices depend on where in memory each of them begins.
    """
    if not records:
        return
    first = next(iter(records.values()))
    x = data.train_x[: first.cell["train_size"]].double()
    starts = certificate.grid(x, ROWS)
    count, generator = min(RANDOM, PRODUCTS // x.numel()), torch.Generator().manual_seed(1)
    random = torch.randn(count, x.shape[1], generator=generator, dtype=x.dtype)
    others = max(FEWEST, min(MOST, NUMBERS // x.numel()))
    for name, record in records.items():
        targets, weight_decay = training_data(record.cell, data)[1].double(), record.cell["weight_decay"]
        earlier = None
        for snapshot in reversed(range(len(record.steps))):
            v, u = record.net(snapshot)
            if not (v.isfinite().all() and u.isfinite().all()):
                yield (name, snapshot), {"no_certificate": "a weight is not finite"}
                continue
            last = snapshot == len(record.steps) - 1
            found = certificate.certify(
                v[None], u[None], x, targets, data.task, x.new_tensor([weight_decay]),
                starts=starts, earlier=earlier, random=random if last else None, own_count=OWN,
                grid_count=others * (4 if last else 1), effort=LAST if last else QUICK,
            )  # fmt: skip
            earlier = found.maximisers
            columns_of = {
                "objective": found.objective,
                "dual_ratio": found.dual_ratio,
                "duality_gap": found.gap,
                "relative_gap": found.relative_gap,
                "least_neuron": found.least,
                "greatest_neuron": found.largest,
                "balance": found.balance,
            }
            values: Values = {column_name: defined(numbers.item()) for column_name, numbers in columns_of.items()}
            if last:
                values |= plane(v, u, x, targets, data.task, weight_decay)
            yield (name, snapshot), values


def plane(v: Tensor, u: Tensor, x: Tensor, targets: Tensor, task: Task, weight_decay: float) -> Values:
    """The columns of PLANE of one net, v [m, n] and u [c, m], on x [N, n], targets [N, c]."""
    weight = torch.linalg.vector_norm(v, dim=1) * torch.linalg.vector_norm(u, dim=0)
    order = weight.argsort(descending=True)
    order = order[duality.live_neurons(v[None], u[None])[0][order]]
    delta = certificate.derivatives(v, u, x, targets, task)[None]
    axes = torch.linalg.svd(v, full_matrices=False).Vh[:2]
    if len(order) == 0 or len(axes) < 2:
        return {}
    angles = torch.linspace(0, 2 * math.pi, ANGLES, dtype=torch.float64)
    circle = angles.cos()[:, None] * axes[0] + angles.sin()[:, None] * axes[1]
    along = v[order] @ axes.T
    heights = search.force(torch.cat([circle, search.directions(v[order])])[None], x, delta)[0][0, :, 0] / weight_decay
    return {
        "dual_curve": heights[:ANGLES].tolist(),
        "neuron_angles": torch.atan2(along[:, 1], along[:, 0]).tolist(),
        "neuron_heights": heights[ANGLES:].tolist(),
        "neuron_shares": (weight[order] / weight.sum()).tolist(),
    }
