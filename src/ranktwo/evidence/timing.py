"""When a net fits, when it generalizes, and when its matrices lose rank: steps of training, read off the snapshots.

A moment is known to within the step between two snapshots: it came after the one before.
"""

import pandas

from ranktwo.store.columns import REAL, WHOLE, Column, column

FIT, GENERAL = 0.99, 0.9
"""The training and the test accuracy from which on a net counts as one that fits, and that generalizes."""
LEAST_FALL = 0.1
"""A matrix whose rank ends less than this share below its initial one has no fall to date."""
OUTPUT = "output_"
MEASURES = {"rank": "effective_rank", "residual": "residual_2"}
"""Columns of spectra whose fall is dated, by their names in the columns of moments."""
MATRICES = {"": "V", OUTPUT: "the output matrix (U)"}


def _columns() -> dict[str, Column]:
    found = {
        "fit_step": column(WHOLE, f"First snapshot with `train_accuracy` >= {FIT}; null without one.", unit="steps"),
        "generalization_step": column(
            WHOLE, f"First snapshot with `test_accuracy` >= {GENERAL}; null without one.", unit="steps"
        ),
    }
    for prefix, matrix in MATRICES.items():
        for name, measure in MEASURES.items():
            found[f"{prefix}{name}_fall_step"] = column(
                WHOLE,
                f"First snapshot at which `{measure}` of {matrix} is at most halfway from its initial to its last "
                f"value; null where the last is above {1 - LEAST_FALL:g} of the initial one, and with `keep: last`.",
                unit="steps",
            )
        found[f"{prefix}initial_effective_rank"] = column(REAL, f"`effective_rank` of {matrix} at step 0.")
    return found | {f"{OUTPUT}effective_rank": column(REAL, f"`effective_rank` of {MATRICES[OUTPUT]}.")}


COLUMNS = _columns()
"""Columns of gaps.parquet that are computed here."""


def moments(history: pandas.DataFrame, spectra: pandas.DataFrame) -> pandas.DataFrame:
    """The values of COLUMNS, a row for each cell of the spectra.

    history: `cell`, `step`, `train_accuracy`, `test_accuracy` of every snapshot of these cells, by rising step.
    spectra: `cell`, `matrix`, `step` and MEASURES of nets of the same matrices, from the input to the output.
    """
    found = pandas.DataFrame(index=pandas.Index(spectra["cell"].unique(), name="cell"))
    found["fit_step"] = _first(history, history["train_accuracy"] >= FIT)
    found["generalization_step"] = _first(history, history["test_accuracy"] >= GENERAL)
    snapshots = history.groupby("cell").size().reindex(found.index)
    last = "U" if (spectra["matrix"] == "U").any() else "V"  # of a net of one matrix
    for prefix, matrix in {"": "V", OUTPUT: last}.items():
        rows = spectra[spectra["matrix"] == matrix]
        start, end = (
            rows.drop_duplicates("cell", keep=keep).set_index("cell").reindex(found.index) for keep in ("first", "last")
        )
        whole = rows.groupby("cell").size().reindex(found.index) == snapshots
        for name, measure in MEASURES.items():
            falls = whole & (end[measure] <= (1 - LEAST_FALL) * start[measure])
            halfway = ((start[measure] + end[measure]) / 2).where(falls)
            found[f"{prefix}{name}_fall_step"] = _first(rows, rows[measure] <= rows["cell"].map(halfway))
        found[f"{prefix}initial_effective_rank"] = start["effective_rank"]
        if prefix:
            found[f"{prefix}effective_rank"] = end["effective_rank"]
    return found[list(COLUMNS)]


def _first(rows: pandas.DataFrame, reached: "pandas.Series[bool]") -> "pandas.Series[int]":
    """The first step of each cell at which something is reached, by cell; without the cells that never reach it."""
    return rows[reached].groupby("cell")["step"].min()
