"""Neural collapse against NumPy written from the definitions, and where it is known: a perfectly collapsed net."""

import itertools

import numpy as np
import pytest
import torch
from support import a_dataset, a_record

from ranktwo.analysis.inputs import Inputs
from ranktwo.analysis.neural_collapse import features, neural_collapse, of_features
from ranktwo.nets import net as nets
from ranktwo.study.axes import AXES

GENERATOR = np.random.default_rng(0)


def brute(h, labels, last=None):
    """NC1, tr S_W/tr S_B, both NC2 and NC3 by loops over classes and samples."""
    classes = sorted(set(labels))
    count, width = len(classes), h.shape[1]
    means = [np.mean([row for row, label in zip(h, labels, strict=True) if label == c], axis=0) for c in classes]
    centred = [mean - np.mean(means, axis=0) for mean in means]
    within, between = np.zeros((width, width)), np.zeros((width, width))
    for c, mean, one in zip(classes, means, centred, strict=True):
        own = [row - mean for row, label in zip(h, labels, strict=True) if label == c]
        within += sum(np.outer(row, row) for row in own) / len(own) / count
        between += np.outer(one, one) / count
    lengths = [np.linalg.norm(one) for one in centred]
    pairs = itertools.combinations(range(count), 2)
    cosines = [centred[a] @ centred[b] / (lengths[a] * lengths[b]) for a, b in pairs]
    stacked = np.array(centred)
    u = stacked if last is None else np.vstack([-last / 2, last / 2]) if len(last) == 1 else last[classes]
    return {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-12, hermitian=True)) / count,
        "within_over_between": np.trace(within) / np.trace(between),
        "nc2_norms": np.std(lengths) / np.mean(lengths),
        "nc2_angles": np.mean([abs(cosine + 1 / (count - 1)) for cosine in cosines]),
        "nc3": np.linalg.norm(u / np.linalg.norm(u) - stacked / np.linalg.norm(stacked)),
    }


@pytest.mark.parametrize(("classes", "outputs", "width"), [(2, 1, 7), (3, 3, 7), (5, 5, 3), (4, 6, 9)])
def test_the_numbers_are_those_of_the_definitions(classes, outputs, width):
    """Classes of unequal numbers; more classes than features; and two classes of the net that no sample has."""
    labels = GENERATOR.permutation(np.repeat(np.arange(classes), np.arange(3, 3 + classes)))
    labels += labels > 1 if outputs > classes else 0  # class 2 is absent
    h = np.maximum(GENERATOR.standard_normal((len(labels), width)) + GENERATOR.standard_normal((9, width))[labels], 0)
    last = GENERATOR.standard_normal((outputs, width))
    found = of_features(torch.tensor(h), torch.tensor(labels), torch.tensor(last))
    expected = brute(h, labels, last)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-12)
    p = np.linalg.svd(h, compute_uv=False) / np.linalg.svd(h, compute_uv=False).sum()
    assert found["feature_effective_rank"] == pytest.approx(np.exp(-np.sum(p * np.log(p))))
    assert found["feature_stable_rank"] == pytest.approx(np.linalg.norm(h) ** 2 / np.linalg.norm(h, 2) ** 2)
    assert found["no_neural_collapse"] is None


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_a_perfectly_collapsed_net_has_none_of_what_collapses(classes):
    """Every sample at its class mean, the means a simplex beside any centre, U along them."""
    turned, _ = np.linalg.qr(GENERATOR.standard_normal((9, 9)))
    simplex = (np.eye(classes) - 1 / classes) @ turned[:classes]
    labels = np.repeat(np.arange(classes), np.arange(2, 2 + classes))
    h = (3 * simplex + GENERATOR.standard_normal(9))[labels]
    last = 5 * (simplex[1:] - simplex[:1] if classes == 2 else simplex)
    found = of_features(torch.tensor(h), torch.tensor(labels), torch.tensor(last))
    for name in ("nc1", "within_over_between", "nc2_norms", "nc2_angles", "nc3"):
        assert found[name] == pytest.approx(0, abs=1e-12), name
    opposite = of_features(torch.tensor(h), torch.tensor(labels), torch.tensor(-last))
    assert opposite["nc3"] == pytest.approx(2)


def test_each_number_sees_its_own_fault():
    """A class with spread, a longer mean, a turned mean and another U: what leaves the simplex is told."""
    simplex = np.eye(3) - 1 / 3
    labels = np.array([0, 0, 1, 1, 2, 2])

    def found(h, last=simplex):
        one = of_features(torch.tensor(h), torch.tensor(labels), torch.tensor(last))
        return {name for name in ("nc1", "within_over_between", "nc2_norms", "nc2_angles", "nc3") if one[name] > 1e-6}

    spread = np.array([1, -1, 0, 0, 0, 0])[:, None] * np.ones(3) * 0.1
    assert found(simplex[labels] + spread) == {"within_over_between"}  # across all class means: S_B has nothing there
    along = np.array([1, -1, 0, 0, 0, 0])[:, None] * simplex[0]
    assert found(simplex[labels] + 0.1 * along) == {"nc1", "within_over_between"}
    assert found(simplex[labels], simplex[[1, 0, 2]]) == {"nc3"}
    assert {"nc2_norms", "nc3"} <= found((simplex * np.array([[1], [1], [3]]))[labels])
    wide = np.array([[1.0, 0, 0], [-0.8, 0.6, 0], [-0.8, -0.6, 0]])
    assert "nc2_angles" in found(wide[labels])


def test_scale_and_shift_of_features_change_nothing():
    labels = torch.arange(20) % 4
    h, last = torch.tensor(GENERATOR.standard_normal((20, 6))), torch.tensor(GENERATOR.standard_normal((4, 6)))
    once, scaled = of_features(h, labels, last), of_features(1e-30 * h, labels, last)
    assert once.pop("no_neural_collapse") is scaled.pop("no_neural_collapse") is None
    assert scaled == pytest.approx(once, rel=1e-9)
    moved = of_features(h + 3, labels, last)
    for name in ("nc1", "within_over_between", "nc2_norms", "nc2_angles", "nc3"):
        assert moved[name] == pytest.approx(once[name])


@pytest.mark.parametrize(
    ("h", "labels", "why"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], None, "a regression has no classes"),
        ([[1.0, 2.0], [3.0, 4.0]], [1, 1], "the training samples are of one class"),
        ([[0.1, 0.2], [0.3, 0.4], [0.2, 0.3]], [0, 0, 1], "the means of all classes are equal"),
        ([[0.0, 0.0], [0.0, 0.0]], [0, 1], "the means of all classes are equal"),
        ([[1.0, np.nan], [0.0, 0.0]], [0, 1], "the weights are not finite"),
    ],
)
def test_what_is_undefined_is_null_with_a_reason(h, labels, why):
    found = of_features(torch.tensor(h, dtype=torch.float64), None if labels is None else torch.tensor(labels), None)
    assert found["no_neural_collapse"] == why
    assert {found[name] for name in ("nc1", "within_over_between", "nc2_norms", "nc2_angles", "nc3")} == {None}
    known = np.isfinite(h).all() and np.any(h)
    assert (found["feature_effective_rank"] is not None) == (found["feature_stable_rank"] is not None) == known


@pytest.mark.parametrize("change", [{}, {"activation": "tanh", "normalisation": "layer", "bias": True}])
def test_features_of_dense_layers_are_the_outputs_of_the_layer_before(change):
    axes = {name: axis.default for name, axis in AXES.items()} | {"widths": (6, 5)} | change
    net = nets.of(axes, (4,), 3)
    weights = net.initial(0, torch.float64)
    x = torch.tensor(GENERATOR.standard_normal((8, 4)))
    y = torch.eye(3, dtype=torch.float64)[torch.arange(8) % 3]
    given = features(net, weights, x, y, "multiclass")
    assert torch.equal(given[0], x)
    if not change:
        hidden = (x @ weights[0].T).relu()
        assert torch.allclose(given[1], hidden) and torch.allclose(given[2], (hidden @ weights[1].T).relu())
    assert [h.shape for h in given] == [(8, 4), (8, 6), (8, 5)]
    assert (given[1].abs() > 1e-6).any() and (change or given[2].min() >= 0)


def test_features_of_a_convolution_are_means_over_its_places():
    axes = {name: axis.default for name, axis in AXES.items()} | {"net": "convnet", "widths": (2, 3)}
    net = nets.of(axes, (4, 4, 1), 3)
    x = torch.tensor(GENERATOR.standard_normal((5, 16)))
    y = torch.eye(3, dtype=torch.float64)[torch.arange(5) % 3]
    weights = net.initial(0, torch.float64)
    given = features(net, weights, x, y, "multiclass")
    assert [h.shape[1] for h in given] == [columns for _, columns in net.matrices.values()]
    # A 3 x 3 kernel at its 16 places in a frame of zeros: its middle sees each pixel once.
    assert torch.allclose(given[0][:, 4], x.mean(1))
    corner = x.unflatten(1, (4, 4))[:, :3, :3].sum((1, 2)) / 16
    assert torch.allclose(given[0][:, 0], corner)
    assert torch.equal(features(net, weights, x[:2], y[:2], "multiclass")[1], given[1][:2])


def test_the_table_has_every_matrix_at_every_snapshot_on_the_labels_trained_on():
    x = torch.tensor(GENERATOR.standard_normal((60, 4)))
    y = (torch.arange(60) % 3).long()
    data = a_dataset("multiclass", 3, x, y, 40)
    weights = [torch.tensor(GENERATOR.standard_normal(shape)).float() for shape in ((6, 4), (5, 6), (3, 5))]
    records = {
        "plain": a_record(weights, data, widths=(6, 5)),
        "noisy": a_record(weights, data, widths=(6, 5), label_noise=0.3),
        "noisier": a_record(weights, data, widths=(6, 5), label_noise=0.6),
        "other": a_record(weights, data, widths=(6, 5), label_noise=0.3, seed=1),
        "lost": a_record([weights[0] * torch.nan, *weights[1:]], data, widths=(6, 5)),
    }
    table = neural_collapse(Inputs(stack="toy", records=records, data=data)).to_pandas()
    assert list(zip(table["cell"], table["step"], table["matrix"], strict=True)) == [
        (cell, step, matrix) for cell in records for step in (0, 50) for matrix in ("V", "W2", "U")
    ]
    rows = table.set_index(["cell", "step", "matrix"]).sort_index()
    hidden = (x[:40] @ weights[0].double().T).relu()
    last = (hidden @ weights[1].double().T).relu()
    expected = brute(last.numpy(), y[:40].numpy(), weights[2].double().numpy())
    own = rows.loc[("plain", 50, "U")]
    assert {name: own[name] for name in expected} == pytest.approx(expected)
    assert rows.loc[("plain", 50, "W2"), "nc1"] == pytest.approx(brute(hidden.numpy(), y[:40].numpy())["nc1"])
    assert rows.loc[("plain", 50, "W2"), "nc3"] != rows.loc[("plain", 50, "W2"), "nc3"]  # null
    assert rows.loc[("noisy", 50, "U"), "nc1"] != own["nc1"]
    assert rows.loc[("plain", 0, "V"), "nc1"] == rows.loc[("plain", 50, "V"), "nc1"]
    assert len({rows.loc[(cell, 0, "V"), "nc1"] for cell in ("plain", "noisy", "noisier", "other")}) == 4
    assert rows.loc[("plain", 0, "V"), "nc1"] == pytest.approx(brute(x[:40].numpy(), y[:40].numpy())["nc1"])
    assert set(rows.loc[("lost", 50), "no_neural_collapse"]) == {"the weights are not finite"}
    assert rows.loc[("lost", 50), "feature_stable_rank"].isna().all()
