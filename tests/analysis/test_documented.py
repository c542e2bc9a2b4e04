"""Every documented column against plain NumPy, written from docs/columns.md and docs/methods.md and not from the code.

The nets are small trained ones of each task, with and without label noise, of each decay rule and schedule.
"""

import math
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hand_nets import HAND
from support import ROOT, a_cell, a_dataset

from ranktwo.analysis import spectra
from ranktwo.analysis.bounds import table as bounds
from ranktwo.analysis.certificates import table as certificates
from ranktwo.analysis.inputs import Inputs
from ranktwo.data.dataset import training_data
from ranktwo.data.labels import targets
from ranktwo.data.options import Options
from ranktwo.data.preparation import prepare
from ranktwo.progress import Progress
from ranktwo.store.records import Record
from ranktwo.training import recording

OPTIONS = {
    "regression": {"source": "diabetes"},
    "binary": {"source": "breast-cancer", "clip": 5.0},
    "multiclass": {"source": "iris"},
}
SIZE, BATCH, ETA, STEPS = 30, 4, 0.05, 1000
CHANGES = [
    {"weight_decay": 0.05},
    {"weight_decay": 0.02, "label_noise": 0.3, "seed": 1},
    {"weight_decay": 0.1, "decay_rule": "input-norm", "seed": 2},
    {"weight_decay": 0.0},
    {"weight_decay": 0.3},  # takes the initial noise below float32's rounding
    {"weight_decay": 0.05, "schedule": "cosine"},
]

SPECTRA = {
    *("singular_values", "norm", "nuclear_norm", "schatten_half", "stable_rank", "effective_rank"),
    *("participation_ratio", "residual_1", "residual_2", "residual_3", "residual_c", "residual_c1", "rank_numpy"),
    *("rank_galanti", "rank_relative", "rank_energy", "rank_gavish_donoho", "rank_marchenko_pastur"),
}
CERTIFICATES = {
    *("norm", "d_1", "d_2", "sample_min", "sample_max", "eps_batch", "eps_lower", "eps_upper", "bound_lower"),
    *("bound_upper", "vacuity_lower", "vacuity_upper", "data_floor", "gradient_norm", "weyl_slack", "weyl_gap"),
    *("weyl_tightness", "mean_residual_1", "mean_residual_2", "dead_fraction", "directions", "pair_bound"),
    *("sample_rank", "d_sample_rank", "scale_invariance"),
    *("trajectory_rank", "trajectory_bound", "trajectory_against_generic", "memory_rank"),
}
HISTORY = {f"{part}_{score}" for part in ("train", "clean_train", "test") for score in ("loss", "accuracy", "r2")} | {
    "norm_before",
    "steps_before",
}
NOT_HERE = {
    "what names a row, an axis or a text": {
        *("cell", "dataset", "task", "inputs", "outputs", "train_size", "split"),
        *("label_noise", "net", "widths", "activation", "bias", "normalisation"),
        *("optimizer", "learning_rate", "schedule", "batch_size"),
        *("weight_decay", "decay_rule", "steps", "seed", "step", "matrix"),
        *("rows", "columns", "null_reason", "no_certificate", "in_study"),
    },
    "analysis/test_products.py": {"factors", "imbalance", "factor_effective_rank", "aligned_effective_rank"},
    "analysis/test_any_net.py": {"not_covered", "no_bounds"},
    "training/test_divergence.py": {"diverged_step"},
    "training/test_evaluation.py": {"noisy_test_loss", "noisy_test_accuracy", "noisy_test_r2"},
    "analysis/test_formulas.py": {
        *HAND,
        *(
            f"{name}_{ranks}"
            for name in ("parameters", "pseudo_dimension", "vc_bound")
            for ranks in ("rank_2", "energy_99")
        ),
        *("golowich2018_bound", "ledent2025_schatten_rate"),
    },
    "analysis/test_critical.py": {"critical_decay"},
    "analysis/test_truncation.py": {
        "truncation_ranks",
        *("truncated_train_loss", "truncated_test_loss", "truncated_train_score", "truncated_test_score"),
        *("shrunk_train_loss", "shrunk_test_loss", "shrunk_train_score", "shrunk_test_score"),
        *("functional_rank", "plane_1", "plane_2", "outgoing", "mean_1", "mean_2"),
    },
    "analysis/test_optimality.py": {
        *("objective", "dual_ratio", "duality_gap", "relative_gap", "least_neuron", "greatest_neuron", "balance"),
        *("dual_curve", "neuron_angles", "neuron_heights", "neuron_shares"),
    },
    "analysis/optimum/test_table.py": {"decay_ratio", "rounds", "atoms", "atom_directions", "atom_weights"},
    "analysis/test_neural_collapse.py": {
        *("nc1", "within_over_between", "nc2_norms", "nc2_angles", "nc3", "feature_effective_rank"),
        *("feature_stable_rank", "no_neural_collapse"),
    },
    "evidence/test_timing.py": {
        *("fit_step", "generalization_step", "rank_fall_step", "residual_fall_step", "initial_effective_rank"),
        *("output_rank_fall_step", "output_residual_fall_step", "output_initial_effective_rank"),
        "output_effective_rank",
    },
    "evidence/test_layers.py and test_by_layer.py": {"depth", "residual_sample_rank", "architecture"},
    "analysis/test_baseline.py": {"input_rank", "chance_score", "linear_train_score", "linear_test_score"},
    "analysis/test_measured.py": {"file", "tensor", "shape", "remark", "spectral_norm"},
    "evidence/test_gaps.py": {
        *("fit_linear", "fit_free", "status", "loss_gap"),
        *("clean_loss_gap", "accuracy_gap", "clean_accuracy_gap", "matched_loss_gap"),
        *("matched_accuracy_gap", "matched_r2_gap", "initial_norm", "optimum_residual_1", "optimum_residual_2"),
        *("optimum_residual_3", "optimum_effective_rank", "optimum_atoms", "optimum_relative_gap"),
    },
    "evidence/test_predictors.py and test_verdicts.py": {
        *("measure", "statistic", "axis", "value", "low", "high"),
        *("splits", "replicates", "datasets", "cells", "excluded", "claim", "rule"),
        *("family", "headline", "verdict", "effect", "ok", "unfit", "collapsed", "diverged", "effect_name"),
        *("threshold", "criterion", "note", "rests_on", "p_supported", "p_contradicted"),
    },
}  # fmt: skip
"""Columns that are not recomputed here, by the tests that do it."""


def test_every_documented_column_is_recomputed_here_or_named_as_left_out():
    documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "columns.md").read_text(), flags=re.MULTILINE))
    here = SPECTRA | CERTIFICATES | HISTORY | {"margin"}
    elsewhere = set().union(*NOT_HERE.values())
    assert not here & elsewhere
    assert here | elsewhere == documented


@dataclass
class Trained:
    """Small trained cells of one task."""

    task: str
    inputs: Inputs

    def data(self, record: Record) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """x and y that a cell was trained on, and those of the test part."""
        data = self.inputs.data
        x, y = training_data(record.cell, data)
        test = targets(data.test_y, data.task, data.outputs)
        return x.numpy(), y.double().numpy(), data.test_x.numpy(), test.double().numpy()


@pytest.fixture(scope="module", params=OPTIONS)
def trained(request, tmp_path_factory) -> Trained:
    tensors, facts = prepare("toy", Options(**OPTIONS[request.param]), tmp_path_factory.mktemp("data"), False)
    x, y = (torch.cat([tensors[f"{part}_{kind}"] for part in ("train", "test")]) for kind in ("x", "y"))
    data, double = (
        a_dataset(facts["task"], facts["outputs"], inputs, y, facts["train_size"]) for inputs in (x, x.double())
    )
    data.metadata["critical_decay"] = double.metadata["critical_decay"] = 1.0
    records = {}
    for number, change in enumerate(CHANGES):
        cell = a_cell(train_size=SIZE, batch_size=BATCH, learning_rate=ETA, steps=STEPS, **change)
        bar = Progress("toy", 1, "cell-steps")
        records |= recording.train({f"cell {number}": cell}, data, snapshots=2, device="cpu", progress=bar)
    return Trained(request.param, Inputs(stack="toy", records=records, data=double, settings={"percentile": 20}))


def agree(row: dict, expected: dict, names: set[str], scale: float = 0.0) -> None:
    """Each of the columns is there and has its value; null stands for nan. `scale`: of terms that may cancel."""
    assert set(expected) == names
    for name, value in expected.items():
        actual = math.nan if row[name] is None else row[name]
        assert actual == pytest.approx(value, rel=1e-8, abs=1e-13 * scale, nan_ok=True), name


def tail(s: np.ndarray, r: int) -> float:
    """d_r = sqrt(sum of s_i^2 over i > r)."""
    return math.sqrt((s[r:] ** 2).sum())


def rates(cell: dict) -> np.ndarray:
    """eta_t of every step."""
    t = np.arange(cell["steps"])
    falling = (1 + np.cos(np.pi * t / cell["steps"])) / 2
    return cell["learning_rate"] * (falling if cell["schedule"] == "cosine" else np.ones(len(t)))


def test_spectra(trained):
    nulls = set()
    for row in spectra.spectra(trained.inputs).to_pylist():
        record = trained.inputs.records[row["cell"]]
        cell, w = record.cell, record.weights[row["matrix"]][record.steps.index(row["step"])].double().numpy()
        m, n = w.shape
        s = np.linalg.svd(w, compute_uv=False)
        p = s[s > 0] / s.sum()
        norm, rounding = math.sqrt((s**2).sum()), s[0] * max(m, n) * 2.0**-23
        beta = min(m, n) / max(m, n)
        lambda_ = math.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + math.sqrt(beta**2 + 14 * beta + 1)))
        sigma = np.abs(1 - rates(cell) * cell["weight_decay"])[: row["step"]].prod() / math.sqrt(3 * n)
        edge = sigma * (math.sqrt(m) + math.sqrt(n))
        known = cell["decay_rule"] == "constant" and edge >= rounding
        energy = np.cumsum(s**2) / (s**2).sum()
        expected = {
            "norm": norm,
            "nuclear_norm": s.sum(),
            "schatten_half": np.sqrt(s).sum() ** 2,
            "stable_rank": (s**2).sum() / s[0] ** 2,
            "effective_rank": math.exp(-(p * np.log(p)).sum()),
            "participation_ratio": (s**2).sum() ** 2 / (s**4).sum(),
            **{f"residual_{r}": tail(s, r) / norm for r in (1, 2, 3)},
            "residual_c": tail(s, cell["outputs"]) / norm,
            "residual_c1": tail(s, cell["outputs"] + 1) / norm,
            "rank_numpy": (s > rounding).sum(),
            "rank_galanti": (s > 1e-3 * norm).sum(),
            "rank_relative": (s > 1e-2 * s[0]).sum(),
            "rank_energy": 1 + np.argmax(energy >= 0.99),
            "rank_gavish_donoho": (s > lambda_ * math.sqrt(max(m, n)) * sigma).sum() if known else math.nan,
            "rank_marchenko_pastur": (s > edge).sum() if known else math.nan,
        }
        assert row["singular_values"] == pytest.approx(s.tolist(), rel=1e-9, abs=1e-14 * s[0])
        agree(row, expected, SPECTRA - {"singular_values"}, 1.0)
        nulls.add((row["rank_gavish_donoho"] is None, cell["decay_rule"], cell["weight_decay"], row["step"]))
    assert {(True, "constant", 0.3, STEPS), (False, "constant", 0.3, 0), (True, "input-norm", 0.1, 0)} <= nulls


def output_gradients(f: np.ndarray, y: np.ndarray, task: str) -> np.ndarray:
    """dl_i/df."""
    if task == "regression":
        return 2 * (f - y) / f.shape[1]
    if task == "binary":
        return 1 / (1 + np.exp(-f)) - y
    return np.exp(f) / np.exp(f).sum(1, keepdims=True) - y


def loss_and_scores(f: np.ndarray, y: np.ndarray, task: str) -> tuple[float, float, float]:
    """The mean loss, accuracy and R^2 of outputs f."""
    if task == "regression":
        mse = ((f - y) ** 2).mean()
        return mse, math.nan, 1 - mse / ((y - y.mean()) ** 2).mean()
    if task == "binary":
        return np.log1p(np.exp(-f * (2 * y - 1))).mean(), ((f > 0) == (y == 1)).mean(), math.nan
    right = f.argmax(1) == y.argmax(1)
    return (np.log(np.exp(f).sum(1)) - (y * f).sum(1)).mean(), right.mean(), math.nan


def greedy(a: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The gradient G_S of the B samples of largest scores."""
    return a[np.argsort(-score, kind="stable")[:BATCH]].mean(0)


def searched(a: np.ndarray) -> float:
    """The best of three greedy batches, and two steps of ascent by swaps from it."""
    along = lambda g: np.tensordot(a, g, 2)  # noqa: E731
    extreme = along(a[np.argmax(np.linalg.norm(a, axis=(1, 2)))])
    starts = [greedy(a, score) for score in (extreme, -extreme, along(a.mean(0)))]
    met = [max(starts, key=np.linalg.norm)]
    for _ in range(2):
        met.append(greedy(a, along(met[-1])))
    return max(np.linalg.norm(g) for g in met)


def directions(w: np.ndarray) -> int:
    """Rows from the longest down, whose cosine with each row counted before is at most 0.99."""
    lengths = np.linalg.norm(w, axis=1)
    counted = []
    for j in np.argsort(-lengths, kind="stable"):
        unit = w[j] / lengths[j]
        if lengths[j] > 1e-3 * lengths.max() and all(unit @ other <= 0.99 for other in counted):
            counted.append(unit)
    return len(counted)


def test_certificates(trained):
    for row in certificates.certificates(trained.inputs).to_pylist():
        record = trained.inputs.records[row["cell"]]
        cell, snapshot = record.cell, record.steps.index(row["step"])
        x, y, _, _ = trained.data(record)
        v, u = (weight.numpy() for weight in record.net(snapshot))
        z = x @ v.T
        e = output_gradients(np.maximum(z, 0) @ u.T, y, trained.task)
        first = row["matrix"] == "V"
        w, h, delta = (v, x, (e @ u) * (z > 0)) if first else (u, np.maximum(z, 0), e)
        g = delta[:, :, None] * h[:, None, :]
        mu = cell["weight_decay"]
        square = (x**2).sum(1)
        c = mu * (square / square.mean() if cell["decay_rule"] == "input-norm" else np.ones(SIZE))
        a = g + c[:, None, None] * w
        size, mean, whole = np.linalg.norm(a, axis=(1, 2)), g.mean(0), a.mean(0)
        s, s_mean = (np.linalg.svd(matrix, compute_uv=False) for matrix in (w, mean))
        norm, slope = np.linalg.norm(w), 1 / mu if mu else math.nan
        gap, slack = np.abs(s - s_mean * slope).max(), np.linalg.norm(whole, 2) * slope
        lower = max(searched(a), np.linalg.norm(whole), size.max() / (2 * BATCH - 1))
        factor = (2 * BATCH - 1) / c.max() if mu else math.nan
        distances = size / c if mu else np.array([math.nan])
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        pairs = [
            np.linalg.norm(w + (g[i] - g[j]) / (c[i] - c[j])) for i in range(SIZE) for j in range(i) if c[i] != c[j]
        ]
        floor = math.sqrt(1 - np.linalg.eigvalsh(unit.T @ unit / SIZE)[-1])
        expected = {
            "norm": norm,
            "d_1": tail(s, 1),
            "d_2": tail(s, 2),
            "sample_rank": 1,
            "d_sample_rank": tail(s, 1),
            "sample_min": distances.min(),
            "sample_max": distances.max(),
            "eps_batch": searched(a),
            "eps_lower": lower,
            "eps_upper": size.max(),
            "bound_lower": factor * lower,
            "bound_upper": factor * size.max(),
            "vacuity_lower": factor * lower / norm,
            "vacuity_upper": factor * size.max() / norm,
            "data_floor": floor if first and c.min() == c.max() else math.nan,
            "gradient_norm": np.linalg.norm(whole),
            "weyl_slack": slack,
            "weyl_gap": gap,
            "weyl_tightness": gap / slack,
            "mean_residual_1": (tail(s_mean, 1) + np.linalg.norm(whole)) * slope,
            "mean_residual_2": (tail(s_mean, 2) + np.linalg.norm(whole)) * slope,
            "scale_invariance": abs((mean * w).sum()) / (np.linalg.norm(mean) * norm),
            "dead_fraction": (np.maximum(z, 0) == 0).all(0).mean() if first else math.nan,
            "directions": directions(w),
            "pair_bound": min(pairs, default=math.nan),
            **trajectory(record, snapshot, first),
        }
        agree(row, expected, CERTIFICATES, norm + (np.linalg.norm(g, axis=(1, 2)).max() * slope if mu else 0))


def trajectory(record: Record, snapshot: int, first: bool) -> dict[str, float]:
    """The columns that rest on the path to V."""
    cell, v, step = record.cell, record.weights["V"][snapshot].double().numpy(), record.steps[snapshot]
    found = dict.fromkeys(
        ["trajectory_rank", "trajectory_bound", "trajectory_against_generic", "memory_rank"], math.nan
    )
    if not first or cell["decay_rule"] != "constant":
        return found
    mu, q = cell["weight_decay"], min(v.shape)
    if mu and cell["schedule"] == "constant":
        found["memory_rank"] = BATCH * math.ceil(math.log(200) / -math.log(abs(1 - ETA * mu)))
    lag = int(record.history["steps_before"][snapshot])
    if lag:
        left = np.abs(1 - rates(cell)[step - lag : step] * mu).prod()
        bound = left * record.history["norm_before"][snapshot] / np.linalg.norm(v)
        found |= {"trajectory_rank": lag * BATCH, "trajectory_bound": bound}
        found["trajectory_against_generic"] = bound / math.sqrt(1 - lag * BATCH / q)
    return found


def test_history(trained):
    for record in trained.inputs.records.values():
        x, y, test_x, test_y = trained.data(record)
        clean = trained.data(Record(cell=record.cell | {"label_noise": 0.0}, identity="", steps=[]))[1]
        q = min(record.weights["V"].shape[1:])
        for snapshot, step in enumerate(record.steps):
            v, u = (weight.numpy() for weight in record.net(snapshot))
            row = {name: values[snapshot] for name, values in record.history.items()}
            earlier = 0 if snapshot == 0 else record.steps[snapshot - 1]
            lag = min((q - 1) // BATCH, step - earlier)
            expected = {"steps_before": lag, "norm_before": row["norm_before"]}
            if lag in (0, step):  # the weights of that step are a snapshot's
                before = record.net(snapshot if lag == 0 else 0)[0].numpy()
                expected["norm_before"] = np.linalg.norm(before)
            for part, inputs, labels in (("train", x, y), ("clean_train", x, clean), ("test", test_x, test_y)):
                scores = loss_and_scores(np.maximum(inputs @ v.T, 0) @ u.T, labels, trained.task)
                expected |= dict(zip((f"{part}_{name}" for name in ("loss", "accuracy", "r2")), scores, strict=True))
            agree(row, expected, HISTORY)


def test_margins(trained):
    for row in bounds.bounds(trained.inputs).to_pylist():
        record = trained.inputs.records[row["cell"]]
        x, y, _, _ = trained.data(record)
        v, u = (weight.numpy() for weight in record.net(-1))
        f = np.maximum(x @ v.T, 0) @ u.T
        if trained.task == "regression":
            margins = [math.nan]
        elif trained.task == "binary":
            margins = (f * (2 * y - 1))[:, 0]
        else:
            margins = f[y == 1] - np.where(y == 1, -np.inf, f).max(1)
        expected = {"margin": percentile(margins, 20)}
        agree(row, expected, {"margin"})


def percentile(values: np.ndarray, percent: float) -> float:
    """By linear interpolation of the sorted values."""
    return float(np.interp(percent / 100 * (len(values) - 1), np.arange(len(values)), np.sort(values)))
