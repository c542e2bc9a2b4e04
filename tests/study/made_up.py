"""Results of a study as its jobs leave them, made up without data and without training."""

from pathlib import Path
from typing import Any

import torch

from ranktwo.store import files, records, registry
from ranktwo.store.columns import REAL, column, schema
from ranktwo.store.records import Record
from ranktwo.study import config, grid, schedules
from ranktwo.study.axes import Cell
from ranktwo.study.jobs import Job

SIZES = {"inputs": 5, "outputs": 3, "train_size": 40, "test_size": 10}
LOSS = {"train_loss": column(REAL, "A made-up loss.")}


def origin(stage: str, device: str = "cpu") -> dict[str, Any]:
    """What a file of this stage says of where it comes from."""
    return {"provenance": {"stage": stage, "device": device, "seconds": 12.5}}


def jobs_of(study: dict[str, Any]) -> list[Job]:
    """The jobs of a study, a stack each."""
    read = config.read(study, "test")
    stacks = grid.stacks(grid.expand(read["grids"]), read["stack"], read["datasets"])
    return [
        Job(stack=stack, options=read["datasets"][cells[0].dataset], snapshots=read["snapshots"], cells=cells)
        for stack, cells in stacks.items()
    ]


def write_dataset(results: Path, name: str, options: dict[str, Any], checksum: str = "c0ffee") -> None:
    """A prepared data set of zeros."""
    tensors = {f"{part}_x": torch.zeros(SIZES[f"{part}_size"], SIZES["inputs"]) for part in ("train", "test")}
    splits = [{"split": split, "checksum": f"{checksum}{split or ''}"} for split in (0, 1)]
    facts = {"name": name, "options": options, "task": "multiclass", "splits": splits, **SIZES}
    files.write_tensors(results / "datasets" / f"{name}.safetensors", tensors, {**facts, **origin("dataset")})


def write_runs(results: Path, job: Job, cells: list[Cell] | None = None, device: str = "cpu") -> None:
    """Weights and history of some of a job's cells, of all if none are named."""
    made = {}
    for cell in job.cells if cells is None else cells:
        name = grid.cell_name(cell, job.options)
        generator = torch.Generator().manual_seed(len(made))
        steps = schedules.snapshot_steps(cell.steps, job.snapshots)
        sizes = [SIZES["inputs"], *cell.widths, SIZES["outputs"]]
        made[name] = Record(
            cell=vars(cell) | {"widths": "-".join(map(str, cell.widths))},
            identity=grid.identity(cell, f"c0ffee{cell.split or ''}", job.snapshots),
            steps=steps,
            weights={
                f"W{layer}": torch.randn(len(steps), outputs, inputs, generator=generator)
                for layer, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False), start=1)
            },
            history={"train_loss": [cell.weight_decay + step for step in steps]},
            runs=[origin("train", device)["provenance"]],
        )
    folder = results / "runs" / job.stack
    paths = folder / "weights.safetensors", folder / "history.parquet"
    made = {name: one.with_weights(schedules.kept_steps(one.steps, job.keep)) for name, one in made.items()}
    records.write_records(*paths, made, LOSS, origin("train")["provenance"])


def write_analyses(results: Path, stack: str) -> None:
    """A table without rows of every analysis of a stack."""
    for name in registry.entries("analysis"):
        files.write_parquet(results / name / f"{stack}.parquet", schema(LOSS).empty_table(), origin(name))
