"""Certificates of any net: against the gradient of every sample by autograd, and what normalisation does to them."""

import math

import numpy as np
import pytest
import torch
from support import a_cell, a_dataset
from textbook import make_data, normal

from ranktwo.analysis import optimality, spectra, truncation
from ranktwo.analysis.bounds import table as bounds
from ranktwo.analysis.certificates import table as certificates
from ranktwo.analysis.certificates.chain import layer_certificates
from ranktwo.analysis.inputs import Inputs
from ranktwo.data.dataset import training_data
from ranktwo.nets import net as nets
from ranktwo.progress import Progress
from ranktwo.store.records import Record
from ranktwo.training import recording

SAMPLES, BATCH = 18, 4
KINDS = [
    {"activation": "gelu", "widths": (7, 6)},
    {"activation": "tanh", "bias": True, "widths": (7,)},
    {"activation": "relu", "normalisation": "layer", "widths": (9, 8)},
    {"activation": "leaky-relu", "normalisation": "layer", "bias": True, "widths": (9,)},
    {"net": "convnet", "activation": "gelu", "bias": True, "widths": (3, 4)},
    {"net": "resnet", "normalisation": "layer", "widths": (2, 3)},
    {"net": "transformer", "activation": "gelu", "bias": True, "normalisation": "layer", "widths": (32,)},
]
IMAGE = (3, 5, 1)
"""Of the samples, where a net needs images."""
INPUTS = 15


def data_of(kind: dict, samples: int) -> tuple[torch.Tensor, torch.Tensor, tuple[int, ...]]:
    """x [N, n], targets [N, 3] and the shape of a sample."""
    if "net" not in kind:
        x, targets = make_data("multiclass", samples=samples)
        return x, targets, (x.shape[1],)
    return normal(samples, INPUTS, seed=5), make_data("multiclass", samples=samples)[1], IMAGE


def sample_gradients(net: nets.Net, weights: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> list[np.ndarray]:
    """g_i of each matrix by autograd, a sample at a time, [N, out, in]."""
    found = []
    for one, label in zip(x, y, strict=True):
        own = [weight.clone().requires_grad_() for weight in weights]
        loss = torch.nn.functional.cross_entropy(net.call(own, one[None]), label[None])
        found.append(torch.autograd.grad(loss, own))
    return [torch.stack(layer).numpy() for layer in zip(*found, strict=True)][: len(net.matrices)]


def check(row: dict[str, torch.Tensor], w: np.ndarray, g: np.ndarray, mu: float, rank: int) -> None:
    """The columns of a matrix against every g_i [N, out, in]."""
    a, norm, mean = g + mu * w, np.linalg.norm(w), g.mean(0)
    size, s = np.linalg.norm(a, axis=(1, 2)), np.linalg.svd(w, compute_uv=False)
    whole = np.linalg.norm(mean + mu * w)
    expected = {
        "norm": norm,
        "sample_rank": rank,
        "d_sample_rank": np.linalg.norm(s[rank:]),
        "sample_min": size.min() / mu,
        "sample_max": size.max() / mu,
        "eps_upper": size.max(),
        "bound_upper": (2 * BATCH - 1) * size.max() / mu,
        "gradient_norm": whole,
        "weyl_gap": np.abs(s - np.linalg.svd(mean, compute_uv=False) / mu).max(),
        "scale_invariance": abs((mean * w).sum()) / norm / np.linalg.norm(mean),
    }
    for name, value in expected.items():
        assert row[name].item() == pytest.approx(value, rel=1e-9, abs=1e-9), name
    # The search meets batches alone, and at least what the chain guarantees.
    assert whole <= row["eps_lower"].item() * (1 + 1e-9) and row["eps_lower"] <= row["eps_upper"]
    batch = np.argsort(-(a * a[size.argmax()]).sum((1, 2)), kind="stable")[:BATCH]
    assert row["eps_batch"].item() >= np.linalg.norm(a[batch].mean(0)) * (1 - 1e-9)
    assert row["d_sample_rank"] <= row["sample_min"] * (1 + 1e-12) <= row["bound_upper"] * (1 + 1e-9)
    for one in g:
        assert np.linalg.matrix_rank(one, tol=1e-10) <= rank


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_certificates_are_those_of_every_sample_s_gradient_by_autograd(kind):
    x, targets, shape = data_of(kind, SAMPLES)
    net = nets.of(vars(a_cell(**kind)), shape, 3)
    weights = [weight + 0.3 for weight in net.initial(3, torch.float64)]
    gradients = sample_gradients(net, weights, x, targets.argmax(1))
    mu = torch.tensor([0.1, 0.3], dtype=torch.float64)
    stacked = [torch.stack([weight, weight]) for weight in weights]
    rows = layer_certificates(stacked, x, targets, "multiclass", weight_decay=mu, batch_size=BATCH, net=net)
    assert len(rows) == len(net.matrices)
    ranks = [min(places, *size) for places, size in zip(net.places.values(), net.matrices.values(), strict=True)]
    assert max(ranks) > 1 or "net" not in kind
    for row, weight, g, rank in zip(rows, weights[: len(rows)], gradients, ranks, strict=True):
        for cell, decay in enumerate(mu.tolist()):
            check({name: values[cell] for name, values in row.items()}, weight.numpy(), g, decay, rank)
    assert rows[0]["data_floor"].isfinite().all() == ("net" not in kind) and rows[1]["data_floor"].isnan().all()


@pytest.mark.parametrize("bias", [False, True])
def test_where_outputs_are_normalised_the_theorem_is_above_its_floor_and_elsewhere_below(bias):
    """Two layers with normalisation: V's bound is at least (2B - 1) ||V|| with any weights, that of U is not."""
    x, targets = make_data("multiclass", samples=SAMPLES)
    net = nets.of(vars(a_cell(normalisation="layer", bias=bias, widths=(12,))), (x.shape[1],), 3)
    weights = [30 * weight[None] for weight in net.initial(0, torch.float64)]
    for decay in (1e-3, 0.1, 10.0):
        facts = {"weight_decay": torch.tensor([decay]), "batch_size": BATCH, "net": net}
        v, u = layer_certificates(weights, x, targets, "multiclass", **facts)
        assert v["scale_invariance"].item() < 1e-4 < 1e-2 < u["scale_invariance"].item()
        assert v["vacuity_lower"].item() >= (2 * BATCH - 1) * (1 - 1e-4)
    # Equal samples, and U at the fixed point of its gradient with decay, W = -gbar/mu: there is no floor for U.
    x, targets, v, u = x[:1].expand(SAMPLES, -1), targets[:1].expand(SAMPLES, -1), weights[0][0], weights[1][0]
    for _ in range(300):
        uses, _ = net.uses([v, u, *(weight[0] for weight in weights[2:])], x, targets, "multiclass")
        u = 0.9 * u - 0.1 * torch.bmm(uses[1].delta.mT, uses[1].h).mean(0)
    weights[1], facts["weight_decay"] = u[None], torch.tensor([1.0])
    v, u = layer_certificates(weights, x, targets, "multiclass", **facts)
    assert u["vacuity_upper"].item() < 1e-3 and v["vacuity_lower"].item() >= (2 * BATCH - 1) * (1 - 1e-4)


def test_a_net_that_is_not_finite_has_no_numbers_and_costs_the_others_nothing():
    x, targets = make_data("multiclass", samples=SAMPLES)
    net = nets.of(vars(a_cell(**KINDS[1])), (x.shape[1],), 3)
    weights = [torch.stack([weight, weight, weight]) for weight in net.initial(0, torch.float64)]
    weights[1][1, 0, 0] = math.nan
    facts = {"weight_decay": torch.tensor([0.1, 0.1, 0.1]), "batch_size": BATCH, "net": net}
    for row in layer_certificates(weights, x, targets, "multiclass", **facts):
        for name, values in row.items():
            assert values[1].isnan() or name == "sample_rank", name
            assert values[0].isnan() if values[2].isnan() else values[0] == values[2], name


def records_of(**axes) -> Inputs:
    """Two cells of a kind of net, trained for some steps, as analyses read them."""
    x, y, shape = data_of(axes, 30)
    data = a_dataset("multiclass", 3, x.float(), y.argmax(1), 20)
    data.metadata["image"] = shape if len(shape) == 3 else None
    cells = {f"cell {seed}": a_cell(seed=seed, steps=20, batch_size=5, weight_decay=0.1, **axes) for seed in (0, 1)}
    bar = Progress("toy", 1, "cell-steps")
    records = recording.train(cells, data, snapshots=2, device="cpu", progress=bar)
    data = a_dataset("multiclass", 3, x.float().double(), y.argmax(1), 20)
    data.metadata.update(critical_decay=1.0, image=shape if len(shape) == 3 else None)
    return Inputs(stack="toy", records=records, data=data, settings={"percentile": 10, "delta": 0.01})


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_the_theory_does_not_cover_is_null_with_a_reason_and_the_rest_is_there(kind):
    inputs = records_of(**kind)
    [record, _] = inputs.records.values()
    judged = certificates.certificates(inputs).to_pylist()
    assert [row["matrix"] for row in judged[: len(record.weights)]] == list(record.weights)
    assert {row["matrix"] for row in judged} == set(record.weights)
    for row in judged:
        assert row["not_covered"] and row["critical_decay"] is row["pair_bound"] is row["dead_fraction"] is None
        assert row["null_reason"] is None and row["vacuity_upper"] > 0 and row["sample_rank"] >= 1
        assert (row["memory_rank"] is not None) == (row["matrix"] == "V" and "net" not in kind)
    for row in bounds.bounds(inputs).to_pylist():
        assert row["margin"] is not None and row["no_bounds"]
        assert {value for name, value in row.items() if name not in ("cell", "margin", "no_bounds")} == {None}
    for row in optimality.optimality(inputs).to_pylist():
        assert row["dual_ratio"] is None and row["no_certificate"]
    matrices = spectra.spectra(inputs).to_pylist()
    assert {row["matrix"] for row in matrices} == {*record.weights, *record.products}
    assert bool(record.products) == (kind.get("net") == "transformer")
    for row in matrices:
        if row["step"] == 0:
            assert (row["rank_gavish_donoho"] is None) == (row["factors"] is not None) == (row["imbalance"] is not None)


@pytest.mark.parametrize("kind", KINDS[1:5], ids=str)
def test_a_truncated_net_is_the_net_with_v_cut_to_its_rank(kind):
    inputs = records_of(**kind)
    [record, _] = inputs.records.values()
    found = truncation.row("a", record, inputs.data)
    net = nets.of(record.cell, inputs.data.shape, 3)
    assert (found["plane_1"] is None) == ("net" in kind)
    x, y = training_data(record.cell, inputs.data)
    weights = record.whole_net(-1)
    p, s, qt = np.linalg.svd(weights[0].numpy(), full_matrices=False)
    for place, rank in enumerate(found["truncation_ranks"]):
        cut = torch.from_numpy(p[:, :rank] * s[:rank] @ qt[:rank])
        shrunk = weights[0] * np.linalg.norm(s[:rank]) / np.linalg.norm(s)
        for name, v in (("truncated", cut), ("shrunk", shrunk)):
            f = net.call([v, *weights[1:]], x)
            loss = torch.nn.functional.cross_entropy(f, y.argmax(1)).item()
            assert found[f"{name}_train_loss"][place] == pytest.approx(loss, rel=1e-9)
    assert found["truncated_train_loss"][-1] == pytest.approx(record.history["train_loss"][-1], rel=1e-9)


def test_the_noise_of_a_net_of_another_kind_is_measured_at_its_start():
    cell = vars(a_cell(weight_decay=0.2)) | {"net": "its-own", "outputs": 1, "decay": "coupled", "plain": True}
    start = normal(6, 4, seed=1)
    record = Record(cell=cell, identity="", steps=[0, 50], weights={"V": torch.stack([start, start])})
    [first, last] = spectra.rows_of(record, "a", ["rank_marchenko_pastur"])["rank_marchenko_pastur"]
    sd = start.square().mean().sqrt()
    s = np.linalg.svd(start.numpy(), compute_uv=False)
    edge = (math.sqrt(6) + math.sqrt(4)) * sd.item()
    assert first == (s > edge).sum() and last == (s > edge * (1 - 0.05 * 0.2) ** 50).sum() > first
