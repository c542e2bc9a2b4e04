"""The largest gradient of a batch against all batches, and what is left to say where there is one batch."""

import itertools

import pytest
import torch
from textbook import MU, SAMPLES, frobenius, make_data, make_net, sample_gradients, setting

from ranktwo.analysis.certificates.chain import layer_certificates
from ranktwo.analysis.certificates.table import why_no_bound


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 9])
def test_eps_ends_enclose_the_supremum_over_all_batches(batch_size):
    x, targets = make_data("regression", samples=9)
    weights = make_net("regression", 2)
    (g, _), (row, _) = (
        sample_gradients(weights, x, targets, "regression"),
        layer_certificates(weights, x, targets, "regression", weight_decay=MU, batch_size=batch_size),
    )
    a = g + (MU[:, None, None] * weights[0])[:, None]
    subsets = [list(s) for s in itertools.combinations(range(9), batch_size)]
    true = torch.stack([frobenius(a[:, s].mean(1)) for s in subsets]).amax(0)
    assert (row["eps_lower"] <= true * (1 + 1e-12)).all() and (true <= row["eps_upper"] * (1 + 1e-12)).all()
    torch.testing.assert_close(row["eps_batch"], true, rtol=0.15, atol=0)  # the ascent all but finds it
    if batch_size < 9:
        assert (frobenius(a).amax(1) <= (2 * batch_size - 1) * true * (1 + 1e-12)).all()
    else:
        torch.testing.assert_close(row["eps_upper"], true)


@pytest.mark.parametrize("batch_size", [2, 4, 12])
def test_a_few_directed_batches_do_what_four_hundred_random_ones_do(batch_size):
    """Small batches are compared with every sample, larger ones by way of their gradient."""
    x, targets, weights = setting("random", "multiclass", 2)
    rows = layer_certificates(weights, x, targets, "multiclass", weight_decay=MU, batch_size=batch_size)
    generator = torch.Generator().manual_seed(0)
    batches = torch.stack([torch.randperm(SAMPLES, generator=generator)[:batch_size] for _ in range(400)])
    for row, weight, g in zip(rows, weights, sample_gradients(weights, x, targets, "multiclass"), strict=True):
        a = g + (MU[:, None, None] * weight)[:, None]
        assert (row["eps_batch"] > 0.97 * frobenius(a[:, batches].mean(2)).amax(1)).all()


def test_full_batch_has_no_bound_and_says_why():
    x, targets = make_data("binary")
    rows = layer_certificates(make_net("binary", 2), x, targets, "binary", weight_decay=MU, batch_size=SAMPLES)
    for name in ("bound_lower", "bound_upper", "vacuity_lower", "vacuity_upper"):
        assert rows[0][name].isnan().all()
    numbers = {name: value[0].item() for name, value in rows[0].items()}
    assert "differ in one sample" in why_no_bound(numbers, 0.1, SAMPLES, SAMPLES)
    assert rows[0]["sample_min"].isfinite().all()
    with pytest.raises(ValueError, match="25 is not between"):
        layer_certificates(make_net("binary", 2), x, targets, "binary", weight_decay=MU, batch_size=25)


def test_the_full_batch_really_has_no_such_bound():
    """Two samples with opposite a_i: G = 0, so eps = 0 for B = N, yet ||a_i|| > 0."""
    x = torch.tensor([[1.0], [1.0]])
    targets = torch.tensor([[2.0], [0.0]])  # f = 1: the two gradients are opposite
    weights = [torch.ones(1, 1, 1), torch.ones(1, 1, 1)]
    row = layer_certificates(weights, x, targets, "regression", weight_decay=torch.zeros(1), batch_size=2)[0]
    assert row["eps_lower"] == 0 and row["eps_upper"] == 0
    (g, _) = sample_gradients([w.double() for w in weights], x.double(), targets.double(), "regression")
    assert (frobenius(g) == 2).all()
