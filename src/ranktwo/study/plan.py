"""What a study will take, before any of it is submitted: jobs, cells, CPU time, memory and disk, of what is new."""

import contextlib
import math
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tabulate

from ranktwo.analysis.truncation import truncation_ranks
from ranktwo.data import dataset
from ranktwo.data.dataset import Dataset
from ranktwo.errors import UserError
from ranktwo.store import files
from ranktwo.study import grid, jobs, schedule
from ranktwo.study.axes import Cell
from ranktwo.training import recording

# Calibration, on one core of an AMD EPYC (AVX-512) with torch 2.13.0 and other work beside. Of the steps, by
# `benchmarks/plan.py`: least squares of relative errors over 77 runs of nets from 64-16-1 to 3072-128-10, B from 4 to
# 256, all optimizers, K from 1 to 64; estimates are 0.65 to 1.29 of what was measured. Of the analyses: seven stacks of
# the default study, MNIST and California Housing; 0.3 to 1.3.
STEP = {"product": 44.3e-6, "weight": 0.0384e-3, "activation": 0.554e-3, "cell": 1.25}
"""Microseconds of a step: a weight and sample; a weight; an activation; a cell."""
OPTIMIZER = {"sgd": 0.0, "momentum": 0.158e-3, "adamw": 0.570e-3}
"""Microseconds of a step for a weight on top of that."""
EVALUATION = {"product": 37.1e-6, "activation": 347e-6}
"""Microseconds of a snapshot: a weight and sample; an activation and sample."""
ANALYSIS = {
    "spectra": (450.0, 0.0, 1e-3),
    "certificates": (1000.0, 340e-6, 6.7e-3),
    "bounds": (300.0, 64e-6, 0.0),
    "truncation": (540.0, 20e-6, 0.0),
}
"""Microseconds of each look at a cell: as such; for a weight and sample; for a product in its decompositions."""
START, READ = 2.2, 5e-9
"""Seconds in which a job starts, Python and PyTorch; of reading, for each byte of data in float64."""
WITHIN = {"training": 2.5, "analyses": 3}
"""Factors that the estimates are meant to be within, on that machine."""
PROCESS, EMPTY_FILE = 430e6, 25e3
"""Bytes: in memory, of a process that has loaded PyTorch and numba; on disk, of a table before its rows."""
SHORT, LONG = 60.0, 86400.0
"""Seconds of a training job that is not worth a place in a queue, and of one that may be better cut."""
UNITS = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack's cells, those of them to be trained, and the analyses to be made."""

    name: str
    cells: list[Cell]
    new: list[Cell]
    missing: set[str]
    """Stages after training whose file is not there, or has to be made again with the new cells."""
    data: Dataset
    snapshots: int
    """Recorded of each cell, the initial one included."""
    on_gpu: list[Cell] = field(default_factory=list)
    """Cells in the stack's files, asked for or not, that were trained on a GPU alone."""
    gpu_runs: list[dict[str, Any]] = field(default_factory=list)
    """The provenance of the runs on a GPU."""

    @property
    def parameters(self) -> int:
        """Weights of one net."""
        return sum(math.prod(pair) for pair in recording.shapes(self.cells[0], self.data))

    @property
    def train_size(self) -> int:
        return self.cells[0].train_size or len(self.data.train_x)

    @property
    def samples(self) -> int:
        """Rows that one evaluation goes through."""
        return self.train_size + len(self.data.test_x)

    @property
    def activations(self) -> int:
        """Numbers that one sample makes of itself, its inputs included."""
        return self.data.inputs + sum(self.cells[0].widths) + self.data.outputs

    @property
    def values(self) -> int:
        """Sum over the matrices of (shorter side)^2 (longer side), as the cost of singular values is."""
        return sum(min(pair) ** 2 * max(pair) for pair in recording.shapes(self.cells[0], self.data))

    @property
    def start(self) -> float:
        """Seconds until a job can begin: Python, PyTorch, the data."""
        return START + READ * self.data_bytes

    @property
    def data_bytes(self) -> int:
        """The data set's inputs in float64."""
        return 8 * self.data.inputs * (len(self.data.train_x) + len(self.data.test_x))

    def weight_bytes(self, cells: int) -> int:
        """What so many cells' snapshots take in memory and on disk."""
        return 4 * self.parameters * self.snapshots * cells


def training_seconds(stack: Stack) -> float:
    """CPU seconds of training a stack's new cells on one core, the start of the job included."""
    return stack.start + step_seconds(stack, stack.new) if stack.new else 0.0


def step_seconds(stack: Stack, cells: list[Cell]) -> float:
    """CPU seconds of one core in the steps and evaluations of some of a stack's cells."""
    if not cells:
        return 0.0
    first, count = cells[0], len(cells)
    batch = stack.train_size if first.batch_size == "full" else first.batch_size
    step = (
        STEP["product"] * stack.parameters * batch
        + (STEP["weight"] + OPTIMIZER[first.optimizer]) * stack.parameters
        + STEP["activation"] * stack.activations * batch
        + STEP["cell"]
    )
    look = stack.samples * (EVALUATION["product"] * stack.parameters + EVALUATION["activation"] * stack.activations)
    looks = stack.snapshots * sum(2 if cell.label_noise else 1 for cell in cells)
    return 1e-6 * (step * first.steps * count + look * looks)


def gpu_sentence(stacks: list[Stack]) -> str:
    """GPU time of what is new, scaled from what the study's own cells took on a GPU so far, where there are some."""
    new = [stack for stack in stacks if stack.new]
    took = sum(run["seconds"] for stack in stacks for run in stack.gpu_runs)
    modelled = sum(step_seconds(stack, stack.on_gpu) for stack in stacks)
    asked = f"GPU: {len(new):,} jobs ask for one each"
    if not modelled:
        return f"{asked}. How long they take is told once a stack has been trained on a GPU here,\nsay {new[0].name}."
    speed = modelled / took
    seconds = sum(stack.start + step_seconds(stack, stack.new) / speed for stack in new)
    names = " and ".join(sorted({run["device"] for stack in stacks for run in stack.gpu_runs}))
    cells = sum(len(stack.on_gpu) for stack in stacks)
    return (
        f"{asked}, {_time(seconds)} of GPU time in all if it is {speed:.2g} times as fast as that\n"
        f"core, as {names} was with the {cells:,} cells trained on it here."
    )


def analysis_seconds(stage: str, stack: Stack) -> float:
    """CPU seconds of a stage of one stack on one core."""
    each, product, singular = ANALYSIS[stage]
    # Bounds and truncation look at the trained net alone, truncation at each rank that it is cut to.
    looks = stack.snapshots if stage in ("spectra", "certificates") else 1
    if stage == "truncation":
        looks = len(truncation_ranks(min(recording.shapes(stack.cells[0], stack.data)[0])))
    work = product * stack.samples * stack.parameters + singular * stack.values
    return stack.start + 1e-6 * looks * (each + work) * len(stack.cells)


def bytes_written(stage: str, stack: Stack) -> float:
    """Size of what a stage leaves on disk for one stack."""
    if stage == "train":
        return EMPTY_FILE + stack.weight_bytes(len(stack.new))
    lists = {
        "spectra": stack.snapshots * sum(min(pair) for pair in recording.shapes(stack.cells[0], stack.data)),
        "truncation": 4 * stack.cells[0].widths[0],
    }
    return EMPTY_FILE + 8 * lists.get(stage, 0) * len(stack.cells)


def bytes_in_memory(stack: Stack) -> float:
    """Most memory that one of the stack's jobs takes: its cells' snapshots, in part twice, and the data in float64."""
    return PROCESS + 3 * stack.weight_bytes(len(stack.cells)) + 2 * stack.data_bytes


def read(name: str, job: str, results: Path) -> Stack:
    """A stack of the study as it is on disk; `job` is what its training is asked for."""
    cells, options, settings = jobs.decode(job)
    data = dataset.load(results / "datasets" / f"{cells[0].dataset}.safetensors")
    folder, known = results / "runs" / name, {}
    on_gpu: list[Cell] = []
    gpu: list[dict[str, Any]] = []
    if (folder / "weights.safetensors").exists() and (folder / "history.parquet").exists():
        # A damaged file is no result: its cells are trained again.
        with contextlib.suppress(UserError):
            known = files.read_parquet(folder / "history.parquet", "train")[1]["identities"]
            metadata = files.read_metadata(folder / "weights.safetensors")
            gpu = [run for run in metadata["runs"] if run["device"] != "cpu"]
            on_gpu = [
                grid.cell_of(facts["cell"])
                for facts in metadata["cells"].values()
                if all(metadata["runs"][run] in gpu for run in facts["runs"])
            ]
    wanted = zip(cells, grid.identities(cells, data, settings), strict=True)
    new = [cell for cell, identity in wanted if known.get(grid.cell_name(cell, options)) != identity]
    missing = {stage for stage in ANALYSIS if new or not (results / stage / f"{name}.parquet").exists()}
    snapshots = len(schedule.snapshot_steps(cells[0].steps, settings["snapshots"]))
    return Stack(
        name=name,
        cells=cells,
        new=new,
        missing=missing,
        data=data,
        snapshots=snapshots,
        on_gpu=on_gpu,
        gpu_runs=gpu,
    )


def report(stacks: list[Stack], device: str) -> str:
    """The plan as text."""
    cells, new = (sum(len(part) for part in parts) for parts in zip(*((s.cells, s.new) for s in stacks), strict=True))
    rows, total = [], 0.0
    for stage in ("train", *ANALYSIS):
        if stage == "train":
            todo = {s.name: training_seconds(s) for s in stacks if s.new}
        else:
            todo = {s.name: analysis_seconds(stage, s) for s in stacks if stage in s.missing}
        disk = sum(bytes_written(stage, s) for s in stacks if s.name in todo)
        memory = max((bytes_in_memory(s) for s in stacks if s.name in todo), default=0)
        total += sum(todo.values())
        longest = max(todo.values(), default=0)
        rows.append([stage, len(todo), _time(sum(todo.values())), _time(longest), _size(memory), _size(disk)])
    table = tabulate.tabulate(
        rows,
        headers=["stage", "jobs", "CPU time", "longest job", "memory a job", "disk"],
        colalign=["left", *["right"] * 5],
    )
    lines = [
        f"{cells:,} cells in {len(stacks):,} stacks; {cells - new:,} of them are trained, {new:,} are new.",
        "",
        table,
        "",
        f"In all {_time(total)} of CPU cores (hours:minutes:seconds) without figures, tables and verdicts; on the core",
        f"of the calibration, within a factor of {WITHIN['training']} (training) and {WITHIN['analyses']} (analyses).",
    ]
    if device != "cpu" and new:
        lines.append(gpu_sentence(stacks))
    return "\n".join(lines + [f"Hint: {hint}" for hint in _hints(stacks)])


def _hints(stacks: list[Stack]) -> list[str]:
    """What would make better jobs for a cluster."""
    seconds = [training_seconds(s) for s in stacks if s.new]
    hints = []
    if len(seconds) > 20 and statistics.median(seconds) < SHORT:
        hints.append(
            f"most training jobs take less than {_time(SHORT)}; more axes in `stack` make fewer and longer jobs."
        )
    if seconds and max(seconds) > LONG:
        hints.append(f"a training job takes more than {_time(LONG)}; fewer axes in `stack` make more and shorter jobs.")
    return hints


def _time(seconds: float) -> str:
    seconds = round(seconds)
    return f"{seconds // 3600:,}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _size(count: float) -> str:
    unit, size = next(((unit, size) for unit, size in UNITS if count >= size), UNITS[-1])
    return f"{count / size:.2g} {unit}" if count < 10 * size else f"{count / size:,.0f} {unit}"
