"""Generalization measures and bounds of one bias-free ReLU net f(x) = W_L relu(... relu(W_1 x)).

Shapes: W_l is [out_l, in_l]; n = in_1 inputs, m = out_1 hidden units, c = out_L outputs, N training samples.
`||.||` is the Frobenius norm, s(W) the spectral norm, gamma the margin, B = max_i ||x_i||, delta the confidence.
Adding a bound is adding one function under `@register`. Its result is NaN, never 0, wherever it is undefined.

Three kinds:
- rate: the order of magnitude that a theorem states, constants and logarithms as written in the docstring, mostly 1;
- bound: explicit constants; with probability 1 - delta, test error <= training margin error + this, the training
  margin error being the share of training samples with a margin below gamma (the training error for `vc_bound`).
  Norms and margin are read off the trained net; where a theorem fixes them beforehand the docstring says so;
- measure: no theorem attached, only for ranking nets; those from Jiang et al. 2020 (1912.02178) are scaled by 1/sqrt(N)
  as in Dziugaite et al. 2020 (2010.11924), so that nets trained on different N can be compared.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import e, log, prod
from typing import Any, Literal, get_args

import numpy as np
import pyarrow
import torch
from numpy import log2, sqrt
from torch import Tensor

from ranktwo import columns, datasets, files, nets, provenance
from ranktwo.errors import run
from ranktwo.nets import Task
from ranktwo.progress import over
from ranktwo.records import Record, defined, load_data, load_records, stage_parser, training_data

Kind = Literal["rate", "bound", "measure"]
ALL: tuple[Task, ...] = get_args(Task)
CLASSIFICATION: tuple[Task, ...] = ("binary", "multiclass")


def margins(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Margin of every sample, [N]: f_y - max_{j != y} f_j (multiclass), or the logit times 1 or -1 (binary)."""
    if task == "binary":
        return (outputs * (2 * targets - 1)).squeeze(-1)
    own = targets > 0.5
    return outputs[own] - outputs.masked_fill(own, -torch.inf).amax(-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Net:
    """What the formulas need of one net and its training inputs, all in float64."""

    task: Task
    weights: tuple[np.ndarray, ...]
    initial: tuple[np.ndarray, ...]
    singular_values: tuple[np.ndarray, ...]
    samples: int
    margin: float  # a percentile of the training margins, negative if the net errs there; NaN for regression
    largest_input: float  # B
    total_input: float  # sqrt(sum_i ||x_i||^2)
    initial_activity: float  # sqrt(mean_i ||relu(W_1 x_i)||^2) with the initial W_1
    delta: float
    epsilon: float  # rounding error of the precision in which the weights were trained

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
        """From matrices [out, in], x [N, n] and targets [N, c]; pass outputs [N, c] and singular values if known.

        The margin is a percentile (linear interpolation) of the training margins: the 10th as in Jiang et al. 2020.
        """
        weights = [w.double() for w in weights]
        initial = [w.double() for w in initial]
        x, targets = x.double(), targets.double()
        if singular_values is None:
            singular_values = [_singular_values(w) for w in weights]
        if outputs is None:
            outputs = nets.forward([w[None] for w in weights], x)[-1][0]
        gamma = float("nan")
        if task != "regression":
            gamma = float(np.percentile(margins(outputs.double(), targets, task).numpy(), percentile))
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
        return np.array([w.shape for w in self.weights])

    @cached_property
    def full_ranks(self) -> np.ndarray:
        return self.shapes.min(1)

    @cached_property
    def frobenius(self) -> np.ndarray:
        return np.array([np.linalg.norm(w) for w in self.weights])

    @cached_property
    def spectral(self) -> np.ndarray:
        return np.array([s[0] for s in self.singular_values])

    @cached_property
    def stable_ranks(self) -> np.ndarray:
        return (self.frobenius / self.spectral) ** 2

    @cached_property
    def distances(self) -> np.ndarray:
        """||W_l - W_l(0)||."""
        return np.array([np.linalg.norm(w - w0) for w, w0 in zip(self.weights, self.initial, strict=True)])

    @cached_property
    def row_distances(self) -> np.ndarray:
        """Sum over the units of ||row of W_l - W_l(0)||: the (2, 1) norm of the *transposed* difference."""
        pairs = zip(self.weights, self.initial, strict=True)
        return np.array([np.linalg.norm(w - w0, axis=1).sum() for w, w0 in pairs])

    @cached_property
    def finite(self) -> bool:
        return all(np.isfinite(w).all() for w in (*self.weights, *self.initial))


def _singular_values(weight: Tensor) -> Tensor:
    """In falling order; NaN for a matrix that is not finite. The transpose of a wide matrix is faster, and the same."""
    if not weight.isfinite().all():
        return torch.full((min(weight.shape),), torch.nan, dtype=weight.dtype)
    return torch.linalg.svdvals(weight if weight.shape[0] >= weight.shape[1] else weight.T)


def _energy_99(net: Net) -> np.ndarray:
    """Fewest singular values that hold 99 % of ||W_l||^2; NaN at W_l = 0."""
    energies = [np.cumsum(s**2) / np.sum(s**2) for s in net.singular_values]
    return np.array([np.nan if np.isnan(held[-1]) else 1.0 + np.sum(held[:-1] < 0.99) for held in energies])


# Ranks assumed of the matrices: none (dense), the paper's two, or read off the spectrum.
RANKS: dict[str, Callable[[Net], np.ndarray]] = {
    "dense": lambda net: net.full_ranks,
    "rank_2": lambda net: np.minimum(2, net.full_ranks),
    "energy_99": _energy_99,
}


@dataclass(frozen=True, kw_only=True)
class Bound:
    name: str
    kind: Kind
    source: str  # the docstring: paper first, then formula
    formula: Callable[[Net], float]
    tasks: tuple[Task, ...]
    layers: int | None  # the only depth for which it is defined, or None
    exponent: Callable[[int], int] | None  # of s, given L, when weights, initial weights are multiplied by s > 0
    trivial: float | None  # a larger value says nothing


REGISTRY: dict[str, Bound] = {}


def _never(layers: int) -> int:
    return 0


def register(
    kind: Kind,
    *,
    tasks: tuple[Task, ...] = ALL,
    layers: int | None = None,
    exponent: Callable[[int], int] | None = _never,
    per_rank: bool = False,
    over_margin: bool = False,
) -> Callable[[Callable], Callable]:
    """Register a formula under its name. A test checks that the value scales with the `exponent` it claims.

    per_rank: the formula takes (net, ranks) and is registered once for each of RANKS, as name_dense and so on;
    over_margin: a second entry, name_over_margin, divides by gamma.
    """

    def decorate(function: Callable) -> Callable:
        def add(name: str, formula: Callable[[Net], float], note: str = "", **changes: Any) -> None:
            trivial = 1.0 if kind == "bound" else None
            facts: dict[str, Any] = {"tasks": tasks, "layers": layers, "exponent": exponent, "trivial": trivial}
            source = note + (function.__doc__ or "")
            REGISTRY[name] = Bound(name=name, kind=kind, source=source, formula=formula, **(facts | changes))

        name = function.__name__
        if per_rank:
            for rule in RANKS:
                add(f"{name}_{rule}", partial(_with_ranks, function, rule), f"Ranks `{rule}`: ")
        else:
            add(name, function)
        if over_margin:  # the margin scales with s^L
            add(
                f"{name}_over_margin",
                partial(_over_margin, function),
                "Divided by gamma: ",
                tasks=CLASSIFICATION,
                exponent=lambda depth: exponent(depth) - depth if exponent else 0,
            )
        return function

    return decorate


def _with_ranks(function: Callable, rule: str, net: Net) -> float:
    return function(net, RANKS[rule](net))


def _over_margin(function: Callable, net: Net) -> float:
    return function(net) / net.gamma


def evaluate(net: Net) -> dict[str, float]:
    """Every registered value of the net; NaN where it is not defined, of all of them if a weight is not finite."""
    with np.errstate(all="ignore"):
        return {name: _value(bound, net) for name, bound in REGISTRY.items()}


def _value(bound: Bound, net: Net) -> float:
    defined = net.finite and net.task in bound.tasks and bound.layers in (None, len(net.weights))
    value = float(bound.formula(net)) if defined else np.nan
    return value if np.isfinite(value) else np.nan


def vacuous(name: str, value: float) -> bool | None:
    """Whether a bound exceeds the trivial one; None for what is no bound and for an undefined value."""
    trivial = REGISTRY[name].trivial
    return None if trivial is None or np.isnan(value) else bool(value > trivial)


# Rates


@register("rate", layers=2)
def chen2024_dense_rate(net: Net) -> float:
    """Chen, Yi, Yang 2024 (2410.02176), the rate before low rank: sqrt(m n ln m ln N / N)."""
    m, n = net.shapes[0]
    return sqrt(m * n * log(m) * log(net.samples) / net.samples)


@register("rate", layers=2)
def chen2024_rank_two_rate(net: Net) -> float:
    """Chen, Yi, Yang 2024 (2410.02176), the rate at rank two: sqrt((m + n) ln m ln N / N)."""
    m, n = net.shapes[0]
    return sqrt((m + n) * log(m) * log(net.samples) / net.samples)


@register("rate", tasks=CLASSIFICATION)
def bartlett2017_rate(net: Net) -> float:
    """Bartlett, Foster, Telgarsky 2017 (1706.08498), Thm 1.1: sqrt(sum ||x||^2) R ln(width) / (gamma N).

    R = prod s(W_l) (sum_l (d_l / s(W_l))^(2/3))^(3/2), d_l = sum over rows of ||W_l - W_l(0)||; the reference matrices
    are the initial ones, and the width is the largest of all dimensions.
    """
    return net.total_input * _bartlett_complexity(net) * log(net.shapes.max()) / (net.gamma * net.samples)


def _bartlett_complexity(net: Net) -> float:
    return net.spectral.prod() * ((net.row_distances / net.spectral) ** (2 / 3)).sum() ** 1.5


@register("rate", tasks=CLASSIFICATION)
def neyshabur2018_rate(net: Net) -> float:
    """Neyshabur, Bhojanapalli, Srebro 2018 (1707.09564), Thm 1, without its ln(L N / delta).

    sqrt(B^2 L^2 h ln(L h) prod s(W_l)^2 sum ||W_l||^2/s(W_l)^2 / (gamma^2 N)), h the largest layer.
    """
    depth, h = len(net.weights), net.shapes[:, 0].max()
    lipschitz = net.largest_input * net.spectral.prod() / net.gamma
    return lipschitz * depth * sqrt(h * log(depth * h) * net.stable_ranks.sum() / net.samples)


@register("rate", exponent=lambda depth: depth)
def golowich2018_rate(net: Net) -> float:
    """Golowich, Rakhlin, Shamir 2018 (1712.06541), Thm 1: B (sqrt(2 ln2 L) + 1) prod ||W_l|| / sqrt(N).

    The Rademacher complexity of real-valued nets with these norms; it knows no margin, loss or number of outputs.
    """
    return net.largest_input * (sqrt(2 * log(2) * len(net.weights)) + 1) * net.frobenius.prod() / sqrt(net.samples)


@register("rate", exponent=None)
def ledent2025_schatten_rate(net: Net) -> float:
    """Ledent, Alves, Lei 2025 (2510.21945), Thm 3.6, dense layers, reference matrices 0, constants and logs dropped.

    sqrt(L/N sum_l min_p (B prod s(W))^(2p/(p+2)) (sum_i (s_i(W_l)/s(W_l))^p (out + in))^(2/(p+2))), 0 <= p <= 2,
    for a loss of Lipschitz constant 1. Written as in a public reproduction of the paper's figure D.3; the text of the
    theorem was not seen. Near p = 0 it counts ranks, at p = 2 it is a norm bound.
    """
    p = np.linspace(0, 2, 41)
    lipschitz = (net.largest_input * net.spectral.prod()) ** (2 * p / (p + 2))
    ranks = _numerical_ranks(net)
    total = 0.0
    for s, shape, rank in zip(net.singular_values, net.shapes, ranks, strict=True):
        proxy = np.array([rank, *((s / s[0]) ** p[1:, None]).sum(1)])
        total += (lipschitz * (proxy * shape.sum()) ** (2 / (p + 2))).min()
    return sqrt(len(net.weights) * total / net.samples)


@register("rate")
def ledent2025_rank_rate(net: Net) -> float:
    """Ledent, Alves, Lei 2025 (2510.21945), Thm 3.6 at p = 0: sqrt(L sum_l r_l (out + in) / N).

    r_l counts singular values above s(W_l) max(out, in) eps, eps of the precision in which the weights were trained.
    """
    return sqrt(len(net.weights) * (_numerical_ranks(net) * net.shapes.sum(1)).sum() / net.samples)


def _numerical_ranks(net: Net) -> np.ndarray:
    """NaN at W_l = 0."""
    return np.array(
        [
            np.sum(s > s[0] * shape.max() * net.epsilon) * (s[0] / s[0])
            for s, shape in zip(net.singular_values, net.shapes, strict=True)
        ]
    )


# Counts of parameters


@register("measure", per_rank=True)
def parameters(net: Net, ranks: np.ndarray) -> float:
    """Number of weights, a matrix of low rank r stored as two thin factors: sum min(r (out + in), out in)."""
    return np.minimum(ranks * net.shapes.sum(1), net.shapes.prod(1)).sum()


@register("measure", per_rank=True)
def pseudo_dimension(net: Net, ranks: np.ndarray) -> float:
    """Bartlett, Harvey, Liaw, Mehrabian 2019 (1703.02930), Thm 6 (Thm 7 in JMLR), for pseudo- and VC dimension alike.

    L + P log2(8e R log2(4e R)), P = sum_l P_l, P_l the weights of layers 1..l, R = sum_l degree_l out_l; constants of
    the two-layer form in bneyshabur/over-parametrization. degree_l is that of layer l's pre-activations as polynomials
    in the weights: l when dense, one more for every factored matrix so far. The count for factored nets, and for L > 2,
    is ours, from the same product of sign-pattern counts: 2^N <= prod_l 2 (2e N out_l degree_l / P_l)^P_l.
    """
    dense = net.shapes.prod(1)
    sizes = np.minimum(ranks * net.shapes.sum(1), dense)
    degrees = np.cumsum(1 + (sizes < dense))
    r = (degrees * net.shapes[:, 0]).sum()
    return len(dense) + np.cumsum(sizes).sum() * log2(8 * e * r * log2(4 * e * r))


@register("bound", tasks=CLASSIFICATION, per_rank=True)
def vc_bound(net: Net, ranks: np.ndarray) -> float:
    """VC bound, constants of bneyshabur/over-parametrization: sqrt((8 c D ln(e max(N/D, 1)) + 8 ln(2 Q/delta)) / N).

    D is `pseudo_dimension`. Of a factored net it bounds the *truncated* net, not the trained one; delta is then split
    over the Q = prod min(out, in) possible ranks, so that ranks read off the weights are covered. Q = 1 when dense.
    """
    dimension = pseudo_dimension(net, ranks)
    choices = prod(net.full_ranks.tolist()) if (ranks < net.full_ranks).any() else 1
    capacity = net.shapes[-1, 0] * dimension * np.log(e * np.maximum(net.samples / dimension, 1))
    return sqrt((8 * capacity + 8 * log(2 * choices / net.delta)) / net.samples)


# Margin bounds with explicit constants


@register("bound", tasks=("binary",), exponent=None)
def golowich2018_bound(net: Net) -> float:
    """Golowich, Rakhlin, Shamir 2018 (1712.06541), Thm 1, in the margin bound of Mohri et al. 2018 (book), Thm 5.8.

    2/gamma (sqrt(2 ln2 L) + 1) prod ||W_l|| sqrt(sum ||x||^2) / N + 3 sqrt(ln(2/delta) / (2N)), for norms and margin
    fixed beforehand. The empirical Rademacher complexity of real-valued nets, hence one logit only.
    """
    peeling = (sqrt(2 * log(2) * len(net.weights)) + 1) * net.frobenius.prod() * net.total_input / net.samples
    return 2 * peeling / net.gamma + 3 * sqrt(log(2 / net.delta) / (2 * net.samples))


@register("bound", tasks=CLASSIFICATION, layers=2, exponent=None)
def neyshabur2015_bound(net: Net) -> float:
    """Neyshabur, Tomioka, Srebro 2015 (1503.00036), constants of bneyshabur/over-parametrization.

    (8 sqrt(c) ||V|| ||U|| rms||x|| / gamma + 3 sqrt(ln(N/delta))) / sqrt(N), for norms fixed beforehand.
    """
    r = 8 * sqrt(net.shapes[-1, 0]) * net.frobenius.prod() * _rms_input(net) / net.gamma
    return (r + 3 * sqrt(log(net.samples / net.delta))) / sqrt(net.samples)


@register("bound", tasks=CLASSIFICATION, layers=2, exponent=None)
def bartlett2017_bound(net: Net) -> float:
    """Bartlett, Foster, Telgarsky 2017 (1706.08498), constants of bneyshabur/over-parametrization.

    (R' + sqrt(4.5 ln(1/delta) + ln(2N/gamma) + 2 ln(2 + sqrt(sum ||x||^2))
               + 2 sum_l ln((2 + 2||W_l - W_l(0)||)(2 + 2 s(W_l))))) / sqrt(N),
    R' = 144 ln N ln(2P) (rms||x|| + 1/sqrt(N)) R / gamma, P weights, R as in `bartlett2017_rate`.
    """
    n = net.samples
    scale = 144 * log(n) * log(2 * net.shapes.prod(1).sum()) * (_rms_input(net) + 1 / sqrt(n))
    union = 4.5 * log(1 / net.delta) + log(2 * n / net.gamma) + 2 * log(2 + net.total_input)
    union += 2 * np.log((2 + 2 * net.distances) * (2 + 2 * net.spectral)).sum()
    return (scale * _bartlett_complexity(net) / net.gamma + sqrt(union)) / sqrt(n)


@register("bound", tasks=CLASSIFICATION, layers=2, exponent=None)
def neyshabur2018_bound(net: Net) -> float:
    """Neyshabur, Bhojanapalli, Srebro 2018 (1707.09564), constants of bneyshabur/over-parametrization.

    sqrt((R^2 + 6 ln(2N/delta)) / N), D = distance to the initial matrix,
    R = 42 * 8 s(V) sqrt(ln(8m)) B sqrt(m (s(U) ||D_V||)^2 + c (s(V) ||D_U||)^2) / (sqrt(2) gamma).
    """
    units = net.shapes[:, 0]
    perturbation = sqrt((units * (net.spectral[::-1] * net.distances) ** 2).sum())
    r = 42 * 8 * net.spectral[0] * sqrt(log(8 * units[0])) * net.largest_input * perturbation / (sqrt(2) * net.gamma)
    return sqrt((r**2 + 6 * log(2 * net.samples / net.delta)) / net.samples)


@register("bound", tasks=CLASSIFICATION, layers=2, exponent=None)
def neyshabur2019_bound(net: Net) -> float:
    """Neyshabur, Li, Bhojanapalli, LeCun, Srebro 2019 (1805.12076), constants of bneyshabur/over-parametrization.

    (R + 3 sqrt(5m + ln(max(1, gamma sqrt(N)) / delta))) / sqrt(N),
    R = 3 sqrt(2) (sqrt(2c) + 1) (||U|| + 1) (sqrt(mean_i ||relu(V(0) x_i)||^2) + ||V - V(0)|| rms||x|| + 1) / gamma.
    """
    m, c = net.shapes[:, 0]
    unit_capacity = net.initial_activity + net.distances[0] * _rms_input(net) + 1
    r = 3 * sqrt(2) * (sqrt(2 * c) + 1) * (net.frobenius[1] + 1) * unit_capacity / net.gamma
    confidence = log(max(1, net.gamma * sqrt(net.samples)) / net.delta)
    return (r + 3 * sqrt(5 * m + confidence)) / sqrt(net.samples)


def _rms_input(net: Net) -> float:
    return net.total_input / sqrt(net.samples)


# Measures


@register("measure", exponent=lambda depth: depth, over_margin=True)
def product_frobenius(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), prod-of-fro: prod ||W_l|| / sqrt(N)."""
    return net.frobenius.prod() / sqrt(net.samples)


@register("measure", exponent=lambda depth: depth, over_margin=True)
def product_spectral(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), prod-of-spec: prod s(W_l) / sqrt(N)."""
    return net.spectral.prod() / sqrt(net.samples)


@register("measure", exponent=lambda depth: depth, over_margin=True)
def path_norm_1(net: Net) -> float:
    """Neyshabur, Tomioka, Srebro 2015 (1503.00036): sum over paths of prod |w| / sqrt(N)."""
    return _path_sum(net, 1) / sqrt(net.samples)


@register("measure", exponent=lambda depth: depth, over_margin=True)
def path_norm_2(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), path-norm: sqrt(sum over paths of prod w^2 / N)."""
    return sqrt(_path_sum(net, 2) / net.samples)


def _path_sum(net: Net, power: int) -> float:
    """Outputs, summed, of the linear net with weights |w|^power at an input of ones."""
    flow = np.ones(net.shapes[0, 1])
    for weight in net.weights:
        flow = np.abs(weight) ** power @ flow
    return flow.sum()


@register("measure")
def frobenius_over_spectral(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), fro-over-spec: sqrt(sum_l ||W_l||^2/s(W_l)^2 / N)."""
    return sqrt(net.stable_ranks.sum() / net.samples)


@register("measure", exponent=lambda depth: depth, over_margin=True)
def spectral_stable_rank(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), spec-orig: prod s(W_l) sqrt(sum_l ||W_l||^2/s(W_l)^2 / N)."""
    return net.spectral.prod() * sqrt(net.stable_ranks.sum() / net.samples)


@register("measure", exponent=lambda depth: depth, over_margin=True)
def spectral_distance(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), spec-init: prod s(W_l) sqrt(sum_l ||W_l - W_l(0)||^2/s(W_l)^2 / N)."""
    return net.spectral.prod() * sqrt(((net.distances / net.spectral) ** 2).sum() / net.samples)


@register("measure", exponent=lambda depth: 1)
def distance_frobenius(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), fro-dist: sqrt(sum_l ||W_l - W_l(0)||^2 / N)."""
    return sqrt((net.distances**2).sum() / net.samples)


@register("measure", exponent=lambda depth: 1)
def norm_frobenius(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), param-norm: sqrt(sum_l ||W_l||^2 / N)."""
    return sqrt((net.frobenius**2).sum() / net.samples)


@register("measure", tasks=CLASSIFICATION, exponent=lambda depth: -depth)
def inverse_margin(net: Net) -> float:
    """Jiang et al. 2020 (1912.02178), inverse-margin: 1 / (gamma sqrt(N))."""
    return 1 / (net.gamma * sqrt(net.samples))


# The stage


def described() -> dict[str, columns.Column]:
    """Columns of what is registered, each with its kind and the first line of its docstring."""
    return {
        name: (columns.REAL, f"{bound.kind.capitalize()}. {bound.source.splitlines()[0]}")
        for name, bound in REGISTRY.items()
    }


def table_schema() -> pyarrow.Schema:
    return columns.schema(["cell", "margin"], described())


def row(name: str, record: Record, data: datasets.Dataset, settings: dict[str, Any]) -> dict[str, Any]:
    """One cell's margin and registered values after training, null where undefined; settings as in `Net.of`."""
    net = Net.of(record.net(-1), record.net(0), *training_data(record.cell, data), data.task, **settings)
    values = {"margin": net.margin, **evaluate(net)}
    return {"cell": name} | {column: defined(value) for column, value in values.items()}


def main() -> None:
    parser = stage_parser(__doc__, "dataset")
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: percentile and delta of `Net.of`")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load_data(arguments.dataset)
    records = load_records(arguments.job, arguments.weights, arguments.history)
    cells = over(records.items(), f"{arguments.output.stem}: bounds of {len(records)} cells", "cells")
    rows = [row(name, record, data, arguments.settings) for name, record in cells]
    files.write_parquet(
        arguments.output,
        pyarrow.Table.from_pylist(rows, schema=table_schema()),
        {"provenance": provenance.circumstances("bounds", [arguments.weights, arguments.history, arguments.dataset])},
    )


if __name__ == "__main__":
    run(main)
