"""A certificate is null where it is undefined, and there is a reason for each."""

import math

import torch
from textbook import frobenius, make_data, make_net, sample_gradients

from ranktwo.analysis.certificates.chain import NEEDS_DECAY, layer_certificates, null_reason


def test_without_decay_what_divides_by_it_is_null_and_the_rest_is_not():
    x, targets = make_data("regression")
    mu = torch.tensor([0.0, 0.1, 0.0])
    weights = make_net("regression", 3)
    gradients = sample_gradients(weights, x, targets, "regression")
    rows = layer_certificates(weights, x, targets, "regression", weight_decay=mu, batch_size=4)
    for g, row in zip(gradients, rows, strict=True):
        for name, value in row.items():
            if name in NEEDS_DECAY:
                assert value.isnan().tolist() == [True, False, True], name
                reason = null_reason(name, norm=1.0, weight_decay=0.0, batch_size=4, samples=9, first=True, last=False)
                assert "weight decay is zero" in reason
            elif name not in ("dead_fraction", "data_floor"):
                assert value.isfinite().all(), name
        torch.testing.assert_close(row["eps_upper"][0], frobenius(g[0]).max(), rtol=1e-12, atol=0)


def test_nan_always_has_a_reason_and_a_number_never_needs_one():
    x, targets = make_data("regression")
    weights = make_net("regression", 2, cells=4)
    weights[0][1] = 0.0
    weights[0][2, 0, 0] = math.inf
    weights[1][3] *= 1e200
    mu = torch.tensor([0.1, 0.1, 0.1, 0.1])
    clean = layer_certificates([w[:1] for w in weights], x, targets, "regression", weight_decay=mu[:1], batch_size=4)
    rows = layer_certificates(weights, x, targets, "regression", weight_decay=mu, batch_size=4)
    for layer, row in enumerate(rows):
        for name, value in row.items():
            assert value.isnan()[2:].all(), name  # diverged: nothing is known
            for k in range(4):
                if value[k].isnan():
                    facts = dict(weight_decay=0.1, batch_size=4, samples=24, first=layer == 0, last=layer == 1)
                    assert null_reason(name, norm=row["norm"][k].item(), **facts), (name, k)
            assert clean[layer][name].isnan() == value[0].isnan()
            if not value[0].isnan():
                torch.testing.assert_close(value[:1], clean[layer][name], rtol=1e-12, atol=1e-14)
    assert rows[0]["vacuity_upper"][1].isnan() and rows[0]["directions"][1].isnan() and rows[0]["d_1"][1] == 0
    assert rows[0]["dead_fraction"][1] == 1
