"""Training steps of K nets on a GPU, by a kernel (gpu.cu) that keeps a net's weights in shared memory for many steps.

A net is trained by a group of 1, 2, 4 or 8 multiprocessors, the fewest whose shared memory holds it: no step reads or
writes weights in the GPU's own memory. The size of the group follows from the net's shape alone, and sums are taken in
one order, so a net's bits do not depend on the nets beside it. Torch's operations train nets that are too large for
this, and all nets on other makers' GPUs.
"""

import functools
import itertools
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from ranktwo.nets import layout
from ranktwo.nets.losses import Task
from ranktwo.training.backends.base import TrainedNets
from ranktwo.training.optimizers.base import Factors, named

SOURCE = Path(__file__).with_name("gpu.cu")
OPTIMIZERS = {"sgd": 1, "momentum": 2, "adamw": 3}
"""Optimizers that gpu.cu has code for, and the numbers that it knows them by.

None is 0, which the preprocessor takes for any word that it does not know.
"""
GROUPS = (1, 2, 4, 8)
"""Numbers of blocks that may train one net together; more than one needs compute capability 9, which has clusters."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A kernel for nets of one shape: the facts that complete its source."""

    sizes: tuple[int, ...]
    """Layer sizes n, m_1, ..., c."""
    batch_size: int
    whole: bool
    """Every batch is all of the data."""
    optimizer: str
    task: Task
    group: int
    slots_shared: bool
    """Whether the optimizer's slots lie in shared memory too, and not in the GPU's own."""
    buffers: int
    """Room for batches: with 2, the samples of the next batch are copied while this one's step is taken."""
    threads: int = 256
    """Threads of a block."""

    @property
    def slots(self) -> int:
        """Matrices that the optimizer keeps for each weight matrix."""
        return named(self.optimizer).slots

    @property
    def parts(self) -> list[int]:
        """Activations of each layer in a block: all inputs and all outputs, and its part of the hidden ones."""
        return [_fours(self.sizes[0]), *(_fours(-(-m // self.group)) for m in self.sizes[1:-1]), _fours(self.sizes[-1])]

    @property
    def outputs(self) -> list[int]:
        """Rows of each matrix in a block: its part of the first matrix, all of the others."""
        split = range(2, len(self.sizes) - 1)  # hidden layers whose outputs are sums over the blocks
        return [part * (self.group if layer in split else 1) for layer, part in enumerate(self.parts)][1:]

    def places(self) -> tuple[dict[str, list[int]], dict[str, int]]:
        """Places in shared memory, in floats: those by layer, and the others; ROOM among them is the end of all."""
        layers, parts, outputs, group = len(self.sizes) - 1, self.parts, self.outputs, self.group
        rows = _fours(self.batch_size)
        by_layer: dict[str, list[int]] = {name: [0] * (layers + 1) for name in ("W_AT", "H_AT", "D_AT", "Z_AT")}
        end = 0

        def take(room: int) -> int:
            nonlocal end
            start, end = end, end + _fours(room)
            return start

        for layer in range(layers):
            by_layer["W_AT"][layer] = take(outputs[layer] * _stride(parts[layer]))
        slots_at = end
        if self.slots_shared:
            take(self.slots * slots_at)
        x_apart = rows * _stride(parts[0])
        by_layer["H_AT"][0] = take(self.buffers * x_apart)
        for layer in range(1, layers):
            by_layer["H_AT"][layer] = take(rows * _stride(parts[layer]))
        # Two places for sums over blocks, for steps in turn: a slow block may still read one step's sums while the next
        # step's are written.
        z_apart = rows * _stride(outputs[-1]) if group > 1 and layers == 2 else 0
        for layer in range(1, layers + 1):
            by_layer["D_AT"][layer] = take(rows * outputs[layer - 1])
            if layer == layers:
                by_layer["Z_AT"][layer] = take(rows * _stride(outputs[-1]) + z_apart)
            elif layer > 1 and group > 1:
                by_layer["Z_AT"][layer] = take(rows * _stride(outputs[layer - 1]))
        y_at = take(self.buffers * self.batch_size * self.sizes[-1])
        rows_at = take(4 * self.batch_size)
        rest = {"SLOTS_AT": slots_at, "X_APART": x_apart, "Z_APART": z_apart, "Y_AT": y_at, "ROWS_AT": rows_at}
        return by_layer, rest | {"ROOM": end}

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block."""
        return 4 * self.places()[1]["ROOM"]

    def source(self) -> str:
        """The whole source: gpu.cu with its constants in front."""
        return self.constants() + SOURCE.read_text()

    def constants(self) -> str:
        """The definitions that gpu.cu lacks."""
        return "".join(f"{line}\n" for line in self._constants())

    def _constants(self) -> Iterator[str]:
        by_layer, rest = self.places()
        numbers: dict[str, Any] = {
            "LAYERS": len(self.sizes) - 1,
            "BATCH": self.batch_size,
            "ROWS": _fours(self.batch_size),
            "WHOLE": int(self.whole),
            "GROUP": self.group,
            "THREADS": self.threads,
            "BLOCKS": 1 if self.shared_bytes > 100_000 else 2,  # that share a multiprocessor's registers
            "BUFFERS": self.buffers,
            "SLOTS": self.slots,
            "SLOTS_SHARED": int(self.slots_shared),
            "OPTIMIZER": self.optimizer.upper(),
            "TASK": self.task.upper(),
            "NET": layout.starts(list(self.sizes))[-1],
        }
        numbers |= {name.upper(): number for name, number in OPTIMIZERS.items()}
        numbers |= {name.upper(): index for index, name in enumerate(get_args(Task))}
        numbers |= {f"FACTOR_{name.upper()}": index for index, name in enumerate(Factors._fields)}
        numbers |= {"FACTORS": len(Factors._fields)} | rest
        yield from (f"#define {name} {value}" for name, value in numbers.items())
        reals = named(self.optimizer).constants
        yield from (f"constexpr float {name} = {value!r};" for name, value in reals.items())
        lists = {"SIZES": self.sizes, "PARTS": self.parts, "OUTPUTS": self.outputs}
        lists |= {"STARTS": layout.starts(list(self.sizes))} | by_layer
        yield from (
            f"__device__ constexpr int {name}[] = {{{', '.join(map(str, values))}}};" for name, values in lists.items()
        )


def _fours(size: int) -> int:
    return -(-size // 4) * 4


def _stride(size: int) -> int:
    return (size // 4 | 1) * 4


def kernel_for(
    sizes: list[int], batch_size: int, whole: bool, optimizer: str, task: Task, room: int, groups: tuple[int, ...]
) -> Kernel | None:
    """The kernel for nets of this shape where a block has `room` bytes of shared memory; None where none fits.

    A net has the fewest blocks that hold it. Room that is left goes to the optimizer's slots, then to a second buffer.
    """
    slots, layers = named(optimizer).slots, len(sizes) - 1
    for group, slots_shared, buffers in itertools.product(groups, (True, False), (2, 1)):
        if (group > 1 and layers == 1) or (slots_shared and not slots) or (buffers == 2 and whole):
            continue
        kernel = Kernel(
            sizes=tuple(sizes), batch_size=batch_size, whole=whole, optimizer=optimizer, task=task, group=group,
            slots_shared=slots_shared, buffers=buffers, threads=512 if slots else 256,
        )  # fmt: skip
        if kernel.shared_bytes <= room:
            return kernel
    return None


def available(sizes: list[int], batch_size: int, whole: bool, optimizer: str, task: Task) -> Kernel | None:
    """The kernel for nets of this shape on this GPU, compiled; None where torch has to take the steps."""
    device = torch.cuda.get_device_properties()
    # GPUs before compute capability 8 cannot copy to shared memory while other work goes on.
    if torch.version.hip or device.major < 8 or not hasattr(torch.cuda, "_compile_kernel"):
        return None
    groups = GROUPS if device.major >= 9 else (1,)
    room = getattr(device, "shared_memory_per_block_optin", 48 * 1024)
    kernel = kernel_for(sizes, batch_size, whole, optimizer, task, room, groups)
    return kernel if kernel and compiled(kernel) else None


@functools.cache
def compiled(kernel: Kernel) -> Any:
    """A function that launches the kernel; None if it cannot be compiled, which standard error is told.

    NVIDIA's compiler, which torch brings, takes a second or so.
    """
    from torch.utils import cpp_extension  # half a second, needed on a GPU alone

    try:
        # torch asks for the folder of a CUDA toolkit's headers. Few have one, and gpu.cu needs none of the headers.
        cpp_extension.CUDA_HOME = cpp_extension.CUDA_HOME or str(SOURCE.parent)
        # Denormal numbers count as 0, as in training on a CPU: weights that decay away end at 0.
        options = ["--std=c++17", "--ftz=true"]
        function = torch.cuda._compile_kernel(kernel.source(), "train", nvcc_options=options)
        function.set_shared_memory_config(kernel.shared_bytes)
    except (AttributeError, OSError, RuntimeError, TypeError) as error:  # torch may change what is private
        reason = str(error).strip().partition("\n")[0]
        print(f"ranktwo: no kernel for this GPU ({reason}); PyTorch takes the steps, which is slower", file=sys.stderr)
        return None
    return function


class KernelSteps:
    """Steps of nets on a GPU."""

    def __init__(self, kernel: Kernel, nets: TrainedNets) -> None:
        memory, targets = nets.memory, nets.targets
        self._kernel, self._launch, self._device = kernel, compiled(kernel), memory.device
        self._nets, of_net = memory.shape[1], math.prod(targets.shape[1:]) if targets.dim() == 3 else 0
        self._data = memory, memory[0].numel(), nets.x, targets, of_net, nets.seed_of.to(memory.device)

    def take(self, rows: Tensor | None, factors: Tensor) -> None:
        """Take as many steps as there are factors, [count, F, K]; rows [count, S, B]. Returns before they are done."""
        kernel, seeds = self._kernel, 0 if rows is None else rows.shape[1]
        factors = factors.contiguous().to(self._device)
        chosen = factors if rows is None else rows.contiguous().to(self._device)  # without rows, a pointer not read
        arguments = [*self._data, chosen, seeds, factors, len(factors), self._nets]
        self._launch((self._nets * kernel.group, 1, 1), (kernel.threads, 1, 1), arguments, kernel.shared_bytes)
