"""What the analyses may know of the optimizer that trained a cell: two facts that the cell's record states.

`decay` says how weight decay enters a step: `coupled` if mu W is added to the gradient, `decoupled` if the step
multiplies W by 1 - eta mu. `plain` says whether a step is exactly W <- (1 - eta mu) W - eta g, with g the mean gradient
of the batch's loss. Where a fact is not known, no property below that rests on it holds.
"""

from typing import Any

from ranktwo.study.axes import CONSTANT


def is_plain_descent(cell: dict[str, Any]) -> bool:
    """Whether each step is W <- (1 - eta mu) W - eta g, with g the mean of B sample gradients and one mu for all."""
    known = cell.get("decay") in ("coupled", "decoupled")
    return known and cell.get("plain") is True and cell["decay_rule"] == CONSTANT


def is_penalised(cell: dict[str, Any]) -> bool:
    """Whether decay is the gradient of a penalty mu/2 ||W||^2, so that training descends on loss plus penalty."""
    return cell.get("decay") == "coupled"
