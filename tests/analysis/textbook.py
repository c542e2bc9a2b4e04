"""Nets, training, gradients and decays as a textbook has them, against which tests of certificates compare."""

import functools
import itertools

import torch

from ranktwo.data.decay_rules import relative_decays

TASKS = {"regression": 2, "binary": 1, "multiclass": 3}
"""Tasks and their outputs."""
SAMPLES, INPUTS, HIDDEN = 24, 5, 7
CELLS, MU = 3, torch.tensor([0.02, 0.05, 0.3], dtype=torch.float64)
STATES = ["random", "trained", "stationary", "collapsed"]


def normal(*shape, seed):
    """Standard normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make_data(task, *, seed=0, samples=SAMPLES, inputs=INPUTS, spread=1.0):
    """Inputs around the first basis vector, `spread` away from it, and targets that depend on them."""
    x = normal(samples, inputs, seed=seed) * spread
    x[:, 0] += 1.0
    outputs = TASKS[task]
    score = x @ normal(inputs, outputs, seed=seed + 1)
    if task == "regression":
        return x, score + 0.3
    if task == "binary":
        return x, (score > score.median()).double()
    return x, torch.nn.functional.one_hot(score.argmax(1), outputs).double()


def make_net(task, depth, *, seed=5, cells=CELLS, inputs=INPUTS):
    """Random weights [K, out, in] of a net of that many matrices."""
    sizes = [inputs, *[HIDDEN] * (depth - 1), TASKS[task]]
    return [normal(cells, o, i, seed=seed + j) / i**0.5 for j, (i, o) in enumerate(itertools.pairwise(sizes))]


def net_loss(weights, x, target, task):
    """The textbook net and torch's own losses, the mean over samples, and over cells if weights are [K, out, in]."""
    for weight in weights[:-1]:
        x = torch.relu(x @ weight.mT)
    f = x @ weights[-1].mT
    f, target = f.reshape(-1, f.shape[-1]), target.expand_as(f).reshape(-1, f.shape[-1])
    if task == "regression":
        return torch.nn.functional.mse_loss(f, target)
    if task == "binary":
        return torch.nn.functional.binary_cross_entropy_with_logits(f, target)
    return torch.nn.functional.cross_entropy(f, target)


def train(weights, x, targets, task, mu, *, steps, rate, batch=None, seed=0):
    """Textbook SGD on every cell, mu [K]; batch None is full-batch gradient descent."""
    generator = torch.Generator().manual_seed(seed)
    weights = [w.clone().requires_grad_() for w in weights]
    for _ in range(steps):
        index = slice(None) if batch is None else torch.randperm(len(x), generator=generator)[:batch]
        loss = len(mu) * net_loss(weights, x[index], targets[index], task)
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for w, g in zip(weights, gradients, strict=True):
                w -= rate * (g + mu[:, None, None] * w)
    return [w.detach() for w in weights]


def sample_gradients(weights, x, targets, task):
    """g_i, [K, N, out, in] for each matrix."""
    per_sample = torch.func.vmap(torch.func.grad(net_loss), in_dims=(None, 0, 0, None))
    return torch.func.vmap(per_sample, in_dims=(0, None, None, None))(weights, x, targets, task)


@functools.cache
def setting(state, task, depth):
    """x, targets and a net in that state; every test that asks gets the same."""
    x, targets = make_data(task)
    weights = make_net(task, depth)
    if state == "trained":
        weights = train(weights, x, targets, task, MU, steps=300, rate=0.1, batch=4)
    if state == "stationary":
        weights = train(weights, x, targets, task, MU, steps=2000, rate=0.3)
    if state == "collapsed":
        weights = [w * 1e-6 for w in weights]
    return x, targets, weights


def frobenius(matrix):
    """||M||, over the last two axes."""
    return torch.linalg.matrix_norm(matrix)


def residual(matrix, rank):
    """d_r of the matrices."""
    return torch.linalg.svdvals(matrix)[..., rank:].square().sum(-1).sqrt()


def decays_for(x, rule):
    """c_i of every sample, [K, N]."""
    return MU[:, None] * relative_decays(rule, x)


def assert_close(actual, expected, scale, relative=1e-9):
    """Relative agreement, down to the rounding that the definition itself has at terms of size `scale`."""
    error = (actual - expected).abs()
    assert (error <= relative * expected.abs() + 3e-15 * scale).all(), (actual, expected)
