"""Climbs of the dual function: what they end at, and what is done where they cannot be had."""

import itertools
import sys

import numpy as np
import pytest
import scipy.optimize
import torch
from textbook import TASKS, make_data, normal

from ranktwo.analysis.critical import critical_decay
from ranktwo.analysis.optimum import search
from ranktwo.analysis.optimum.climb import climb
from ranktwo.nets.losses import output_gradients_
from ranktwo.store.fingerprints import reached


def noisy(task, seed, inputs=4, samples=40):
    """Samples with shuffled targets, whose dual function at zero has many peaks: x, delta."""
    x, y = make_data(task, inputs=inputs, samples=samples, seed=seed)
    y = y[torch.randperm(samples, generator=torch.Generator().manual_seed(seed))]
    return x, output_gradients_(torch.zeros(1, *y.shape, dtype=torch.float64), y, task) / len(x)


def starts(count, inputs):
    points = normal(1, count, inputs, seed=5)
    return points / torch.linalg.vector_norm(points, dim=2, keepdim=True)


@pytest.mark.parametrize("inputs, samples", [(4, 40), (10, 200)])
@pytest.mark.parametrize("task", TASKS)
def test_a_climb_ends_where_its_convex_programme_has_no_more_to_gain(task, inputs, samples):
    for seed in range(5):
        x, delta = noisy(task, seed, inputs, samples)
        v = starts(20, inputs)
        ends, heights = climb(x, delta, v, sweeps=2000, tolerance=1e-9)
        assert torch.linalg.vector_norm(ends, dim=2) == pytest.approx(torch.ones(1, 20).numpy(), rel=1e-12)
        assert heights == pytest.approx(search.force(ends, x, delta)[0][..., 0].numpy(), rel=1e-12)
        assert (heights >= search.force(v, x, delta)[0][..., 0]).all()
        for end, height in zip(ends[0].numpy(), heights[0].numpy(), strict=True):
            z, e = x.numpy() @ end, delta[0].numpy()
            a = e @ (np.maximum(z, 0) @ e) / height
            fixed = (a * (z > 0))[a >= 0] @ x.numpy()[a >= 0]
            free = x.numpy()[a < 0].T
            best = scipy.optimize.lsq_linear(free, fixed, bounds=(0, -a[a < 0]), tol=1e-14, max_iter=2000)
            assert np.linalg.norm(fixed - free @ best.x) == pytest.approx(height, rel=1e-6)


def test_a_height_is_that_of_its_end_though_few_rows_are_looked_at():
    x, delta = normal(200, 2, seed=0), normal(1, 200, 2, seed=1)
    for sweeps in (1, 5, 20, 100):
        ends, heights = climb(x, delta, starts(2000, 2), sweeps=sweeps, tolerance=1e-12)
        assert heights == pytest.approx(search.force(ends, x, delta)[0][..., 0].numpy(), rel=1e-12)


def test_a_climb_goes_no_further_than_its_sweeps_and_a_point_without_slope_stays():
    x, delta = noisy("binary", 1)
    v = starts(10, 4)
    assert torch.equal(climb(x, delta, v, sweeps=0, tolerance=0)[0], v)
    wide = normal(200, 30, seed=2)
    e = normal(1, 200, 3, seed=3)
    heights = [climb(wide, e, starts(20, 30), sweeps=sweeps, tolerance=0)[1] for sweeps in range(9)]
    assert all((long >= short).all() and (long > short).any() for short, long in itertools.pairwise(heights))
    still, heights = climb(x.abs(), delta, -torch.ones_like(v[:, :1]) / 2, sweeps=9, tolerance=0)
    assert (still == -0.5).all() and (heights == 0).all()


@pytest.mark.parametrize("stage, chosen", [("dataset", {}), ("optimum", {}), ("analysis", {"analysis": "optimality"})])
def test_an_edit_of_the_climb_runs_again_what_searches(stage, chosen):
    assert {"climb", "_compiled_climb", "_climb", "_compiled_add_to_all", "INNER"} <= set(
        reached(stage, **chosen)["analysis.optimum.climb"]
    )


def test_without_numba_ascents_search_and_a_sentence_says_so_once(monkeypatch, capsys):
    x, y = make_data("binary", inputs=3, samples=30, seed=0)
    best = critical_decay(x, y, "binary")[0]
    monkeypatch.setitem(sys.modules, "ranktwo.analysis.optimum.climb", None)
    search._climbing.cache_clear()
    try:
        found = [critical_decay(x, y, "binary")[0] for _ in range(2)]
    finally:
        search._climbing.cache_clear()
    assert found[0] == found[1] == pytest.approx(best, rel=1e-2)
    assert found[0] <= best * (1 + 1e-9)
    said = capsys.readouterr().err
    assert said.count("numba does not work here") == 1 and "may be too small" in said


@pytest.mark.parametrize("task", TASKS)
def test_a_crowd_that_climbs_one_peak_does_not_crowd_out_the_one_point_that_climbs_a_higher(task):
    x, delta = noisy(task, 0, inputs=20, samples=100)
    points = starts(300, 20)
    _, early = climb(x, delta, points, sweeps=search.LOOK, tolerance=1e-6)
    ends, heights = climb(x, delta, points, sweeps=2000, tolerance=1e-9)
    # A start whose peak is above that of the crowd, and which is below the crowd when the first ones are given up.
    start, peak = next(
        (start, peak)
        for start in heights[0].argsort(descending=True).tolist()
        for peak in heights[0].argsort().tolist()
        if heights[0, start] > 1.001 * heights[0, peak] > 1.001 * early[0, start]
    )
    crowd = ends[:, peak : peak + 1] + 1e-4 * starts(40, 20)
    crowded = torch.cat([crowd / torch.linalg.vector_norm(crowd, dim=2, keepdim=True), points[:, [start]]], dim=1)
    height, _, _ = search.maximise(x, delta, crowded, search.Effort(kept=2))
    assert height.item() >= heights[0, start] * (1 - 1e-9)


def test_the_highest_that_lie_apart_come_first_and_those_beside_them_last():
    heights = torch.tensor([[1.0, 5.0, 4.0, 3.0, 2.0]])
    near = torch.eye(5, dtype=torch.bool)
    near[1, 2] = near[2, 1] = near[3, 4] = near[4, 3] = True
    for count in range(1, 7):
        assert search.highest_apart(heights, near[None], count).tolist() == [[1, 3, 0, 2, 4][:count]]
