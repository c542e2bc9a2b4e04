"""A certificate is null where it is undefined, and nowhere else."""

import math

import torch
from textbook import frobenius, make_data, make_net, sample_gradients

from ranktwo.analysis.certificates.chain import layer_certificates
from ranktwo.analysis.certificates.table import why_no_bound

OF_BOUND = {"bound_lower", "bound_upper", "vacuity_lower", "vacuity_upper"}
OF_DECAY = {"sample_min", "sample_max", "weyl_slack", "weyl_gap", "weyl_tightness"}
OF_DECAY |= OF_BOUND | {"mean_residual_1", "mean_residual_2"}
OF_ZERO = {"vacuity_lower", "vacuity_upper", "scale_invariance", "weyl_tightness", "directions"}
"""Columns that are undefined without decay, and columns that may be so of a matrix that is zero."""


def test_without_decay_what_divides_by_it_is_null_and_the_rest_is_not():
    x, targets = make_data("regression")
    mu = torch.tensor([0.0, 0.1, 0.0])
    weights = make_net("regression", 3)
    gradients = sample_gradients(weights, x, targets, "regression")
    rows = layer_certificates(weights, x, targets, "regression", weight_decay=mu, batch_size=4)
    for g, row in zip(gradients, rows, strict=True):
        for name, value in row.items():
            if name in OF_DECAY:
                assert value.isnan().tolist() == [True, False, True], name
            elif name not in ("dead_fraction", "data_floor"):
                assert value.isfinite().all(), name
        torch.testing.assert_close(row["eps_upper"][0], frobenius(g[0]).max(), rtol=1e-12, atol=0)
        assert "weight decay is zero" in why_no_bound(of_cell(row, 0), 0.0, 4, 24)
        assert why_no_bound(of_cell(row, 1), 0.1, 4, 24) is None


def test_of_a_diverged_net_nothing_is_known_and_of_a_zero_matrix_what_its_norm_does_not_divide():
    x, targets = make_data("regression")
    weights = make_net("regression", 2, cells=4)
    weights[0][1] = 0.0
    weights[0][2, 0, 0] = math.inf
    weights[1][3] *= 1e200
    mu = torch.tensor([0.1, 0.1, 0.1, 0.1])
    clean = layer_certificates([w[:1] for w in weights], x, targets, "regression", weight_decay=mu[:1], batch_size=4)
    rows = layer_certificates(weights, x, targets, "regression", weight_decay=mu, batch_size=4)
    for layer, row in enumerate(rows):
        nowhere = {"dead_fraction", "data_floor"} if layer else set()
        for name, value in row.items():
            if name == "sample_rank":
                assert (value == 1).all()
                continue
            assert value.isnan()[2:].all(), name  # diverged: nothing else is known
            assert value.isnan()[0] == (name in nowhere), name
            if value.isnan()[1]:
                assert name in nowhere | (OF_ZERO if layer == 0 else {"scale_invariance", "weyl_tightness"}), name
            assert clean[layer][name].isnan() == value[0].isnan()
            if not value[0].isnan():
                torch.testing.assert_close(value[:1], clean[layer][name], rtol=1e-12, atol=1e-14)
        for cell in (2, 3):
            assert "not finite" in why_no_bound(of_cell(row, cell), 0.1, 4, 24)
    assert rows[0]["vacuity_upper"][1].isnan() and rows[0]["directions"][1].isnan() and rows[0]["d_1"][1] == 0
    assert rows[0]["dead_fraction"][1] == 1
    assert why_no_bound(of_cell(rows[0], 1), 0.1, 4, 24) == "the weight matrix is zero"


def of_cell(row, cell):
    """One cell's numbers."""
    return {name: value[cell].item() for name, value in row.items()}
