"""The files of a made-up stack, as training and analyses leave them, for the tests of the tables made of them."""

import pyarrow
from support import SGD_AXES

from ranktwo.evidence import gaps
from ranktwo.store import files
from ranktwo.store.columns import REAL, WHOLE, column, schema
from ranktwo.store.records import CELL, DIVERGED, MATRIX, SNAPSHOT
from ranktwo.study import jobs
from ranktwo.study.axes import CELL_COLUMNS

THRESHOLDS = {"collapsed_norm": 0.01, "fit_linear": 0.9, "fit_free": 0.5}
METRICS = [f"{part}_{m}" for part in ("train", "clean_train", "test", "noisy_test") for m in ("loss", "accuracy", "r2")]
HEADLINE = column(REAL, "A number.", headline=True)
MADE = {
    "train": {**CELL, **SNAPSHOT, **DIVERGED, **dict.fromkeys(METRICS, HEADLINE)},
    "spectra": {
        **CELL_COLUMNS,
        **SNAPSHOT,
        **MATRIX,
        "norm": HEADLINE,
        "nuclear_norm": column(REAL, "No headline."),
        "effective_rank": HEADLINE,
        "residual_2": HEADLINE,
        "rank_numpy": column(WHOLE, "A rule.", headline=True, kind="rank"),
    },
    "certificates": {
        **CELL_COLUMNS,
        **SNAPSHOT,
        **MATRIX,
        "norm": HEADLINE,
        "critical_decay": HEADLINE,
        "vacuity_upper": HEADLINE,
        "d_sample_rank": column(REAL, "No headline."),
    },
    "bounds": {
        **CELL,
        "other": column(REAL, "A bound.", unit="1", headline=True, kind="bound"),
        "chance_score": HEADLINE,
        "linear_train_score": HEADLINE,
    },
}
"""Columns of the files of a made-up study."""
CELLS = ("a", "b")
R2 = {"train_accuracy": None, "clean_train_accuracy": None, "chance": 0.0, "linear": 0.5}
"""Of a regression net, beside a linear model of R^2 0.5."""


def rows_of_a_stack(
    norm=2.0, diverged=None, chance=0.5, linear=0.9, decays=(0.1, 0.1), normalisation="none", **metrics
):
    """Rows by stage of two cells that end alike, with two snapshots and two matrices; `decays` are theirs."""
    end = dict.fromkeys(METRICS) | {
        "train_loss": 0.1,
        "test_loss": 0.3,
        "noisy_test_loss": 0.4,
        "clean_train_loss": 0.2,
    }
    end |= {"train_accuracy": 0.99, "clean_train_accuracy": 0.99, "test_accuracy": 0.9, "noisy_test_accuracy": 0.85}
    start = dict.fromkeys(METRICS, 9.0)
    facts = {"dataset": "toy", "task": "binary", "inputs": 4, "outputs": 1, **SGD_AXES, "normalisation": normalisation}
    rows = {"train": [], "spectra": [], "certificates": [], "bounds": []}
    for seed, cell in enumerate(CELLS):
        for step, metric in ((0, start), (7, end | metrics)):
            rows["train"].append({"cell": cell, "step": step, "diverged_step": diverged, **metric})
        for matrix, first, last, more in (("V", 4.0, norm, 0), ("U", 100.0, 100.0, 100)):
            for step, value in ((0, first), (7, last)):
                place = {"cell": cell, **facts, "weight_decay": decays[seed], "seed": seed if decays[1] else 0}
                place |= {"step": step, "matrix": matrix, "rows": 8, "columns": 4}
                ranks = {"rank_numpy": 3 + more, "effective_rank": 4.0 - step / 7, "residual_2": 0.5}
                rows["spectra"].append(place | {"norm": value, "nuclear_norm": 1.0} | ranks)
                certified = {"norm": 4.0, "critical_decay": 0.5, "vacuity_upper": step + more + seed / 2}
                certified |= {"d_sample_rank": 1.0 + more}
                rows["certificates"].append(place | certified)
        baseline = {"chance_score": chance, "linear_train_score": linear}
        rows["bounds"].insert(0, {"cell": cell, "other": 2.0 + seed, **baseline})
    return rows


def run_stage(monkeypatch, main, results, name, *more, stacks=("one",)):
    """The table and the metadata that the command of a stage writes of stacks, with more arguments."""
    jobs.write_stacks(results, list(stacks))
    output = results / f"{name}.parquet"
    arguments = [f"--results={results}", f"--stacks={results / 'jobs' / 'all.json'}", f"--output={output}"]
    monkeypatch.setattr("sys.argv", [name, *arguments, *more])
    main()
    return files.read_parquet(output, name)


def write(results, stack, rows, columns=MADE):
    """The files of a stack; columns that no row has are null."""
    for made_by, lines in rows.items():
        table = pyarrow.Table.from_pylist(lines, schema=schema(columns[made_by]))
        [path] = gaps.paths(results, made_by, [stack])
        files.write_parquet(path, table, {"provenance": {"stage": made_by}})
