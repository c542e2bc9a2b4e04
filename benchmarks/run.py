"""Everything that docs/benchmarks.md reports of speed and memory, measured on this machine by one command.

    python benchmarks/run.py                                # all sections; half an hour
    python benchmarks/run.py steps --rounds 3 --batch 16    # one of them
    python benchmarks/run.py --output FOLDER                # writes FOLDER/benchmarks.json and .md after each section

Sections: ceilings (rates of the machine), steps (three training loops), rivals (the same steps of as many nets at once
by JAX, torch.func, and stacked products with autograd; each where it is installed), nets (every kind of net and
optimizer beside the textbook loop), at_once (by the number of nets),
forms (of the products in a step), profile (of a step), growth (time and memory against steps and cells), start (of a
job), dag (Snakemake on large studies), analysis (of a study that has been run, --results), whole (studies of 10^2 to
10^4 cells from nothing to their figures, --cells; it is not among `all`).
Rounds alternate between what is compared, and a ratio is taken within a round, so that a change in the machine's speed
falls on both. Every figure is the median of the rounds, [least, greatest]. One thread, on a CPU.
"""

import argparse
import contextlib
import datetime
import importlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import any_net
import rivals as others
import tabulate
import torch
import training
import yaml
from analysis import analysis_rows
from whole import whole_rows

from ranktwo.store import files
from ranktwo.training.backends.choice import numba_works
from ranktwo.training.batches import CHUNK
from ranktwo.training.recording import set_up_process

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 0.15
"""Time that one loop is given in a round."""
Rows = list[dict[str, Any]]


def spread(values: list[float]) -> str:
    """`median [least, greatest]` with three digits."""
    return f"{statistics.median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"


# Training.


def ceilings(arguments: argparse.Namespace) -> Rows:
    """Rates of large operations, the best of ten."""
    return [
        {"of the machine": name, "rate": f"{rate:.4g}"} for name, rate in training.ceilings(arguments.device).items()
    ]


def steps(arguments: argparse.Namespace) -> Rows:
    """Microseconds of a step of one net: (a) textbook, (b) careful, (c) the engine; and what (c) reaches.

    `of products`: the share of (c)'s time that its matrix products take by themselves. `of peak`: of the float32 rate.
    On a GPU (d) instead, the engine by torch's operations without a kernel.
    """
    rows = []
    peak = training.ceilings(arguments.device)["float32, GFLOP/s"]
    for net in training.NETS:
        for batch_size in arguments.batch:
            cells = training.at_once(net, batch_size, arguments.device)
            for optimizer in arguments.optimizers:
                where = (net, batch_size, optimizer, arguments.device)
                loops = {
                    "a": (training.textbook(*where), 1),
                    "b": (training.careful(*where), 1),
                    "c": (training.stacked(*where, cells), cells),
                }
                if arguments.device == "cpu":
                    loops["products"] = training.products(net, batch_size, "cpu", cells), cells
                else:
                    loops["d"] = training.by_torch(*where, cells), cells
                found = _alternate(loops, arguments)
                each = {name: [1e6 * second for second in times] for name, times in found.items()}
                ratio = _over("c", each)
                of_products = f"{statistics.median(ratio.pop('products')):.0%}" if "products" in ratio else None
                rows.append(
                    {
                        "net": net.name,
                        "B": batch_size,
                        "optimizer": optimizer,
                        "K": cells,
                        **{f"({name}), µs": spread(each[name]) for name in ratio},
                        **{f"({name})/(c)": spread(ratio[name]) for name in ratio if name != "c"},
                        **({"of products": of_products} if of_products else {}),
                        "of peak": f"{net.flops(batch_size) / statistics.median(found['c']) / 1e9 / peak:.0%}",
                    }
                )
                print(_table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    return rows


def rivals(arguments: argparse.Namespace) -> Rows:
    """Microseconds of an SGD step of one net by the engine and by others that train as many nets at once, on one core.

    The last columns are their times over the engine's, each within a round.
    """
    rows = []
    with _one_core():
        for net in training.NETS:
            for batch_size in arguments.batch:
                cells = training.at_once(net, batch_size, "cpu")
                loops = {"engine": (training.stacked(net, batch_size, "sgd", "cpu", cells), cells)}
                loops |= {name: (others.loop(make, net, batch_size, cells), cells) for name, make in others.available()}
                found = _alternate(loops, arguments)
                times = {f"{name}, µs": spread([1e6 * second for second in seconds]) for name, seconds in found.items()}
                ratios = {f"{name}/engine": spread(ratio) for name, ratio in _over("engine", found).items()}
                del ratios["engine/engine"]
                rows.append({"net": net.name, "B": batch_size, "K": cells, **times, **ratios})
                print(_table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    return rows


def nets(arguments: argparse.Namespace) -> Rows:
    """Steps of a net in a second, B = 16, by the textbook loop of one net and by the engine with K nets at once.

    The last column is the engine's over the loop's, within a round: cells that it trains while the loop trains one.
    """
    rows = []
    for kind in any_net.KINDS:
        for optimizer in any_net.RATES:
            advance, cells, backend = any_net.stacked(kind, optimizer)
            loops = {"textbook": (any_net.textbook(kind, optimizer), 1), "engine": (advance, cells)}
            found = _alternate(loops, arguments)
            rates = {f"{name}, steps/s": spread([1 / second for second in found[name]]) for name in loops}
            where = {"net": kind.words, "optimizer": optimizer, "backend": backend, "K": cells}
            rows.append(where | rates | {"engine/textbook": spread(_over("engine", found)["textbook"])})
            print(_table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    return rows


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Within it this process has one core, where the system allows it: JAX has as many threads as it finds cores."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def at_once(arguments: argparse.Namespace) -> Rows:
    """Microseconds of a step of one net by the number of nets trained at once, SGD."""
    rows = []
    counts = (1, 4, 16, 64) if arguments.device == "cpu" else (1, 16, 128, 512)
    for net in training.NETS:
        for batch_size in arguments.batch:
            loops = {
                f"{cells} nets": (training.stacked(net, batch_size, "sgd", arguments.device, cells), cells)
                for cells in counts
            }
            found = _alternate(loops, arguments)
            times = {name: spread([1e6 * second for second in seconds]) for name, seconds in found.items()}
            rows.append({"net": net.name, "B": batch_size, **times})
    return rows


def forms(arguments: argparse.Namespace) -> Rows:
    """Microseconds of a layer's products for K nets: by torch, and by the tiles of tiles.py.

    Which is the fastest decides FEW_OUTPUTS of nets/mlp.py and how kernels.py stores a layer.
    """
    rows = []
    for inputs, outputs in training.LAYERS:
        for batch_size in arguments.batch:
            cells = training.at_once(training.Net(sizes=(inputs, outputs), rows=0), batch_size, "cpu")
            ways = training.forms(inputs, outputs, batch_size, cells)
            found = _alternate({name: (advance, 1) for name, advance in ways.items()}, arguments)
            times = {name: spread([1e6 * second for second in seconds]) for name, seconds in found.items()}
            rows.append({"inputs": inputs, "outputs": outputs, "B": batch_size, "K": cells, **times})
    return rows


def profile(arguments: argparse.Namespace) -> Rows:
    """Microseconds of a step of one net, SGD, of its products and its other parts, each by itself; the rest is calls,
    batches, learning rates and the check for divergence. By torch's operations, the six largest."""
    rows: Rows = []
    for net in training.NETS:
        for batch_size in arguments.batch:
            cells = training.at_once(net, batch_size, arguments.device)
            where = {"net": net.name, "B": batch_size, "K": cells}
            advance = training.stacked(net, batch_size, "sgd", arguments.device, cells)
            if arguments.device == "cpu" and numba_works():
                loops = {"step": advance, "products": training.products(net, batch_size, "cpu", cells)}
                loops |= training.parts(net, batch_size, cells)
                found = _alternate({name: (loop, cells) for name, loop in loops.items()}, arguments)
                each = {name: 1e6 * statistics.median(times) for name, times in found.items()}
                each["rest"] = 2 * each["step"] - sum(each.values())
                rows.append(where | {name: f"{value:.3g}" for name, value in each.items()})
                continue
            count = 2 * CHUNK
            advance(count)
            whole = 1e6 * _seconds(advance, count, arguments.device) / count / cells
            with torch.profiler.profile() as seen:
                advance(count)
            largest = sorted(seen.key_averages(), key=lambda event: -event.self_cpu_time_total)[:6]
            shares = (
                f"{event.key.removeprefix('aten::')} {event.self_cpu_time_total / count / cells:.3g}"
                for event in largest
            )
            rows.append(where | {"step": f"{whole:.3g}", "of it": ", ".join(shares)})
    return rows


def _over(base: str, times: dict[str, list[float]]) -> dict[str, list[float]]:
    """The times of every loop over those of one, round by round."""
    return {
        name: [one / other for one, other in zip(of_one, times[base], strict=True)] for name, of_one in times.items()
    }


def _alternate(loops: dict[str, tuple[training.Advance, int]], arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of a step of each net by each loop, which advances so many at once, in each round."""
    counts = {}
    for name, (advance, _) in loops.items():
        advance(20)
        steps = int(20 * SECONDS / _seconds(advance, 20, arguments.device))
        counts[name] = max(1, steps // others.AT_ONCE) * others.AT_ONCE
    times: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(arguments.rounds):
        for name, (advance, cells) in loops.items():
            times[name].append(_seconds(advance, counts[name], arguments.device) / (counts[name] * cells))
    return times


def _seconds(advance: training.Advance, count: int, device: str) -> float:
    training.synchronize(device)
    start = time.perf_counter()
    advance(count)
    training.synchronize(device)
    return time.perf_counter() - start


GROWTH = """
import resource, sys, time, torch
from pathlib import Path
from ranktwo.data import dataset
from ranktwo.progress import Progress
from ranktwo.study.axes import Cell
from ranktwo.training import recording
recording.set_up_process()
count, steps = int(sys.argv[1]), int(sys.argv[2])
data = dataset.load(Path(sys.argv[3])).split(0)
cells = {str(i): Cell(dataset="digits", widths=(128,), learning_rate=0.1, batch_size=16, weight_decay=1e-3, steps=steps,
                      seed=i) for i in range(count)}
start = time.process_time()
recording.train(cells, data, snapshots=8, device="cpu", progress=Progress("", 1, "", open("/dev/null", "w")))
print(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def growth(arguments: argparse.Namespace) -> Rows:
    """CPU seconds and peak memory of training digits nets (64-128-10, B = 16): each row a process of its own."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "digits.safetensors"
        options = json.dumps({"source": "digits", "scaling": "global"})
        named = ("--name", "digits", "--options", options, "--output", str(data))
        _python("-m", "ranktwo", "dataset", *named, "--folder", folder, "--no-download")
        for cells, count in ((10, 1000), (10, 10_000), (10, 100_000), (30, 1000), (300, 1000), (1500, 1000)):
            seconds, memory = map(float, _python("-c", GROWTH, str(cells), str(count), str(data)).split())
            rows.append(
                {
                    "cells": cells,
                    "steps": f"{count:,}",
                    "CPU s": f"{seconds:.3g}",
                    "µs per cell and step": f"{1e6 * seconds / cells / count:.3g}",
                    "peak memory, MiB": f"{memory:.0f}",
                }
            )
    return rows


# Jobs and the workflow.


def _python(*arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def _timed(work: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    """Wall and CPU seconds of a child process in each round."""
    walls, cpus = [], []
    for _ in range(rounds):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        work()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.perf_counter() - start)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return walls, cpus


def start(arguments: argparse.Namespace) -> Rows:
    """Seconds until a job can begin: a process that imports what the stage needs and ends."""
    rows = []
    for stage in ("train", "analysis", "gaps", "verdicts", "figure"):
        walls, cpus = _timed(lambda stage=stage: _python("-c", f"import ranktwo.stages.{stage}"), arguments.rounds)
        rows.append({"stage": stage, "wall, s": spread(walls), "CPU, s": spread(cpus)})
    return rows


def dag(arguments: argparse.Namespace) -> Rows:
    """Seconds of `snakemake -n` before anything has been made: the jobs of the whole study are worked out."""
    rows = []
    for stacks, seeds in ((1, 10), (80, 5), (200, 5), (1, 1000)):
        grid = {
            "dataset": "digits",
            "learning_rate": 0.1,
            "batch_size": 16,
            "weight_decay": [0.001 * index for index in range(10)],
            "steps": [1000 + index for index in range(stacks)],
            "seed": list(range(seeds)),
        }
        with tempfile.TemporaryDirectory() as folder:
            study = Path(folder) / "study.yaml"
            study.write_text(
                yaml.safe_dump(
                    {"results": f"{folder}/results", "datasets": {"digits": {"source": "digits"}}, "grids": [grid]}
                )
            )
            command = ["-m", "snakemake", "-n", "--quiet", "all", "--cores", "8", "--directory", folder]
            command += ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(study)]
            walls, _ = _timed(lambda command=command: _python(*command), min(3, arguments.rounds))
        rows.append({"cells": f"{10 * stacks * seeds:,}", "stacks": stacks, "snakemake -n, s": spread(walls)})
    return rows


def analysis(arguments: argparse.Namespace) -> Rows:
    """CPU seconds of each stage's work on every stack of a study, and their share of its training's."""
    return analysis_rows(arguments.results)


def whole(arguments: argparse.Namespace) -> Rows:
    """Whole studies of nets 64-32-1 by `snakemake --cores 2`: wall seconds, and CPU seconds of each part; once."""
    return whole_rows([(cells, count) for cells in arguments.cells for count in arguments.steps])


# The command.


SECTIONS = {
    function.__name__: function
    for function in (ceilings, steps, rivals, nets, at_once, forms, profile, growth, start, dag, analysis, whole)
}
AVX2 = {
    "OPENBLAS_CORETYPE": "Haswell",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    # Without the last two JAX's products have AVX-512 all the same: by oneDNN, and by YNNPACK, which takes no limit.
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2 --xla_cpu_experimental_ynn_fusion_type=",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
"""What makes BLAS, torch and JAX leave AVX-512 alone."""
LONG = ("whole",)
"""Sections that are measured only if they are named."""


def _table(rows: Rows) -> str:
    return tabulate.tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor() or platform.machine()


def _machine(device: str) -> dict[str, str]:
    return {
        "date": datetime.date.today().isoformat(),
        "device": torch.cuda.get_device_name() if device == "cuda" else _cpu(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load at the start": f"{os.getloadavg()[0]:.1f}",
    }


def _markdown(machine: dict[str, str], results: dict[str, Rows], command: str) -> Iterator[str]:
    yield f"`{command}`. " + "; ".join(f"{name}: {value}" for name, value in machine.items()) + "."
    for name, rows in results.items():
        yield f"## {name}\n\n{' '.join((SECTIONS[name].__doc__ or '').split())}\n\n{_table(rows)}"


def _write(folder: Path, machine: dict[str, str], results: dict[str, Rows]) -> None:
    """Write what has been measured so far, as JSON and as a page."""
    command = " ".join(["python", *sys.argv])
    with files.replacing(folder / "benchmarks.json") as temporary:
        temporary.write_text(json.dumps({"command": command, "machine": machine, "results": results}, indent=1))
    with files.replacing(folder / "benchmarks.md") as temporary:
        temporary.write_text("\n\n".join(_markdown(machine, results, command)) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help="all, if none is named")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, nargs="+", default=[4, 16, 64, 256])
    parser.add_argument("--optimizers", nargs="+", default=["sgd", "momentum", "adamw"])
    parser.add_argument("--cells", type=int, nargs="+", default=[100, 1000, 10_000], help="of whole, hundreds")
    parser.add_argument("--steps", type=int, nargs="+", default=[1000], help="of whole")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "results", help="a study that has been run, for analysis"
    )
    parser.add_argument(
        "--avx2",
        action="store_true",
        help="everything as on a processor with AVX2 alone: the engine, BLAS, torch and JAX",
    )
    parser.add_argument("--output", type=Path, help="folder for benchmarks.json and benchmarks.md")
    arguments = parser.parse_args()
    if arguments.avx2:
        if not AVX2.items() <= os.environ.items():  # libraries read them when they are loaded
            os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | AVX2)
        # the engine's own import ignores what numba's variables say
        compiling = importlib.import_module("ranktwo.compiling")
        compiling.config.CPU_NAME, compiling.config.CPU_FEATURES = "haswell", ""
    set_up_process()
    machine, results = _machine(arguments.device), {}
    for name in arguments.sections or [name for name in SECTIONS if name not in LONG]:
        results[name] = SECTIONS[name](arguments)
        print(f"\n{name}\n{_table(results[name])}", flush=True)
        if arguments.output:  # after every section: if a later one fails, these are not lost
            _write(arguments.output, machine, results)


if __name__ == "__main__":
    main()
