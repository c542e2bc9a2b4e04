"""TODO training.backends.choice."""

import importlib.util

import torch

from ranktwo.training.backends import gpu
from ranktwo.training.backends.cpu import CompiledSteps
from ranktwo.training.backends.gpu import Steps
from ranktwo.training.backends.torch_ops import TorchSteps
from ranktwo.training.stack import Stack

KERNELS = importlib.util.find_spec("numba") is not None
"""Whether there are compiled steps for a CPU; where not, torch takes them, slower."""


def fastest_steps(stack: Stack) -> "CompiledSteps | gpu.Steps | TorchSteps":
    """Steps by the fastest way there is for this stack on its device."""
    x, targets, recipe = stack.x, stack.targets, stack.recipe
    if KERNELS and x.device.type == "cpu":
        return CompiledSteps(stack)
    whole = recipe.batch_size == len(x)
    if x.is_cuda and x.dtype == torch.float32:
        kernel = gpu.available(stack.sizes, recipe.batch_size, whole, recipe.optimizer, recipe.task)
        if kernel is not None:
            return Steps(kernel, stack.memory, x, targets, recipe.seed_of)
    return TorchSteps(stack)
