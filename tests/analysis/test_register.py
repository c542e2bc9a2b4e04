"""What the register says of its formulas is so: how they scale, where they are defined, where they come from."""

import math

import numpy as np
import pytest
import torch
from hand_nets import HAND, U0, V0, U, V, X, Y, binary_net, deep_net, scaled_hand_net, tensors

from ranktwo.analysis.bounds import register, table
from ranktwo.analysis.bounds.net import Net
from ranktwo.analysis.bounds.register import evaluate, formulas, vacuous
from ranktwo.analysis.inputs import ANALYSES
from ranktwo.data import dataset
from ranktwo.evidence import gaps
from ranktwo.store import columns, registry
from ranktwo.training import evaluation, recording

FORMULAS = formulas()
MARGIN_BASED = {name for name in FORMULAS if "margin" in name or "bartlett" in name or "neyshabur" in name} | {
    "golowich2018_bound"
}


@pytest.mark.parametrize("layers", [2, 3])
def test_values_scale_as_registered(layers):
    scale, net = 1.7, scaled_hand_net if layers == 2 else deep_net
    before, after = evaluate(net(1.0)), evaluate(net(scale))
    fixed = {n: b for n, b in FORMULAS.items() if b.exponent is not None and not math.isnan(before[n])}
    assert len(fixed) > 25
    for name, bound in fixed.items():
        assert after[name] == pytest.approx(before[name] * scale ** bound.exponent(layers), rel=1e-9), name


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_negative_margin_leaves_margin_bounds_undefined(task):
    if task == "binary":
        net = binary_net(labels=(1, 1, 0, 1))
    else:
        net = Net.of(tensors(V, U), tensors(V0, U0), *tensors(X, np.flip(Y, 1).copy()), task=task)
    assert net.margin < 0
    values = evaluate(net)
    undefined = {name for name, value in values.items() if math.isnan(value)}
    assert undefined == MARGIN_BASED | ({"golowich2018_bound"} if task == "multiclass" else set())


def test_regression_has_no_bound_on_the_error():
    net = Net.of(tensors(V, U), tensors(V0, U0), *tensors(X, Y), task="regression")
    values = evaluate(net)
    for name, bound in FORMULAS.items():
        assert math.isnan(values[name]) == ("regression" not in bound.tasks), name
        if bound.kind == "bound":
            assert math.isnan(values[name])
    for name in ("golowich2018_rate", "ledent2025_rank_rate", "path_norm_2", "chen2024_rank_two_rate"):
        assert values[name] == pytest.approx(HAND[name])


def test_undefined_is_nan_never_zero():
    zero = [torch.zeros(3, 2), torch.zeros(2, 3)]
    values = evaluate(Net.of(zero, tensors(V0, U0), *tensors(X, Y), task="multiclass"))
    for name in (
        "frobenius_over_spectral",
        "ledent2025_rank_rate",
        "ledent2025_schatten_rate",
        "parameters_energy_99",
        "vc_bound_energy_99",
        "inverse_margin",
        "bartlett2017_rate",
        "neyshabur2019_bound",
    ):
        assert math.isnan(values[name]), name
    assert values["product_frobenius"] == 0  # a product of norms that are 0
    assert values["distance_frobenius"] > 0

    weights = tensors(V, U)
    weights[0][0, 0] = torch.nan
    diverged = evaluate(Net.of(weights, tensors(V0, U0), *tensors(X, Y), task="multiclass"))
    assert all(math.isnan(value) for value in diverged.values())


def test_depth_restriction():
    values = evaluate(deep_net())
    for name, bound in FORMULAS.items():
        if bound.layers == 2:
            assert math.isnan(values[name]), name
    assert {name for name, formula in FORMULAS.items() if formula.layers == 2} == {
        *("chen2024_dense_rate", "chen2024_rank_two_rate", "neyshabur2015_bound", "bartlett2017_bound"),
        *("neyshabur2018_bound", "neyshabur2019_bound"),
    }


def test_vacuity():
    assert vacuous("vc_bound_dense", 1.0001) is True
    assert vacuous("vc_bound_dense", 1.0) is False
    assert vacuous("vc_bound_dense", math.nan) is None
    assert vacuous("chen2024_dense_rate", 47.4) is None  # a rate is no bound
    assert vacuous("product_frobenius", 1e9) is None


def test_every_entry_names_its_source():
    for name, bound in FORMULAS.items():
        assert "20" in bound.source.splitlines()[0] or name.startswith(("parameters", "vc_bound")), name
        assert bound.kind in ("rate", "bound", "measure")
        assert (bound.trivial == 1.0) == (bound.kind == "bound")


def test_formulas_stand_in_one_order_whichever_file_was_imported_first(monkeypatch):
    files = ["rates", "counts", "margins", "measures"]
    order = [formula.module.rpartition(".")[2] for formula in FORMULAS.values()]
    assert order == sorted(order, key=files.index)
    otherwise = sorted(FORMULAS.items(), key=lambda item: item[1].module)
    monkeypatch.setattr(register, "FORMULAS", dict(otherwise))
    assert otherwise != list(FORMULAS.items()) == list(formulas().items())


def test_the_table_has_the_formulas_of_each_cell(run_analysis):
    found = run_analysis("bounds", settings={"percentile": 20, "delta": 0.05})
    assert found.schema.equals(table.schema())
    assert found.schema.names == ["cell", "margin", *FORMULAS, "no_bounds"]
    rows = {row.pop("cell"): row for row in found.to_pylist()}
    assert list(rows) == list(run_analysis.records)
    assert all(row.pop("no_bounds") is None for row in rows.values())
    for name, record in run_analysis.records.items():
        x, y = dataset.training_data(record.cell, run_analysis.data)
        pairs = [(record.weights[matrix][-1], record.weights[matrix][0]) for matrix in ("V", "U")]
        net = Net.of(*zip(*pairs, strict=True), x, y, "multiclass", percentile=20, delta=0.05)
        expected = {"margin": net.margin, **evaluate(net)}
        values = {key: math.nan if value is None else value for key, value in rows[name].items()}
        assert values == pytest.approx(expected, nan_ok=True)
    diverged = list(rows.values())[2]
    assert set(diverged.values()) == {None}
    assert rows[list(rows)[0]]["golowich2018_bound"] is None  # one logit only


def test_a_column_says_what_kind_its_formula_is_and_where_it_comes_from():
    assert columns.kinds(table.schema()) == {name: formula.kind for name, formula in FORMULAS.items()}
    for name, formula in FORMULAS.items():
        description = table.schema().field(name).metadata[b"description"].decode()
        assert description == f"{formula.kind.title()}. {formula.source.splitlines()[0]}"


def test_no_formula_has_the_name_of_another_column():
    registry.load_all("analysis")
    others = {name for other, entry in ANALYSES.items() if other != "bounds" for name in entry.schema().names}
    others |= {*evaluation.COLUMNS, *recording.COLUMNS, *gaps.COLUMNS, "cell", "margin"}
    assert not set(FORMULAS) & others
