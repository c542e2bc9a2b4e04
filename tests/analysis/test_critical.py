"""On real data, training collapses just above the critical weight decay, not just below; the fast search finds it."""

import pytest
import torch
from conftest import a_cell

from ranktwo.analysis.critical import critical_decay
from ranktwo.data import preparation
from ranktwo.data.labels import noisy_targets
from ranktwo.data.options import Options
from ranktwo.nets.losses import output_gradients_
from ranktwo.training import divergence




SETS = {
    "digits-3v8": {"source": "digits", "scaling": "global", "classes": [3, 8]},
    "iris": {"source": "iris", "bias": True},
    "diabetes": {"source": "diabetes", "bias": True},
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_nets_collapse_just_above_and_not_just_below(name, noise):
    tensors, facts = preparation.prepare(name, Options(**SETS[name]), "nowhere", False)
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
    tensors, facts = preparation.prepare(name, Options(source=name), "nowhere", False)
    x = tensors["train_x"]
    targets = noisy_targets(tensors["train_y"], facts["task"], facts["outputs"], noise, 0)
    thorough = critical_decay(x, targets, facts["task"], starts=256, seed=1)[0]
    monkeypatch.setattr(critical, "LARGE", 0)
    value, v = critical_decay(x, targets, facts["task"])
    assert thorough * (1 - 1e-5) < value < thorough * (1 + 1e-6)
    output = torch.zeros(1, *targets.shape, dtype=torch.float64)
    delta = output_gradients_(output, targets.double(), facts["task"])[0]
    assert v.norm().item() == pytest.approx(1, rel=1e-12)
    assert ((x.double() @ v).relu() @ delta / len(x)).norm().item() == pytest.approx(value, rel=1e-12)
