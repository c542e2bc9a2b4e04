"""The table of optima: which decays it has, and that its rows describe one net."""

import numpy as np
import pytest
import torch
from support import a_dataset
from textbook import make_data

from ranktwo.analysis.critical import critical_decay
from ranktwo.analysis.optimum.table import schema, table
from ranktwo.data.labels import targets
from ranktwo.study.problems import Problem


@pytest.fixture(scope="module")
def data():
    x, y = make_data("multiclass", inputs=5, samples=60)
    return a_dataset("multiclass", y.shape[1], x, y.argmax(1), train_size=50)


@pytest.fixture(scope="module")
def critical(data):
    return critical_decay(data.train_x, targets(data.train_y, data.task, data.outputs), data.task)[0]


def problem(*shares, critical, **facts):
    decays = tuple(share * critical for share in shares)
    return Problem(**{"split": 0, "train_size": None, "label_noise": 0.0, "seed": None} | facts, weight_decays=decays)


@pytest.fixture(scope="module")
def rows(data, critical):
    asked = [problem(2, 0.5, 0.1, 0.001, critical=critical)]
    return table(lambda split: data, asked, points=3, lowest=0.01, gap=1e-5).to_pylist()


def test_its_decays_are_those_of_the_study_above_the_lowest_and_a_path(rows):
    shares = [(round(row["decay_ratio"], 6), row["in_study"]) for row in rows]
    assert shares == [(2, True), (1, False), (0.5, True), (0.1, True), (0.1, False), (0.01, False)] or shares == [
        (2, True), (1, False), (0.5, True), (0.1, True), (0.01, False)
    ]  # fmt: skip


def test_a_row_is_of_a_net_whose_spectrum_gap_and_loss_it_says(rows, data):
    x, y = data.train_x, targets(data.train_y, data.task, data.outputs)
    for row in rows[2:]:
        assert row["relative_gap"] < (1e-4 if row["in_study"] else 1e-3) and abs(row["dual_ratio"] - 1) < 1e-2
        v = np.array(row["atom_directions"]).reshape(row["atoms"], -1)
        outgoing = np.array(row["atom_weights"]).reshape(row["atoms"], -1)
        t = np.linalg.norm(outgoing, axis=1)
        assert np.allclose(np.linalg.norm(v, axis=1), 1) and (np.diff(t) <= 1e-12).all()
        f = torch.relu(x @ torch.from_numpy(v).T) @ torch.from_numpy(outgoing)
        objective = torch.nn.functional.cross_entropy(f, y).item() + row["weight_decay"] * t.sum()
        # Atoms of nearly one direction are told as one: the net that is told is a little worse.
        assert row["objective"] <= objective * (1 + 1e-9) and objective < row["objective"] * (1 + 1e-2)
        s = np.array(row["singular_values"])
        assert row["norm"] == pytest.approx(np.sqrt(t.sum()), rel=1e-2)
        assert row["residual_2"] == pytest.approx(np.sqrt((s[2:] ** 2).sum() / (s**2).sum()))


def test_at_the_critical_decay_and_above_the_minimiser_is_zero(rows):
    for row in rows[:2]:
        assert (row["norm"], row["atoms"]) == (0, 0)
        assert row["residual_2"] is None and row["singular_values"] is None


def test_where_no_weight_decay_is_critical_the_minimiser_is_zero_and_there_is_no_path():
    """Features that are constant are zero after scaling."""
    flat = a_dataset("regression", 1, torch.zeros(20, 3), torch.arange(20.0)[:, None] - 7, train_size=15)
    asked = [problem(0.5, 0.1, critical=1)]
    rows = table(lambda split: flat, asked, points=3, lowest=0.01, gap=1e-5).to_pylist()
    assert [row["weight_decay"] for row in rows] == [0.5, 0.1]
    for row in rows:
        assert (row["critical_decay"], row["decay_ratio"], row["norm"]) == (0, None, 0)


def test_noisy_labels_have_rows_of_their_own_and_one_path(data, critical):
    asked = [problem(0.5, critical=critical, label_noise=0.2, seed=seed) for seed in (0, 1)]
    found = table(lambda split: data, asked, points=2, lowest=0.3, gap=1e-3).to_pylist()
    assert [(row["seed"], row["in_study"]) for row in found] == [(0, False), (0, True), (0, False), (1, True)]
    assert found[1]["objective"] != found[3]["objective"]
    assert set(found[0]) == set(schema().names)


def test_problems_that_share_processes_have_the_same_rows(data, critical):
    asked = [problem(0.5, critical=critical, label_noise=0.2, seed=seed) for seed in (0, 1, 2)]
    one, two = (table(lambda split: data, asked, points=0, lowest=0.3, gap=1e-3, processes=count) for count in (1, 2))
    assert one.equals(two) and one.num_rows == 3


def test_large_inputs_have_no_rows_and_a_sentence(data, critical, capsys):
    asked = [problem(0.5, critical=critical)]
    assert table(lambda split: data, asked, points=2, lowest=0.3, gap=1e-3, largest=249).num_rows == 0
    assert "toy: no minimiser is sought, as the training inputs have 250 numbers" in capsys.readouterr().err
    assert table(lambda split: data, asked, points=0, lowest=0.3, gap=1e-3, largest=250).num_rows == 1
