"""Three ways to take the same training steps, and the rates that the machine itself has."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from ranktwo import engine, kernels, nets, optimizers, train
from ranktwo.grid import Cell

RATE, DECAY = 0.01, 1e-3


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
    momentum = optimizers.MOMENTUM if optimizer == "momentum" else 0.0
    return module, torch.optim.SGD(module.parameters(), lr=RATE, weight_decay=DECAY, momentum=momentum, fused=fused)


def textbook(net: Net, batch_size: int, optimizer: str, device: str) -> Advance:
    """(a) One net in the loop that every tutorial shows: nn.Module, DataLoader, torch.optim."""
    x, y = random_data(net.sizes[0], net.sizes[-1], net.task, net.rows)
    module, updates = _net_and_optimizer(net, optimizer, device, fused=False)
    criterion = torch.nn.MSELoss() if net.task == "regression" else torch.nn.CrossEntropyLoss()
    loader = DataLoader(TensorDataset(x, y), batch_size=batch_size, shuffle=True, drop_last=True)

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
    """(c) The engine, with so many nets at once."""
    x, y = random_data(net.sizes[0], net.sizes[-1], net.task, net.rows, device)
    axes = {"dataset": "random", "widths": net.sizes[1:-1], "learning_rate": RATE, "batch_size": batch_size}
    grid = [
        Cell(**axes, optimizer=optimizer, steps=10**9, weight_decay=DECAY * index / cells, seed=index)
        for index in range(cells)
    ]
    training = engine.begin(grid, x, y.cpu(), net.task, net.sizes[-1])
    return lambda steps: training.advance_to(training.stack.step + steps)


def at_once(net: Net, batch_size: int, device: str) -> int:
    """Nets that a training job of the pipeline trains at once."""
    return train.most_at_once(list(zip(net.sizes, net.sizes[1:], strict=False)), batch_size, device)


def products(net: Net, batch_size: int, device: str, cells: int) -> Advance:
    """What the engine cannot do without: the products of its steps, of the same shapes, and nothing else."""
    like = torch.empty(0, device=device)
    pairs = zip(net.sizes, net.sizes[1:], strict=False)
    weights = [nets.aligned(cells, other, one, like).normal_() for one, other in pairs]
    h, out = ([nets.aligned(cells, batch_size, size, like).normal_(std=1e-3) for size in net.sizes] for _ in range(2))

    def advance(steps: int) -> None:
        for _ in range(steps):
            for layer, weight in enumerate(weights):
                nets.linear(h[layer], weight, out=out[layer + 1])
            for layer in reversed(range(len(weights))):
                if layer:
                    torch.bmm(h[layer + 1], weights[layer], out=out[layer])
                optimizers.add_gradient(weights[layer], h[layer + 1], h[layer])

    return advance


LAYERS = [(8, 256), (11, 128), (12, 128), (31, 128), (64, 128), (784, 256), (128, 1), (128, 10), (128, 15), (128, 16)]
"""Inputs and outputs."""


def forms(inputs: int, outputs: int, batch_size: int, cells: int) -> dict[str, Advance]:
    """Ways to compute the outputs of a layer and the step of its matrix, SGD, on a CPU: nets.py, optimizers.py."""
    like = torch.empty(0)
    weight, turned = (nets.aligned(cells, *shape, like).normal_() for shape in ((outputs, inputs), (inputs, outputs)))
    h, delta = (nets.aligned(cells, batch_size, size, like).normal_(std=1e-3) for size in (inputs, outputs))
    out, out_turned = nets.aligned(cells, batch_size, outputs, like), nets.aligned(cells, outputs, batch_size, like)
    delta, shrinkage = delta.contiguous(), torch.full((cells,), 0.999)
    ways: dict[str, Callable[[], object]] = {
        "h W^T": lambda: torch.bmm(h, weight.mT, out=out),
        "W h^T": lambda: out.copy_(torch.bmm(weight, h.mT, out=out_turned).mT),
        "delta^T h": lambda: weight.mul_(shrinkage.view(-1, 1, 1)).baddbmm_(delta.mT, h),
        "h^T delta": lambda: weight.mul_(shrinkage.view(-1, 1, 1)).add_(torch.bmm(h.mT, delta, out=turned).mT),
    }
    if kernels.USABLE:
        rows = (optimizers.rows(weight), inputs, delta.numpy(), optimizers.rows(h), shrinkage.numpy())
        ways["compiled"] = lambda: kernels.sgd(*rows)

    def repeat(way: Callable[[], object]) -> Advance:
        def advance(steps: int) -> None:
            for _ in range(steps):
                way()

        return advance

    return {name: repeat(way) for name, way in ways.items()}


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
