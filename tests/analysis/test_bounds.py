import math
from math import e, log, log2, sqrt

import numpy as np
import pytest
import torch

from ranktwo.analysis.bounds import net, register, table
from ranktwo.analysis.bounds.net import Net
from ranktwo.analysis.bounds.register import REGISTRY
from ranktwo.data import dataset
from ranktwo.nets import initial, mlp
from ranktwo.store.columns import COLUMNS


# A net whose every norm can be read off.
# V has singular values 8, 6 (||V|| = 10) and U has 2, 1 (||U|| = sqrt 5); the differences to the initial matrices are
# V - V0 = [[0, 0], [3, 4], [0, 12]]: norm 13, row norms summing to 5 + 12 = 17 (column norms to 3 + sqrt 160);
# U - U0 = [[0, 0, 0], [3, 0, 4]]: norm 5, row norms summing to 5 (column norms to 7).
V = [[6, 0], [0, 8], [0, 0]]
V0 = [[6, 0], [-3, 4], [0, -12]]
U = [[2, 0, 0], [0, 1, 0]]
U0 = [[2, 0, 0], [-3, 1, -4]]
# ||x||^2 = 1, 1, 9, 4, so B = 3 and the total is 15. V0 x = (6,-3,0), (0,4,-12), (18,-9,0), (0,8,-24): after the
# ReLU the squared norms are 36, 16, 324, 64 with mean 110.
X = [[1, 0], [0, 1], [3, 0], [0, 2]]
# Outputs (12,0), (0,8), (36,0), (0,16); labels 0, 1, 0, 1: margins 12, 8, 36, 16.
Y = [[1, 0], [0, 1], [1, 0], [0, 1]]
GAMMA, N, B, TOTAL, RMS, DELTA = 8.0, 4, 3.0, sqrt(15), sqrt(15 / 4), 0.01


def tensors(*matrices):
    return [torch.tensor(matrix, dtype=torch.float64) for matrix in matrices]


def hand_net(**changes):
    facts = {"task": "multiclass", "percentile": 0.0, "delta": DELTA} | changes
    return Net.of(tensors(V, U), tensors(V0, U0), *tensors(X, Y), **facts)


# The same V, one output: U = [2, 1, 0] with s = ||U|| = sqrt 5; logits 12, 8, 36, 16, labels all 1: margins as above.
def binary_net(labels=(1, 1, 1, 1), **changes):
    facts = {"task": "binary", "percentile": 0.0, "delta": DELTA} | changes
    targets = torch.tensor(labels, dtype=torch.float64)[:, None]
    return Net.of(tensors(V, [[2, 1, 0]]), tensors(V0, [[2, 1, 0]]), *tensors(X), targets, **facts)


R_A = 16 * ((17 / 8) ** (2 / 3) + (5 / 2) ** (2 / 3)) ** 1.5
# Two layers: 3*2 + 2*3 = 12 weights, 6 of them seen by layer 1, and m + 2c = 7.
DIMENSION = 2 + (6 + 12) * log2(8 * e * 7 * log2(4 * e * 7))

HAND = {
    "chen2024_dense_rate": sqrt(3 * 2 * log(3) * log(4) / 4),
    "chen2024_rank_two_rate": sqrt(5 * log(3) * log(4) / 4),
    "bartlett2017_rate": TOTAL * R_A * log(3) / (GAMMA * N),
    # stable ranks 100/64 and 5/4; h = 3, L = 2
    "neyshabur2018_rate": sqrt(B**2 * 4 * 3 * log(6) * 16**2 * (100 / 64 + 5 / 4) / (GAMMA**2 * N)),
    "golowich2018_rate": B * (sqrt(4 * log(2)) + 1) * 10 * sqrt(5) / 2,
    "ledent2025_rank_rate": sqrt(2 * (2 * 5 + 2 * 5) / N),
    "parameters_dense": 12,
    "pseudo_dimension_dense": DIMENSION,
    "vc_bound_dense": sqrt((8 * 2 * DIMENSION * 1 + 8 * log(2 / DELTA)) / N),  # D > N, so the logarithm is ln e
    "neyshabur2015_bound": (8 * sqrt(2) * 10 * sqrt(5) * RMS / GAMMA + 3 * sqrt(log(N / DELTA))) / 2,
    "bartlett2017_bound": (
        144 * log(4) * log(24) * (RMS + 1 / 2) * R_A / GAMMA
        + sqrt(4.5 * log(100) + log(8 / GAMMA) + 2 * log(2 + TOTAL) + 2 * log((2 + 26) * (2 + 10) * (2 + 16) * (2 + 4)))
    )
    / 2,
    "neyshabur2018_bound": sqrt(
        (
            (42 * 8 * 8 * sqrt(log(24)) * B * sqrt(3 * (2 * 13) ** 2 + 2 * (8 * 5) ** 2) / (sqrt(2) * GAMMA)) ** 2
            + 6 * log(8 / DELTA)
        )
        / N
    ),
    "neyshabur2019_bound": (
        3 * sqrt(2) * (2 + 1) * (sqrt(5) + 1) * (sqrt(110) + 13 * RMS + 1) / GAMMA
        + 3 * sqrt(5 * 3 + log(GAMMA * 2 / DELTA))
    )
    / 2,
    "product_frobenius": 10 * sqrt(5) / 2,
    "product_spectral": 16 / 2,
    # |V| 1 = (6, 8, 0), |U| (6, 8, 0) = (12, 8); squares: (36, 64, 0) and (144, 64)
    "path_norm_1": 20 / 2,
    "path_norm_2": sqrt(208) / 2,
    "frobenius_over_spectral": sqrt((100 / 64 + 5 / 4) / N),
    "spectral_stable_rank": 16 * sqrt((100 / 64 + 5 / 4) / N),
    "spectral_distance": 16 * sqrt((169 / 64 + 25 / 4) / N),
    "distance_frobenius": sqrt((169 + 25) / N),
    "norm_frobenius": sqrt(105 / N),
    "inverse_margin": 1 / (GAMMA * 2),
}
HAND |= {
    f"{name}_over_margin": HAND[name] / GAMMA
    for name in (
        "product_frobenius",
        "product_spectral",
        "path_norm_1",
        "path_norm_2",
        "spectral_stable_rank",
        "spectral_distance",
    )
}
ELSEWHERE = {"golowich2018_bound", "ledent2025_schatten_rate"}  # each has its own test


def test_every_formula_against_its_value_by_hand():
    values = register.evaluate(hand_net())
    by_rank = {name for name in values if name.endswith(("_rank_2", "_energy_99"))}
    assert set(values) == set(HAND) | ELSEWHERE | by_rank, "every registered formula needs a value by hand here"
    for name, value in HAND.items():
        assert values[name] == pytest.approx(value, rel=1e-12), name
    for name in by_rank:  # both matrices have rank 2 = min(out, in), and no product of thin factors is smaller
        assert values[name] == pytest.approx(HAND[name.replace("rank_2", "dense").replace("energy_99", "dense")])


def test_golowich_binary_bound_by_hand():
    value = register.evaluate(binary_net())["golowich2018_bound"]
    rademacher = (sqrt(4 * log(2)) + 1) * 10 * sqrt(5) * TOTAL / N
    assert value == pytest.approx(2 * rademacher / GAMMA + 3 * sqrt(log(2 / DELTA) / (2 * N)), rel=1e-12)


def test_schatten_rate_takes_the_best_p_of_each_layer():
    def term(p, lipschitz, s, size):  # as in the theorem, one p at a time
        return lipschitz ** (2 * p / (p + 2)) * sum(v**p for v in s) ** (2 / (p + 2)) * size ** (2 / (p + 2))

    grid = [0.05 * k for k in range(41)]
    lipschitz = B * 16
    expected = sum(min(term(p, lipschitz, s, 5) for p in grid) for s in ((1, 6 / 8), (1, 1 / 2)))
    value = register.evaluate(hand_net())["ledent2025_schatten_rate"]
    assert value == pytest.approx(sqrt(2 * expected / N), rel=1e-12)

    # B prod s(W) = 0.1 makes p = 2 the best: (0.1^1) (sum s^2/s_1^2)^(1/2) (out + in)^(1/2)
    small = Net.of(
        [w * sqrt(0.1 / lipschitz) for w in tensors(V, U)], tensors(V0, U0), *tensors(X, Y), task="multiclass"
    )
    by_norm = 0.1 * (sqrt((100 / 64) * 5) + sqrt((5 / 4) * 5))
    assert register.evaluate(small)["ledent2025_schatten_rate"] == pytest.approx(sqrt(2 * by_norm / N), rel=1e-12)


def rank_one_net(noise=0.0, **facts):
    """A 10 x 8 matrix of rank one, but for `noise`, and one output."""
    generator = torch.Generator().manual_seed(0)
    v = torch.ones(10, 1) @ torch.arange(1.0, 9)[None] + noise * torch.randn(10, 8, generator=generator)
    weights = [v, torch.ones(1, 10)]
    x = torch.rand(40, 8, generator=generator)
    return Net.of(weights, weights, x, torch.ones(40, 1), "binary", delta=DELTA, **facts)


def test_factored_nets_by_hand():
    values = register.evaluate(rank_one_net())
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
    d = register.evaluate(many)["pseudo_dimension_dense"]
    expected = sqrt((8 * d * log(e * 10**6 / d) + 8 * log(2 / DELTA)) / 10**6)
    assert register.evaluate(many)["vc_bound_dense"] == pytest.approx(expected, rel=1e-12)
    assert expected < 1


def test_rank_is_counted_in_the_precision_of_training():
    # Exactly rank one in float32; in float64 its rounding errors would count as rank.
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(10, 1, generator=generator) @ torch.randn(1, 8, generator=generator)
    weights = [v, torch.ones(1, 10)]
    inputs = torch.rand(40, 8), torch.ones(40, 1), "binary"
    expected = sqrt(2 * (1 * 18 + 1 * 11) / 40)
    assert register.evaluate(Net.of(weights, weights, *inputs))["ledent2025_rank_rate"] == pytest.approx(expected)
    naive = Net.of(weights, weights, *inputs, trained_in=torch.float64)
    assert register.evaluate(naive)["ledent2025_rank_rate"] > 1.5 * expected


def deep_net(scale=1.0, task="multiclass"):
    """Three layers, random; the labels are the net's own predictions, so that the margin is positive."""
    generator = torch.Generator().manual_seed(2)
    sizes = [6, 9, 5, 1 if task == "binary" else 3]
    weights, initial = ([w.double() for w in initial.initial_weights(sizes, generator)] for _ in range(2))
    x = torch.randn(30, 6, generator=generator, dtype=torch.float64)
    outputs = mlp.forward([w[None] for w in weights], x)[-1][0]
    targets = (outputs > 0).double() if task == "binary" else torch.eye(3).double()[outputs.argmax(1)]
    return Net.of([scale * w for w in weights], [scale * w for w in initial], x, targets, task)


def test_three_layers_by_definition():
    net = deep_net()
    values = register.evaluate(net)
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


@pytest.mark.parametrize("layers", [2, 3])
def test_values_scale_as_registered(layers):
    scale, net = 1.7, scaled_hand_net if layers == 2 else deep_net
    before, after = register.evaluate(net(1.0)), register.evaluate(net(scale))
    fixed = {n: b for n, b in REGISTRY.items() if b.exponent is not None and not math.isnan(before[n])}
    assert len(fixed) > 25
    for name, bound in fixed.items():
        assert after[name] == pytest.approx(before[name] * scale ** bound.exponent(layers), rel=1e-9), name


def scaled_hand_net(scale):
    weights, initial = ([scale * w for w in tensors(*pair)] for pair in ((V, U), (V0, U0)))
    return Net.of(weights, initial, *tensors(X, Y), task="multiclass", percentile=0.0)


def test_margins_by_definition():
    assert hand_net(percentile=0.0).margin == 8
    assert hand_net(percentile=100.0).margin == 36
    assert hand_net(percentile=10.0).margin == pytest.approx(8 + 0.3 * (12 - 8))  # a tenth of the way over 3 intervals
    assert binary_net(labels=(1, 1, 1, 1)).margin == 8
    assert binary_net(labels=(1, 1, 0, 1)).margin == -36
    outputs, targets = torch.tensor([[3.0, 5.0, 4.0], [7.0, 1.0, 2.0], [-1.0, -3.0, -2.0]]), torch.eye(3)[[2, 0, 0]]
    assert net.margins(outputs, targets, "multiclass").tolist() == [-1.0, 5.0, 1.0]


MARGIN_BASED = {name for name in REGISTRY if "margin" in name or "bartlett" in name or "neyshabur" in name} | {
    "golowich2018_bound"
}


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_negative_margin_leaves_margin_bounds_undefined(task):
    if task == "binary":
        net = binary_net(labels=(1, 1, 0, 1))
    else:
        net = Net.of(tensors(V, U), tensors(V0, U0), *tensors(X, np.flip(Y, 1).copy()), task=task)
    assert net.margin < 0
    values = register.evaluate(net)
    undefined = {name for name, value in values.items() if math.isnan(value)}
    assert undefined == MARGIN_BASED | ({"golowich2018_bound"} if task == "multiclass" else set())


def test_regression_has_no_bound_on_the_error():
    net = Net.of(tensors(V, U), tensors(V0, U0), *tensors(X, Y), task="regression")
    values = register.evaluate(net)
    for name, bound in REGISTRY.items():
        assert math.isnan(values[name]) == ("regression" not in bound.tasks), name
        if bound.kind == "bound":
            assert math.isnan(values[name])
    for name in ("golowich2018_rate", "ledent2025_rank_rate", "path_norm_2", "chen2024_rank_two_rate"):
        assert values[name] == pytest.approx(HAND[name])


def test_undefined_is_nan_never_zero():
    zero = [torch.zeros(3, 2), torch.zeros(2, 3)]
    values = register.evaluate(Net.of(zero, tensors(V0, U0), *tensors(X, Y), task="multiclass"))
    for name in (
        "frobenius_over_spectral",
        "ledent2025_rank_rate",
        "ledent2025_schatten_rate",
        "parameters_energy_99",
        "vc_bound_energy_99",
        "inverse_margin",
        "bartlett2017_rate",
        "neyshabur2019_bound",
    ):
        assert math.isnan(values[name]), name
    assert values["product_frobenius"] == 0  # a product of norms that are 0
    assert values["distance_frobenius"] > 0

    weights = tensors(V, U)
    weights[0][0, 0] = torch.nan
    diverged = register.evaluate(Net.of(weights, tensors(V0, U0), *tensors(X, Y), task="multiclass"))
    assert all(math.isnan(value) for value in diverged.values())


def test_depth_restriction():
    values = register.evaluate(deep_net())
    for name, bound in REGISTRY.items():
        if bound.layers == 2:
            assert math.isnan(values[name]), name
    assert {"chen2024_dense_rate", "neyshabur2019_bound"} <= {n for n, b in REGISTRY.items() if b.layers == 2}


def test_vacuity():
    assert register.vacuous("vc_bound_dense", 1.0001) is True
    assert register.vacuous("vc_bound_dense", 1.0) is False
    assert register.vacuous("vc_bound_dense", math.nan) is None
    assert register.vacuous("chen2024_dense_rate", 47.4) is None  # a rate is no bound
    assert register.vacuous("product_frobenius", 1e9) is None


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
    values = register.evaluate(sized_net(m, n, 1, samples))
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
    value = register.evaluate(sized_net(512, 784, 10, 60000, "multiclass"))["neyshabur2019_bound"]
    rest = 3 * sqrt(2) * (sqrt(20) + 1) / sqrt(60000)
    assert value - rest == pytest.approx(3 * sqrt(5 * 512 + log(sqrt(60000) / 0.01)) / sqrt(60000))
    assert value - rest == pytest.approx(0.62, abs=0.005)


def test_known_singular_values_and_outputs_are_used_and_change_nothing():
    net = hand_net()
    (outputs,) = tensors([[12, 0], [0, 8], [36, 0], [0, 16]])
    given = hand_net(outputs=outputs, singular_values=tensors([8, 6], [2, 1]))
    assert register.evaluate(given) == pytest.approx(register.evaluate(net), nan_ok=True)
    assert hand_net(singular_values=tensors([9, 6], [2, 1])).spectral[0] == 9
    assert hand_net(outputs=outputs / 2).margin == 4


def test_every_entry_names_its_source():
    for name, bound in REGISTRY.items():
        assert "20" in bound.source.splitlines()[0] or name.startswith(("parameters", "vc_bound")), name
        assert bound.kind in ("rate", "bound", "measure")
        assert (bound.trivial == 1.0) == (bound.kind == "bound")


def test_the_stage_writes_the_registry_of_each_cell(run_stage):
    table = run_stage(bounds, "dataset", settings='{"percentile": 20, "delta": 0.05}')
    assert table.schema.equals(table.table_schema())
    assert set(table.schema.names) == {"cell", "margin", *REGISTRY}
    rows = {row.pop("cell"): row for row in table.to_pylist()}
    assert list(rows) == list(run_stage.records)
    for name, record in run_stage.records.items():
        x, y = dataset.training_data(record.cell, run_stage.data)
        pairs = [(record.weights[matrix][-1], record.weights[matrix][0]) for matrix in ("V", "U")]
        net = Net.of(*zip(*pairs, strict=True), x, y, "multiclass", percentile=20, delta=0.05)
        expected = {"margin": net.margin, **register.evaluate(net)}
        found = {key: math.nan if value is None else value for key, value in rows[name].items()}
        assert found == pytest.approx(expected, nan_ok=True)
    diverged = list(rows.values())[2]
    assert set(diverged.values()) == {None}
    assert rows[list(rows)[0]]["golowich2018_bound"] is None  # one logit only


def test_no_registered_name_is_another_column():
    assert not set(REGISTRY) & set(COLUMNS)
    for name in REGISTRY:
        assert (
            table.table_schema()
            .field(name)
            .metadata[b"description"]
            .decode()
            .startswith(REGISTRY[name].kind.title())
        )
