"""The table of certificates: a row for each cell, snapshot and matrix, each with the cell's own targets and decays."""

import math

import pyarrow
import pytest
from support import SGD_FACTS, a_dataset, a_record
from textbook import make_data, make_net

from ranktwo.analysis.certificates import table
from ranktwo.analysis.certificates.chain import layer_certificates
from ranktwo.analysis.certificates.directions import data_floor
from ranktwo.analysis.certificates.pairs import pair_certificate
from ranktwo.analysis.inputs import Inputs
from ranktwo.data.dataset import training_data
from ranktwo.data.decay_rules import relative_decays

CHANGES = [
    {"weight_decay": 0.1},
    {"weight_decay": 0.2, "decay_rule": "input-norm"},
    {"weight_decay": 0.0, "label_noise": 0.3, "seed": 1},
    {"weight_decay": 0.05, "label_noise": 0.3, "seed": 2, "decay_rule": "input-norm"},
]


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    """Four cells of three layers on one data set, two snapshots each, with their own noise and decay."""
    x, y = make_data("multiclass", samples=30)
    data = a_dataset("multiclass", 3, x, y.argmax(1), 24)
    data.metadata["critical_decay"] = 7.0
    records = {}
    for number, changes in enumerate(CHANGES):
        net = [weight[0] for weight in make_net("multiclass", 3, seed=10 * number)]
        record = a_record(net, data, **changes)
        record.history = {"norm_before": [None, 20.0], "steps_before": [0.0, 1.0]}
        records[f"cell {number}"] = record
    return Inputs(stack="toy", records=records, data=data)


@pytest.fixture(scope="module")
def found(inputs) -> pyarrow.Table:
    return table.certificates(inputs)


def test_rows_are_those_of_each_cell_snapshot_and_matrix(inputs, found):
    assert found.schema.equals(table.schema())
    rows = found.to_pylist()
    assert [(row["step"], row["cell"], row["matrix"]) for row in rows] == [
        (step, name, matrix) for step in (0, 50) for name in inputs.records for matrix in ("V", "W2", "U")
    ]
    for row in rows:
        record = inputs.records[row["cell"]]
        assert (row["rows"], row["columns"]) == tuple(record.weights[row["matrix"]].shape[1:])
        for axis in ("weight_decay", "decay_rule", "label_noise", "seed", "train_size"):
            assert row[axis] == record.cell[axis]


def test_each_row_is_its_own_cell_s_chain(inputs, found):
    rows = {(row["cell"], row["step"], row["matrix"]): row for row in found.to_pylist()}
    for name, record in inputs.records.items():
        x, y = training_data(record.cell, inputs.data)
        decays = record.cell["weight_decay"] * relative_decays(record.cell["decay_rule"], x)[None]
        for snapshot, step in enumerate(record.steps):
            net = [weight[None] for weight in record.net(snapshot)]
            facts = {"weight_decay": decays, "batch_size": record.cell["batch_size"]}
            chain = layer_certificates(net, x, y, "multiclass", **facts)
            pairs = pair_certificate(net, x, y.double(), "multiclass", decays=decays)
            for matrix, layer, pair in zip(record.weights, chain, pairs, strict=True):
                row = rows[name, step, matrix]
                for column, value in (layer | {"pair_bound": pair}).items():
                    actual = math.nan if row[column] is None else row[column]
                    assert actual == pytest.approx(value.item(), rel=1e-9, abs=1e-12, nan_ok=True), (column, matrix)


def test_what_is_known_of_some_rows_only_is_null_in_the_others(inputs, found):
    rows = found.to_pylist()
    floor = data_floor(inputs.data.train_x).item()
    for row in rows:
        first, rule = row["matrix"] == "V", row["decay_rule"]
        same_decay = rule == "constant" or row["weight_decay"] == 0
        assert row["data_floor"] == (pytest.approx(floor, rel=1e-12) if first and same_decay else None)
        assert (row["pair_bound"] is not None) == (rule == "input-norm")
        assert (row["trajectory_bound"] is not None) == (first and rule == "constant" and row["step"] == 50)
        assert (row["memory_rank"] is not None) == (first and rule == "constant" and row["weight_decay"] > 0)
        assert (row["null_reason"] is None) == (row["vacuity_upper"] is not None) == (row["weight_decay"] > 0)
        assert row["critical_decay"] is None  # of three layers
    reasons = {row["null_reason"] for row in rows} - {None}
    assert reasons == {"weight decay is zero and the bound divides by it"}


def test_what_rests_on_the_optimizer_is_null_where_it_is_not_known(inputs, found):
    records = {}
    for name, record in inputs.records.items():
        cell = {key: value for key, value in record.cell.items() if key not in SGD_FACTS}
        records[name] = type(record)(**vars(record) | {"cell": cell})
    unknown = table.certificates(Inputs(stack="toy", records=records, data=inputs.data))
    rests = {"trajectory_rank", "trajectory_bound", "trajectory_against_generic", "memory_rank"}
    for column in found.column_names:
        if column in rests:
            assert found[column].null_count < len(found) == unknown[column].null_count, column
        else:
            assert unknown[column].equals(found[column]), column


def test_a_cell_that_diverged_has_a_reason_and_costs_the_others_nothing(run_analysis):
    found = run_analysis("certificates")
    assert found.schema.equals(table.schema())
    rows = found.to_pylist()
    assert list(dict.fromkeys(row["cell"] for row in rows)) == list(run_analysis.records)
    diverged = [record.diverged for record in run_analysis.records.values()]
    assert [step is None for step in diverged] == [True, True, False]
    for row in rows:
        step = run_analysis.records[row["cell"]].diverged
        lost = step is not None and row["step"] >= step
        assert (row["vacuity_upper"] is None) == (row["norm"] is None) == lost
        assert row["null_reason"] == ("the weights or the gradients are not finite" if lost else None)
