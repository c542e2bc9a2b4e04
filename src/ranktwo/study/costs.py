"""What training, analyses and minimisers cost: CPU time, memory and disk, from sizes of nets and data alone."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ranktwo.study import theory
from ranktwo.study.axes import CONSTANT, Cell
from ranktwo.study.problems import Problem, with_path

# Calibration, on one core with torch 2.13.0 and other work beside. Of the steps, on an AMD EPYC (AVX-512), by
# `benchmarks/plan.py`: least squares of relative errors over 77 runs of nets from 64-16-1 to 3072-128-10, B from 4 to
# 256, all optimizers, K from 1 to 64; estimates are 0.65 to 1.29 of what was measured. Of the analyses, on an Intel
# Xeon (AVX-512): 79 stacks of the default study, of phase, controls, classes, fixed-decay and of California Housing;
# 0.55 to 2.9 of what their jobs took, by `benchmarks/plan.py --results`.
STEP = {"product": 44.3e-6, "weight": 0.0384e-3, "activation": 0.554e-3, "cell": 1.25}
"""Microseconds of a step: a weight and sample; a weight; an activation; a cell."""
OPTIMIZER = {"sgd": 0.0, "momentum": 0.158e-3, "adamw": 0.570e-3}
"""Microseconds of a step for a weight on top of that. An optimizer that is not here costs what the dearest one does."""
FUNCTIONAL = {"matrix": 350.0, "times": 5.0}
"""Of nets that torch.func trains: microseconds of a step for each matrix, all nets together, and by how much the time
above is multiplied for each net. Measured with dense layers of 64 units; of convolutions it is no estimate."""
EVALUATION = {"product": 37.1e-6, "activation": 347e-6}
"""Microseconds of a snapshot: a weight and sample; an activation and sample."""
START, READ = 2.2, 5e-9
"""Seconds in which a job starts, Python and PyTorch; of reading, for each byte of data in float64."""
WITHIN = {"training": 2.5, "analyses": 3}
"""Factors that the estimates are meant to be within, on that machine."""
MINIMISER = {"search": 0.4, "number": 2e-6, "output": 0.5}
"""Seconds of a minimiser: of any; for each number of the training inputs; more of both for each output but the first,
as a share. From the default study and MNIST."""
PROCESS, EMPTY_FILE = 430e6, 25e3
"""Bytes: in memory, of a process that has loaded PyTorch and numba; on disk, of a table before its rows."""


@dataclass(frozen=True, kw_only=True)
class DataSize:
    """What the plan has to know of a data set."""

    inputs: int
    """Features of a sample, the bias column included."""
    outputs: int
    """Of the net."""
    train_size: int
    test_size: int
    checksums: Mapping[int, str] = field(default_factory=dict)
    """Of each split of the prepared data set; none before it is prepared."""

    @property
    def bytes(self) -> int:
        """The inputs in float64."""
        return 8 * self.inputs * (self.train_size + self.test_size)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack's cells, those of them to be trained, and the analyses to be made."""

    name: str
    cells: list[Cell]
    new: list[Cell]
    missing: set[str]
    """Analyses whose file is not there, or has to be made again with the new cells."""
    data: DataSize
    snapshots: int
    """Recorded of each cell, the initial one included."""
    kept: int
    """Of these, those whose weights stay, and that analyses look at."""
    on_gpu: list[Cell] = field(default_factory=list)
    """Cells in the stack's files, asked for or not, that were trained on a GPU alone."""
    gpu_runs: list[dict[str, Any]] = field(default_factory=list)
    """The provenance of the runs on a GPU."""

    @property
    def matrices(self) -> list[tuple[int, int]]:
        """Inputs and outputs of W_1 .. W_L."""
        sizes = [self.data.inputs, *self.cells[0].widths, self.data.outputs]
        return list(zip(sizes, sizes[1:], strict=False))

    @property
    def parameters(self) -> int:
        """Weights of one net."""
        return sum(map(math.prod, self.matrices))

    @property
    def train_size(self) -> int:
        return self.cells[0].train_size or self.data.train_size

    @property
    def samples(self) -> int:
        """Rows that one evaluation goes through."""
        return self.train_size + self.data.test_size

    @property
    def activations(self) -> int:
        """Numbers that one sample makes of itself, its inputs included."""
        return self.data.inputs + sum(self.cells[0].widths) + self.data.outputs

    @property
    def values(self) -> int:
        """Sum over the matrices of (shorter side)^2 (longer side), as the cost of singular values is."""
        return sum(min(pair) ** 2 * max(pair) for pair in self.matrices)

    @property
    def start(self) -> float:
        """Seconds until a job can begin: Python, PyTorch, the data."""
        return START + READ * self.data.bytes

    def weight_bytes(self, cells: int) -> int:
        """What so many cells' weights take on disk."""
        return 4 * self.parameters * self.kept * cells


class Analysis(NamedTuple):
    """The cost of an analysis: microseconds of each look at a cell, how many looks there are, and what they leave."""

    look: float
    product: float = 0.0
    """For a weight and sample."""
    activation: float = 0.0
    """For a number that a sample makes of itself."""
    singular: float = 0.0
    """For a product in its decompositions."""
    pair: float = 0.0
    """For a matrix and two training samples of different decay."""
    net: float = 0.0
    """For a net, beside its looks."""
    looks: Callable[[Stack], int] = lambda stack: stack.kept
    numbers: Callable[[Stack], int] = lambda stack: 0
    """Numbers on disk of a cell, beside the few of any row."""

    def microseconds(self, stack: Stack) -> float:
        """Of all looks at all cells of a stack."""
        look = self.look + self.product * stack.samples * stack.parameters
        look += self.activation * stack.samples * stack.activations + self.singular * stack.values
        paired = sum(cell.decay_rule != CONSTANT for cell in stack.cells)
        pairs = paired * len(stack.matrices) * stack.train_size**2 / 2
        return self.looks(stack) * (look * len(stack.cells) + self.pair * pairs) + self.net * len(stack.cells)


def _ranks(stack: Stack) -> int:
    """Ranks to which V is truncated: 0 to q of a V with a short shorter side q, and some 23 of others."""
    q = min(stack.matrices[0])
    return q + 1 if q <= 64 else 23


ANALYSIS = {
    "spectra": Analysis(
        450.0, singular=1e-3, numbers=lambda stack: stack.kept * sum(min(pair) for pair in stack.matrices)
    ),
    "certificates": Analysis(1000.0, 340e-6, 22e-3, 6.7e-3, pair=7e-3),
    "optimality": Analysis(3000.0, 150e-6, 8e-3, net=20e3, numbers=lambda stack: 181 + 3 * stack.cells[0].widths[0]),
    "baseline": Analysis(400.0, looks=lambda stack: 1),
    "bounds": Analysis(2000.0, 64e-6, 8e-3, looks=lambda stack: 1),
    "truncation": Analysis(200.0, 20e-6, 1.8e-3, looks=_ranks, numbers=lambda stack: 4 * stack.cells[0].widths[0]),
}
"""Analyses by name. One that is not here costs what the dearest of these does."""


def _known(analysis: str) -> Iterable[Analysis]:
    """The costs of an analysis, or of all that it may be as dear as."""
    return [ANALYSIS[analysis]] if analysis in ANALYSIS else ANALYSIS.values()


def training_seconds(stack: Stack) -> float:
    """CPU seconds of training a stack's new cells on one core, the start of the job included."""
    return stack.start + step_seconds(stack, stack.new) if stack.new else 0.0


def step_seconds(stack: Stack, cells: list[Cell]) -> float:
    """CPU seconds of one core in the steps and evaluations of some of a stack's cells."""
    if not cells:
        return 0.0
    first, count = cells[0], len(cells)
    batch = stack.train_size if isinstance(first.batch_size, str) else first.batch_size
    step = (
        STEP["product"] * stack.parameters * batch
        + (STEP["weight"] + OPTIMIZER.get(first.optimizer, max(OPTIMIZER.values()))) * stack.parameters
        + STEP["activation"] * stack.activations * batch
        + STEP["cell"]
    )
    if theory.why_not_relu_mlp(vars(first)):
        step = FUNCTIONAL["times"] * step + FUNCTIONAL["matrix"] * len(stack.matrices) / count
    look = stack.samples * (EVALUATION["product"] * stack.parameters + EVALUATION["activation"] * stack.activations)
    looks = stack.snapshots * sum(2 if cell.label_noise else 1 for cell in cells)
    return 1e-6 * (step * first.steps * count + look * looks)


def analysis_seconds(name: str, stack: Stack) -> float:
    """CPU seconds of an analysis of one stack on one core."""
    # One process makes all analyses of a stack.
    return stack.start / max(1, len(stack.missing)) + 1e-6 * max(cost.microseconds(stack) for cost in _known(name))


def bytes_written(stage: str, stack: Stack) -> float:
    """Size of what training or an analysis leaves on disk for one stack."""
    if stage == "train":
        return EMPTY_FILE + stack.weight_bytes(len(stack.new))
    return EMPTY_FILE + 8 * max(cost.numbers(stack) for cost in _known(stage)) * len(stack.cells)


def bytes_in_memory(stack: Stack) -> float:
    """Most memory that one of the stack's jobs takes: its cells' snapshots, in part twice, and the data in float64."""
    weights = 4 * stack.parameters * stack.snapshots * len(stack.cells)
    return PROCESS + 3 * weights + 2 * stack.data.bytes


def optimum_seconds(found: list[Problem], data: DataSize, optima: dict[str, Any]) -> float:
    """CPU seconds of the minimisers of one data set by the config's section `optima`, the start of the job included."""
    total = START + READ * data.bytes
    for problem, has_path in with_path(found):
        numbers = data.inputs * (problem.train_size or data.train_size)
        if optima["largest"] is None or numbers <= optima["largest"]:
            one = MINIMISER["search"] + MINIMISER["number"] * numbers
            one *= 1 + MINIMISER["output"] * (data.outputs - 1)
            total += one * (len(problem.weight_decays) + optima["points"] * has_path)
    return total
