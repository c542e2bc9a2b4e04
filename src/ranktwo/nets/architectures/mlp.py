"""Nets of dense layers."""

import itertools
import math

from torch import nn

from ranktwo.nets.blueprint import Blueprint, net
from ranktwo.nets.initial import Dense
from ranktwo.nets.mlp import matrix_names


@net("mlp")
def mlp(plan: Blueprint) -> nn.Module:
    """W_L a(norm(... a(norm(W_1 x)))) with the activation a; the last layer has no normalisation."""
    sizes = [math.prod(plan.shape), *plan.widths, plan.outputs]
    layers = nn.Sequential(nn.Flatten())
    for name, (inputs, outputs) in zip(matrix_names(len(sizes) - 1), itertools.pairwise(sizes), strict=True):
        last = name == "U"
        layers.add_module(name, Dense(inputs, outputs, bias=plan.bias if last else plan.inner_bias))
        if not last:
            layers.add_module(f"norm-{name}", plan.normalise(outputs))
            layers.add_module(f"activation-{name}", plan.activate())
    return layers
