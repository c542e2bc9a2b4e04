"""Three ways to take the same training steps, and the rates that the machine itself has."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from ranktwo.nets import layout, mlp
from ranktwo.nets.net import ReluMlp
from ranktwo.study.axes import Cell
from ranktwo.training import divergence, recording
from ranktwo.training.backends import gpu
from ranktwo.training.backends.choice import numba_works
from ranktwo.training.batches import CHUNK
from ranktwo.training.optimizers.momentum import MOMENTUM

RATE, DECAY = 0.01, 1e-3
SEEDS = 8
"""Of the nets trained at once; those of one seed see the same batches."""


@dataclass(frozen=True, kw_only=True)
class Net:
    """Layer sizes, input first, and as many random training rows as are trained on."""

    sizes: tuple[int, ...]
    rows: int

    @property
    def name(self) -> str:
        return "-".join(map(str, self.sizes))

    @property
    def task(self) -> str:
        return "multiclass" if self.sizes[-1] > 1 else "regression"

    @property
    def parameters(self) -> int:
        return sum(one * other for one, other in zip(self.sizes, self.sizes[1:], strict=False))

    def flops(self, batch_size: int) -> int:
        """Of the products in a step: forward, gradient by the weights, gradient by all but the first layer's input."""
        return 2 * batch_size * (3 * self.parameters - self.sizes[0] * self.sizes[1])


NETS = [
    Net(sizes=(784, 256, 10), rows=8000),
    Net(sizes=(784, 256, 256, 10), rows=8000),
    Net(sizes=(64, 128, 10), rows=1348),
    Net(sizes=(8, 256, 1), rows=2000),
]
Advance = Callable[[int], None]
"""Takes a number of steps."""


def random_data(inputs: int, outputs: int, task: str, rows: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, inputs, generator=generator)
    if task == "regression":
        return x.to(device), torch.randn(rows, 1, generator=generator).to(device)
    return x.to(device), torch.randint(0, max(outputs, 2), (rows,), generator=generator).to(device)


def _net_and_optimizer(
    net: Net, optimizer: str, device: str, fused: bool
) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    layers: list[torch.nn.Module] = []
    for one, other in zip(net.sizes, net.sizes[1:], strict=False):
        layers += [torch.nn.Linear(one, other, bias=False), torch.nn.ReLU()]
    module = torch.nn.Sequential(*layers[:-1]).to(device)
    if optimizer == "adamw":
        return module, torch.optim.AdamW(module.parameters(), lr=RATE, weight_decay=DECAY, fused=fused)
    momentum = MOMENTUM if optimizer == "momentum" else 0.0
    return module, torch.optim.SGD(module.parameters(), lr=RATE, weight_decay=DECAY, momentum=momentum, fused=fused)


def textbook(net: Net, batch_size: int, optimizer: str, device: str) -> Advance:
    """(a) One net in the loop that every tutorial shows: nn.Module, DataLoader, torch.optim."""
    data = random_data(net.sizes[0], net.sizes[-1], net.task, net.rows)
    module, updates = _net_and_optimizer(net, optimizer, device, fused=False)
    criterion = torch.nn.MSELoss() if net.task == "regression" else torch.nn.CrossEntropyLoss()
    return tutorial(module, updates, criterion, TensorDataset(*data), batch_size, device)


def tutorial(
    module: torch.nn.Module,
    updates: torch.optim.Optimizer,
    criterion: torch.nn.Module,
    data: TensorDataset,
    batch_size: int,
    device: str = "cpu",
) -> Advance:
    """The loop of the textbook, for any module."""
    loader = DataLoader(data, batch_size=batch_size, shuffle=True, drop_last=True)

    def advance(steps: int) -> None:
        done = 0
        while True:
            for inputs, wanted in loader:
                updates.zero_grad()
                criterion(module(inputs.to(device)), wanted.to(device)).backward()
                updates.step()
                done += 1
                if done == steps:
                    return

    return advance


def careful(net: Net, batch_size: int, optimizer: str, device: str) -> Advance:
    """(b) One net with care: data resident on the device, batches by index, a fused optimizer."""
    x, y = random_data(net.sizes[0], net.sizes[-1], net.task, net.rows, device)
    module, updates = _net_and_optimizer(net, optimizer, device, fused=True)
    loss = functional.mse_loss if net.task == "regression" else functional.cross_entropy

    def advance(steps: int) -> None:
        done = 0
        while True:
            for rows in torch.randperm(len(x), device=device)[: len(x) // batch_size * batch_size].split(batch_size):
                loss(module(x[rows]), y[rows]).backward()
                updates.step()
                updates.zero_grad()
                done += 1
                if done == steps:
                    return

    return advance


def stacked(net: Net, batch_size: int, optimizer: str, device: str, cells: int) -> Advance:
    """(c) The stacked steps of ranktwo, with this many nets at once."""
    x, y = random_data(net.sizes[0], net.sizes[-1], net.task, net.rows, device)
    axes = {"dataset": "random", "widths": net.sizes[1:-1], "learning_rate": RATE, "batch_size": batch_size}
    grid = [
        Cell(**axes, optimizer=optimizer, steps=10**9, weight_decay=DECAY * index / cells, seed=index % SEEDS)
        for index in range(cells)
    ]
    training = divergence.begin(grid, x, y.cpu(), net.task, net.sizes[-1])
    return lambda steps: training.advance_to(training.stack.step + steps)


def by_torch(net: Net, batch_size: int, optimizer: str, device: str, cells: int) -> Advance:
    """The engine as it is where a GPU has no kernel for the nets: torch's operations, recorded and repeated."""
    available, gpu.available = gpu.available, lambda *shape: None
    try:
        return stacked(net, batch_size, optimizer, device, cells)
    finally:
        gpu.available = available


def at_once(net: Net, batch_size: int, device: str) -> int:
    """Nets that a training job of the pipeline trains at once."""
    return recording.most_at_once(ReluMlp(list(net.sizes)), batch_size, device)


def products(net: Net, batch_size: int, device: str, cells: int) -> Advance:
    """What the engine cannot do without: the products of its steps, of the same shapes, and nothing else."""
    if device == "cpu" and numba_works():
        return _compiled_products(net, batch_size, cells)
    like = torch.empty(0, device=device)
    weights = [layout.aligned(cells, other, one, like).normal_() for one, other in pairwise(net.sizes)]
    h, out = ([layout.aligned(cells, batch_size, size, like).normal_(std=1e-3) for size in net.sizes] for _ in range(2))

    def advance(steps: int) -> None:
        for _ in range(steps):
            for layer, weight in enumerate(weights):
                mlp.linear(h[layer], weight, out=out[layer + 1])
            for layer in reversed(range(len(weights))):
                if layer:
                    torch.bmm(h[layer + 1], weights[layer], out=out[layer])
                weights[layer].baddbmm_(h[layer + 1].mT, h[layer])

    return advance


def _compiled_products(net: Net, batch_size: int, cells: int) -> Advance:
    """Net by net in the cache, as compiled steps are. With relu, its mask and SGD's update, which are part of them."""
    import numba

    from ranktwo.training.backends import kernels

    sgd = kernels.SGD

    @numba.njit
    def take(steps, cells, work, factors, constants, sizes, places, lengths):  # type: ignore[no-untyped-def]
        for _ in range(cells * steps):
            kernels.forward(work, sizes, places, lengths, batch_size)
            kernels.backward(sgd, work, sizes, places, lengths, batch_size, factors, constants)

    work, *places = kernels.work(torch.float32, list(net.sizes), batch_size, 0)
    rest = work, np.ones(len(kernels.FACTORS), np.float32), np.zeros(0, np.float32), np.array(net.sizes), *places

    def advance(steps: int) -> None:
        take(steps, cells, *rest)

    return advance


PARTS = ["rows of the batch", "derivative of the loss", "packing of the weights"]
"""Of a compiled step, besides its products."""


def parts(net: Net, batch_size: int, cells: int) -> dict[str, Advance]:
    """Each part of a compiled step, SGD, by itself, on memory of the same shapes, net by net."""
    import numba

    from ranktwo.training.backends import kernels

    task, scale, h_row, scratch = kernels.TASKS[net.task], np.float32(1), kernels.H, kernels.SCRATCH

    @numba.njit
    def take(part, steps, sizes, memory, starts, x, targets, rows, work, places, lengths):  # type: ignore[no-untyped-def]
        batch, last, y_place = rows.shape[2], len(sizes) - 1, places[scratch, 0]
        size, f_place = batch * sizes[last], places[h_row, last]
        f, y = work[f_place : f_place + size], work[y_place : y_place + size]
        for k in range(memory.shape[1]):
            if part == 2:
                kernels.move(True, sizes, memory, k, starts, work, places, lengths)
            for t in range(steps):
                if part == 0:
                    kernels.gather(x, rows[t, k], work, places[h_row, 0], lengths[0])
                    kernels.gather(targets, rows[t, k], work, y_place, sizes[last])
                elif part == 1:
                    kernels.output_gradients(task, f, y, scale, batch, sizes[last])
            if part == 2:
                kernels.move(False, sizes, memory, k, starts, work, places, lengths)

    starts = np.array(layout.starts(list(net.sizes)))
    x, y = torch.randn(net.rows, net.sizes[0]), torch.rand(net.rows, net.sizes[-1])
    rows = torch.randint(0, net.rows, (CHUNK, cells, batch_size))
    rest = [np.array(net.sizes), torch.zeros(1, cells, int(starts[-1])).numpy(), starts, x.numpy(), y.numpy()]
    rest += [rows.numpy(), *kernels.work(torch.float32, list(net.sizes), batch_size, 0)]

    def advance(part: int, steps: int) -> None:
        for start in range(0, steps, CHUNK):
            take(part, min(CHUNK, steps - start), *rest)

    return {name: partial(advance, part) for part, name in enumerate(PARTS)}


LAYERS = [(8, 256), (31, 128), (32, 128), (64, 128), (256, 256), (784, 256), (128, 1), (128, 10), (128, 16)]
"""Inputs and outputs."""


def forms(inputs: int, outputs: int, batch_size: int, cells: int) -> dict[str, Advance]:
    """Ways to compute the products of a layer on a CPU: by torch, and by tiles (tiles.py)."""
    like = torch.empty(0)
    weight = layout.aligned(cells, outputs, inputs, like).normal_()
    h, below = (layout.aligned(cells, batch_size, inputs, like).normal_(std=1e-3) for _ in range(2))
    delta, turned = (layout.aligned(cells, *shape, like) for shape in ((batch_size, outputs), (outputs, batch_size)))
    ways: dict[str, Callable[[], object]] = {
        "h W^T": lambda: torch.bmm(h, weight.mT, out=delta),
        "W h^T": lambda: delta.copy_(torch.bmm(weight, h.mT, out=turned).mT),
        "delta W": lambda: torch.bmm(delta, weight, out=below),
        "delta^T h": lambda: torch.bmm(delta.mT, h, out=weight),
    }
    if numba_works():
        ways |= _compiled_forms(inputs, outputs, batch_size, cells)

    def repeat(way: Callable[[], object]) -> Advance:
        def advance(steps: int) -> None:
            for _ in range(steps):
                way()

        return advance

    return {name: repeat(way) for name, way in ways.items()}


def _compiled_forms(inputs: int, outputs: int, batch: int, cells: int) -> dict[str, Callable[[], object]]:
    """The products of a layer whose inputs and outputs fill whole tiles, for each net in turn."""
    import numba

    from ranktwo.training.backends import tiles

    lanes, whole = tiles.VECTOR // 4, tiles.WIDEST * tiles.VECTOR // 4
    n, m = (-(-size // whole) * whole for size in (inputs, outputs))
    h, delta, w = 0, batch * n, batch * (n + m)
    zero, one = np.float32(0), np.float32(1)

    @numba.njit
    def take(kind, memory):  # type: ignore[no-untyped-def]
        for k in range(len(memory)):
            work = memory[k]
            if kind == 0:
                tiles.product(
                    work, tiles.STORE, zero, h, n, 1, w, lanes, n * lanes, delta, m, lanes, 0, batch, m, inputs
                )
            elif kind == 1:
                tiles.dots(work, tiles.STORE, h, n, w, n, delta, m, batch, outputs, n)
            elif kind == 2:
                tiles.product(work, tiles.MASK, zero, delta, m, 1, w, n, lanes, h, n, lanes, h, batch, n, outputs)
            elif kind == 3:
                tiles.product(work, tiles.ADD, one, h, 1, n, delta, m, lanes, w, lanes, n * lanes, 0, inputs, m, batch)

    memory = torch.zeros(cells, w + n * m).numpy()
    names = ("h W^T, panels", "h W^T, rows", "delta W, tiles", "delta^T h, tiles")
    return {name: partial(take, kind, memory) for kind, name in enumerate(names)}


def ceilings(device: str) -> dict[str, float]:
    """The best of ten: GFLOP/s of a large float32 product, and of a float64 one; GB/s of a copy, read and write."""

    def best(work: Callable[[], object]) -> float:
        times = []
        for _ in range(11):
            synchronize(device)
            start = time.perf_counter()
            work()
            synchronize(device)
            times.append(time.perf_counter() - start)
        return min(times[1:])

    size = 2048 if device == "cpu" else 8192
    found = {}
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        a, b = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
        out = torch.empty_like(a)
        found[f"{name}, GFLOP/s"] = 2e-9 * size**3 / best(lambda a=a, b=b, out=out: torch.mm(a, b, out=out))
    source = torch.randn(2**26, device=device)
    target = torch.empty_like(source)
    found["copy, GB/s"] = 2e-9 * source.numel() * 4 / best(lambda: target.copy_(source))
    return found


def synchronize(device: str) -> None:
    """Wait for what was started on the device."""
    if device == "cuda":
        torch.cuda.synchronize()
