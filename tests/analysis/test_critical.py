"""The critical decay against brute force, and training that collapses just above it and not just below."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import torch
from support import a_cell
from textbook import TASKS, frobenius, make_data, make_net, normal, train

from ranktwo.analysis.critical import critical_decay
from ranktwo.analysis.optimum import search
from ranktwo.data.labels import noisy_targets
from ranktwo.data.options import Options
from ranktwo.data.preparation import prepare
from ranktwo.nets.losses import output_gradients_
from ranktwo.stages.dataset import prepare_with_critical_decay
from ranktwo.training import divergence

SETS = {
    "digits-3v8": {"source": "digits", "scaling": "global", "classes": [3, 8]},
    "iris": {"source": "iris", "bias": True},
    "diabetes": {"source": "diabetes", "bias": True},
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_nets_collapse_just_above_and_not_just_below(name, noise):
    tensors, facts = prepare_with_critical_decay(name, Options(**SETS[name]), Path("nowhere"), False)
    x, y = tensors["train_x"], tensors["train_y"]
    targets = noisy_targets(y, facts["task"], facts["outputs"], noise, 0)
    mu_c = critical_decay(x, targets, facts["task"])[0]
    if noise == 0:
        assert facts["critical_decay"] == mu_c
    cells = [
        a_cell(
            widths=(16,),
            learning_rate=0.05 / mu_c,
            batch_size="full",
            weight_decay=ratio * mu_c,
            steps=6000,
            label_noise=noise,
        )
        for ratio in (0.95, 1.05)
    ]
    training = divergence.begin(cells, x, y, facts["task"], facts["outputs"])
    start = torch.linalg.matrix_norm(training.stack.weights[0])
    training.advance_to(6000)
    left = torch.linalg.matrix_norm(training.stack.weights[0]) / start
    assert left[0] > 0.01
    assert left[1] < 1e-4


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("name", ["digits", "diabetes"])
def test_the_search_in_large_data_finds_what_many_starts_find(name, noise, monkeypatch):
    tensors, facts = prepare(name, Options(source=name), Path("nowhere"), False)
    x = tensors["train_x"]
    targets = noisy_targets(tensors["train_y"], facts["task"], facts["outputs"], noise, 0)
    thorough = critical_decay(x, targets, facts["task"], starts=256, seed=1)[0]
    monkeypatch.setattr(search, "LARGE", 0)
    value, v = critical_decay(x, targets, facts["task"])
    assert thorough * (1 - 1e-5) < value < thorough * (1 + 1e-6)
    output = torch.zeros(1, *targets.shape, dtype=torch.float64)
    delta = output_gradients_(output, targets.double(), facts["task"])[0]
    assert v.norm().item() == pytest.approx(1, rel=1e-12)
    assert ((x.double() @ v).relu() @ delta / len(x)).norm().item() == pytest.approx(value, rel=1e-12)


def force(v, x, delta):
    return torch.relu(v @ x.T) @ delta / len(x)


def output_gradient(targets, task):
    if task == "regression":
        return -2 * targets / targets.shape[1]
    return (0.5 if task == "binary" else 1 / targets.shape[1]) - targets


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("seed", range(3))
def test_critical_decay_in_the_plane_is_the_maximum_over_angles(task, seed):
    x, targets = make_data(task, inputs=2, seed=10 * seed)
    angle = torch.linspace(0, 2 * math.pi, 200_001, dtype=torch.float64)
    values = force(torch.stack([angle.cos(), angle.sin()], 1), x, output_gradient(targets, task)).norm(dim=1)
    mu_c, v = critical_decay(x, targets, task)
    assert values.max() * (1 - 1e-8) <= mu_c <= values.max() * (1 + 1e-5)  # between two angles there may be a kink
    assert v.norm().item() == pytest.approx(1)
    assert force(v[None], x, output_gradient(targets, task)).norm() == pytest.approx(mu_c)


@pytest.mark.parametrize("task", TASKS)
def test_critical_decay_is_not_beaten_by_scipy(task):
    x, _ = make_data(task, inputs=4, samples=40)
    targets = {
        "regression": normal(40, 2, seed=3),
        "binary": (normal(40, 1, seed=3) > 0).double(),
        "multiclass": torch.nn.functional.one_hot(normal(40, 3, seed=3).argmax(1), 3).double(),
    }[task]  # pure noise: many local maxima
    delta = output_gradient(targets, task).numpy()

    def negative(v):
        v = v / np.linalg.norm(v)
        return -np.linalg.norm(np.maximum(x.numpy() @ v, 0) @ delta) / len(delta)

    starts = np.random.default_rng(0).normal(size=(40, 4))
    options = {"method": "Nelder-Mead", "options": {"xatol": 1e-9, "fatol": 1e-12}}
    best = max(-scipy.optimize.minimize(negative, start, **options).fun for start in starts)
    mu_c, _ = critical_decay(x, targets, task)
    assert best * (1 - 1e-5) <= mu_c <= best * (1 + 1e-3)


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_training_collapses_just_above_the_critical_decay_and_not_just_below(task):
    x, targets = make_data(task, inputs=3)
    mu_c, _ = critical_decay(x, targets, task)
    mu = mu_c * torch.tensor([0.95, 1.05], dtype=torch.float64)
    net = make_net(task, 2, cells=1, inputs=3)
    net = train([w.expand(2, -1, -1) for w in net], x, targets, task, mu, steps=4000, rate=0.2 / mu_c)
    below, above = frobenius(net[0])
    assert above < 1e-6 and below > 1e-2


def test_critical_decay_is_for_two_layers_and_zero_data_have_none():
    x, targets = make_data("regression")
    for layers in (1, 3):
        mu_c, v = critical_decay(x, targets, "regression", layers=layers)
        assert math.isnan(mu_c) and v.isnan().all()
    assert critical_decay(x, torch.zeros_like(targets), "regression")[0] == 0
    # Each input twice, with labels that cancel each other: what is left is rounding, as the rows are in any order.
    order = torch.randperm(2 * len(x), generator=torch.Generator().manual_seed(0))
    opposite = torch.tensor([0.0, 1.0], dtype=torch.float64).repeat_interleave(len(x))[order, None]
    twice = x.repeat(2, 1)[order]
    assert critical_decay(twice, opposite, "binary")[0] == 0
    assert critical_decay(twice, 0.999 * opposite, "binary")[0] > 0
