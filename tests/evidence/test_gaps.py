"""One row per cell: gaps, statuses, and what is null."""

import math

import pandas
import pytest

from ranktwo.analysis.ranks import described
from ranktwo.evidence import gaps
from ranktwo.evidence.gaps import CERTIFICATES, SCHEMA_NAMES
from ranktwo.store.columns import AXIS_COLUMNS, COLUMNS



THRESHOLDS = {"collapsed_norm": 0.01, "fit_accuracy": 0.9, "fit_r2": 0.3}
REQUIRED = [
    *("cell", "dataset", "task", "train_size", "label_noise", "widths", "optimizer", "learning_rate", "schedule"),
    *("batch_size", "weight_decay", "steps", "seed", "status", "train_loss", "test_loss", "loss_gap"),
    *("train_accuracy", "test_accuracy", "accuracy_gap", "train_r2", "test_r2", "norm", "initial_norm"),
    *("stable_rank", "effective_rank", "participation_ratio", "residual_1", "residual_2", "residual_3"),
    *("rank_numpy", "rank_galanti", "rank_relative", "rank_energy"),
]


def row(norm: float | None = 2.0, diverged: int | None = None, **metrics: float | None) -> pandas.Series:
    names = [
        f"{part}_{m}" for part in ("train", "clean_train", "test", "noisy_test") for m in ("loss", "accuracy", "r2")
    ]
    end = dict.fromkeys(names) | {"train_loss": 0.1, "test_loss": 0.3, "noisy_test_loss": 0.4, "clean_train_loss": 0.2}
    end |= {"train_accuracy": 0.99, "clean_train_accuracy": 0.99, "test_accuracy": 0.9, "noisy_test_accuracy": 0.85}
    end = end | metrics
    history = [{"cell": "a", "step": 0, "diverged_step": diverged, **dict.fromkeys(names, 9.0)}]
    history.append({"cell": "a", "step": 7, "diverged_step": diverged, **end})
    facts = dict.fromkeys(AXIS_COLUMNS, "x") | {"weight_decay": 0.1}
    known = COLUMNS | described()
    ranks = [name for name in known if name.startswith(("residual", "rank_")) or name.endswith(("_rank", "_ratio"))]
    spectra = [
        {"cell": "a", "matrix": matrix, "step": step, "norm": n, **facts, **dict.fromkeys(ranks, 1.0)}
        for matrix, first, last in (("V", 4.0, norm), ("U", 100.0, 100.0))
        for step, n in ((0, first), (7, last))
    ]
    certificates = [
        {
            "cell": "a",
            "matrix": matrix,
            "step": step,
            **dict.fromkeys(CERTIFICATES, more + step),
            "critical_decay": 0.5,
        }
        for matrix, more in (("V", 0), ("U", 100))
        for step in (0, 7)
    ]
    tables = (pandas.DataFrame(rows) for rows in (history, spectra, certificates))
    table = gaps.gaps(*tables, pandas.DataFrame({"cell": ["b", "a"], "other": [1, 2]}), **THRESHOLDS)
    assert len(table) == 1
    return table.iloc[0]


def test_gaps_are_test_minus_train_and_errors_not_accuracies():
    found = row()
    assert found["loss_gap"] == pytest.approx(0.2)
    assert found["clean_loss_gap"] == pytest.approx(0.1)
    assert found["matched_loss_gap"] == pytest.approx(0.3)
    assert found["accuracy_gap"] == pytest.approx(0.09)
    assert found["matched_accuracy_gap"] == pytest.approx(0.14)
    assert found["norm"] == 2
    assert found["initial_norm"] == 4


def test_certificates_are_those_of_v_at_the_end_and_other_tables_are_joined_by_cell():
    found = row()
    assert found["vacuity_upper"] == 7
    assert found["decay_ratio"] == pytest.approx(0.2)
    assert found["other"] == 2


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "ok"),
        ({"clean_train_accuracy": 0.8, "train_accuracy": 0.8}, "unfit"),
        ({"clean_train_accuracy": 0.8}, "ok"),
        ({"train_accuracy": 0.8}, "ok"),
        ({"train_accuracy": None, "clean_train_accuracy": None, "train_r2": 0.2, "clean_train_r2": 0.2}, "unfit"),
        ({"train_accuracy": None, "clean_train_accuracy": None, "train_r2": 0.5, "clean_train_r2": 0.5}, "ok"),
        ({"norm": 0.039, "clean_train_accuracy": 0.5, "train_accuracy": 0.5}, "collapsed"),
        ({"norm": 0.041}, "ok"),
        ({"norm": 0.0}, "collapsed"),
        ({"norm": math.nan, "diverged": 5, "train_accuracy": None, "clean_train_accuracy": None}, "diverged"),
        ({"norm": 0.0, "diverged": 5}, "diverged"),
    ],
)
def test_status_is_the_first_that_applies(changes, status):
    assert row(**changes)["status"] == status


def test_required_columns_are_there():
    assert set(REQUIRED) <= set(SCHEMA_NAMES) | set(described())
    assert set(SCHEMA_NAMES) <= set(COLUMNS)
