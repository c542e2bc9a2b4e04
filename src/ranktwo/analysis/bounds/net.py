"""What generalization bounds need to know of one net: norms, spectra, margin, and distances to the initial weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy import sqrt
from torch import Tensor

from ranktwo.nets import mlp
from ranktwo.nets.losses import Task


def margins(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Margin of every sample, [N]: f_y - max_{j != y} f_j (multiclass), or the logit times 1 or -1 (binary)."""
    if task == "binary":
        return (outputs * (2 * targets - 1)).squeeze(-1)
    own = targets > 0.5
    return outputs[own] - outputs.masked_fill(own, -torch.inf).amax(-1)


def margin_of(outputs: Tensor, targets: Tensor, task: Task, percentile: float = 10.0) -> float:
    """A percentile of the margins of all samples, by linear interpolation; NaN for regression."""
    if task == "regression":
        return float("nan")
    return float(np.percentile(margins(outputs, targets, task).numpy(), percentile))


@dataclass(frozen=True, kw_only=True, eq=False)
class Net:
    """What the formulas need of one net and its training inputs, all in float64."""

    task: Task
    weights: tuple[np.ndarray, ...]
    initial: tuple[np.ndarray, ...]
    singular_values: tuple[np.ndarray, ...]
    samples: int
    margin: float
    """A percentile of the training margins, negative if the net errs there; NaN for regression."""
    largest_input: float
    """B = max_i ||x_i||."""
    total_input: float
    """sqrt(sum_i ||x_i||^2)."""
    initial_activity: float
    """sqrt(mean_i ||relu(W_1 x_i)||^2) with the initial W_1."""
    delta: float
    """The bounds hold with probability 1 - delta."""
    epsilon: float
    """Rounding error of the precision in which the weights were trained."""

    @classmethod
    def of(
        cls,
        weights: Sequence[Tensor],
        initial: Sequence[Tensor],
        x: Tensor,
        targets: Tensor,
        task: Task,
        *,
        outputs: Tensor | None = None,
        singular_values: Sequence[Tensor] | None = None,
        percentile: float = 10.0,
        delta: float = 0.01,
        trained_in: torch.dtype = torch.float32,
    ) -> "Net":
        """From matrices [out, in], x [N, n] and targets [N, c], and outputs [N, c] and singular values if known.

        The margin is a percentile, by linear interpolation, of the training margins: the 10th as in Jiang et al. 2020.
        """
        weights = [w.double() for w in weights]
        initial = [w.double() for w in initial]
        x, targets = x.double(), targets.double()
        if singular_values is None:
            singular_values = [_singular_values(w) for w in weights]
        if outputs is None:
            outputs = mlp.forward([w[None] for w in weights], x)[-1][0]
        gamma = margin_of(outputs.double(), targets, task, percentile)
        lengths = torch.linalg.vector_norm(x, dim=1)
        return cls(
            task=task,
            weights=tuple(w.numpy() for w in weights),
            initial=tuple(w.numpy() for w in initial),
            singular_values=tuple(s.double().numpy() for s in singular_values),
            samples=len(x),
            margin=gamma,
            largest_input=float(lengths.max()),
            total_input=float(torch.linalg.vector_norm(lengths)),
            initial_activity=float(torch.linalg.vector_norm((x @ initial[0].T).relu_())) / sqrt(len(x)),
            delta=delta,
            epsilon=torch.finfo(trained_in).eps,
        )

    @cached_property
    def gamma(self) -> float:
        """The margin where it is positive, else NaN: no margin bound says anything about a net that errs there."""
        return self.margin if self.margin > 0 else float("nan")

    @cached_property
    def shapes(self) -> np.ndarray:
        """(out, in) of each matrix, [L, 2]."""
        return np.array([w.shape for w in self.weights])

    @cached_property
    def full_ranks(self) -> np.ndarray:
        """min(out, in) of each matrix, [L]."""
        return self.shapes.min(1)

    @cached_property
    def frobenius(self) -> np.ndarray:
        """||W_l||, [L]."""
        return np.array([np.linalg.norm(w) for w in self.weights])

    @cached_property
    def spectral(self) -> np.ndarray:
        """s(W_l), [L]."""
        return np.array([s[0] for s in self.singular_values])

    @cached_property
    def stable_ranks(self) -> np.ndarray:
        """||W_l||^2/s(W_l)^2, [L]."""
        return (self.frobenius / self.spectral) ** 2

    @cached_property
    def distances(self) -> np.ndarray:
        """||W_l - W_l(0)||, [L]."""
        return np.array([np.linalg.norm(w - w0) for w, w0 in zip(self.weights, self.initial, strict=True)])

    @cached_property
    def row_distances(self) -> np.ndarray:
        """Sum over the units of ||row of W_l - W_l(0)||, [L]: the (2, 1) norm of the *transposed* difference."""
        pairs = zip(self.weights, self.initial, strict=True)
        return np.array([np.linalg.norm(w - w0, axis=1).sum() for w, w0 in pairs])

    @cached_property
    def finite(self) -> bool:
        """Whether all weights are finite, the initial ones too."""
        return all(np.isfinite(w).all() for w in (*self.weights, *self.initial))


def _singular_values(weight: Tensor) -> Tensor:
    """In descending order; NaN for a matrix that is not finite."""
    if not weight.isfinite().all():
        return torch.full((min(weight.shape),), torch.nan, dtype=weight.dtype)
    # The transpose of a wide matrix has the same ones and is faster.
    return torch.linalg.svdvals(weight if weight.shape[0] >= weight.shape[1] else weight.T)
