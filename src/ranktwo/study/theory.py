"""Which nets the theory covers: the one place that says so, for training, analyses, evidence and the plan of jobs.

A cell is given as its axes by name, from a config (`vars(cell)`) or from a record or a row (widths as `64-64`). Each
function gives the reason why the theory does not hold, in words, or None where it does.
"""

from collections.abc import Mapping
from typing import Any

from ranktwo.store import registry
from ranktwo.study.axes import CONSTANT, MLP, NO_NORM, RELU, widths_of

Axes = Mapping[str, Any]


def layers(cell: Axes) -> int:
    """Weight matrices of a net of dense layers."""
    return 1 + len(widths_of(cell["widths"]))


def why_not_relu_mlp(cell: Axes) -> str | None:
    """Why a net is not f(x) = W_L relu(... relu(W_1 x)).

    The steps written by hand, the bounds, the dead units and the theory of two layers are for these nets.
    """
    if cell["net"] != MLP:
        return f"the net is a {cell['net']}, the theory is of an {MLP}"
    if cell["activation"] != RELU:
        return f"the activation is {cell['activation']}, the theory is of {RELU}"
    if cell["bias"]:
        return "the net has biases, the theory has none"
    return (
        None
        if cell["normalisation"] == NO_NORM
        else f"the net has {cell['normalisation']} normalisation, the theory has none"
    )


def why_shared(cell: Axes) -> str | None:
    """Why the gradient of a sample by the first matrix V may have a rank above one."""
    return None if cell["net"] == MLP else f"V may act at several places of a sample in a {cell['net']}"


def why_not_two_layers(cell: Axes) -> str | None:
    """Why a net is not f(x) = U relu(V x)."""
    if reason := why_not_relu_mlp(cell):
        return reason
    return None if layers(cell) == 2 else f"the net has {layers(cell)} matrices, the theory two"


def shrinks_geometrically(cell: Axes, facts: Mapping[str, Any] | None = None) -> bool:
    """Whether decay multiplies what is left of the initial weights by 1 - eta mu at each step.

    With coupled decay and momentum it does not: an earlier step's mu W acts again. facts: what a record says of its
    optimizer, `decay` and `plain`; else as the optimizer is registered.
    """
    facts = _registered(cell) if facts is None else facts
    plain = facts.get("decay") == "coupled" and facts.get("plain") is True
    return cell["decay_rule"] == CONSTANT and (plain or facts.get("decay") == "decoupled")


def why_no_programme(cell: Axes, decay: str | None = None) -> str | None:
    """Why a net's training does not descend on a decayed loss that has a convex programme behind it.

    decay: how its optimizer decays, `coupled` or `decoupled`, if a record says so; else as the optimizer is registered.
    """
    if reason := why_not_two_layers(cell):
        return reason
    if cell["weight_decay"] == 0:
        return "no weight decay"
    if (decay or _registered(cell).get("decay")) != "coupled":
        return f"{cell['optimizer']} does not descend on a penalty: it decays weights apart from the gradient"
    return None if cell["decay_rule"] == CONSTANT else f"the decay rule {cell['decay_rule']} is not constant"


def _registered(cell: Axes) -> Mapping[str, Any]:
    """What is registered of a cell's optimizer; nothing of one that is not there."""
    known = registry.entries("optimizer").get(cell["optimizer"])
    return known.settings if known else {}
