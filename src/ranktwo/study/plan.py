"""What a study will take, before any of it is submitted: jobs, cells, CPU time, memory and disk, of what is new.

The plan needs neither the data nor anything that trains: sizes of a data set come from its prepared file or, before it
is prepared, from what its source says of itself.
"""

import contextlib
import statistics
from pathlib import Path
from typing import Any, NamedTuple

import tabulate

from ranktwo.errors import UserError
from ranktwo.store import files, registry
from ranktwo.study import costs, grid, jobs, schedules, theory
from ranktwo.study.axes import Cell
from ranktwo.study.costs import DataSize, Stack
from ranktwo.study.jobs import Job
from ranktwo.study.problems import problems

SHORT, LONG = 60.0, 86400.0
"""Seconds of a training job that is not worth a place in a queue, and of one that may be better cut."""
UNITS = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)]


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


class Minimisers(NamedTuple):
    """Minimisers of one data set that are to be found: CPU seconds, and bytes in memory."""

    seconds: float
    memory: float


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
            result.append(Minimisers(costs.optimum_seconds(asked, data, optima), costs.PROCESS + 5 * data.bytes))
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
            todo = {s.name: costs.training_seconds(s) for s in stacks if s.new}
        else:
            todo = {s.name: costs.analysis_seconds(stage, s) for s in stacks if stage in s.missing}
        disk = sum(costs.bytes_written(stage, s) for s in stacks if s.name in todo)
        memory = max((costs.bytes_in_memory(s) for s in stacks if s.name in todo), default=0)
        rows.append(_row(stage, list(todo.values()), memory, disk))
        total += sum(todo.values())
    times = [one.seconds for one in sought]
    rows.append(_row("optimum", times, max((one.memory for one in sought), default=0), costs.EMPTY_FILE * len(sought)))
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
        f"them alone; on the core of the calibration, within a factor of {costs.WITHIN['training']} (training) and",
        f"{costs.WITHIN['analyses']} (analyses).",
    ]
    if device != "cpu" and new:
        lines.append(gpu_sentence(stacks))
    return "\n".join(lines + [f"Hint: {hint}" for hint in _hints(stacks)])


def gpu_sentence(stacks: list[Stack]) -> str:
    """GPU time of what is new, scaled from what the study's own cells took on a GPU so far, where there are some."""
    new = [stack for stack in stacks if stack.new]
    took = sum(run["seconds"] for stack in stacks for run in stack.gpu_runs)
    modelled = sum(costs.step_seconds(stack, stack.on_gpu) for stack in stacks)
    asked = f"GPU: {len(new):,} jobs ask for one each"
    if not modelled:
        return f"{asked}. How long they take is told once a stack has been trained on a GPU here,\nsay {new[0].name}."
    speed = modelled / took
    seconds = sum(stack.start + costs.step_seconds(stack, stack.new) / speed for stack in new)
    names = " and ".join(sorted({run["device"] for stack in stacks for run in stack.gpu_runs}))
    cells = sum(len(stack.on_gpu) for stack in stacks)
    return (
        f"{asked}, {_time(seconds)} of GPU time in all if it is {speed:.2g} times as fast as that\n"
        f"core, as {names} was with the {cells:,} cells trained on it here."
    )


def _row(stage: str, times: list[float], memory: float, disk: float) -> list[Any]:
    longest = max(times, default=0)
    return [stage, len(times), _time(sum(times)), _time(longest), size_text(memory), size_text(disk)]


def _hints(stacks: list[Stack]) -> list[str]:
    """What would make better jobs for a cluster."""
    seconds = [costs.training_seconds(s) for s in stacks if s.new]
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
