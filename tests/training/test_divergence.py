"""Cells that diverge are taken out of their stack at the step at which they did."""

import pytest
import torch
from support import a_cell, a_dataset
from training_support import toy_data, trained

from ranktwo.data import dataset
from ranktwo.training import divergence


def test_diverged_cell_is_frozen_at_its_step_and_neighbours_never_notice():
    calm = [a_cell(weight_decay=mu, steps=400) for mu in (0.0, 0.1)]
    wild = [a_cell(learning_rate=eta, steps=400, seed=seed) for eta, seed in ((30.0, 0), (8.0, 3))]
    mixed = trained([calm[0], wild[0], calm[1], wild[1]], "regression", torch.float32)
    assert mixed.alive.tolist() == [0, 2]
    for ours, alone in zip(mixed.stack.weights, trained(calm, "regression", torch.float32).stack.weights, strict=True):
        assert torch.equal(ours, alone)
    for number, cell in ((1, wild[0]), (3, wild[1])):
        bad_step = mixed.diverged[number]
        x, y = toy_data("regression", torch.float32)
        before = divergence.begin([cell], x, y, "regression", 1)
        rows = before.batches.take(bad_step)
        factors = before.stack.factors(rows, 0, bad_step)
        before.stack.advance(rows[:-1], factors[:-1])
        assert before.stack.finite().all()
        assert before.stack.losses(rows[bad_step - 2]).isfinite().all()
        after = divergence.begin([cell], x, y, "regression", 1)
        after.stack.advance(rows, factors)
        assert not (after.stack.finite().all() and after.stack.losses(rows[bad_step - 1]).isfinite().all())


def test_divergence_with_full_batches_is_found_too():
    cells = [a_cell(learning_rate=eta, batch_size="full", steps=300) for eta in (0.01, 50.0)]
    training = trained(cells, "regression", torch.float32)
    assert training.alive.tolist() == [0]
    assert 1 <= training.diverged[1] < 300


@pytest.mark.parametrize("net", ["mlp", "transformer"])
def test_cells_of_one_seed_in_two_splits_share_no_initial_weights_no_batches_and_no_noise(net):
    """An interval over splits would else be for one draw of them, and far too narrow for another."""
    x, y = torch.randn(40, 6), torch.arange(40) % 2
    cells = [a_cell(net=net, widths=(4,), seed=3, split=split, label_noise=0.25) for split in (0, 1, 1)]
    training = divergence.begin(cells, x, y, "binary", 1)
    recipe, weights, targets = training.stack.recipe, training.stack.weights, training.stack.targets
    assert recipe.seed_of.tolist() == [0, 1, 1]
    first, second = training.batches.take(10).transpose(0, 1)
    assert not torch.equal(first, second)
    drawn = [weight for weight in weights if weight[0].std()]
    assert drawn
    for values in (*drawn, targets):
        assert torch.equal(values[1], values[2]) and not torch.equal(values[0], values[1])
    data = a_dataset("binary", 1, x, y, 40)
    for cell, own in zip(cells, targets, strict=True):
        assert torch.equal(dataset.training_data(vars(cell), data)[1], own)
