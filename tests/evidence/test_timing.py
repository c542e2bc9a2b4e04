"""Moments of training: when a net fits, generalizes and loses rank, by hand and against a plain loop."""

import numpy as np
import pandas

from ranktwo.evidence.timing import COLUMNS, moments

STEPS = [0, 1, 3, 10]


def history(cell="a", train=(0.1, 0.5, 0.99, 1.0), test=(0.1, 0.1, 0.2, 0.95)):
    return pandas.DataFrame({"cell": cell, "step": STEPS, "train_accuracy": train, "test_accuracy": test})


def spectra(cell="a", matrix="V", rank=(8.0, 8.0, 5.0, 4.0), residual=(0.9, 0.9, 0.9, 0.9), steps=STEPS):
    rows = {"cell": cell, "matrix": matrix, "step": steps, "effective_rank": rank, "residual_2": residual}
    return pandas.DataFrame(rows)


def one(*tables, **of_history):
    """The moments of one cell, None where undefined."""
    found = moments(history(**of_history), pandas.concat(tables))
    assert list(found.columns) == list(COLUMNS) and found.index.tolist() == ["a"]
    return {name: None if pandas.isna(value) else value for name, value in found.loc["a"].items()}


def test_moments_are_the_first_snapshots_at_which_a_level_is_reached():
    found = one(
        spectra(), spectra(matrix="W2", rank=(9.0, 1.0, 1.0, 1.0)), spectra(matrix="U", residual=(1, 0.4, 0, 0))
    )
    assert found == {
        "fit_step": 3,
        "generalization_step": 10,
        "rank_fall_step": 3,
        "residual_fall_step": None,
        "initial_effective_rank": 8,
        "output_rank_fall_step": 3,
        "output_residual_fall_step": 1,
        "output_initial_effective_rank": 8,
        "output_effective_rank": 4,
    }


def test_what_is_never_reached_is_null():
    found = one(spectra(rank=(8.0, 3.0, 7.0, 7.3)), train=[np.nan] * 4, test=[0.899] * 4)
    assert found["fit_step"] is None and found["generalization_step"] is None
    assert found["rank_fall_step"] is None  # it ends less than a tenth lower, whatever it was between
    assert one(spectra(rank=(8.0, 8.0, 7.6, 7.2)))["rank_fall_step"] == 3


def test_a_net_without_numbers_or_with_the_last_weights_alone_has_no_fall():
    assert one(spectra(rank=(8.0, 2.0, np.nan, np.nan)))["rank_fall_step"] is None
    last = one(spectra(rank=(8.0, 4.0), residual=(0.9, 0.1), steps=[0, 10]))
    assert last["rank_fall_step"] is None and last["residual_fall_step"] is None
    assert (last["initial_effective_rank"], last["output_effective_rank"], last["fit_step"]) == (8, 4, 3)


def test_moments_of_many_cells_are_those_of_a_loop_whatever_their_order():
    random = np.random.default_rng(0)
    cells = [f"c{number}" for number in random.permutation(40)]
    steps = [0, 1, 2, 4, 8, 16]
    scores = [
        {"cell": cell, "step": step, "train_accuracy": random.uniform(), "test_accuracy": random.uniform(0.5)}
        for cell in [*reversed(cells), "nobody-asks-for"]
        for step in steps
    ]
    ranks = [
        {"cell": cell, "matrix": matrix, "step": step, "effective_rank": random.uniform(1, 9), "residual_2": 0.5}
        for cell in cells
        for matrix in ("V", "U")
        for step in steps
    ]
    found = moments(pandas.DataFrame(scores), pandas.DataFrame(ranks))
    assert found.index.tolist() == cells
    falls = 0
    for cell in cells:
        reached = [row["step"] for row in scores if row["cell"] == cell and row["test_accuracy"] >= 0.9]
        generalized = found.loc[cell, "generalization_step"]
        assert generalized == reached[0] if reached else pandas.isna(generalized)
        for matrix, column in (("V", "rank_fall_step"), ("U", "output_rank_fall_step")):
            own = [row["effective_rank"] for row in ranks if row["cell"] == cell and row["matrix"] == matrix]
            if own[-1] > 0.9 * own[0]:
                assert pandas.isna(found.loc[cell, column])
                continue
            falls += 1
            middle = (own[0] + own[-1]) / 2
            assert found.loc[cell, column] == next(s for s, rank in zip(steps, own, strict=True) if rank <= middle)
    assert falls > 10
