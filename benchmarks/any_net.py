"""Training steps of every kind of net by the engine, beside the textbook loop of one net after the other."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from training import DECAY, SEEDS, Advance, random_data, tutorial

from ranktwo.nets import net as nets
from ranktwo.nets.blueprint import Blueprint
from ranktwo.nets.net import Net
from ranktwo.nets.norms import ImageNorm
from ranktwo.store import registry
from ranktwo.study.axes import Cell
from ranktwo.training import divergence, recording
from ranktwo.training.backends.cpu import CompiledSteps
from ranktwo.training.backends.functional import FunctionalSteps
from ranktwo.training.backends.torch_ops import TorchSteps
from ranktwo.training.optimizers import muon

CLASSES, ROWS, BATCH = 10, 1000, 16
BACKENDS = {CompiledSteps: "compiled", FunctionalSteps: "torch.func", TorchSteps: "torch"}
ASKED = ("widths", "activation", "bias", "normalisation")
"""Axes that a builder of nets is given."""
RATES = {"sgd": 0.01, "adamw": 1e-3, "muon": 1e-3}
"""The optimizers that are measured, with a learning rate of each."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A net of the study nets.yaml, on random images of one size."""

    name: str
    side: int
    """Pixels."""
    widths: tuple[int, ...]
    axes: dict[str, str] = field(default_factory=dict)

    def cell(self, optimizer: str, number: int = 0, cells: int = 1) -> Cell:
        return Cell(
            dataset="random", net=self.name, widths=self.widths, optimizer=optimizer, learning_rate=RATES[optimizer],
            batch_size=BATCH, steps=10**9, weight_decay=DECAY * number / cells, seed=number % SEEDS, **self.axes,
        )  # fmt: skip

    def net(self) -> Net:
        return nets.of(vars(self.cell("sgd")), self.shape, CLASSES)

    @property
    def words(self) -> str:
        return f"{self.name} {'-'.join(map(str, self.widths))}, {self.side} x {self.side}"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.side, self.side, 1


NORMED = {"normalisation": "layer"}
KINDS = [
    Kind(name=name, side=side, widths=widths, axes=axes)
    for side in (8, 28)
    for name, widths, axes in (
        ("mlp", (128,), {}),
        ("convnet", (8, 16), {}),
        ("resnet", (8, 16), NORMED),
        ("transformer", (32, 32), NORMED | {"activation": "gelu"}),
    )
]


class Muon(torch.optim.Optimizer):
    """Muon for the first so many parameters, kernels as matrices, SGD for the rest. torch's own takes no kernels."""

    def __init__(self, parameters: list[Tensor], matrices: int, lr: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})
        self._matrices = matrices

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        [group] = self.param_groups
        for number, weight in enumerate(group["params"]):
            if number >= self._matrices:
                weight.sub_(weight.grad, alpha=group["lr"])
                continue
            velocity = self.state[weight].setdefault("velocity", torch.zeros_like(weight))
            velocity.mul_(muon.MOMENTUM).add_(weight.grad)
            wanted = (weight.grad + muon.MOMENTUM * velocity).flatten(1)
            scale = max(1.0, wanted.shape[0] / wanted.shape[1]) ** 0.5
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.sub_(muon.orthogonalised(wanted[None])[0].view_as(weight), alpha=group["lr"] * scale)


def module_of(kind: Kind, optimizer: str) -> nn.Module:
    """The module of one net, for images [N, 1, side, side]."""
    asked = {name: getattr(kind.cell(optimizer), name) for name in ASKED}
    plan = Blueprint(shape=(1, kind.side, kind.side), outputs=CLASSES, **asked)
    module = registry.load("net", kind.name)(plan)
    for part in module.modules():
        if isinstance(part, ImageNorm):  # which is for many nets at once; one net takes torch's own
            part.__class__ = nn.GroupNorm
    return module


def updates(module: nn.Module, optimizer: str) -> torch.optim.Optimizer:
    """torch.optim's, with decay of the matrices alone as in the engine."""
    matrices = [one for one in module.parameters() if one.dim() > 1]
    rest = [one for one in module.parameters() if one.dim() == 1]
    if optimizer == "muon":
        return Muon([*matrices, *rest], len(matrices), RATES[optimizer], DECAY)
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": rest, "weight_decay": 0.0}]
    kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[optimizer]
    return kind([group for group in groups if group["params"]], lr=RATES[optimizer])


def textbook(kind: Kind, optimizer: str) -> Advance:
    """One net by nn.Module, DataLoader, autograd and torch.optim."""
    x, y = random_data(kind.side**2, CLASSES, "multiclass", ROWS)
    module = module_of(kind, optimizer)
    images = TensorDataset(x.view(-1, 1, kind.side, kind.side), y)
    return tutorial(module, updates(module, optimizer), nn.CrossEntropyLoss(), images, BATCH)


def stacked(kind: Kind, optimizer: str) -> tuple[Advance, int, str]:
    """The engine's steps of as many nets as a job trains at once, their number, and the backend that takes them."""
    x, y = random_data(kind.side**2, CLASSES, "multiclass", ROWS)
    cells = recording.most_at_once(kind.net(), BATCH, "cpu")
    grid = [kind.cell(optimizer, number, cells) for number in range(cells)]
    training = divergence.begin(grid, x, y, "multiclass", CLASSES, kind.shape)
    training.advance_to(1)
    return lambda steps: training.advance_to(training.stack.step + steps), cells, BACKENDS[type(training.stack._steps)]
