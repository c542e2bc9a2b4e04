"""Which backend trains a stack: the fastest one that says that it has the net and the optimizer.

Bias-free ReLU nets of dense layers are trained by compiled code on a CPU, by a kernel on a GPU, and by torch's
operations wherever neither has the optimizer. Any other net is trained by `torch.func`, with every optimizer.
"""

import functools
import importlib

import torch

from ranktwo.errors import UserError, say_without_numba
from ranktwo.nets.modules import ModuleNet
from ranktwo.training.backends import cpu, gpu
from ranktwo.training.backends.base import Steps, TrainedNets
from ranktwo.training.backends.functional import FunctionalSteps
from ranktwo.training.backends.torch_ops import TorchSteps
from ranktwo.training.optimizers.base import Optimizer

FAST = {"cpu": cpu.OPTIMIZERS, "gpu": gpu.OPTIMIZERS}
"""The fast backends, and the optimizers that each has code for."""


def fastest_steps(nets: TrainedNets) -> Steps:
    """The fastest way to take steps of these nets on the device they are on.

    A fast backend is used only if the optimizer's record names it. Raises UserError if the record names a backend that
    has no code for the optimizer.
    """
    optimizer, x = nets.optimizer, nets.x
    _check(optimizer)
    if isinstance(nets.net, ModuleNet):
        return FunctionalSteps(nets)
    if x.device.type == "cpu" and "cpu" in optimizer.backends and numba_works():
        return cpu.CompiledSteps(nets)
    if x.is_cuda and x.dtype == torch.float32 and "gpu" in optimizer.backends:
        kernel = gpu.available(nets.sizes, nets.batch_size, nets.full_batches, optimizer.name, nets.task)
        if kernel is not None:
            return gpu.KernelSteps(kernel, nets)
    return TorchSteps(nets)


@functools.cache
def numba_works() -> bool:
    """Whether compiled steps can be had on a CPU; if not, a sentence says why, once.

    numba may be absent, or too old for the installed NumPy. Torch's operations then take the steps.
    """
    try:
        importlib.import_module("ranktwo.training.backends.kernels")
        return True
    except ImportError as error:
        say_without_numba(
            error,
            "PyTorch's operations train the nets, two to five times as slowly as numba's code would; to have that, "
            "install a numba that fits",
        )
        return False


def _check(optimizer: Optimizer) -> None:
    """UserError if the optimizer's record names a backend that cannot train it."""
    for backend in optimizer.backends:
        if optimizer.name not in FAST.get(backend, ()):
            raise UserError(
                f"the optimizer {optimizer.name} is declared to have code in the backend {backend}, which has none for "
                f"it; take {backend} out of the optimizer's `backends`, and torch's operations will train it"
            )
