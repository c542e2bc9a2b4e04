"""What training leaves of each cell: the record, its files, and the state from which a broken-off training goes on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow

from ranktwo.store import files
from ranktwo.store.columns import TEXT, WHOLE, Column, column, schema

if TYPE_CHECKING:
    from torch import Tensor

CELL = {"cell": column(TEXT, "Name of the training run: its axes, and a hash of them and of its data set's options.")}
"""The column that names a cell in every table."""
SNAPSHOT = {
    "step": column(WHOLE, "Optimizer steps taken when the snapshot was made; 0 is the initial net.", unit="steps"),
}
"""The column that names a snapshot."""
MATRIX = {
    "matrix": column(
        TEXT,
        "`V` (the first, m x n), `W2`, ..., `U` (the last, c x m); between them as the net calls its layers. In "
        "spectra also products of two of them, such as `block1.head1.QK`.",
    ),
    "rows": column(WHOLE, "Rows of the matrix: units of its layer."),
    "columns": column(
        WHOLE, "Columns of the matrix: inputs of its layer; of a convolution channels x height x width of the kernel."
    ),
}
"""Columns that name a weight matrix."""
DIVERGED = {
    "diverged_step": column(
        WHOLE,
        "Step at which divergence was found: the first after which a weight or a batch's loss was not finite, of the "
        "last steps before a weight was not; or a snapshot at which a loss was not, if that came first. Null if none.",
        unit="steps",
        headline=True,
    ),
}


@dataclass
class Record:
    """What is kept of one cell."""

    cell: dict[str, Any]
    """Its axes, and facts about its data: task, inputs, outputs; train_size and batch_size are numbers here."""
    identity: str
    """Hash of all that determines its numbers: axes, data set, snapshots, and the training code's meaning."""
    steps: list[int]
    """Its snapshots, S of them."""
    kept: list[int] = field(default_factory=list)
    """The snapshots whose weights are there, if not all are."""
    diverged: int | None = None
    """First step after which a weight or loss was not finite."""
    weights: "dict[str, Tensor]" = field(default_factory=dict)
    """[S, out, in] by matrix, or as many as `kept`, in the order of the layers; nan from the step of divergence on."""
    vectors: "dict[str, Tensor]" = field(default_factory=dict)
    """Like the weights, [S, 1, numbers] of every other parameter, such as biases, which weight decay leaves alone."""
    products: dict[str, list[Any]] = field(default_factory=dict)
    """The fields of a `nets.products.Product` by name, of what the net declares."""
    history: dict[str, list[float | None]] = field(default_factory=dict)
    """S values by column of the history; null where undefined."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    """Where it was trained: one process's provenance, or those of several that went on from each other's checkpoint."""

    def has_weights(self, steps: list[int]) -> bool:
        """Whether the weights of these snapshots are there."""
        return set(steps) <= set(self.kept or self.steps)

    def with_weights(self, steps: list[int]) -> "Record":
        """The same without the weights of other snapshots than these."""
        present = self.kept or self.steps
        if steps == present:
            return self
        chosen = [present.index(step) for step in steps]
        weights, vectors = (
            {name: values[chosen] for name, values in kind.items()} for kind in (self.weights, self.vectors)
        )
        return replace(self, kept=[] if steps == self.steps else steps, weights=weights, vectors=vectors)

    def of_weights(self) -> "Record":
        """The record of the snapshots whose weights are there alone."""
        if not self.kept:
            return self
        rows = [self.steps.index(step) for step in self.kept]
        history = {name: [values[row] for row in rows] for name, values in self.history.items()}
        return replace(self, steps=self.kept, kept=[], history=history)

    def net(self, snapshot: int) -> "list[Tensor]":
        """W_1 .. W_L, [out, in] each, at a snapshot, in float64."""
        return [weights[snapshot].double() for weights in self.weights.values()]

    def parameters(self) -> "dict[str, Tensor]":
        """All that training changes, [S, rows, columns] by name, the matrices first."""
        return self.weights | self.vectors

    def whole_net(self, snapshot: int) -> "list[Tensor]":
        """Every parameter at a snapshot, in float64."""
        return [values[snapshot].double() for values in self.parameters().values()]


@dataclass
class Unfinished:
    """A cell on its way: its record so far, and what its next step starts from."""

    record: Record
    """With the snapshots it has reached, in weights and history alike, and all its steps."""
    step: int
    weights: "list[Tensor]"
    """Every parameter after `step` steps, the matrices first."""
    slots: "list[list[Tensor]]"
    """What the optimizer keeps, each like the weights."""


def defined(value: float) -> float | None:
    """The value, or null where it is not finite."""
    return value if math.isfinite(value) else None


# A stack's two files.


def write_records(
    weights: Path,
    history: Path,
    records: dict[str, Record],
    columns: Mapping[str, Column] | pyarrow.Schema,
    provenance: dict[str, Any],
) -> None:
    """Write a stack's two files: weights as `cell/matrix` [S, out, in], and a row per cell and snapshot.

    `columns` declares the values of the records' histories, or is the schema of a file that holds them.
    """
    fields = columns if isinstance(columns, pyarrow.Schema) else schema({**CELL, **SNAPSHOT, **DIVERGED, **columns})
    tensors, metadata = _packed(records)
    found: dict[str, list[Any]] = {name: [] for name in fields.names}
    for name, record in records.items():
        found["cell"] += [name] * len(record.steps)
        found["step"] += record.steps
        found["diverged_step"] += [record.diverged] * len(record.steps)
        for metric in fields.names:
            if metric not in PLACES:
                found[metric] += record.history[metric]
    identities = {name: record.identity for name, record in records.items()}
    files.write_tensors(weights, tensors, {**metadata, "provenance": provenance})
    files.write_parquet(
        history, pyarrow.table(found, schema=fields), {"identities": identities, "provenance": provenance}
    )


PLACES = (*CELL, *SNAPSHOT, *DIVERGED)
"""Columns of a history that say where a row belongs."""


def read_records(weights: Path, history: Path) -> dict[str, Record]:
    """Records by cell from a stack's two files, of the cells that are whole in both.

    Raises UserError where one of them is absent or damaged.
    """
    tensors, metadata = files.read_tensors(weights)
    table, history_metadata = files.read_parquet(history, "train")
    metrics = [name for name in table.column_names if name not in PLACES]
    rows: dict[str, dict[str, list[Any]]] = {}
    for row in table.to_pylist():
        columns = rows.setdefault(row["cell"], {name: [] for name in ("step", *metrics)})
        for name in columns:
            columns[name].append(row[name])
    histories = {
        name: {metric: columns[metric] for metric in metrics}
        for name, columns in rows.items()
        if columns["step"] == metadata["cells"].get(name, {}).get("steps")
    }
    identities = history_metadata["identities"]
    found = _unpacked(tensors, metadata, histories)
    return {name: record for name, record in found.items() if identities.get(name) == record.identity}


def write_checkpoint(
    path: Path, finished: dict[str, Record], unfinished: dict[str, Unfinished], provenance: dict[str, Any]
) -> None:
    """Write one file with whole records, as in a stack's files, and what unfinished cells go on from."""
    tensors, metadata = _packed(finished | {name: found.record for name, found in unfinished.items()})
    for name, found in unfinished.items():
        for layer, weight in enumerate(found.weights):
            tensors[f"{name}/now/{layer}"] = weight
            tensors |= {f"{name}/slot{slot}/{layer}": matrices[layer] for slot, matrices in enumerate(found.slots)}
    histories = {name: record.history for name, record in finished.items()}
    histories |= {name: found.record.history for name, found in unfinished.items()}
    metadata |= {"histories": histories, "unfinished": {name: found.step for name, found in unfinished.items()}}
    files.write_tensors(path, tensors, {**metadata, "provenance": provenance})


def read_checkpoint(path: Path) -> tuple[dict[str, Record], dict[str, Unfinished]]:
    """Finished records and unfinished cells of a checkpoint; UserError where it is absent or damaged."""
    tensors, metadata = files.read_tensors(path)
    steps = metadata["unfinished"]
    records = _unpacked(tensors, metadata, metadata["histories"], unfinished=steps)
    unfinished = {}
    for name, step in steps.items():
        record = records.pop(name)
        layers = range(len(record.parameters()))
        slots = sum(key.startswith(f"{name}/slot") and key.endswith("/0") for key in tensors)
        unfinished[name] = Unfinished(
            record=record,
            step=step,
            weights=[tensors[f"{name}/now/{layer}"] for layer in layers],
            slots=[[tensors[f"{name}/slot{slot}/{layer}"] for layer in layers] for slot in range(slots)],
        )
    return records, unfinished


def _packed(records: dict[str, Record]) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Tensors and metadata of records; the runs of all cells are listed once and meant by number."""
    runs: list[dict[str, Any]] = []
    cells = {}
    for name, record in records.items():
        runs += [run for run in record.runs if run not in runs]
        cells[name] = {
            "cell": record.cell,
            "identity": record.identity,
            "steps": record.steps,
            **({"kept": record.kept} if record.kept else {}),
            "diverged": record.diverged,
            "runs": [runs.index(run) for run in record.runs],
            "matrices": list(record.weights),
            "vectors": list(record.vectors),
            **({"products": record.products} if record.products else {}),
        }
    tensors = {f"{name}/{key}": w for name, record in records.items() for key, w in record.parameters().items()}
    return tensors, {"cells": cells, "runs": runs}


def _unpacked(
    tensors: "dict[str, Tensor]",
    metadata: dict[str, Any],
    histories: Mapping[str, dict[str, list[float | None]]],
    unfinished: Mapping[str, int] | None = None,
) -> dict[str, Record]:
    """Records of the cells that have a history and weights at all their snapshots, or at some if `unfinished`."""
    weights: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, matrix = key.partition("/")
        if "/" not in matrix:
            weights.setdefault(name, {})[matrix] = tensor
    records = {}
    for name, facts in metadata["cells"].items():
        if name not in weights or name not in histories:
            continue
        # A safetensors file has its tensors in the order of their names.
        ordered, vectors = (
            {key: weights[name][key] for key in facts.get(part, []) if key in weights[name]}
            for part in ("matrices", "vectors")
        )
        runs = [metadata["runs"][number] for number in facts["runs"]]
        own = {key: facts[key] for key in ("cell", "identity", "steps", "kept", "diverged", "products") if key in facts}
        record = Record(**own, weights=ordered, vectors=vectors, history=histories[name], runs=runs)
        lengths = {len(values) for values in record.history.values()}
        of_weights = {len(values) for values in record.parameters().values()}
        whole = (lengths, of_weights) == ({len(record.steps)}, {len(record.kept or record.steps)})
        whole = whole or (name in (unfinished or {}) and len(lengths | of_weights) == 1)
        # A weight that is not finite belongs to a cell that diverged.
        if whole and (record.diverged is not None or all(w.isfinite().all() for w in record.parameters().values())):
            records[name] = record
    return records
