"""One row per cell: its axes, losses and generalization gaps after training, its ranks, and whether it counts."""

import argparse
import hashlib
import json
from pathlib import Path

import pandas
import pyarrow

from ranktwo import files, provenance
from ranktwo.columns import AXIS_COLUMNS, schema
from ranktwo.errors import UserError, run

RANKS = [
    *("stable_rank", "effective_rank", "participation_ratio", "residual_1", "residual_2", "residual_3"),
    *("residual_c", "residual_c1"),
]


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


def read(paths: list[Path]) -> pandas.DataFrame:
    """The rows of several Parquet files as one frame; whole numbers stay whole beside nulls."""
    tables = [files.read_parquet(path)[0] for path in paths]
    return pyarrow.concat_tables(tables).to_pandas(types_mapper=_nullable)


def origin(cells: pandas.DataFrame) -> str:
    """Which gaps.parquet a figure or table was made from: its number of cells, and a hash of all its values."""
    digest = hashlib.sha256(cells.to_csv(index=False).encode()).hexdigest()[:12]
    return f"{len(cells)} cells of gaps.parquet, values {digest}"


def _nullable(kind: pyarrow.DataType) -> pandas.api.extensions.ExtensionDtype | None:
    return pandas.Int64Dtype() if pyarrow.types.is_integer(kind) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("history", "spectra", "certificates", "bounds", "truncation"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True)
    parser.add_argument("--status", type=json.loads, required=True, help="JSON: the thresholds of `gaps`")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    bounds = files.read_parquet(arguments.bounds[0])[0].schema
    table = gaps(
        read(arguments.history),
        read(arguments.spectra),
        read(arguments.certificates),
        read(arguments.bounds),
        read(arguments.truncation)[["cell", "functional_rank"]],
        **arguments.status,
    )
    ranks = [name for name in table.columns if name.startswith("rank_")]
    fields = schema([*SCHEMA_NAMES, *ranks, "functional_rank"])
    for field in bounds:
        fields = fields if field.name in fields.names else fields.append(field)
    rows = pyarrow.Table.from_pandas(table[fields.names], schema=fields, preserve_index=False)
    files.write_parquet(arguments.output, rows, provenance.circumstances())


if __name__ == "__main__":
    run(main)
