"""Generalization measures and bounds of one bias-free ReLU net f(x) = W_L relu(... relu(W_1 x)), and their register.

Shapes: W_l is [out_l, in_l]; n = in_1 inputs, m = out_1 hidden units, c = out_L outputs, N training samples.
`||.||` is the Frobenius norm, s(W) the spectral norm, gamma the margin, B = max_i ||x_i||, delta the confidence.
A formula is one function of a `Net`, marked with the decorator of its kind, in any file. It is NaN, never 0, wherever
it is undefined.

There are three kinds:
- rate: the order of magnitude that a theorem states, constants and logarithms as written in the docstring, mostly 1;
- bound: explicit constants; with probability 1 - delta, test error <= training margin error + this, the training
  margin error being the share of training samples with a margin below gamma (the training error for `vc_bound`).
  Above 1 it says nothing. Norms and margin are read off the trained net; where a theorem fixes them beforehand the
  docstring says so;
- measure: no theorem attached, only for ranking nets; those from Jiang et al. 2020 (1912.02178) are scaled by 1/sqrt(N)
  as in Dziugaite et al. 2020 (2010.11924), so that nets trained on different N can be compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np

from ranktwo.analysis.bounds.net import Net
from ranktwo.nets.losses import Task
from ranktwo.store import registry
from ranktwo.store.columns import REAL, Column, column

Kind = Literal["rate", "bound", "measure"]
ALL: tuple[Task, ...] = get_args(Task)
CLASSIFICATION: tuple[Task, ...] = ("binary", "multiclass")


def _energy_99(net: Net) -> np.ndarray:
    """Fewest singular values that hold 99 % of ||W_l||^2; NaN at W_l = 0."""
    energies = [np.cumsum(s**2) / np.sum(s**2) for s in net.singular_values]
    return np.array([np.nan if np.isnan(held[-1]) else 1.0 + np.sum(held[:-1] < 0.99) for held in energies])


RANKS: dict[str, Callable[[Net], np.ndarray]] = {
    "dense": lambda net: net.full_ranks,
    "rank_2": lambda net: np.minimum(2, net.full_ranks),
    "energy_99": _energy_99,
}
"""Ranks [L] that a formula may assume of the matrices: all of them, the paper's two, or those read off the spectrum."""


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A registered rate, bound or measure."""

    name: str
    kind: Kind
    source: str
    """Its docstring: the paper first, then the formula."""
    compute: Callable[[Net], float]
    tasks: tuple[Task, ...]
    layers: int | None
    """The only depth for which it is defined; None for any depth."""
    exponent: Callable[[int], int] | None
    """Of s, given L, by which the value grows when weights and initial weights are multiplied by s > 0; None where the
    value is no such power."""
    module: str
    """The module that registers it."""

    @property
    def trivial(self) -> float | None:
        """The value above which it says nothing, if there is one."""
        return 1.0 if self.kind == "bound" else None


FORMULAS: dict[str, Formula] = {}
"""Formulas of the modules that are imported; `formulas` imports the others."""


def _never(layers: int) -> int:
    return 0


def _register(
    kind: Kind,
    *,
    tasks: tuple[Task, ...] = ALL,
    layers: int | None = None,
    exponent: Callable[[int], int] | None = _never,
    per_rank: bool = False,
    over_margin: bool = False,
) -> Callable[[Callable], Callable]:
    """Register a formula under its function's name.

    tasks, layers: where it is defined.
    exponent: as in `Formula`; a test checks that the value grows so.
    per_rank: the function takes (net, ranks) and is registered once for each of RANKS, as NAME_dense and so on.
    over_margin: a second formula, NAME_over_margin, divides by gamma.
    """

    def decorate(function: Callable) -> Callable:
        def add(name: str, compute: Callable[[Net], float], note: str = "", **changes: Any) -> None:
            facts: dict[str, Any] = {"tasks": tasks, "layers": layers, "exponent": exponent}
            facts |= {"source": note + (function.__doc__ or ""), "module": function.__module__}
            FORMULAS[name] = Formula(name=name, kind=kind, compute=compute, **(facts | changes))

        name = function.__name__
        if per_rank:
            for ranks in RANKS:
                add(f"{name}_{ranks}", partial(_with_ranks, function, ranks), f"Ranks `{ranks}`: ")
        else:
            add(name, function)
        if over_margin:
            add(
                f"{name}_over_margin",
                partial(_over_margin, function),
                "Divided by gamma: ",
                tasks=CLASSIFICATION,
                exponent=lambda depth: exponent(depth) - depth if exponent else 0,  # the margin grows with s^L
            )
        return function

    return decorate


rate = partial(_register, "rate")
"""Decorator of a rate; its arguments are those of `_register`."""
bound = partial(_register, "bound")
"""Decorator of a bound."""
measure = partial(_register, "measure")
"""Decorator of a measure."""


def _with_ranks(function: Callable, ranks: str, net: Net) -> float:
    return function(net, RANKS[ranks](net))


def _over_margin(function: Callable, net: Net) -> float:
    return function(net) / net.gamma


def formulas() -> dict[str, Formula]:
    """Every registered formula by name, the files with rates first; imports all files that hold some."""
    functions = [
        *registry.load_all("rate").values(),
        *registry.load_all("bound").values(),
        *registry.load_all("measure").values(),
    ]
    modules = list(dict.fromkeys(function.__module__ for function in functions))
    # In an order that does not depend on which file was imported first.
    ordered = sorted(FORMULAS.values(), key=lambda formula: modules.index(formula.module))
    return {formula.name: formula for formula in ordered}


def formula_columns() -> dict[str, Column]:
    """A column for each formula, described by its kind and the first line of its docstring."""
    return {
        name: column(
            REAL, f"{formula.kind.capitalize()}. {formula.source.splitlines()[0]}", headline=True, kind=formula.kind
        )
        for name, formula in formulas().items()
    }


def evaluate(net: Net) -> dict[str, float]:
    """The value of every formula; NaN where it is undefined, and everywhere if a weight is not finite."""
    with np.errstate(all="ignore"):
        return {name: _value(formula, net) for name, formula in formulas().items()}


def _value(formula: Formula, net: Net) -> float:
    defined = net.finite and net.task in formula.tasks and formula.layers in (None, len(net.weights))
    value = float(formula.compute(net)) if defined else np.nan
    return value if np.isfinite(value) else np.nan


def vacuous(name: str, value: float) -> bool | None:
    """Whether a bound's value says nothing; None for what is no bound and for an undefined value."""
    trivial = formulas()[name].trivial
    return None if trivial is None or np.isnan(value) else bool(value > trivial)
