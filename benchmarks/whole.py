"""Whole studies of 10^2, 10^3 and 10^4 cells by Snakemake: what each part of the pipeline takes, and what it leaves."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PARTS = {"training": ["train"], "analyses": ["analysis"], "gaps": ["gaps"], "predictors": ["predictors"]}
PARTS |= {"verdicts": ["verdicts"], "figures, tables": ["figures", "tables", "numbers", "study"]}
"""Columns of the table, and the rules in each."""


def study(cells: int, steps: int, folder: Path) -> Path:
    """A config of so many nets 64-32-1 on digits 3-v-8, B = 16: ten rates, ten decays, and seeds; no minimisers."""
    grid = {
        "dataset": "digits-3v8",
        "widths": 32,
        "learning_rate": {"log": [0.01, 0.3], "points": 10},
        "batch_size": 16,
        "weight_decay": [0, {"log": [1e-3, 1], "points": 9}],
        "steps": steps,
        "seed": {"range": [0, cells // 100 - 1]},
    }
    config = {
        "results": str(folder / "results"),
        "datasets": {"digits-3v8": {"source": "digits", "scaling": "global", "classes": [3, 8]}},
        "grids": [grid],
        "snapshots": 1,
        "optima": {"largest": 0},
        "figures": {"phase": None, "ranks": {"where": {"learning_rate": 0.3}}},
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _snakemake(folder: Path, config: Path, *arguments: str) -> tuple[float, float]:
    """Wall and CPU seconds, of Snakemake and of all its jobs."""
    command = [sys.executable, "-m", "snakemake", "--quiet", "all", "--directory", str(folder), *arguments]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(config)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _benchmarks(results: Path, column: str) -> dict[str, list[float]]:
    """A column of Snakemake's benchmark files, by rule."""
    found: dict[str, list[float]] = {}
    for path in (results / "benchmarks").rglob("*.tsv"):
        names, values = (line.split("\t") for line in path.read_text().splitlines()[:2])
        rule = path.relative_to(results / "benchmarks").parts[0].removesuffix(".tsv")
        found.setdefault(rule, []).append(float(dict(zip(names, values, strict=True))[column]))
    return found


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def whole_rows(counts: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """A row for each number of cells and of steps; CPU seconds of one core."""
    rows = []
    for cells, steps in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            config = study(cells, steps, folder)
            _, dry = _snakemake(folder, config, "-n")
            wall, total = _snakemake(folder, config, "--cores", "2")
            results = folder / "results"
            cpu, memory = _benchmarks(results, "cpu_time"), _benchmarks(results, "max_rss")
            own = {part: sum(sum(cpu.get(rule, [])) for rule in rules) for part, rules in PARTS.items()}
            jobs = sum(map(sum, cpu.values()))
            _, again = _snakemake(folder, config, "-n")
            rows.append(
                {"cells": f"{cells:,}", "steps": f"{steps:,}", "wall": f"{wall:.0f}", "CPU": f"{total:.0f}"}
                | {part: f"{seconds:.1f}" for part, seconds in own.items()}
                | {
                    "Snakemake and starts of jobs": f"{total - jobs:.1f}",
                    "-n before": f"{dry:.1f}",
                    "-n after": f"{again:.1f}",
                    "memory, MB": f"{max(map(max, memory.values())):.0f}",
                    "disk, MB": f"{_bytes(results) / 1e6:.1f}",
                    "weights, MB": f"{_bytes(results / 'runs') / 1e6:.1f}",
                }
            )
            print(rows[-1], flush=True)
    return rows
