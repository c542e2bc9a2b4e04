"""Every rate, bound and measure against its value by hand."""

from math import e, log, log2, sqrt

import numpy as np
import pytest
import torch
from hand_nets import DELTA, GAMMA, HAND, TOTAL, U0, V0, B, N, U, V, X, Y, binary_net, deep_net, hand_net, tensors

from ranktwo.analysis.bounds.net import Net, margins
from ranktwo.analysis.bounds.register import evaluate

ELSEWHERE = {"golowich2018_bound", "ledent2025_schatten_rate"}  # each has its own test


def test_every_formula_against_its_value_by_hand():
    values = evaluate(hand_net())
    by_rank = {name for name in values if name.endswith(("_rank_2", "_energy_99"))}
    assert set(values) == set(HAND) | ELSEWHERE | by_rank, "every registered formula needs a value by hand here"
    for name, value in HAND.items():
        assert values[name] == pytest.approx(value, rel=1e-12), name
    for name in by_rank:  # both matrices have rank 2 = min(out, in), and no product of thin factors is smaller
        assert values[name] == pytest.approx(HAND[name.replace("rank_2", "dense").replace("energy_99", "dense")])


def test_golowich_binary_bound_by_hand():
    value = evaluate(binary_net())["golowich2018_bound"]
    rademacher = (sqrt(4 * log(2)) + 1) * 10 * sqrt(5) * TOTAL / N
    assert value == pytest.approx(2 * rademacher / GAMMA + 3 * sqrt(log(2 / DELTA) / (2 * N)), rel=1e-12)


def test_schatten_rate_takes_the_best_p_of_each_layer():
    def term(p, lipschitz, s, size):  # as in the theorem, one p at a time
        return lipschitz ** (2 * p / (p + 2)) * sum(v**p for v in s) ** (2 / (p + 2)) * size ** (2 / (p + 2))

    grid = [0.05 * k for k in range(41)]
    lipschitz = B * 16
    expected = sum(min(term(p, lipschitz, s, 5) for p in grid) for s in ((1, 6 / 8), (1, 1 / 2)))
    value = evaluate(hand_net())["ledent2025_schatten_rate"]
    assert value == pytest.approx(sqrt(2 * expected / N), rel=1e-12)

    # B prod s(W) = 0.1 makes p = 2 the best: (0.1^1) (sum s^2/s_1^2)^(1/2) (out + in)^(1/2)
    small = Net.of(
        [w * sqrt(0.1 / lipschitz) for w in tensors(V, U)], tensors(V0, U0), *tensors(X, Y), task="multiclass"
    )
    by_norm = 0.1 * (sqrt((100 / 64) * 5) + sqrt((5 / 4) * 5))
    assert evaluate(small)["ledent2025_schatten_rate"] == pytest.approx(sqrt(2 * by_norm / N), rel=1e-12)


def rank_one_net(noise=0.0, **facts):
    """A 10 x 8 matrix of rank one, but for `noise`, and one output."""
    generator = torch.Generator().manual_seed(0)
    v = torch.ones(10, 1) @ torch.arange(1.0, 9)[None] + noise * torch.randn(10, 8, generator=generator)
    weights = [v, torch.ones(1, 10)]
    x = torch.rand(40, 8, generator=generator)
    return Net.of(weights, weights, x, torch.ones(40, 1), "binary", delta=DELTA, **facts)


def test_factored_nets_by_hand():
    values = evaluate(rank_one_net())
    # rank 2: 2 * 18 = 36 < 80 weights; U has min(2, 1) = 1, and 1 * 11 > 10 stays dense. energy-99: rank 1, 18 weights.
    assert values["parameters_dense"] == 90
    assert values["parameters_rank_2"] == 36 + 10
    assert values["parameters_energy_99"] == 18 + 10
    # V = A B is of degree 2 in the weights, so the output is of degree 3: R = 2 * 10 + 3 * 1.
    r = 2 * 10 + 3 * 1
    rank_2 = 2 + (36 + 46) * log2(8 * e * r * log2(4 * e * r))
    assert values["pseudo_dimension_rank_2"] == pytest.approx(rank_2, rel=1e-12)
    energy = 2 + (18 + 28) * log2(8 * e * r * log2(4 * e * r))
    assert values["pseudo_dimension_energy_99"] == pytest.approx(energy, rel=1e-12)
    # min(10, 8) * min(1, 10) = 8 ranks to choose from
    expected = sqrt((8 * energy + 8 * log(2 * 8 / DELTA)) / 40)
    assert values["vc_bound_energy_99"] == pytest.approx(expected, rel=1e-12)


def test_vc_bound_uses_the_number_of_samples_once_it_exceeds_the_dimension():
    net = rank_one_net()
    many = Net(**{**net.__dict__, "samples": 10**6})
    d = evaluate(many)["pseudo_dimension_dense"]
    expected = sqrt((8 * d * log(e * 10**6 / d) + 8 * log(2 / DELTA)) / 10**6)
    assert evaluate(many)["vc_bound_dense"] == pytest.approx(expected, rel=1e-12)
    assert expected < 1


def test_rank_is_counted_in_the_precision_of_training():
    # Exactly rank one in float32; in float64 its rounding errors would count as rank.
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(10, 1, generator=generator) @ torch.randn(1, 8, generator=generator)
    weights = [v, torch.ones(1, 10)]
    inputs = torch.rand(40, 8), torch.ones(40, 1), "binary"
    expected = sqrt(2 * (1 * 18 + 1 * 11) / 40)
    assert evaluate(Net.of(weights, weights, *inputs))["ledent2025_rank_rate"] == pytest.approx(expected)
    naive = Net.of(weights, weights, *inputs, trained_in=torch.float64)
    assert evaluate(naive)["ledent2025_rank_rate"] > 1.5 * expected


def test_three_layers_by_definition():
    net = deep_net()
    values = evaluate(net)
    v, w, u = net.weights
    paths = sum(
        abs(u[k, j] * w[j, i] * v[i, h]) for k in range(3) for j in range(5) for i in range(9) for h in range(6)
    )
    assert values["path_norm_1"] == pytest.approx(paths / sqrt(30))
    spectral = np.prod([np.linalg.norm(a, 2) for a in net.weights])
    assert values["product_spectral"] == pytest.approx(spectral / sqrt(30))
    rows = [sum(np.linalg.norm(row) for row in a - b) for a, b in zip(net.weights, net.initial, strict=True)]
    ratios = sum((d / np.linalg.norm(a, 2)) ** (2 / 3) for d, a in zip(rows, net.weights, strict=True))
    expected = net.total_input * spectral * ratios**1.5 * log(9) / (net.margin * 30)
    assert values["bartlett2017_rate"] == pytest.approx(expected)
    # 54, 54 + 45, 54 + 45 + 15 weights; R = 9 + 2 * 5 + 3 * 3
    r = 9 + 2 * 5 + 3 * 3
    dimension = 3 + (54 + 99 + 114) * log2(8 * e * r * log2(4 * e * r))
    assert values["pseudo_dimension_dense"] == pytest.approx(dimension)


def test_margins_by_definition():
    assert hand_net(percentile=0.0).margin == 8
    assert hand_net(percentile=100.0).margin == 36
    assert hand_net(percentile=10.0).margin == pytest.approx(8 + 0.3 * (12 - 8))  # a tenth of the way over 3 intervals
    assert binary_net(labels=(1, 1, 1, 1)).margin == 8
    assert binary_net(labels=(1, 1, 0, 1)).margin == -36
    outputs, targets = torch.tensor([[3.0, 5.0, 4.0], [7.0, 1.0, 2.0], [-1.0, -3.0, -2.0]]), torch.eye(3)[[2, 0, 0]]
    assert margins(outputs, targets, "multiclass").tolist() == [-1.0, 5.0, 1.0]


@pytest.mark.parametrize(
    ("m", "n", "samples", "dense", "rank_two"),
    [
        (512, 784, 60000, 21.4, 1.22),
        (2048, 784, 60000, 47.4, 1.99),
        (512, 8, 16512, 3.88, 1.38),
        (128, 8, 16512, 1.71, 0.62),
    ],
)
def test_magnitudes_of_the_rates(m, n, samples, dense, rank_two):
    values = evaluate(sized_net(m, n, 1, samples))
    assert values["chen2024_dense_rate"] == pytest.approx(dense, abs=0.05 if dense > 10 else 0.005)
    assert values["chen2024_rank_two_rate"] == pytest.approx(rank_two, abs=0.005)


def sized_net(m, n, c, samples, task="binary"):
    weights = (np.zeros((m, n)), np.zeros((c, m)))
    return Net(
        task=task,
        weights=weights,
        initial=weights,
        singular_values=tuple(np.zeros(min(w.shape)) for w in weights),
        samples=samples,
        margin=1.0,
        largest_input=1.0,
        total_input=sqrt(samples),
        initial_activity=0.0,
        delta=0.01,
        epsilon=1e-7,
    )


def test_additive_term_of_neyshabur_2019_alone():
    # With U = 0 and V = V(0) = 0 what remains is R = 3 sqrt(2) (sqrt(2c) + 1) / gamma and 3 sqrt(5 m + ..): 0.62 at
    # m = 512, N = 60,000, before anything is learnt.
    value = evaluate(sized_net(512, 784, 10, 60000, "multiclass"))["neyshabur2019_bound"]
    rest = 3 * sqrt(2) * (sqrt(20) + 1) / sqrt(60000)
    assert value - rest == pytest.approx(3 * sqrt(5 * 512 + log(sqrt(60000) / 0.01)) / sqrt(60000))
    assert value - rest == pytest.approx(0.62, abs=0.005)


def test_known_singular_values_and_outputs_are_used_and_change_nothing():
    net = hand_net()
    (outputs,) = tensors([[12, 0], [0, 8], [36, 0], [0, 16]])
    given = hand_net(outputs=outputs, singular_values=tensors([8, 6], [2, 1]))
    assert evaluate(given) == pytest.approx(evaluate(net), nan_ok=True)
    assert hand_net(singular_values=tensors([9, 6], [2, 1])).spectral[0] == 9
    assert hand_net(outputs=outputs / 2).margin == 4
