"""Nets whose every norm can be read off, and the values of the formulas on one of them, worked out by hand."""

from math import e, log, log2, sqrt

import torch

from ranktwo.analysis.bounds.net import Net
from ranktwo.nets import mlp
from ranktwo.nets.initial import initial_weights

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
    """The matrices in float64."""
    return [torch.tensor(matrix, dtype=torch.float64) for matrix in matrices]


def hand_net(**changes):
    """The net of V and U above."""
    facts = {"task": "multiclass", "percentile": 0.0, "delta": DELTA} | changes
    return Net.of(tensors(V, U), tensors(V0, U0), *tensors(X, Y), **facts)


# The same V, one output: U = [2, 1, 0] with s = ||U|| = sqrt 5; logits 12, 8, 36, 16, labels all 1: margins as above.
def binary_net(labels=(1, 1, 1, 1), **changes):
    """The net of the same V and one output."""
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


def scaled_hand_net(scale):
    """`hand_net` with all matrices, the initial ones too, times `scale`."""
    weights, initial = ([scale * w for w in tensors(*pair)] for pair in ((V, U), (V0, U0)))
    return Net.of(weights, initial, *tensors(X, Y), task="multiclass", percentile=0.0)


def deep_net(scale=1.0, task="multiclass"):
    """Three layers, random; the labels are the net's own predictions, so that the margin is positive."""
    generator = torch.Generator().manual_seed(2)
    sizes = [6, 9, 5, 1 if task == "binary" else 3]
    weights, initial = ([w.double() for w in initial_weights(sizes, generator)] for _ in range(2))
    x = torch.randn(30, 6, generator=generator, dtype=torch.float64)
    outputs = mlp.forward([w[None] for w in weights], x)[-1][0]
    targets = (outputs > 0).double() if task == "binary" else torch.eye(3).double()[outputs.argmax(1)]
    return Net.of([scale * w for w in weights], [scale * w for w in initial], x, targets, task)
