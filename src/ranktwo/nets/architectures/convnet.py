"""Nets of convolutions."""

import math

from torch import nn

from ranktwo.nets.blueprint import Blueprint, net


@net("convnet")
def convnet(plan: Blueprint) -> nn.Module:
    """A 3 x 3 convolution for each of `widths`, all but the first of stride 2, and a dense layer on all positions."""
    layers, (inputs, *size) = nn.Sequential(), (plan.channels, *plan.shape[1:])
    for number, channels in enumerate(plan.widths, start=1):
        stride = 1 if number == 1 else 2
        layers.add_module(f"conv{number}", nn.Conv2d(inputs, channels, 3, stride, 1, bias=plan.inner_bias))
        layers.add_module(f"norm{number}", plan.normalise(channels))
        layers.add_module(f"activation{number}", plan.activate())
        inputs, size = channels, [-(-side // stride) for side in size]
    layers.add_module("flat", nn.Flatten())
    layers.add_module("dense", nn.Linear(inputs * math.prod(size), plan.outputs, bias=plan.bias))
    return layers
