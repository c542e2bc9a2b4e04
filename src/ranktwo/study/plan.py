"""What a study will take, before any of it is submitted: jobs, cells, CPU time, memory and disk, of what is new.

The plan needs neither the data nor anything that trains: sizes of a data set come from its prepared file or, before it
is prepared, from what its source says of itself.
"""

import contextlib
import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import tabulate

from ranktwo.errors import UserError
from ranktwo.store import files, registry
from ranktwo.study import grid, jobs, schedules, theory
from ranktwo.study.axes import Cell
from ranktwo.study.jobs import Job
from ranktwo.study.problems import Problem, problems, with_path

# Calibration, on one core of an AMD EPYC (AVX-512) with torch 2.13.0 and other work beside. Of the steps, by
# `benchmarks/plan.py`: least squares of relative errors over 77 runs of nets from 64-16-1 to 3072-128-10, B from 4 to
# 256, all optimizers, K from 1 to 64; estimates are 0.65 to 1.29 of what was measured. Of the analyses: seven stacks of
# the default study, MNIST and California Housing; 0.3 to 1.3.
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
SHORT, LONG = 60.0, 86400.0
"""Seconds of a training job that is not worth a place in a queue, and of one that may be better cut."""
UNITS = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)]


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


def prepared_size(path: Path, options: dict[str, Any] | None = None) -> DataSize | None:
    """Sizes of the data set in a file; None where there is none, or none that was prepared with these options."""
    with contextlib.suppress(UserError, KeyError):
        facts = files.read_metadata(path)
        if options in (None, facts["options"]):
            names = ("inputs", "outputs", "train_size", "test_size")
            checksums = {own["split"]: own["checksum"] for own in facts["splits"]}
            return DataSize(**{name: facts[name] for name in names}, checksums=checksums)
    return None


def source_size(options: dict[str, Any]) -> DataSize | None:
    """Sizes of a data set before it is prepared; None where its source does not say them.

    A source says `rows`, of all its data or of its training and its test part, `columns`, `kind` and, in
    classification, `classes`. Of some classes the rows are taken to be their share of all rows.
    """
    facts = registry.entries("source")[options["source"]].settings
    try:
        rows, columns, classes = facts["rows"], facts["columns"], facts.get("classes", 1)
        classification = facts["kind"] == "classification"
    except KeyError:
        return None
    chosen = len(options["classes"] or []) or classes
    parts = [round(count * chosen / classes) for count in rows]
    own_test = len(parts) > 1
    test_size = options["test_size"] or (parts[1] if own_test else round(parts[0] / 4))
    return DataSize(
        inputs=columns + options["bias"],
        outputs=chosen if classification and chosen > 2 else 1,
        train_size=parts[0] if own_test else max(1, parts[0] - test_size),
        test_size=test_size,
    )


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


class Minimisers(NamedTuple):
    """Minimisers of one data set that are to be found: CPU seconds, and bytes in memory."""

    seconds: float
    memory: float


class Analysis(NamedTuple):
    """The cost of an analysis: microseconds of each look at a cell, how many looks there are, and what they leave."""

    look: float
    product: float = 0.0
    """For a weight and sample."""
    singular: float = 0.0
    """For a product in its decompositions."""
    looks: Callable[[Stack], int] = lambda stack: stack.kept
    numbers: Callable[[Stack], int] = lambda stack: 0
    """Numbers on disk of a cell, beside the few of any row."""


def _ranks(stack: Stack) -> int:
    """Ranks to which V is truncated: 0 to q of a V with a short shorter side q, and some 23 of others."""
    q = min(stack.matrices[0])
    return q + 1 if q <= 64 else 23


ANALYSIS = {
    "spectra": Analysis(450.0, 0.0, 1e-3, numbers=lambda stack: stack.kept * sum(min(pair) for pair in stack.matrices)),
    "certificates": Analysis(1000.0, 340e-6, 6.7e-3),
    "optimality": Analysis(3000.0, 150e-6, numbers=lambda stack: 181 + 3 * stack.cells[0].widths[0]),
    "baseline": Analysis(100.0, looks=lambda stack: 1),
    "bounds": Analysis(300.0, 64e-6, looks=lambda stack: 1),
    "truncation": Analysis(540.0, 20e-6, looks=_ranks, numbers=lambda stack: 4 * stack.cells[0].widths[0]),
}
"""Analyses by name. One that is not here costs what the dearest of these does."""


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


def analysis_seconds(name: str, stack: Stack) -> float:
    """CPU seconds of an analysis of one stack on one core."""
    costs = [ANALYSIS[name]] if name in ANALYSIS else ANALYSIS.values()
    looking = max(
        cost.looks(stack) * (cost.look + cost.product * stack.samples * stack.parameters + cost.singular * stack.values)
        for cost in costs
    )
    # One process makes all analyses of a stack.
    return stack.start / max(1, len(stack.missing)) + 1e-6 * looking * len(stack.cells)


def bytes_written(stage: str, stack: Stack) -> float:
    """Size of what training or an analysis leaves on disk for one stack."""
    if stage == "train":
        return EMPTY_FILE + stack.weight_bytes(len(stack.new))
    costs = [ANALYSIS[stage]] if stage in ANALYSIS else ANALYSIS.values()
    return EMPTY_FILE + 8 * max(cost.numbers(stack) for cost in costs) * len(stack.cells)


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


def size(results: Path, dataset: str, options: dict[str, Any]) -> DataSize | None:
    """Sizes of a data set of the study; None where it has to be prepared before they are known."""
    return prepared_size(results / "datasets" / f"{dataset}.safetensors", options) or source_size(options)


def read(job: Job, results: Path) -> Stack | None:
    """A stack of the study as it is on disk; None where its data set has to be prepared before anything is known."""
    data = size(results, job.cells[0].dataset, job.options)
    if data is None:
        return None
    steps = schedules.snapshot_steps(job.cells[0].steps, job.snapshots)
    keep = schedules.kept_steps(steps, job.keep)
    identities, on_gpu, gpu_runs = _trained(results / "runs" / job.stack, keep)
    wanted = {cell: grid.identity(cell, data.checksums.get(cell.split, ""), job.snapshots) for cell in job.cells}
    new = [cell for cell in job.cells if identities.get(grid.cell_name(cell, job.options)) != wanted[cell]]
    return Stack(
        name=job.stack,
        cells=job.cells,
        new=new,
        missing={name for name in registry.analyses() if new or not (results / name / f"{job.stack}.parquet").exists()},
        data=data,
        snapshots=len(steps),
        kept=len(keep),
        on_gpu=on_gpu,
        gpu_runs=gpu_runs,
    )


def _trained(folder: Path, keep: list[int]) -> tuple[dict[str, str], list[Cell], list[dict[str, Any]]]:
    """Of what has weights of the steps `keep`: identities by cell's name; cells trained on a GPU alone; runs on it."""
    # A damaged file is no result: its cells are trained again.
    with contextlib.suppress(UserError, KeyError):
        identities = files.read_metadata(folder / "history.parquet")["identities"]
        metadata = files.read_metadata(folder / "weights.safetensors")
        gpu = [run for run in metadata["runs"] if run["device"] != "cpu"]
        cells = {key: own for key, own in metadata["cells"].items() if {*keep} <= {*(own.get("kept") or own["steps"])}}
        on_gpu = [
            grid.cell_of(facts["cell"])
            for facts in cells.values()
            if all(metadata["runs"][run] in gpu for run in facts["runs"])
        ]
        whole = {name: known for name, known in identities.items() if cells.get(name, {}).get("identity") == known}
        return whole, on_gpu, gpu
    return {}, [], []


def minimisers(results: Path, found: list[Job], optima: dict[str, Any]) -> list[Minimisers]:
    """What is asked of the stage `optimum` by some stacks, of the data sets that it has no file of."""
    of_dataset: dict[str, list[Job]] = {}
    for job in found:
        of_dataset.setdefault(job.cells[0].dataset, []).append(job)
    result = []
    for dataset, own in of_dataset.items():
        asked = problems([cell for job in own for cell in job.cells], optima["splits"])
        data = size(results, dataset, own[0].options)
        if asked and data and not (results / "optima" / f"{dataset}.parquet").exists():
            result.append(Minimisers(optimum_seconds(asked, data, optima), PROCESS + 5 * data.bytes))
    return result


def plan(results: Path, names: list[str], device: str, optima: dict[str, Any]) -> str:
    """The plan of the stacks of these names as text, by their job files; `optima` is that section of the config."""
    found = {job.stack: (job, read(job, results)) for job in (jobs.read(jobs.path_of(results, name)) for name in names)}
    stacks = [stack for _, stack in found.values() if stack]
    sought = minimisers(results, [job for job, _ in found.values()], optima)
    unknown: dict[str, list[Job]] = {}
    for job, stack in found.values():
        if stack is None:
            unknown.setdefault(job.cells[0].dataset, []).append(job)
    sentences = [
        f"The data set {name} must be prepared before its {sum(len(job.cells) for job in those):,} cells in "
        f"{len(those):,} stacks can be planned, because its source does not say how large it is:\n"
        f"run snakemake --cores 1 {results}/datasets/{name}.safetensors"
        for name, those in unknown.items()
    ]
    return "\n".join([*([report(stacks, device, sought)] if stacks else []), *sentences])


def report(stacks: list[Stack], device: str, sought: list[Minimisers]) -> str:
    """The plan of some stacks, and of minimisers, as text."""
    cells, new = sum(len(stack.cells) for stack in stacks), sum(len(stack.new) for stack in stacks)
    rows, total = [], 0.0
    for stage in ("train", *registry.analyses()):
        if stage == "train":
            todo = {s.name: training_seconds(s) for s in stacks if s.new}
        else:
            todo = {s.name: analysis_seconds(stage, s) for s in stacks if stage in s.missing}
        disk = sum(bytes_written(stage, s) for s in stacks if s.name in todo)
        memory = max((bytes_in_memory(s) for s in stacks if s.name in todo), default=0)
        rows.append(_row(stage, list(todo.values()), memory, disk))
        total += sum(todo.values())
    times = [one.seconds for one in sought]
    rows.append(_row("optimum", times, max((one.memory for one in sought), default=0), EMPTY_FILE * len(sought)))
    total += sum(times)
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
        f"In all {_time(total)} of CPU cores (hours:minutes:seconds) without verdicts, figures and what is made for",
        f"them alone; on the core of the calibration, within a factor of {WITHIN['training']} (training) and",
        f"{WITHIN['analyses']} (analyses).",
    ]
    if device != "cpu" and new:
        lines.append(gpu_sentence(stacks))
    return "\n".join(lines + [f"Hint: {hint}" for hint in _hints(stacks)])


def _row(stage: str, times: list[float], memory: float, disk: float) -> list[Any]:
    longest = max(times, default=0)
    return [stage, len(times), _time(sum(times)), _time(longest), size_text(memory), size_text(disk)]


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
    if any(theory.why_shared(vars(stack.cells[0])) for stack in stacks):
        hints.append("of nets but the mlp only what dense layers of their widths would take is told; they take longer.")
    return hints


def _time(seconds: float) -> str:
    seconds = round(seconds)
    return f"{seconds // 3600:,}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def size_text(count: float) -> str:
    unit, size = next(((unit, size) for unit, size in UNITS if count >= size), UNITS[-1])
    return f"{count / size:.2g} {unit}" if count < 10 * size else f"{count / size:,.0f} {unit}"
