"""What a forward and a backward pass leave of many nets, from which the gradient of every sample follows."""

from typing import NamedTuple

import torch
from torch import Tensor

from ranktwo.nets import mlp
from ranktwo.nets.losses import Task

CHUNK_ELEMENTS = 2**18
"""Activations of one layer worked on at once: more of them would leave the cache."""
frobenius = torch.linalg.matrix_norm
"""||M||, over the last two axes."""


def cell_slices(cells: int, elements: int) -> list[slice]:
    """The cells cut into parts that fit the cache, where a cell takes `elements` numbers."""
    count = max(1, CHUNK_ELEMENTS // elements)
    return [slice(start, start + count) for start in range(0, cells, count)]


def samples_of(samples: Tensor, part: slice) -> Tensor:
    """Inputs or targets of these cells: a part of [K, N, ...], or all of [N, ...], which every cell shares."""
    return samples if samples.ndim == 2 else samples[part]


class Passes(NamedTuple):
    """What a forward and a backward pass leave of K nets, in lists by layer."""

    weights: list[Tensor]
    h: list[Tensor]
    """Inputs of each matrix, [K, N, in]."""
    images: list[Tensor]
    """W h, [K, N, out]."""
    deltas: list[Tensor]
    """Derivatives by them, [K, N, out]."""
    lengths: list[Tensor]
    """||h_i||, [K, N]."""
    inner: Tensor
    """<g_i, W>, [K, N], the same for every matrix of a net: relu(z) is z relu'(z), so each layer hands on delta.z."""
    finite: Tensor
    """bool [K]: whether the squares of a cell's gradients are finite. A cell of which they are not is run as zero."""


def finite_passes(weights: list[Tensor], x: Tensor, targets: Tensor, task: Task) -> Passes:
    """The passes of K nets, weights [K, out, in]; a net whose gradients cannot be squared is run as zero."""
    passes = _passes(weights, x, targets, task)
    finite = passes.finite
    if not finite.all():
        # The factorisations raise on nan and inf, and one diverged cell must not cost the others their rows.
        passes = _passes([or_zero(weight, finite) for weight in weights], x, targets, task)
    return passes._replace(finite=finite)


def _passes(weights: list[Tensor], x: Tensor, targets: Tensor, task: Task) -> Passes:
    activations, images = [x.expand(len(weights[0]), *x.shape[-2:])], []
    for weight in weights:
        images.append(mlp.linear(activations[-1], weight))
        activations.append(images[-1].relu())
    activations[-1] = images[-1]
    derivatives = mlp.deltas(weights, activations, targets, task)
    lengths = [row_norms(x).expand(len(weights[0]), -1), *(row_norms(h) for h in activations[1:-1])]
    size = sum(frobenius(weight).square() for weight in weights)
    for length, delta in zip(lengths, derivatives, strict=True):
        size = size + (row_norms(length) * frobenius(delta)).square()
    inner = torch.linalg.vecdot(derivatives[-1], images[-1])
    return Passes(weights, activations[:-1], images, derivatives, lengths, inner, size.isfinite())


def or_zero(weight: Tensor, finite: Tensor) -> Tensor:
    """W [K, out, in], zero for the cells that are not finite, bool [K]."""
    return weight if finite.all() else torch.where(finite[:, None, None], weight, 0.0)


def row_norms(rows: Tensor) -> Tensor:
    """Length of each row, over the last axis."""
    return torch.linalg.vector_norm(rows, dim=-1)
