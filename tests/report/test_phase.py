"""The figure `phase`: its tiles, what is drawn over them, and what it refuses."""

import math

import numpy as np
import pandas
import pytest
from matplotlib.collections import PolyCollection, QuadMesh
from report.figure_study import draw, panels_of
from support import PAPER_NET

from ranktwo.errors import UserError
from ranktwo.report.drawing import sidecar
from ranktwo.report.drawing.data import Data
from ranktwo.report.drawing.style import colour_scale
from ranktwo.report.drawing.tiles import Tiles, scale

DECAYS, RATES = (0.0, 1e-3, 1e-2, 1e-1, 1.0), (0.01, 0.1, 1.0)
STEPS, CRITICAL = 1000, 0.3


def cells(**changed):
    """Rows of three seeds; the residual is 0.5 below mu = 0.03 and 0.02 above, and predicted to fall below 0.003."""
    rows = [
        {
            **{"cell": f"{eta}-{mu}-{seed}", "dataset": "toy", "train_size": 50, "split": 0, "label_noise": 0.0},
            **PAPER_NET,
            **{"widths": "8", "optimizer": "sgd", "learning_rate": eta, "schedule": "constant", "batch_size": 16},
            **{"weight_decay": mu, "decay_rule": "constant", "steps": STEPS, "seed": seed, "status": "ok"},
            **{"critical_decay": CRITICAL, "decay_ratio": mu / CRITICAL, "task": "binary"},
            **{"residual_2": (0.5 if mu < 0.03 else 0.02) + 0.01 * seed**2, "effective_rank": 1.0 + 10 * (mu < 0.03)},
            "optimum_residual_2": None if mu == 0 else (0.5 if mu < 0.003 else 0.02),
        }
        | {name: value(eta, mu, seed) for name, value in changed.items()}
        for eta in RATES
        for mu in DECAYS
        for seed in range(3)
    ]
    types = dict.fromkeys(("train_size", "split", "batch_size", "steps", "seed"), "Int64")
    return pandas.DataFrame(rows).astype(types | {"optimum_residual_2": float})


def drawn(rows=None, **plane):
    rows = cells() if rows is None else rows
    data = Data(gaps=rows, kinds={}, read=pandas.DataFrame, norm=colour_scale(rows["weight_decay"]), plane=plane)
    return draw("phase", data)


def lines(found, panel=0):
    return {line.get_label(): np.transpose(line.get_data()) for line in panels_of(found)[panel].lines}


def hatches(found, panel=0):
    rows = sidecar.rows(found)
    rows = rows[(rows["mark"] == "hatch") & (rows["panel"] == panel + 1)]
    return {name: set(zip(own["x"], own["y"], strict=True)) for name, own in rows.groupby("series")}


def test_edges_of_tiles_are_geometric_means_and_zero_stands_apart():
    found = scale(np.array([0, 1e-3, 1e-2, 1.0]), derived=False, bins=16)
    assert found.log
    assert found.zero
    assert found.corners[2:] == pytest.approx([1e-3 / math.sqrt(10), math.sqrt(1e-5), 0.1, 10])
    assert found.corners[0] < found.corners[1] < found.corners[2]
    assert list(found.places(np.array([0, 1e-3, 1e-2, 1.0, np.nan]))) == [0, 2, 3, 4, -1]
    linear = scale(np.array([0.0, 0.1, 0.3]), derived=False, bins=16)
    assert not linear.zero or linear.log
    uneven = scale(np.array([300.0, 1000.0]), derived=False, bins=16)
    assert list(uneven.corners) == [0, 650, 1350], "no tile begins below 0"
    even = scale(np.array([2.0, 3.0, 4.0]), derived=False, bins=16)
    assert list(even.corners) == [1.5, 2.5, 3.5, 4.5]
    assert list(scale(np.array([0.1, 0.1]), derived=False, bins=16).corners) == pytest.approx([0.05, 0.15])
    assert scale(np.array([np.nan]), derived=False, bins=16) is None


@pytest.mark.parametrize(("values", "words"), [([0], ["0"]), ([300, 1000], ["300", "1000"]), ([20, 21, 90], None)])
def test_an_axis_of_few_values_has_no_other_number(values, words):
    found = drawn(pandas.concat([cells(steps=lambda *_, value=value: value) for value in values]), x="steps")
    shown = [text.get_text() for text in panels_of(found)[0].get_xticklabels()]
    assert shown == words if words else len(shown) > 3


def test_many_values_are_binned_and_none_is_lost():
    values = np.geomspace(1e-4, 1, 50)
    found = scale(values, derived=False, bins=8)
    assert len(found.centres) == 8
    assert set(found.places(values)) == set(range(8))
    assert np.bincount(found.places(values)).sum() == 50


def test_a_tile_is_the_median_of_its_nets_with_their_range():
    x, y = (scale(np.array(values), derived=False, bins=16) for values in (DECAYS, RATES))
    rows = cells().assign(x=lambda rows: rows["weight_decay"], y=lambda rows: rows["learning_rate"])
    tiles = Tiles.of(x, y, rows, "residual_2")
    assert tiles.median.shape == (3, 6)
    assert np.isnan(tiles.median[:, 1]).all(), "the gap beside zero"
    assert tiles.median[0, 2:] == pytest.approx([0.51, 0.51, 0.03, 0.03])
    assert (tiles.least[0, 2], tiles.greatest[0, 2], tiles.nets[0, 2]) == pytest.approx((0.5, 0.54, 3))


def test_the_csv_has_every_tile():
    rows = sidecar.rows(drawn())
    tiles = rows[rows["mark"] == "tile"]
    assert len(tiles) == len(DECAYS) * len(RATES)
    assert set(tiles["x"]) == set(DECAYS)
    one = tiles[(tiles["x"] == 0.01) & (tiles["y"] == 0.1)].iloc[0]
    assert (one["value"], one["low"], one["high"]) == pytest.approx((0.51, 0.5, 0.54))


def test_contours_of_trained_and_of_predicted_lie_where_the_rank_falls():
    found = lines(drawn())
    for words, low, high in (("trained", 0.01, 0.1), ("predicted", 0.001, 0.01)):
        points = found[f"$d_2/\\|V\\|$ = 0.1, {words}"]
        assert ((points[:, 0] > low) & (points[:, 0] < high)).all()
        assert points[:, 1].min() == pytest.approx(0.01)
        assert points[:, 1].max() == pytest.approx(1)
    assert "$d_2/\\|V\\|$ = 0.3, trained" in lines(drawn(contours=[0.3]))
    assert not any("trained" in name for name in lines(drawn(contours=[])))


def test_theory_is_drawn_over_whichever_axis_has_the_weight_decay():
    for x, y, place in (("weight_decay", "learning_rate", 0), ("learning_rate", "weight_decay", 1)):
        found = lines(drawn(x=x, y=y))
        assert found["$\\mu = \\mu_c$"][:, place] == pytest.approx([CRITICAL] * 3)
        time = found["$\\eta\\mu T = \\ln 10$"]
        assert time[:, place] * time[:, 1 - place] * STEPS == pytest.approx([math.log(10)] * len(time))
        assert len(time) >= 2
    assert lines(drawn(x="decay_ratio"))["$\\mu = \\mu_c$"][:, 0] == pytest.approx([1] * 3)
    assert lines(drawn(x="decay_time"))["$\\eta\\mu T = \\ln 10$"][:, 0] == pytest.approx([math.log(10)] * 3)
    for change in ({"schedule": "cosine"}, {"optimizer": "momentum"}, {"decay_rule": "input-norm"}):
        assert "$\\eta\\mu T = \\ln 10$" not in lines(drawn(cells().assign(**change))), "eta mu T says less there"
    assert "$\\eta\\mu T = \\ln 10$" in lines(drawn(cells().assign(optimizer="adamw")))


def test_hatches_say_which_nets_do_not_count_and_where_nets_disagree():
    rows = cells(
        status=lambda eta, mu, seed: "collapsed" if mu == 1 else "unfit" if eta == 0.01 and seed < 2 else "ok",
        residual_2=lambda eta, mu, seed: 0.05 + 0.1 * seed if (eta, mu) == (1.0, 0.01) else 0.5,
    )
    found = hatches(drawn(rows))
    assert found["half not ok, most collapsed"] == {(1.0, eta) for eta in RATES}
    assert found["half not ok, most unfit"] == {(mu, 0.01) for mu in DECAYS[:-1]}
    assert found["nets on both sides of a contour"] == {(0.01, 1.0)}
    assert "half not ok, most diverged" not in found


def test_a_panel_for_each_column_and_for_each_value_of_the_other_axes():
    rows = pandas.concat([cells(), cells().assign(batch_size=4).astype({"batch_size": "Int64"})])
    found = drawn(rows, columns=["residual_2", "effective_rank"])
    panels = panels_of(found)
    assert len(panels) == 4
    assert [axes.get_title().replace("\xa0", " ") for axes in panels[::2]] == [
        "toy, B = 16 ($n$ = 3)",
        "toy, B = 4 ($n$ = 3)",
    ]
    bars = [axes for axes in found.axes if axes.get_label() == "<colorbar>"]
    assert [axes.get_xlabel() for axes in bars] == ["$d_2/\\|V\\|$", "effective rank of $V$"]
    meshes = [artist for axes in panels for artist in axes.collections if isinstance(artist, QuadMesh)]
    assert len({mesh.norm for mesh in meshes}) == 2, "one scale for all panels of a column"
    assert not any(isinstance(artist, PolyCollection) for axes in panels for artist in axes.collections)


def test_planes_without_the_weight_decay_are_apart_by_it():
    rows = pandas.concat([cells(), cells().assign(batch_size=4).astype({"batch_size": "Int64"})])
    found = drawn(rows, x="batch_size", y="learning_rate")
    titles = [axes.get_title() for axes in panels_of(found)]
    assert [title for title in titles if "mu$ = 0.01" in title]
    assert len(titles) == len(DECAYS)


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(
        UserError, match="residual_22 is no column of gaps.parquet with numbers; .*; did you mean residual_2"
    ):
        drawn(columns=["residual_22"])
    with pytest.raises(UserError, match="status is no column"):
        drawn(columns=["status"])
    none = drawn(cells(decay_ratio=lambda eta, mu, seed: np.nan), x="decay_ratio")
    assert none.texts[0].get_text() == "no cell has a value of both axes"


def test_a_strip_is_drawn_only_where_no_family_has_more():
    strip = cells().query("learning_rate == 0.1").assign(batch_size=4).astype({"batch_size": "Int64"})
    assert len(panels_of(drawn(strip))) == 1
    assert len(panels_of(drawn(pandas.concat([cells(), strip])))) == 1
