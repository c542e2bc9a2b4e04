"""What is trained and measured: the matrices and vectors of a net, its initial weights and its outputs.

Shapes: K cells, N samples, c outputs. Weights are a list of tensors [K, rows, columns]: the matrices from the input on,
then every other parameter as one row [K, 1, numbers]. Weight decay acts on the matrices alone.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ranktwo.nets import mlp
from ranktwo.nets.blueprint import Blueprint
from ranktwo.nets.initial import initial_weights
from ranktwo.nets.products import Product
from ranktwo.nets.streams import stream
from ranktwo.store import registry
from ranktwo.study import theory
from ranktwo.study.axes import MLP, widths_of


class Net(ABC):
    """A net of some kind and size, without weights."""

    matrices: dict[str, tuple[int, int]]
    """Rows and columns of each weight matrix, by name from the input on: `V` is the first, `U` the last."""
    vectors: dict[str, int]
    """Numbers of every other parameter, such as biases, by name."""
    products: Mapping[str, Product] = MappingProxyType({})
    """Products of two matrices that act as one, by name."""
    activations: int
    """Numbers that one sample makes of itself on its way, with their gradients."""
    widest: int
    """Most numbers that one sample has before or behind one matrix."""

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Of all weights, the matrices first."""
        return [*self.matrices.values(), *((1, count) for count in self.vectors.values())]

    @abstractmethod
    def initial(self, seed: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """The initial weights of one net, [rows, columns] each."""

    @abstractmethod
    def outputs(self, weights: list[Tensor], x: Tensor) -> Tensor:
        """f, [K, N, c], of x [N, n] or [K, N, n]. A net's bits do not depend on the other nets."""


class ReluMlp(Net):
    """f(x) = W_L relu(... relu(W_1 x)), without biases: the nets of the paper, whose passes are written by hand."""

    def __init__(self, sizes: list[int]) -> None:
        """Of layer sizes n, m_1, ..., c."""
        self.sizes = sizes
        shapes = zip(sizes[1:], sizes, strict=False)
        self.matrices, self.vectors = dict(zip(mlp.matrix_names(len(sizes) - 1), shapes, strict=True)), {}
        self.activations = sizes[0] + 2 * sum(sizes[1:])
        self.widest = max(sizes)

    def initial(self, seed: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        return initial_weights(self.sizes, stream(seed, "init"), dtype)

    def outputs(self, weights: list[Tensor], x: Tensor) -> Tensor:
        return mlp.forward(weights, x)[-1]


def of(cell: Mapping[str, Any], shape: tuple[int, ...], outputs: int) -> Net:
    """The net of a cell, given as its axes by name, on samples of this shape, with so many outputs.

    The shape is (n,), or (height, width, channels) of an image, which the rows hold in this order.
    """
    widths = widths_of(cell["widths"])
    if theory.why_not_relu_mlp(cell) is None:
        return ReluMlp([int(torch.Size(shape).numel()), *widths, outputs])
    # Dense layers take the rows as they are; images are turned to have their channels first.
    flat = cell["net"] == MLP or len(shape) == 1
    plan = Blueprint(
        shape=(torch.Size(shape).numel(),) if flat else (shape[2], *shape[:2]),
        outputs=outputs,
        widths=widths,
        activation=cell["activation"],
        bias=bool(cell["bias"]),
        normalisation=cell["normalisation"],
    )
    return _module(cell["net"], plan)


@functools.cache
def _module(name: str, plan: Blueprint) -> Net:
    from ranktwo.nets.modules import ModuleNet  # it needs this module's Net

    return ModuleNet(name, plan, registry.load("net", name))
