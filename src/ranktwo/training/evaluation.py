"""The losses and scores of nets that are recorded at a snapshot, in float64 of the float32 weights.

In float32 the outputs of nets that decayed to 1e-28 underflow to 0, and small losses of nets that fit are rounding.
"""

import math

import torch
from torch import Tensor

from ranktwo.data.labels import expected_targets, targets
from ranktwo.nets import losses
from ranktwo.nets.layout import aligned
from ranktwo.nets.losses import Task, target_variance
from ranktwo.nets.net import Net
from ranktwo.store.columns import LOSS_UNIT, REAL, column
from ranktwo.training.divergence import Training
from ranktwo.training.stack import Stack

COLUMNS = {
    "train_loss": column(
        REAL,
        "On the training labels as trained on, noise included: mean over samples of the loss without penalty: "
        "(f - y)^2 with standardised y (regression), nats (classification); like all losses and scores in float64 of "
        "the float32 weights.",
        unit=LOSS_UNIT,
        headline=True,
    ),
    "train_accuracy": column(
        REAL,
        "Share of training samples classified as labelled, noise included; null in regression.",
        headline=True,
    ),
    "train_r2": column(
        REAL,
        "1 - MSE/variance on the training targets, noise included; null in classification.",
        headline=True,
    ),
    "clean_train_loss": column(
        REAL,
        "`train_loss` on the labels before noise.",
        unit=LOSS_UNIT,
        headline=True,
    ),
    "clean_train_accuracy": column(REAL, "`train_accuracy` on the labels before noise.", headline=True),
    "clean_train_r2": column(REAL, "`train_r2` on the targets before noise.", headline=True),
    "test_loss": column(
        REAL,
        "On the test set, which has no label noise: mean over samples of the loss without penalty: (f - y)^2 with "
        "standardised y (regression), nats (classification).",
        unit=LOSS_UNIT,
        headline=True,
    ),
    "test_accuracy": column(REAL, "Share of test samples classified correctly; null in regression.", headline=True),
    "test_r2": column(
        REAL,
        "1 - MSE/variance on the test targets, with their own mean; null in classification and where these are equal.",
        headline=True,
    ),
    "noisy_test_loss": column(
        REAL,
        "Expected `test_loss` if test labels had the training labels' noise, in closed form.",
        unit=LOSS_UNIT,
        headline=True,
    ),
    "noisy_test_accuracy": column(
        REAL, "Expected `test_accuracy` if test labels had the training labels' noise.", headline=True
    ),
    "noisy_test_r2": column(
        REAL,
        "1 - expected MSE/expected variance, if test targets had the training targets' noise; null in classification.",
        headline=True,
    ),
}
"""Columns of the losses and scores that `Evaluation` measures."""


class Evaluation:
    """Losses and scores of cells on the labels they are trained on, on the clean ones, and on the test set.

    R^2 = 1 - MSE / mean (y - ybar)^2 with each part's own targets. R^2 is nan in classification, and accuracy is
    nan in regression. Where a part's targets are all equal, R^2 is not finite.
    """

    def __init__(
        self, noise: list[float], task: Task, outputs: int, x: Tensor, labels: Tensor, test_x: Tensor, test_y: Tensor
    ) -> None:
        """For K cells with these levels of label noise, on the device of x [N, n]; labels and test_y are clean."""
        self._task, self._classes = task, max(outputs, 2)
        self._noise = torch.tensor(noise, dtype=torch.float64)
        self._x, self._test_x = x, test_x.to(x.device)
        self._clean, self._test = (targets(y, task, outputs).to(x.device) for y in (labels, test_y))
        self._noisy_test: Tensor | None = None
        """What test targets are expected to be with the noise of each cell; None where that is not asked for."""
        if task != "regression" and self._noise.any():
            levels = [expected_targets(test_y, task, outputs, level).to(x.device) for level in noise]
            self._noisy_test = torch.stack(levels)

    def measure(self, training: Training) -> dict[str, Tensor]:
        """Loss, accuracy and R^2 of each part for the cells still trained, [K] float64, by the names of COLUMNS.

        If no cell has label noise, the noisy and the clean values are the same.
        """
        stack = training.stack
        result = self._scores("train", stack, stack.x, stack.targets) | self._scores(
            "test", stack, self._test_x, self._test
        )
        if not self._noise.any():
            equal = {"clean_train": "train", "noisy_test": "test"}
            return result | {
                f"{part}_{metric}": result[f"{other}_{metric}"]
                for part, other in equal.items()
                for metric in ("loss", "accuracy", "r2")
            }
        result |= self._scores("clean_train", stack, self._x, self._clean)
        p = self._noise[training.alive]
        if self._task == "regression":
            # Targets vary about their own mean, which has a share of the noise.
            own = 1 - 1 / len(self._test)
            loss, variance = result["test_loss"] + p**2, target_variance(self._test) + p**2 * own
            return result | {
                "noisy_test_loss": loss,
                "noisy_test_r2": 1 - loss / variance,
                "noisy_test_accuracy": loss * math.nan,
            }
        assert self._noisy_test is not None
        loss, _ = evaluate(stack.net, stack.weights, self._test_x, self._noisy_test[training.alive], self._task)
        right = result["test_accuracy"]
        accuracy = right * (1 - p) + (1 - right) * p / (self._classes - 1)
        return result | {"noisy_test_loss": loss, "noisy_test_accuracy": accuracy, "noisy_test_r2": loss * math.nan}

    def _scores(self, part: str, stack: Stack, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        loss, accuracy = evaluate(stack.net, stack.weights, x, y, self._task)
        r2 = 1 - loss / target_variance(y) if self._task == "regression" else torch.full_like(loss, math.nan)
        return {f"{part}_loss": loss, f"{part}_accuracy": accuracy, f"{part}_r2": r2}


SLICE, GPU_SLICE = 2**16, 2**19
"""Most activations of a cell that an evaluation holds at once, on a CPU and on a GPU.

On a CPU those of some 30 cells then stay in the cache; a GPU is fast with few and large operations.
"""


def evaluate(net: Net, weights: list[Tensor], x: Tensor, targets: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """Mean loss over the N samples and share of them classified correctly, both [K] float64 on the CPU.

    x [N, n], targets [N, c] or [K, N, c]. The share is nan in regression. Samples are evaluated in slices, so that the
    activations stay in the cache.
    """
    weights = [aligned(*weight.shape, weight.new_empty(0, dtype=torch.float64)).copy_(weight) for weight in weights]
    cells = len(weights[0])
    # The last digit of a sum depends on the slices and on the vectors of losses: neither may depend on the other cells.
    size = max(1, (SLICE if x.device.type == "cpu" else GPU_SLICE) // net.widest)
    loss = torch.zeros(cells, dtype=torch.float64, device=x.device)
    right = torch.full_like(loss, math.nan if task == "regression" else 0.0)
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        outputs = net.outputs(weights, x[rows].double())
        wanted = targets[..., rows, :].double().expand(cells, -1, -1)
        for cell in range(cells):
            of_cell = outputs[cell : cell + 1], wanted[cell : cell + 1], task
            loss[cell] += losses.sample_losses(*of_cell).sum()
            if task != "regression":
                right[cell] += losses.correct(*of_cell).sum()
    return loss.cpu() / len(x), right.cpu() / len(x)
