"""The normalisations of a layer's units. None of them mixes samples, so that every sample has a gradient of its own."""

from torch import nn

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
    module = nn.GroupNorm(1, units)
    if not bias:
        module.register_parameter("bias", None)
    return module
