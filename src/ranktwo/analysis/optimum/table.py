"""The table of optima of a data set: the minimiser of the decayed loss at every weight decay of a study."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow

from ranktwo import parallel
from ranktwo.analysis import spectra
from ranktwo.analysis.critical import critical_decay
from ranktwo.analysis.optimum import solver
from ranktwo.analysis.optimum.solver import Optimum
from ranktwo.analysis.ranks import Spectra
from ranktwo.data.dataset import Dataset, training_data
from ranktwo.progress import Progress
from ranktwo.store import columns
from ranktwo.store.columns import BOOL, LOSS_UNIT, REAL, REALS, WHOLE, column
from ranktwo.store.records import defined
from ranktwo.study.axes import CELL_COLUMNS
from ranktwo.study.labels import LABELS
from ranktwo.study.problems import Problem, with_path

AXES = ("dataset", *LABELS, "weight_decay")
"""Axes of a cell that its problem shares."""
COLUMNS = {
    **{name: CELL_COLUMNS[name] for name in AXES},
    "critical_decay": column(REAL, "mu_c of the training labels: at and above it, zero is the minimiser."),
    "decay_ratio": column(REAL, "mu/mu_c; null where mu_c is 0."),
    "in_study": column(BOOL, "Whether a cell of the study has this weight decay; the others are points of the path."),
    "objective": column(REAL, "P of the minimiser V*, U* that was found: P* or a little more.", unit=LOSS_UNIT),
    "dual_ratio": column(REAL, "The greatest value of the dual function that was found there, over mu; 1 at P*."),
    "relative_gap": column(REAL, "Upper bound of (P - P*)/P, as good as the search behind `dual_ratio`."),
    "rounds": column(WHOLE, "Rounds of reweighing, sliding and searching that it took."),
    "atoms": column(
        WHOLE,
        "Directions of the neurons that the minimiser needs: those of a cosine above 0.999 count once, those of less "
        "than 1e-4 of all weight not at all.",
    ),
    "atom_directions": column(REALS, "v_j/||v_j|| of these atoms, atom by atom, the weightiest first."),
    "atom_weights": column(REALS, "t_j u_j/||u_j|| of these atoms, atom by atom; t_j = ||u_j|| ||v_j||."),
}


def schema() -> pyarrow.Schema:
    """Of the table: the columns above, and those of V*'s spectrum under the names that trained nets have.

    Rank rules are left out: a new one would have every optimum found again. `singular_values` is all that they need.
    """
    return columns.schema({**COLUMNS, **spectra.COLUMNS})


def table(
    data_in: Callable[[int], Dataset],
    problems: list[Problem],
    *,
    points: int,
    lowest: float,
    gap: float,
    largest: int | None = None,
    processes: int = 1,
) -> pyarrow.Table:
    """A row for each problem and weight decay, from the greatest decay down; none where x has over `largest` numbers.

    `data_in` gives the data set in a split. Weight decays below `lowest` mu_c are left out. `points` more, log-spaced
    from mu_c to `lowest` mu_c, are solved for one problem of each train size and noise level. Rounds end at the
    relative gap `gap`, for those points at 10 `gap`. Problems share the processes.
    """

    def solved(asked: tuple[Problem, bool]) -> list[dict[str, Any]]:
        problem, has_path = asked
        data = data_in(problem.split)
        axes = {"dataset": data.name} | {axis: getattr(problem, axis) for axis in LABELS}
        axes["train_size"] = problem.train_size or len(data.train_x)
        x, y = training_data(axes, data)
        if largest is not None and x.numel() > largest:
            print(
                f"{data.name}: no minimiser is sought, as the training inputs have {x.numel():,} numbers; "
                f"optima.largest is {largest:,}",
                file=sys.stderr,
            )
            return []
        critical = critical_decay(x, y, data.task)[0]
        own = {mu for mu in problem.weight_decays if mu >= lowest * critical}
        path: Any = critical * np.geomspace(1, lowest, points) if has_path and critical else []
        text = f"{data.name}: optimum" + (f", label noise {problem.label_noise:g}" if problem.label_noise else "")
        decays = sorted({*own, *map(float, path)}, reverse=True)
        progress = Progress(text, len(decays), "weight decays")
        found_rows = []
        for found in solver.optima(x, y, data.task, decays, tolerance=gap, loose=set(decays) - own):
            found_rows.append(axes | _row(found, critical, data.outputs) | {"in_study": found.weight_decay in own})
            progress.add(1)
        progress.close()
        return found_rows

    rows = [row for found in parallel.each(solved, list(with_path(problems)), processes) for row in found]
    fields = schema()
    return pyarrow.Table.from_pylist([{name: row.get(name) for name in fields.names} for row in rows], fields)


def _row(found: Optimum, critical: float, outputs: int) -> dict[str, Any]:
    """One optimum's columns; those of its spectrum are null where the minimiser is zero."""
    atoms = found.atoms.merged()
    v, _ = found.atoms.net()
    s = spectra.singular_values(v[None])
    measured: dict[str, Any] = {"norm": np.zeros(1)}
    if len(atoms.t):
        noise = np.full(1, np.nan)  # nothing is left of initial weights, as there are none
        measured = spectra.continuous(Spectra(s=s, rows=len(v), columns=v.shape[1], noise=noise), outputs)
    return {
        "weight_decay": found.weight_decay,
        "critical_decay": critical,
        "decay_ratio": found.weight_decay / critical if critical else None,
        "objective": found.objective,
        "dual_ratio": found.dual_ratio,
        "relative_gap": found.relative_gap,
        "rounds": found.rounds,
        "atoms": len(atoms.t),
        "atom_directions": atoms.v.flatten().tolist(),
        "atom_weights": (atoms.t[:, None] * atoms.d).flatten().tolist(),
        "singular_values": s[0].tolist() if len(atoms.t) else None,
        **{name: defined(values[0]) for name, values in measured.items()},
    }
