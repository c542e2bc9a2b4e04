"""What an optimizer is, and how one is registered.

An optimizer is one file of this folder. It holds a function that takes a step of one weight matrix of K nets by torch's
operations, marked with `@optimizer("name", ...)`. The decorator makes it an `Optimizer`, the one record of all that the
project knows of it. Torch's operations train every optimizer; a fast backend trains those whose record names it.

Each net has its own learning rate eta and weight decay mu. No step function uses addcmul, lerp or an addition with a
factor: whether they round once or twice depends on where an entry lies in memory, and so on the nets stacked before it,
and a net's bits must never depend on the nets beside it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from ranktwo.store import registry


class Factors(NamedTuple):
    """The numbers that steps multiply by, each [count, K], or [K] for one step, in the weights' precision."""

    rate: Tensor
    """eta."""
    decay: Tensor
    """mu."""
    shrinkage: Tensor
    """1 - eta mu."""
    scale: Tensor
    """What the output gradients are multiplied by: -eta/B if the optimizer is `plain`, else 1/B."""
    mean_rate: Tensor
    """eta / (1 - beta_1^t) at step t = 1, 2, ...; eta for an optimizer without running means."""
    root: Tensor
    """sqrt(1 - beta_2^t) at step t = 1, 2, ...; 1 for an optimizer without running means."""


class Gradient(Protocol):
    """The gradient g of the batch's mean loss by W, [K, out, in], or -eta g if the optimizer is `plain`."""

    def add_to(self, matrix: Tensor) -> None:
        """Add it to K matrices in place."""

    def write_to(self, out: Tensor) -> None:
        """Write it into K matrices."""


class Product(NamedTuple):
    """The gradient as the sum delta^T h over a batch, which may be added to a matrix without being written."""

    delta: Tensor
    """Output-side gradients times `scale`, [K, B, out]."""
    h: Tensor
    """Inputs, [K, B, in]."""

    def add_to(self, matrix: Tensor) -> None:
        matrix.baddbmm_(self.delta.mT, self.h)

    def write_to(self, out: Tensor) -> None:
        if len(self.delta) == 1 and self.delta.shape[2] == 1 and out.device.type == "cpu":
            # Of one net with one output MKL has a routine of its own, with other bits than those of two nets and more.
            out.copy_(torch.bmm(self.delta.repeat(2, 1, 1).mT, self.h.repeat(2, 1, 1))[:1])
        else:
            torch.bmm(self.delta.mT, self.h, out=out)


class Known(NamedTuple):
    """The gradient itself."""

    gradient: Tensor

    def add_to(self, matrix: Tensor) -> None:
        matrix.add_(self.gradient)

    def write_to(self, out: Tensor) -> None:
        out.copy_(self.gradient)


Step = Callable[[Tensor, list[Tensor], list[Tensor], Gradient, Factors], None]
"""Changes W [K, out, in] and its slots (each like W) in place; the other arguments are as much scratch memory as slots,
the gradient, and the factors of this step [K]."""


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """All that the project knows of an optimizer."""

    name: str
    step: Step
    slots: int
    """Matrices that it keeps for each weight matrix, zero at first."""
    decay: Literal["coupled", "decoupled"]
    """Coupled: mu W is added to the gradient. Decoupled: W is multiplied by 1 - eta mu apart from the gradient."""
    backends: tuple[str, ...] = ()
    """Fast backends that have code for it, of `cpu` and `gpu`; torch's operations train it wherever none has."""
    plain: bool = False
    """Whether a step is exactly W <- (1 - eta mu) W - eta g, so that eta can be part of `scale`."""
    vectors: "Optimizer | None" = None
    """The optimizer that takes the steps of biases and gains in its place, with some of its slots; None is itself."""
    betas: tuple[float, float] | None = None
    """Decay rates of its running means of g and g^2, if it corrects them for their start at zero (Adam)."""
    constants: Mapping[str, float] = field(default_factory=dict)
    """Numbers of its step by the names that the fast backends know them by."""

    def factors(self, rate: Tensor, decay: Tensor, first: int, batch_size: int, dtype: torch.dtype) -> Factors:
        """The factors of the steps first, first + 1, ..., from their rates and decays [count, K] float64."""
        rounded = rate.to(dtype)
        mean_rate, root = rounded, torch.ones_like(rounded)
        if self.betas:
            t = torch.arange(first + 1, first + 1 + len(rate), dtype=torch.float64)[:, None]
            mean_rate = (rate / (1 - self.betas[0] ** t)).to(dtype)
            root = (1 - self.betas[1] ** t).sqrt().expand_as(rate).to(dtype)
        return Factors(
            rate=rounded,
            decay=decay.to(dtype),
            shrinkage=(1 - rate * decay).to(dtype),
            scale=(-rounded if self.plain else torch.ones_like(rounded)) / batch_size,
            mean_rate=mean_rate,
            root=root,
        )


def optimizer(name: str, **facts: Any) -> Callable[[Step], Optimizer]:
    """Register a step function as the optimizer of this name; `facts` are the other fields of `Optimizer`."""
    return lambda step: Optimizer(name=name, step=step, **facts)


def named(name: str) -> Optimizer:
    """The optimizer that is registered under this name."""
    return registry.load("optimizer", name)


def each(factor: Tensor) -> Tensor:
    """One number for each net, [K], as something to multiply K matrices by, [K, 1, 1]."""
    return factor.view(-1, 1, 1)
