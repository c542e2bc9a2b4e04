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

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ranktwo.analysis.bounds.net import ALL, CLASSIFICATION, Kind, Net
from ranktwo.nets.losses import Task


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
