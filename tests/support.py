"""What test files share: small cells, data sets and records, copies of the project, and runs of its workflow."""

import compileall
import contextlib
import functools
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas
import pytest
import torch
import yaml

from ranktwo.data.dataset import Dataset
from ranktwo.nets.mlp import matrix_names
from ranktwo.store.records import Record
from ranktwo.study.axes import Cell
from ranktwo.training import divergence

ROOT = Path(__file__).parents[1]
REAL_DATA = Path(os.environ.get("RANKTWO_DATA") or ROOT.parent / "shared" / "data")
PAPER_NET = {"net": "mlp", "activation": "relu", "bias": False, "normalisation": "none"}
"""Axes of the paper's nets."""
SGD_AXES = {
    "train_size": 50,
    "split": 0,
    "label_noise": 0.0,
    **PAPER_NET,
    "widths": "8",
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "schedule": "constant",
    "batch_size": 16,
    "decay_rule": "constant",
    "steps": 10,
}
"""Axes of the cells of made-up tables, as gaps.parquet has them; a test sets the others."""
SGD_FACTS = {"decay": "coupled", "plain": True}
"""What a record says of plain SGD."""


def needs_real(*names: str) -> pytest.MarkDecorator:
    """Marks a test that reads real data, which lie beside the checkout or where RANKTWO_DATA says."""
    absent = [name for name in names if not (REAL_DATA / name).exists()]
    reason = f"no {', '.join(absent)} in {REAL_DATA}; name a folder in RANKTWO_DATA"
    return pytest.mark.skipif(bool(absent), reason=reason)


def a_cell(**axes: object) -> Cell:
    """A small cell with some axes set."""
    defaults = {
        "dataset": "toy",
        "widths": (6,),
        "learning_rate": 0.05,
        "batch_size": 4,
        "weight_decay": 0.01,
        "steps": 50,
        "seed": 0,
    }
    return Cell(**defaults | axes)


def a_dataset(task: str, outputs: int, x: torch.Tensor, y: torch.Tensor, train_size: int) -> Dataset:
    """A data set of these rows, the first for training, with inputs in float64 as analyses have them."""
    parts = {"train_x": x[:train_size], "test_x": x[train_size:], "train_y": y[:train_size], "test_y": y[train_size:]}
    facts = {"name": "toy", "task": task, "inputs": x.shape[1], "outputs": outputs, "checksum": "", "metadata": {}}
    return Dataset(**facts, **parts)


def a_record(weights: list[torch.Tensor], data: Dataset, **axes: object) -> Record:
    """What training would leave of a net that ended with these matrices and began with others."""
    generator = torch.Generator().manual_seed(1)
    initial = [torch.randn(w.shape, generator=generator) for w in [weights[-1], *weights[1:-1], weights[0]]]
    initial = [initial[-1], *initial[1:-1], initial[0]]
    snapshots = {
        name: torch.stack([first, last.float()])
        for name, first, last in zip(matrix_names(len(weights)), initial, weights, strict=True)
    }
    size = axes.pop("train_size", len(data.train_x))
    facts = {"task": data.task, "inputs": data.inputs, "outputs": data.outputs, "train_size": size}
    facts["widths"] = "-".join(str(len(weight)) for weight in weights[:-1])
    return Record(cell=vars(a_cell(**axes)) | facts | SGD_FACTS, identity="", steps=[0, 50], weights=snapshots)


# Time. One machine is ten times as fast as another, and other work may run beside the tests.

FAST_START, FAST_STEPS = 1.5, 90_000.0
"""What a fast machine with nothing else to do makes of the two measurements: seconds, and steps a second."""


@functools.cache
def leave_compiled_code() -> None:
    """Run each function that is compiled, as a study does, and compile all modules to bytecode."""
    from ranktwo.analysis.optimum.climb import climb

    compileall.compile_dir(ROOT / "src", quiet=1)
    steps_per_second()
    climb(torch.eye(2), torch.ones(1, 2, 1), torch.eye(2)[None], sweeps=1, tolerance=0.1)


@functools.cache
def steps_per_second() -> float:
    """Steps a second of four nets as in SMALL, on one core: the best of five short measurements."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(200, 64, generator=generator), torch.randint(0, 2, (200,), generator=generator)
    cells = [a_cell(widths=(16,), batch_size=16, seed=seed) for seed in range(4)]
    training, fastest = divergence.begin(cells, x, y, "binary", 1), 0.0
    training.advance_to(10)
    for _ in range(5):
        step, start = training.stack.step, time.perf_counter()
        training.advance_to(step + 500)
        fastest = max(fastest, 500 / (time.perf_counter() - start))
    return fastest


def steps_in(seconds: float) -> int:
    """Steps that a stack like SMALL's takes here in so many seconds of a core: the length of a training to disturb."""
    return math.ceil(seconds * steps_per_second() / 1000) * 1000


@functools.cache
def slowness() -> float:
    """How many times as long as on a fast machine things take here: a stage to start or a step, whichever is more."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "ranktwo", "train", "--help"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return max(1.0, (time.perf_counter() - start) / FAST_START, FAST_STEPS / steps_per_second())


def patience(seconds: float) -> float:
    """A time-out for what takes so many seconds on a fast machine with nothing else to do.

    It is ten times what this machine should need: a test that hangs ends, and one that is slow does not.
    """
    return 10 * slowness() * seconds


def wait_for(what: str, condition: Callable[[], object], seconds: float = 15) -> None:
    """Wait until a condition holds that holds within so many seconds on a fast machine."""
    limit = patience(seconds)
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {limit:.0f} s"
        time.sleep(0.05)


# Runs of the workflow.

SMALL = {
    "datasets": {"digits-3v8": {"source": "digits", "classes": [3, 8]}},
    "grids": [
        {
            "dataset": "digits-3v8",
            "widths": 16,
            "learning_rate": 0.1,
            "batch_size": 16,
            "weight_decay": [0, 0.3],
            "steps": 200,
            "seed": [0, 1],
        }
    ],
    "snapshots": 4,
    "figures": {"spectrum": None},
    "optima": {"points": 0},
}
"""A study of four cells."""


def with_axis(axis: str, value: object) -> dict:
    """SMALL with another value or other values on an axis."""
    return SMALL | {"grids": [SMALL["grids"][0] | {axis: value}]}


def copy_project(parent: Path) -> Path:
    """A copy of the project as a user gets it: what git tracks, as it is now, and no results.

    It has what this checkout has compiled and parsed, too, which every copy would else do again, for some seconds.
    """
    leave_compiled_code()
    folder = _copy_files(parent)
    kept = (path for kind in ("nbc", "meaning", "pyc") for path in ROOT.glob(f"src/ranktwo/**/__pycache__/*.{kind}"))
    for code in kept:
        copy = folder / code.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy2(code, copy)
    return folder


def _copy_files(parent: Path) -> Path:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split("\0")[:-1] if listed.returncode == 0 else None
    folder = parent / "ranktwo"
    if names is None:
        ignored = shutil.ignore_patterns(".git", ".venv", "results", ".snakemake", "__pycache__")
        shutil.copytree(ROOT, folder, ignore=ignored)
        return folder
    for name in names:
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def made(results: Path) -> list[Path]:
    """What a results folder holds beside the page that git has in it."""
    return [path for path in results.glob("*") if path.name != "README.md"]


def environment(**more: str) -> dict[str, str]:
    """The environment of a shell in which the installed environment is active."""
    # A make above this process exports variables that a user's shell does not have; PYTHONPATH is for tests' own code.
    # Without bytecode every job would compile the package anew. A test that reads real data sets RANKTWO_DATA itself.
    own = ("MAKE", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "RANKTWO_DATA")
    shell = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return shell | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"} | more


def snakemake(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    """`snakemake --cores 2 ...` in a folder, as a user types it."""
    command = ["snakemake", "--cores", "2", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=patience(60)
    )


def run_study(folder: Path, study: dict, *arguments: str, **more: str) -> subprocess.CompletedProcess:
    """Run a study that is written to study.yaml in the folder."""
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return snakemake(folder, *arguments, "--configfile", "study.yaml", **more)


def make_gaps(folder: Path, study: dict, *arguments: str) -> subprocess.CompletedProcess:
    """Run a study as far as its rows: all that is trained, and no figure."""
    return run_study(folder, study, *arguments, "results/gaps.parquet")


def trained(done: subprocess.CompletedProcess) -> list[int]:
    """Numbers of cells that each training job of a run says it trained."""
    assert done.returncode == 0, done.stderr
    return [int(count) for count in re.findall(r": (\d+) cells trained in", done.stderr)]


def planned(done: subprocess.CompletedProcess) -> dict[str, int]:
    """Jobs by rule that a dry run would start, less the target; nothing if there is nothing to be done."""
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", said, flags=re.MULTILINE)}
    assert jobs or "Nothing to be done" in said, said
    return {name: count for name, count in jobs.items() if name not in ("all", "total")}


def gaps(folder: Path) -> pandas.DataFrame:
    """The rows of a study in a folder, by cell."""
    return pandas.read_parquet(folder / "results" / "gaps.parquet").set_index("cell")


# Runs that are disturbed. SLURM's one node is this machine, and so both kinds of run are found in /proc.


_STARTED: list[subprocess.Popen] = []
"""Kept: of a run that a failed test left at work Python would warn in whatever test comes next, which fails too."""


def start(folder: Path, study: dict, *arguments: str) -> subprocess.Popen:
    """Snakemake at work on a study, in a process group of its own as a shell starts it; `said` gives what it prints."""
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    command = ["snakemake", *arguments, "--configfile", "study.yaml"]
    with open(folder / "said.txt", "w") as output:
        run = subprocess.Popen(command, cwd=folder, env=environment(), stdout=output, stderr=output, process_group=0)
    _STARTED.append(run)
    return run


def said(folder: Path) -> str:
    """What the Snakemake that was started last in a folder has printed so far."""
    return (folder / "said.txt").read_text()


def processes_in(folder: Path) -> dict[int, list[str]]:
    """The processes that work in a folder: the words of each one's command, by its number."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == folder:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode().split("\0")[:-1]
    return found


def stages_in(folder: Path) -> dict[int, list[str]]:
    """The processes in a folder that run a stage: the stage and its arguments, by the process's number."""
    words = processes_in(folder).items()
    return {number: command[3:] for number, command in words if command[1:3] == ["-m", "ranktwo"]}


def signals(process: int, kind: str) -> set[int]:
    """Signals that a process catches (SigCgt), or that wait for it (ShdPnd); none if the process is over."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return set()
    mask = int(re.search(rf"^{kind}:\s*(\w+)$", status, flags=re.MULTILINE)[1], 16)
    return {number for number in signal.Signals if mask >> (number - 1) & 1}


def checkpoints_in(folder: Path) -> set[tuple[Path, int]]:
    """Checkpoints below a folder and when each was written, in nanoseconds."""
    found = set()
    for path in folder.rglob("checkpoint*.safetensors"):
        with contextlib.suppress(FileNotFoundError):
            found.add((path, path.stat().st_mtime_ns))
    return found


@contextlib.contextmanager
def training_halted(folder: Path) -> Iterator[list[int]]:
    """Wait for a checkpoint that is written from now on; the training processes, which stand still for the block."""
    before = checkpoints_in(folder)
    wait_for("a checkpoint", lambda: checkpoints_in(folder) - before)
    processes = [number for number, (stage, *_) in stages_in(folder).items() if stage == "train"]
    for number in processes:
        os.kill(number, signal.SIGSTOP)
    try:
        yield processes
    finally:
        for number in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGCONT)


def never_shared(holds: list[list[str]]) -> None:
    """Of holds (GPU, from, to), those of one GPU follow each other."""
    for gpu in {hold[0] for hold in holds}:
        times = sorted((float(begin), float(end)) for name, begin, end in holds if name == gpu)
        assert all(end <= begin for (_, end), (begin, _) in zip(times, times[1:], strict=False)), times
