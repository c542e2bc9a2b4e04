"""One row per cell: its axes, losses and generalization gaps after training, its ranks, and whether it counts."""

import hashlib
from pathlib import Path

import pandas
import pyarrow

from ranktwo.errors import UserError
from ranktwo.store import files
from ranktwo.store.columns import AXIS_COLUMNS

RANKS = [
    *("stable_rank", "effective_rank", "participation_ratio", "residual_1", "residual_2", "residual_3"),
    *("residual_c", "residual_c1"),
]
STAGES = ("spectra", "certificates", "bounds", "truncation", "train")
"""Stages that make a file of each stack, from which the rows are put together."""
CERTIFICATES = [
    *("critical_decay", "vacuity_lower", "vacuity_upper", "data_floor", "weyl_slack", "mean_residual_2", "pair_bound"),
    *("memory_rank", "dead_fraction", "directions"),
]


def gaps(
    history: pandas.DataFrame,
    spectra: pandas.DataFrame,
    certificates: pandas.DataFrame,
    *others: pandas.DataFrame,
    collapsed_norm: float,
    fit_accuracy: float,
    fit_r2: float,
) -> pandas.DataFrame:
    """A row for each cell of `spectra`, in its order, with the columns of gaps.parquet (columns.py defines them).

    Gaps are test loss - training loss and test error - training error; ranks and certificates are V's at the end. What
    a diverged cell ended with is null. `others` have a row for each cell, whose columns are added.
    """
    v = spectra[spectra["matrix"] == "V"]
    first = v.groupby("cell", sort=False).nth(0).set_index("cell")
    last = v.groupby("cell", sort=False).nth(-1).set_index("cell")
    end = history.groupby("cell", sort=False).nth(-1).set_index("cell").reindex(last.index)
    certified = certificates[certificates["matrix"] == "V"].groupby("cell", sort=False).nth(-1).set_index("cell")
    if not (end["step"] == last["step"]).all():
        raise UserError(
            "the histories and the spectra are not of the same runs; delete results/spectra and run snakemake again"
        )
    ranks = [*RANKS, *(name for name in spectra.columns if name.startswith("rank_"))]
    table = last[AXIS_COLUMNS].join(end.drop(columns="step")).join(last[["norm", *ranks]])
    table["initial_norm"] = first["norm"]
    table = table.join(certified[CERTIFICATES])
    table["decay_ratio"] = table["weight_decay"] / table["critical_decay"]
    for other in others:
        table = table.join(other.set_index("cell"))
    table["loss_gap"] = table["test_loss"] - table["train_loss"]
    table["clean_loss_gap"] = table["test_loss"] - table["clean_train_loss"]
    table["accuracy_gap"] = table["train_accuracy"] - table["test_accuracy"]
    table["clean_accuracy_gap"] = table["clean_train_accuracy"] - table["test_accuracy"]
    table["matched_loss_gap"] = table["noisy_test_loss"] - table["train_loss"]
    table["matched_accuracy_gap"] = table["train_accuracy"] - table["noisy_test_accuracy"]
    table["matched_r2_gap"] = table["train_r2"] - table["noisy_test_r2"]
    # A net that learned noisy labels fits its data; so does one that saw through the noise.
    accuracy = table[["train_accuracy", "clean_train_accuracy"]].max(axis=1)
    unfit = (accuracy < fit_accuracy) | (table[["train_r2", "clean_train_r2"]].max(axis=1) < fit_r2)
    table["status"] = "ok"
    table.loc[unfit, "status"] = "unfit"
    table.loc[table["norm"] < collapsed_norm * table["initial_norm"], "status"] = "collapsed"
    table.loc[table["diverged_step"].notna(), "status"] = "diverged"
    return table.reset_index()


SCHEMA_NAMES = [
    *("cell", *AXIS_COLUMNS, "status", "diverged_step"),
    *("train_loss", "test_loss", "loss_gap", "train_accuracy", "test_accuracy", "accuracy_gap", "train_r2", "test_r2"),
    *("clean_train_loss", "clean_loss_gap", "clean_train_accuracy", "clean_accuracy_gap", "clean_train_r2"),
    *(
        "noisy_test_loss",
        "matched_loss_gap",
        "noisy_test_accuracy",
        "matched_accuracy_gap",
        "noisy_test_r2",
        "matched_r2_gap",
    ),
    *("norm", "initial_norm", *RANKS, *CERTIFICATES, "decay_ratio"),
]


def read(stage: str, *paths: Path) -> pandas.DataFrame:
    """The rows of files that one stage made, as one frame; whole numbers stay whole beside nulls."""
    return to_frame(pyarrow.concat_tables([files.read_parquet(path, stage)[0] for path in paths]))


def paths(results: Path, stage: str, stacks: list[str]) -> list[Path]:
    """The file that a stage made of each stack."""
    return [
        results / "runs" / stack / "history.parquet" if stage == "train" else results / stage / f"{stack}.parquet"
        for stack in stacks
    ]


def read_stacks(results: Path, stacks: list[str]) -> dict[str, pyarrow.Table]:
    """The rows of all stacks by the stage that made them; UserError where a stack's files are not of the same cells."""
    tables: dict[str, list[pyarrow.Table]] = {stage: [] for stage in STAGES}
    for stack in stacks:
        wanted = None
        for stage in STAGES:
            [path] = paths(results, stage, [stack])
            table, _ = files.read_parquet(path, stage)
            cells = set(table["cell"].to_pylist())
            wanted = wanted or cells
            # A history keeps the cells that no config asks for any more.
            if not (wanted <= cells if stage == "train" else wanted == cells):
                files.put_aside(path)
                raise UserError(
                    f"{path} has other cells than the stack's spectra; it was put aside, run snakemake again"
                )
            tables[stage].append(table)
    return {stage: pyarrow.concat_tables(found) for stage, found in tables.items()}


def to_frame(table: pyarrow.Table) -> pandas.DataFrame:
    return table.to_pandas(types_mapper=_nullable)


def origin(cells: pandas.DataFrame) -> str:
    """Which gaps.parquet a figure or table was made from: its number of cells, and a hash of all its values."""
    digest = hashlib.sha256(cells.to_csv(index=False).encode()).hexdigest()[:12]
    return f"{len(cells)} cells of gaps.parquet, values {digest}"


def _nullable(kind: pyarrow.DataType) -> pandas.api.extensions.ExtensionDtype | None:
    return pandas.Int64Dtype() if pyarrow.types.is_integer(kind) else None
