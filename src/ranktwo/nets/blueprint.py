"""How a net, an activation and a normalisation are registered, and what the builder of a net is given.

A net is one function of a `Blueprint` that returns a `torch.nn.Module`, marked with `@net("name")`. The module maps
samples [N, *shape] to outputs [N, c]. Its matrices are found by themselves (`modules.py`); it is trained by torch.func
with every optimizer, and measured by every analysis that holds for any net.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.study.axes import NO_NORM


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What is asked of a net: the axes of a cell, and the sizes of its data."""

    shape: tuple[int, ...]
    """Of one sample as the module is given it: (n,), or (channels, height, width) of an image."""
    outputs: int
    """c."""
    widths: tuple[int, ...]
    activation: str
    bias: bool
    normalisation: str

    @property
    def inner_bias(self) -> bool:
        """Whether a layer before a normalisation has biases of its own: where there is none to have them instead."""
        return self.bias and self.normalisation == NO_NORM

    @property
    def channels(self) -> int:
        """Of an image; UserError where samples are none."""
        if len(self.shape) != 3:
            raise UserError(
                "this net needs images, and the data set has none: take a source of images, without a bias column"
            )
        return self.shape[0]

    def activate(self) -> nn.Module:
        """The activation, a module of its own for each layer."""
        return Elementwise(registry.load("activation", self.activation))

    def normalise(self, units: int, *, tokens: bool = False) -> nn.Module:
        """The normalisation of a layer of so many units, which are the channels of an image; the last axis where
        samples are none, or have been made `tokens`."""
        image = len(self.shape) == 3 and not tokens
        return registry.load("normalisation", self.normalisation)(units, image, self.bias)


class Elementwise(nn.Module):
    """A function of each number as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._function = function

    def forward(self, z: Tensor) -> Tensor:
        return self._function(z)


Build = Callable[[Blueprint], nn.Module]
Activation = Callable[[Tensor], Tensor]
Normalisation = Callable[[int, bool, bool], nn.Module]
"""Of units, whether they are channels of an image, and whether the normalisation has biases."""


def net(name: str) -> Callable[[Build], Build]:
    """Register a builder as the net of this name."""
    return lambda build: build


def activation(name: str) -> Callable[[Activation], Activation]:
    """Register a function of single numbers as the activation of this name."""
    return lambda function: function


def normalisation(name: str) -> Callable[[Normalisation], Normalisation]:
    """Register a builder of normalisations under this name."""
    return lambda build: build
