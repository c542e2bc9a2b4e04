"""Every column of every Parquet file: its type, its unit and what it means. Said here once; files carry it with them.

`python -m ranktwo.columns` prints the table that docs/columns.md holds.
"""

import pyarrow

from ranktwo.errors import run

TEXT, WHOLE, REAL, BOOL = pyarrow.string(), pyarrow.int64(), pyarrow.float64(), pyarrow.bool_()
LOSS = (
    "mean over samples of the loss without penalty: (f - y)^2 with standardised y (regression), nats (classification)"
)

COLUMNS: dict[str, tuple[pyarrow.DataType, str]] = {
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
    "rank_numpy": (WHOLE, "Number of s_i > s_1 max(rows, columns) eps, eps of float32, in which weights are trained."),
    "rank_galanti": (WHOLE, "Number of s_i > 1e-3 ||W|| (Galanti et al., arXiv 2206.05794)."),
    "rank_relative": (WHOLE, "Number of s_i > 1e-2 s_1."),
    "rank_energy": (WHOLE, "Fewest s_i that hold 99 % of sum s_i^2."),
    "rank_gavish_donoho": (
        WHOLE,
        "Number of s_i > lambda*(beta) sqrt(max(rows, columns)) sigma (Gavish & Donoho 2014, known noise), sigma the "
        "sd of what decay left of the initial entries; null where sigma is unknown (momentum).",
    ),
    "rank_marchenko_pastur": (WHOLE, "Number of s_i > sigma (sqrt(rows) + sqrt(columns)), sigma as above."),
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


def schema(names: list[str]) -> pyarrow.Schema:
    """The Parquet schema of these columns; each field carries its description."""
    fields = [(name, *COLUMNS[name]) for name in names]
    return pyarrow.schema([pyarrow.field(name, kind, metadata={"description": text}) for name, kind, text in fields])


def main() -> None:
    print("| column | type | meaning |\n|---|---|---|")
    for name, (kind, text) in COLUMNS.items():
        print(f"| `{name}` | {kind} | {text.replace('|', chr(92) + '|')} |")


if __name__ == "__main__":
    run(main)
