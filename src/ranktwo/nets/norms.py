"""The normalisations of a layer's units. None of them mixes samples, so that every sample has a gradient of its own."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from ranktwo.nets.blueprint import normalisation


@normalisation("none")
def none(units: int, image: bool, bias: bool) -> nn.Module:
    """z itself."""
    return nn.Identity()


@normalisation("layer")
def layer(units: int, image: bool, bias: bool) -> nn.Module:
    """gain (z - mean)/sqrt(variance + 1e-5) + bias, over the units (of an image over channels and positions)."""
    if not image:
        return nn.LayerNorm(units, bias=bias)
    module = ImageNorm(1, units)
    if not bias:
        module.register_parameter("bias", None)
    return module


class ImageNorm(nn.GroupNorm):
    """torch's group normalisation, which takes K nets at once as groups of channels, as a grouped convolution does.

    What torch.func makes of torch's own copies all numbers to other places and back.
    """

    def forward(self, z: Tensor) -> Tensor:
        normalised, _, _ = _Normalise.apply(z, self.weight, self.bias, self.num_groups, self.eps)
        return normalised


class _Normalise(Function):
    """z [N, C, height, width], gain and bias [C] to the normalised z, and means and 1/sd [N, groups]."""

    @staticmethod
    def forward(z: Tensor, gain: Tensor, bias: Tensor | None, groups: int, epsilon: float) -> Any:
        dense = z.contiguous(memory_format=_order(z))
        return torch.ops.aten.native_group_norm(dense, gain, bias, *z.shape[:2], z.shape[2:].numel(), groups, epsilon)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        z, gain, bias, ctx.groups, _ = inputs
        ctx.biased = bias is not None
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(z, gain, *output[1:])

    @staticmethod
    def backward(ctx: Any, by_output: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        by_z, by_gain, by_bias = _Gradients.apply(by_output, *ctx.saved_tensors, ctx.groups)
        return by_z, by_gain, by_bias if ctx.biased else None, None, None

    @staticmethod
    def vmap(info: Any, places: tuple[int | None, ...], *inputs: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        *tensors, groups, epsilon = inputs
        count = info.batch_size
        outputs = _Normalise.apply(*_together(tensors, places, count), count * groups, epsilon)
        return tuple(output.unflatten(1, (count, -1)) for output in outputs), (1, 1, 1)


class _Gradients(Function):
    """Derivatives by z, gain and bias, from those by the normalised z, and from z, the gain, the means and 1/sd."""

    @staticmethod
    def forward(by_output: Tensor, z: Tensor, gain: Tensor, mean: Tensor, scale: Tensor, groups: int) -> Any:
        by_output, dense = (tensor.contiguous(memory_format=_order(z)) for tensor in (by_output, z))
        return torch.ops.aten.native_group_norm_backward(
            by_output, dense, mean, scale, gain, *z.shape[:2], z.shape[2:].numel(), groups, [True] * 3
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def vmap(info: Any, places: tuple[int | None, ...], *inputs: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        *tensors, groups = inputs
        count = info.batch_size
        by_z, *by_vectors = _Gradients.apply(*_together(tensors, places, count), count * groups)
        return (by_z.unflatten(1, (count, -1)), *(one.unflatten(0, (count, -1)) for one in by_vectors)), (1, 0, 0)


def _order(z: Tensor) -> torch.memory_format:
    """The order of z's numbers, if it is one of the two that torch's kernels take."""
    last = z.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _together(tensors: list[Any], places: tuple[int | None, ...], count: int) -> Iterator[Tensor | None]:
    """Tensors of so many nets, whose axis is at `places`, as those of one net: channels or groups side by side."""
    for tensor, place in zip(tensors, places, strict=False):
        if tensor is None:
            yield None
            continue
        apart = tensor.expand(count, *tensor.shape) if place is None else tensor.movedim(place, 0)
        axis = min(1, apart.dim() - 2)
        yield apart.movedim(0, axis).flatten(axis, axis + 1)
