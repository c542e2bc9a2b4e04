"""CPU seconds of the analysis of a study that has been run, beside those of its training.

    python benchmarks/analysis.py [results]

Each stage's work on every stack, done again in one process with one thread; nothing is written. A job of the pipeline
takes as long and starts Python and torch besides, which `start` measures. Training's seconds are those that Snakemake
recorded (start included, as `cpu_time`), without the snapshots that a later run kept.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import pandas
import torch

from ranktwo import bounds, certificates, records, spectra, truncation

STAGES = {
    "spectra": lambda cells, data: [spectra.table(record, name) for name, record in cells.items()],
    "certificates": certificates.table,
    "truncation": lambda cells, data: [truncation.row(name, record, data) for name, record in cells.items()],
    "bounds": lambda cells, data: [bounds.row(name, record, data, {}) for name, record in cells.items()],
}


def start_seconds() -> float:
    """CPU seconds in which a process imports what a stage imports: the median of three."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    times = []
    for _ in range(3):
        before = spent()
        subprocess.run([sys.executable, "-c", "import ranktwo.certificates"], check=True)
        times.append(spent() - before)
    return sorted(times)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    results = parser.parse_args().results
    torch.set_num_threads(1)
    rows = {}
    for run in sorted((results / "runs").iterdir()):
        cells = records.read_records(run / "weights.safetensors", run / "history.parquet")
        dataset = next(iter(cells.values())).cell["dataset"]
        data = records.load_data(results / "datasets" / f"{dataset}.safetensors")
        row = {"cells": len(cells)}
        for stage, work in STAGES.items():
            before = time.process_time()
            work(cells, data)
            row[stage] = time.process_time() - before
        recorded = results / "benchmarks" / "train" / f"{run.name}.tsv"
        row["training"] = pandas.read_csv(recorded, sep="\t")["cpu_time"].sum() if recorded.exists() else float("nan")
        rows[run.name] = row
    table = pandas.DataFrame.from_dict(rows, orient="index")
    table.loc["all"] = table.sum()
    print(table.round(2).to_string())
    print(f"start of each stage's process: {start_seconds():.2f} s")


if __name__ == "__main__":
    main()
