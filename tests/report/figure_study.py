"""A made-up study for the tests of figures, as its files are read, and figures drawn of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pyarrow
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from support import PAPER_NET

from ranktwo.evidence.gaps import paths
from ranktwo.report.drawing.data import Data
from ranktwo.report.drawing.style import colour_scale, ranktwo_style
from ranktwo.store import columns, files, registry

NAMES = sorted(registry.entries("figure"))
"""Of all figures."""
TABLES = sorted({table for entry in registry.entries("figure").values() for table in entry.settings.get("reads", [])})
"""What figures read beside gaps.parquet."""
FLOOR = 0.6
"""The data floor of every cell."""
KINDS = {
    "rank_relative": "rank",
    "rank_energy": "rank",
    "rank_gavish_donoho": "rank",
    "one_bound": "bound",
    "one_rate": "rate",
    "two_bound": "bound",
    "one_measure": "measure",
}
"""The columns of made-up gaps.parquet that have a kind."""
RANKS = [name for name, kind in KINDS.items() if kind == "rank"]
OF_GAPS = [
    *("test_loss", "test_accuracy", "test_r2", "matched_loss_gap", "matched_accuracy_gap", "matched_r2_gap", "norm"),
    *(
        "effective_rank",
        "residual_1",
        "residual_2",
        "residual_3",
        "critical_decay",
        "decay_ratio",
        "relative_gap",
        "fit_linear",
    ),
    *("initial_effective_rank", "output_initial_effective_rank", "output_effective_rank"),
    *(name for name, kind in KINDS.items() if kind != "rank"),
]
MOMENTS = ["fit_step", "generalization_step", "rank_fall_step", "output_rank_fall_step"]
OF_CERTIFICATES = [
    "vacuity_lower",
    *("norm", "d_1", "d_2", "sample_min", "sample_max", "bound_lower", "bound_upper", "mean_residual_2", "pair_bound"),
    *("data_floor", "eps_lower", "eps_upper"),
]
OF_COLLAPSE = ["nc1", "nc2_norms", "nc2_angles", "nc3", "feature_effective_rank"]
OF_PRODUCTS = ["imbalance", "factor_effective_rank", "aligned_effective_rank"]
SCORES = ["truncated_test_score", "shrunk_test_score"]
NEURONS = ["plane_1", "plane_2", "outgoing"]
DUAL = ["dual_curve", "neuron_angles", "neuron_heights", "neuron_shares"]
LISTS = [*SCORES, *NEURONS, *DUAL, "truncation_ranks", "mean_1", "mean_2"]
OF_OPTIMA = ["residual_1", "residual_2", "residual_3", "effective_rank", "relative_gap"]
NULLABLE = {
    "gaps": ["critical_decay", "decay_ratio", "relative_gap", *MOMENTS],
    "train": ["train_accuracy", "test_accuracy"],
    "certificates": OF_CERTIFICATES,
    "layers": ["residual_2", "effective_rank", "vacuity_lower"],
    "neural-collapse": OF_COLLAPSE,
    "truncation": [*SCORES, *NEURONS, "truncation_ranks", "mean_1", "mean_2", "functional_rank"],
    "optimality": ["relative_gap", *DUAL],
    "optimum": OF_OPTIMA,
}
"""Columns that figures read and that may be null in all rows of a study's tables."""
WHOLE = ["outputs", "train_size", "split", "batch_size", "steps", "seed", "step", "depth", "functional_rank", "atoms"]
WHOLE += [*RANKS, *MOMENTS]


def study(**statuses: str) -> Data:
    """Two families of four weight decays and three seeds; `mu1="unfit"` sets the status of a weight decay's cells."""
    gaps, history, spectra, certificates, truncation, optimality, layers, collapse = [], [], [], [], [], [], [], []
    random = np.random.default_rng(0)
    for batch_size in (16, 50):
        for mu in (0.0, 1e-3, 1e-2, 1.0):
            for seed in range(3):
                status = statuses.get(f"mu{mu:g}", "ok")
                cell = {
                    **{"cell": f"{batch_size}-{mu}-{seed}", "dataset": "toy", "task": "binary", "outputs": 1},
                    **{
                        "train_size": 50,
                        "split": 0,
                        "label_noise": 0.0,
                        **PAPER_NET,
                        "widths": "8",
                        "optimizer": "sgd",
                        "learning_rate": 0.1,
                    },
                    **{"schedule": "constant", "batch_size": batch_size, "weight_decay": mu},
                    **{"decay_rule": "constant", "steps": 10, "seed": seed},
                }
                row = cell | {name: random.uniform(1, 9) for name in OF_GAPS}
                row |= {name: random.integers(1, 9) for name in [*RANKS, *MOMENTS]}
                row |= {"decay_ratio": mu / 0.05, "residual_2": 0.05, "status": status, "relative_gap": 0.01 + mu}
                if status in ("collapsed", "diverged"):
                    row |= {name: None for name in row if name.startswith(("rank_", "residual", "effective"))}
                gaps.append(row)
                net = {name: list(random.uniform(1, 2, 4)) for name in NEURONS}
                net |= {"truncated_test_score": [2.0, 4.0, 6.0, 8.0], "shrunk_test_score": [9.0] * 4}
                net |= {"truncation_ranks": [1, 2, 3, 6], "mean_1": [1.0], "mean_2": [0.5], "functional_rank": 3}
                truncation.append(cell | net)
                for step in (0, 1, 10):
                    lost = status == "diverged" and step > 0
                    scores = {"train_accuracy": step / 10, "test_accuracy": step / 20}
                    history.append({"cell": cell["cell"], "step": step} | (dict.fromkeys(scores) if lost else scores))
                    s = None if lost else np.sort(random.uniform(0, 1, 6))[::-1]
                    ranks = {"effective_rank": row["effective_rank"], "residual_2": row["residual_2"]}
                    product = {"factors": "K, Q"} | {name: random.uniform(0.1, 0.9) for name in OF_PRODUCTS}
                    for matrix in ("V", "U", "head1.QK", "head2.QK"):
                        own = product if matrix.endswith("QK") else dict.fromkeys(["factors", *OF_PRODUCTS])
                        row_of = {"step": step, "matrix": matrix, "singular_values": s}
                        spectra.append(cell | ranks | own | row_of)
                    one = {name: random.uniform(1, 9) for name in OF_CERTIFICATES}
                    one |= {"norm": 2.0, "bound_upper": 900.0, "data_floor": FLOOR}
                    for matrix in ("V", "U"):
                        certificates.append(cell | one | {"step": step, "matrix": matrix})
                        if step == 10:
                            ended = {"matrix": matrix, "depth": 1 if matrix == "V" else 2, "status": status}
                            layers.append(cell | one | ranks | ended)
                        features = {name: random.uniform(0, 1) for name in OF_COLLAPSE}
                        collapse.append(cell | features | {"step": step, "matrix": matrix})
                    certified = {"step": step, "relative_gap": 0.5 / (1 + step), **dict.fromkeys(DUAL)}
                    if step == 10:
                        certified |= {name: list(random.uniform(0.5, 1, 5)) for name in DUAL}
                    optimality.append(cell | certified)
    optimum = [
        {"dataset": "toy", "train_size": 50, "split": 0, "label_noise": 0.0, "seed": None}
        | {"weight_decay": 0.05 * share, "decay_ratio": share, "in_study": False, "atoms": 2}
        | {name: random.uniform(0.1, 1) for name in OF_OPTIMA}
        for share in (0.01, 0.1, 0.5)
    ]
    rows = {
        "gaps": gaps,
        "train": history,
        "layers": layers,
        "neural-collapse": collapse,
        "spectra": spectra,
        "certificates": certificates,
        "truncation": truncation,
    }
    measured = [
        {"weights": "lab", "tensor": tensor, "norm": 1.5, "remark": None, "effective_rank": 2.5, "residual_2": 0.25}
        | {"singular_values": np.array(values)}
        for tensor, values in (("one", [1.0, 0.5]), ("two", [1.25]))
    ]
    rows |= {"optimality": optimality, "optimum": optimum, "measure": measured}
    tables = {name: as_read(pandas.DataFrame(table)) for name, table in rows.items()}
    own = tables.pop("gaps")
    return Data(gaps=own, kinds=KINDS, read=tables.__getitem__, norm=colour_scale(own["weight_decay"]))


def as_read(rows: pandas.DataFrame) -> pandas.DataFrame:
    """Rows with the types of a file's columns: whole numbers that may be null, and numbers where all are null."""
    types = dict.fromkeys(WHOLE, "Int64") | dict.fromkeys(
        [*OF_GAPS, *OF_CERTIFICATES, *OF_COLLAPSE, *OF_OPTIMA, *OF_PRODUCTS], "float64"
    )
    return rows.astype({name: kind for name, kind in types.items() if name in rows})


def changed(data: Data, table: str, change: Callable[[pandas.DataFrame], pandas.DataFrame]) -> Data:
    """The study with one of its tables changed."""

    def read(name: str) -> pandas.DataFrame:
        return change(data.read(name)) if name == table else data.read(name)

    rows = change(data.gaps) if table == "gaps" else data.gaps
    return Data(gaps=rows, kinds=data.kinds, read=read, norm=data.norm, width=data.width)


def draw(name: str, data: Data) -> Figure:
    """A figure of the data, in the style of all figures."""
    with ranktwo_style():
        return registry.load("figure", name)(data)


def panels_of(drawn: Figure) -> list[Axes]:
    """The panels of a figure, without its colour bar."""
    return [axes for axes in drawn.axes if axes.get_label() != "<colorbar>"]


def write(data: Data, results: Path) -> list[str]:
    """Write the study's tables into a folder, as a study of one stack; returns the arguments that name them."""
    for name in TABLES:
        [path] = paths(results, name, ["one"])
        _write(path, name, pyarrow.Table.from_pandas(data.read(name), preserve_index=False))
    table = pyarrow.Table.from_pandas(data.gaps, preserve_index=False)
    fields = [field.with_metadata({"kind": KINDS.get(field.name, "")}) for field in table.schema]
    _write(results / "gaps.parquet", "gaps", table.cast(pyarrow.schema(fields)))
    (results / "jobs").mkdir()
    (results / "jobs" / "all.json").write_text('{"stacks": ["one"]}')
    assert columns.kinds(pyarrow.schema(fields)) == KINDS
    files_of = {"gaps": "gaps.parquet", "results": "", "stacks": "jobs/all.json", "optima": "optimum/one.parquet"}
    files_of |= {"layers": "layers/one.parquet", "weights": "measure/one.parquet"}
    return [f"--{option}={results / name}" for option, name in files_of.items()]


def _write(path: Path, stage: str, table: pyarrow.Table) -> None:
    files.write_parquet(path, table, {"provenance": {"stage": stage}})
