"""What a backend is given to train, and what it has to do."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ranktwo.nets.losses import Task
from ranktwo.nets.net import Net, ReluMlp
from ranktwo.training.optimizers.base import Optimizer


@dataclass(frozen=True, kw_only=True)
class TrainedNets:
    """K nets of one shape in memory that a backend changes in place, and the rows that they are trained on."""

    net: Net
    memory: Tensor
    """The weights of every net, then each of the optimizer's slots, [1 + slots, K, P] as nets.layout says."""
    weights: list[Tensor]
    """W_1 .. W_L, [K, out, in] each, then the net's vectors, [K, 1, numbers]: views of `memory`."""
    slots: list[list[Tensor]]
    """For each slot of the optimizer its matrices, like the weights: views of `memory`."""
    x: Tensor
    """Inputs of the training rows, [N, n]."""
    targets: Tensor
    """[N, c], or [K, N, c] where the nets' targets differ."""
    optimizer: Optimizer
    task: Task
    batch_size: int
    seed_of: Tensor
    """Which of the S seeds' batches each net is trained on, [K] int64 on the CPU."""

    @property
    def sizes(self) -> list[int]:
        """Layer sizes n, m_1, ..., c of nets whose passes are written by hand."""
        assert isinstance(self.net, ReluMlp)
        return self.net.sizes

    @property
    def full_batches(self) -> bool:
        """Whether every batch is all of the training rows."""
        return self.batch_size == len(self.x)


class Steps(Protocol):
    """A backend at work on some nets."""

    def take(self, rows: Tensor | None, factors: Tensor) -> None:
        """Take as many steps as there are factors, [count, F, K] in the order of `Factors`.

        `rows` [count, S, B] holds the batches of each seed, row numbers of x; None where every batch is all of x.
        """
