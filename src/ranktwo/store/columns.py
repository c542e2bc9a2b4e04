"""Every column of every Parquet file: its type, its unit and what it means. Said here once; files carry it with them.

The registries of ranktwo.bounds and ranktwo.spectra describe their own.
`python -m ranktwo.reference` prints the table of docs/columns.md.
"""

from collections.abc import Mapping

import pyarrow

TEXT, WHOLE, REAL, BOOL = pyarrow.string(), pyarrow.int64(), pyarrow.float64(), pyarrow.bool_()
WHOLES, REALS = pyarrow.list_(WHOLE), pyarrow.list_(REAL)
Column = tuple[pyarrow.DataType, str]
LOSS = (
    "mean over samples of the loss without penalty: (f - y)^2 with standardised y (regression), nats (classification)"
)
COLUMNS: dict[str, Column] = {
    "cell": (TEXT, "Name of the training run: its axes, and a hash of them and of its data set's options."),
    "dataset": (TEXT, "Name of the data set in the study."),
    "task": (TEXT, "`regression` (MSE), `binary` (one logit, logistic loss) or `multiclass` (cross entropy)."),
    "inputs": (WHOLE, "n, features of a sample, the bias column included."),
    "outputs": (WHOLE, "c, outputs of the net."),
    "train_size": (WHOLE, "N, training samples."),
    "label_noise": (
        REAL,
        "Share of training labels replaced by another class; in regression the sd of noise added to y.",
    ),
    "widths": (TEXT, "Hidden units of each layer, `128` or `64-64`."),
    "optimizer": (TEXT, "`sgd`, `momentum` (0.9) or `adamw` (betas 0.9 and 0.999)."),
    "learning_rate": (REAL, "eta, the initial one where the schedule is cosine."),
    "schedule": (TEXT, "`constant`, or `cosine` from eta to zero."),
    "batch_size": (WHOLE, "B, samples a step; equal to `train_size` for full batches."),
    "weight_decay": (REAL, "mu in torch's convention: mu W is added to the gradient by W."),
    "decay_rule": (TEXT, "`constant`, or `input-norm`: sample i decays the weights by mu ||x_i||^2 / mean ||x_j||^2."),
    "steps": (WHOLE, "T, optimizer steps of the whole run."),
    "seed": (WHOLE, "Seed of initial weights, batches and label noise."),
    "step": (WHOLE, "Optimizer steps taken when the snapshot was made; 0 is the initial net."),
    "status": (
        TEXT,
        "`diverged`: a weight or loss became non-finite. `collapsed`: the norm of V ended below "
        "`status.collapsed_norm` of its initial one. `unfit`: accuracy or R^2 on the training labels, noisy or clean, "
        "whichever is greater, ended below `status.fit_accuracy` or `status.fit_r2`. `ok`: none of "
        "these. The first that applies.",
    ),
    "diverged_step": (WHOLE, "First step after which a weight or loss was not finite; null if none."),
    "train_loss": (REAL, f"On the training labels as trained on, noise included: {LOSS}."),
    "train_accuracy": (REAL, "Share of training samples classified as labelled, noise included; null in regression."),
    "train_r2": (REAL, "1 - MSE/variance on the training targets, noise included; null in classification."),
    "clean_train_loss": (REAL, "`train_loss` on the labels before noise."),
    "clean_train_accuracy": (REAL, "`train_accuracy` on the labels before noise."),
    "clean_train_r2": (REAL, "`train_r2` on the targets before noise."),
    "test_loss": (REAL, f"On the test set, which has no label noise: {LOSS}."),
    "test_accuracy": (REAL, "Share of test samples classified correctly; null in regression."),
    "test_r2": (REAL, "1 - MSE/variance on the test targets, with their own mean; null in classification."),
    "norm_before": (REAL, "||V|| `steps_before` steps before the snapshot."),
    "steps_before": (
        REAL,
        "Steps to the snapshot in which fewer than q samples were seen, q = min(rows, columns) of V.",
    ),
    "loss_gap": (REAL, "`test_loss` - `train_loss`."),
    "clean_loss_gap": (REAL, "`test_loss` - `clean_train_loss`: both on labels without noise."),
    "accuracy_gap": (REAL, "`train_accuracy` - `test_accuracy`, that is test error - training error."),
    "clean_accuracy_gap": (REAL, "`clean_train_accuracy` - `test_accuracy`."),
    "noisy_test_loss": (REAL, "Expected `test_loss` if test labels had the training labels' noise, in closed form."),
    "noisy_test_accuracy": (REAL, "Expected `test_accuracy` if test labels had the training labels' noise."),
    "noisy_test_r2": (REAL, "Expected `test_r2` if test targets had the training targets' noise."),
    "matched_loss_gap": (
        REAL,
        "`noisy_test_loss` - `train_loss`: test and training labels of one distribution, as in learning theory. "
        "Equal to `loss_gap` without label noise.",
    ),
    "matched_accuracy_gap": (REAL, "`train_accuracy` - `noisy_test_accuracy`."),
    "matched_r2_gap": (REAL, "`train_r2` - `noisy_test_r2`."),
    "matrix": (TEXT, "`V` (the first, m x n), `W2`, ..., `U` (the last, c x m)."),
    "rows": (WHOLE, "Rows of the matrix: units of its layer."),
    "columns": (WHOLE, "Columns of the matrix: inputs of its layer."),
    "singular_values": (
        pyarrow.list_(REAL),
        "s_1 >= ... >= s_q >= 0, q = min(rows, columns), in float64 of the float32 weights; null if any is not finite.",
    ),
    "norm": (REAL, "Frobenius norm ||W||."),
    "initial_norm": (REAL, "Frobenius norm at step 0."),
    "nuclear_norm": (REAL, "sum s_i."),
    "schatten_half": (REAL, "Schatten quasi-norm with p = 1/2: (sum s_i^(1/2))^2."),
    "stable_rank": (REAL, "sum s_i^2 / s_1^2."),
    "effective_rank": (REAL, "exp(-sum p_i ln p_i), p_i = s_i / sum s (Roy & Vetterli 2007)."),
    "participation_ratio": (REAL, "(sum s_i^2)^2 / sum s_i^4."),
    "residual_1": (
        REAL,
        "d_1/||W||, d_r = sqrt(sum over i > r of s_i^2): relative distance to rank one (Eckart-Young).",
    ),
    "residual_2": (REAL, "d_2/||W||: relative distance to rank two."),
    "residual_3": (REAL, "d_3/||W||."),
    "residual_c": (REAL, "d_c/||W||, c the number of outputs."),
    "residual_c1": (REAL, "d_(c+1)/||W||."),
    # Certificates.
    "critical_decay": (
        REAL,
        "mu_c: a two-layer net trained by gradient flow collapses to zero if mu > mu_c; null if unknown.",
    ),
    "decay_ratio": (REAL, "mu/mu_c."),
    "d_1": (REAL, "Distance of W from rank one, absolute."),
    "d_2": (REAL, "Distance of W from rank two, absolute."),
    "sample_min": (REAL, "min over samples of ||W + g_i/mu||, g_i the gradient of sample i: at least d_1."),
    "sample_max": (REAL, "max over samples of ||W + g_i/mu||: at most the paper's bound."),
    "eps_batch": (REAL, "Largest norm of a batch's gradient with decay among sampled, greedy and ascended batches."),
    "eps_lower": (REAL, "Lower end of eps, the supremum over batches of the norm of the gradient with decay."),
    "eps_upper": (REAL, "Upper end of eps: max over samples of ||g_i + mu W||."),
    "bound_lower": (REAL, "(2B - 1) eps/mu with `eps_lower`: the paper's bound on d_1 and d_2 is at least this."),
    "bound_upper": (REAL, "(2B - 1) eps/mu with `eps_upper`: the paper's bound is at most this."),
    "vacuity_lower": (REAL, "`bound_lower`/||W||: where this is 1 or more, the paper's bound says nothing."),
    "vacuity_upper": (REAL, "`bound_upper`/||W||: where this is below 1, the paper's bound says something."),
    "data_floor": (
        REAL,
        "Relative distance of the normalised inputs of V, the data, from rank one: no training gets vacuity below.",
    ),
    "gradient_norm": (REAL, "||G||, G the gradient over all training samples with decay."),
    "weyl_slack": (REAL, "||G||_2/mu: no s_i(W) is farther from s_i(mean gradient)/mu (Weyl)."),
    "weyl_gap": (REAL, "max over i of |s_i(W) - s_i(mean gradient)/mu|."),
    "weyl_tightness": (REAL, "`weyl_gap`/`weyl_slack`."),
    "mean_residual_1": (REAL, "d_1(mean gradient)/mu + ||G||/mu: at least d_1(W)."),
    "mean_residual_2": (REAL, "d_2(mean gradient)/mu + ||G||/mu: at least d_2(W)."),
    "pair_bound": (
        REAL,
        "min over samples i, j of ||W + (g_i - g_j)/(c_i - c_j)||, c_i decays: at least d_2; null if all equal.",
    ),
    "trajectory_rank": (REAL, "r = `steps_before` B: the rank that V's last steps alone can have added (SGD)."),
    "trajectory_bound": (
        REAL,
        "prod |1 - eta_s mu| ||V_before||/||V||: at least d_r/||V|| (Galanti et al., 2206.05794).",
    ),
    "trajectory_against_generic": (
        REAL,
        "`trajectory_bound` over sqrt(1 - r/q), which holds of any matrix: from 1 on, nothing.",
    ),
    "memory_rank": (
        REAL,
        "Galanti et al.'s rank B ln(2/e)/(eta mu), e = 0.01, in torch's convention; says something below q.",
    ),
    "dead_fraction": (
        REAL,
        "Share of the layer's units that are 0 on every training sample; null for the last matrix.",
    ),
    "directions": (REAL, "Distinct directions of the rows of W, cosine above 0.99 counted as one; tiny rows left out."),
    "null_reason": (TEXT, "Why the paper's bound is null in this row."),
    # Truncation: the net with V replaced by V_r, V's nearest matrix of rank r.
    "truncation_ranks": (
        WHOLES,
        "r of each entry of the lists below: 0, 1, ..., q = min(m, n) if q <= 64, else 0 to 3 and log-spaced to q.",
    ),
    "truncated_train_loss": (REALS, "`train_loss` of the net with V_r, V's nearest matrix of rank r, in place of V."),
    "truncated_test_loss": (REALS, "`test_loss` of the net with V_r."),
    "truncated_train_score": (REALS, "`train_accuracy`, or `train_r2` in regression, of the net with V_r."),
    "truncated_test_score": (REALS, "`test_accuracy`, or `test_r2` in regression, of the net with V_r."),
    "shrunk_train_loss": (
        REALS,
        "`train_loss` of the norm-matched control: V, of full rank, times ||V_r||/||V||; as this multiplies f, "
        "no classification changes at r > 0.",
    ),
    "shrunk_test_loss": (REALS, "`test_loss` of the norm-matched control."),
    "shrunk_train_score": (REALS, "`train_accuracy`, or `train_r2` in regression, of the norm-matched control."),
    "shrunk_test_score": (REALS, "`test_accuracy`, or `test_r2` in regression, of the norm-matched control."),
    "functional_rank": (
        WHOLE,
        "Least r of `truncation_ranks` from which on every `truncated_test_score` is within 0.01, either way, of the "
        "full net's.",
    ),
    "plane_1": (
        REALS,
        "Row by row (neuron by neuron) V's coordinate along its first right singular vector, whose sign makes the "
        "largest entry of `mean_1` positive.",
    ),
    "plane_2": (REALS, "The same along the second right singular vector; null if q = 1."),
    "outgoing": (REALS, "Neuron by neuron its outgoing weight if it has one (one output), else their norm."),
    "mean_1": (
        REALS,
        "Output by output the coordinate along the first right singular vector of (1/N) sum_i (y_i - ybar) x_i, the "
        "mean of -dl_i/df x_i at the best constant f (times 2/c in regression).",
    ),
    "mean_2": (REALS, "The same along the second right singular vector; null if q = 1."),
    # Bounds: the margin they use; the registry of ranktwo.bounds describes the others.
    "margin": (
        REAL,
        "gamma: a percentile (`bounds.percentile`) of f_y - max of the other f_j (of +-f with one logit) over the "
        "training samples, noise included; null in regression.",
    ),
    # verdicts.parquet (where `dataset` may be `overall`) and predictors.parquet
    "claim": (TEXT, "`C1` to `C5b`: the claim of arXiv 2410.02176 that the row judges; verdicts.py has its words."),
    "family": (
        TEXT,
        "Cells that differ in weight decay and seed only: the values of the axes in which they differ from the data "
        "set's main family, which is the one with the most cells among those with clean labels, constant decay, SGD "
        "and mini-batches; empty for that one.",
    ),
    "rule": (TEXT, "What the claim was judged by: a column of gaps.parquet, and the statistic if there are several."),
    "headline": (BOOL, "Whether the row is the claim's verdict for its data set: by its first rule, main family."),
    "verdict": (TEXT, "`supported`, `contradicted` or `inconclusive`, by `criterion`."),
    "effect": (REAL, "The number that `effect_name` describes."),
    "low": (
        REAL,
        "Lower end of the 95 % interval: percentiles of a bootstrap over seeds; null for fewer than 3 seeds. Of 3 to 5 "
        "seeds it is the seeds' range, which holds the true median in 75, 88 and 94 % of studies.",
    ),
    "high": (REAL, "Upper end of that interval."),
    "seeds": (WHOLE, "Number of seeds that the row rests on; of `overall` the fewest of its data sets."),
    "cells": (WHOLE, "Number of cells that the row rests on."),
    "ok": (WHOLE, "Cells looked at that ended `ok`. No others support or contradict anything."),
    "unfit": (WHOLE, "Cells looked at and left out as `unfit`."),
    "collapsed": (WHOLE, "Cells looked at and left out as `collapsed`."),
    "diverged": (WHOLE, "Cells looked at and left out as `diverged`."),
    "effect_name": (TEXT, "What the effect is, with its unit."),
    "threshold": (REAL, "The number in `criterion`."),
    "criterion": (TEXT, "When the claim is supported and when it is contradicted; else it is inconclusive."),
    "note": (TEXT, "What else a reader of the verdict has to know."),
    "rests_on": (pyarrow.list_(TEXT), "Names of these cells."),
    "measure": (TEXT, "A column of gaps.parquet: a bound, rate or measure of bounds.py, or a rank."),
    "statistic": (TEXT, "How the measure's order of cells agrees with that of `matched_loss_gap`; see predictors.py."),
    "axis": (TEXT, "The one axis in which the compared cells differ; null for all axes."),
    "value": (REAL, "The statistic; null where the measure or the gap is the same in all cells."),
    "excluded": (WHOLE, "Cells left out because the measure or the gap is null there."),
}
AXIS_COLUMNS = [
    *("dataset", "task", "inputs", "outputs", "train_size", "label_noise", "widths", "optimizer", "learning_rate"),
    *("schedule", "batch_size", "weight_decay", "decay_rule", "steps", "seed"),
]
"""What identifies a cell to a reader: its axes, and the task, inputs and outputs that its data set implies."""


def schema(names: list[str], more: Mapping[str, Column] | None = None) -> pyarrow.Schema:
    """The Parquet schema of these columns, and of `more` that a registry describes; fields carry their descriptions."""
    columns = {name: COLUMNS[name] for name in names} | dict(more or {})
    return pyarrow.schema(
        [pyarrow.field(name, kind, metadata={"description": text}) for name, (kind, text) in columns.items()]
    )
