"""Figures show what is there: every status is visible, nothing is dropped in silence, colours mean one thing."""

import matplotlib.pyplot as plt
import numpy as np
import pandas
import pytest

from ranktwo import drawing
from ranktwo.columns import COLUMNS
from ranktwo.drawing import Data, colour_scale
from ranktwo.figures import FIGURES, select


def study(**changes: dict[str, str]) -> Data:
    """Two families of 4 decays and 3 seeds; `changes` sets the status of cells by weight decay."""
    cells, spectra = [], []
    random = np.random.default_rng(0)
    numbers = [name for name, (kind, _) in COLUMNS.items() if str(kind) in ("double", "int64")]
    for batch_size in (4, 16):
        for mu in (0.0, 1e-3, 1e-2, 1.0):
            for seed in range(3):
                status = changes.get(f"mu{mu:g}", "ok")
                gone = status == "diverged"
                row = {name: random.uniform(1, 9) for name in numbers} | {
                    "cell": f"{batch_size}-{mu}-{seed}",
                    "dataset": "toy",
                    "task": "binary",
                    "train_size": 50,
                    "label_noise": 0.0,
                    "widths": "8",
                    "optimizer": "sgd",
                    "learning_rate": 0.1,
                    "schedule": "constant",
                    "batch_size": batch_size,
                    "weight_decay": mu,
                    "decay_rule": "constant",
                    "steps": 10,
                    "seed": seed,
                    "status": status,
                }
                if status != "ok" and status != "unfit":
                    row |= {name: None for name in row if name.startswith(("rank_", "residual", "effective"))}
                cells.append(row)
                for step in (0, 1, 10):
                    s = None if gone and step else np.sort(random.uniform(0, 1, 6))[::-1]
                    spectra.append(row | {"step": step, "matrix": "V", "singular_values": s})
    rows = pandas.DataFrame(cells)
    frame = pandas.DataFrame(spectra)
    return Data(gaps=rows, read=lambda name: frame, norm=colour_scale(rows["weight_decay"]))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def marks(drawn, marker: str) -> int:
    return sum(len(line.get_xdata()) for axes in drawn.axes for line in axes.lines if line.get_marker() == marker)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("failed", ["unfit", "collapsed", "diverged"])
def test_every_figure_is_drawn_whatever_the_cells_ended_as(name, failed):
    for data in (study(), study(**{"mu1": failed}), study(**{f"mu{mu}": failed for mu in ("0", "0.001", "0.01", "1")})):
        drawn = FIGURES[name](data)
        drawn.canvas.draw()
        assert len([axes for axes in drawn.axes if axes.get_title()]) >= 2
        plt.close(drawn)


@pytest.mark.parametrize("name", ["ranks", "gap"])
def test_failed_cells_are_marked_where_they_are(name):
    columns = {"ranks": 2, "gap": 3}[name]
    assert marks(FIGURES[name](study()), "x") == 0
    assert marks(FIGURES[name](study(mu1="collapsed")), "x") == 2 * columns
    diverged = FIGURES[name](study(mu1="diverged"))
    edge = [line for axes in diverged.axes for line in axes.lines if list(line.get_ydata()) == [0.97]]
    assert len(edge) == 2 * columns


@pytest.mark.parametrize("name", ["spectrum", "gap-against-rank"])
def test_cells_that_cannot_be_drawn_are_counted_in_the_title(name):
    drawn = FIGURES[name](study(mu1="collapsed"))
    assert all("3 collapsed" in axes.get_title() for axes in drawn.axes if axes.get_title())


def test_unfit_cells_are_hollow():
    drawn = FIGURES["gap"](study(mu1="unfit"))
    hollow = [line for line in drawn.axes[0].lines if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in hollow] == [[1.0]]


def test_zero_decay_is_drawn_apart_and_not_dropped():
    axes = FIGURES["ranks"](study()).axes[0]
    assert "0" in [label.get_text() for label in axes.get_xticklabels()]
    assert min(line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 4) < 1e-3


def test_n_is_stated():
    assert all("$n$ = 3" in axes.get_title() for axes in FIGURES["gap"](study()).axes)


def test_a_weight_decay_has_one_colour_whatever_is_drawn():
    data = study()
    part = select(data.gaps, {"weight_decay": [1e-3, 1e-2], "batch_size": 16})
    fewer = Data(gaps=part, read=data.read, norm=data.norm)
    assert set(fewer.spectra["cell"]) == set(part["cell"])
    assert fewer.colour(1e-2) == data.colour(1e-2) != data.colour(1e-3)
    assert data.colour(0) == drawing.ZERO_COLOUR


def test_where_is_written_as_in_the_config():
    rows = pandas.DataFrame(
        {"dataset": ["a", "a", "b"], "widths": ["8", "8-6", "8"], "batch_size": [4, 50, 50], "train_size": [50, 50, 20]}
    )
    assert list(select(rows, {"widths": 8}).index) == [0, 2]
    assert list(select(rows, {"widths": [[8, 6]]}).index) == [1]
    assert list(select(rows, {"batch_size": "full"}).index) == [1]
    assert list(select(rows, {"batch_size": ["full", 4], "dataset": "a"}).index) == [0, 1]
    assert list(select(rows, {"train_size": None}).index) == [0, 1, 2]


def test_bands_reach_from_the_least_to_the_greatest_seed():
    rows = pandas.DataFrame({"mu": [1, 1, 1, 2], "value": [3.0, 1.0, 10.0, None]})
    found = drawing.over_seeds(rows, "mu", "value")
    assert found.to_dict("index") == {1: {"median": 3.0, "least": 1.0, "greatest": 10.0}}
