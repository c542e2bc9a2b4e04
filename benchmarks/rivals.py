"""The same steps of many nets at once by other means: JAX, torch.func, and stacked products with autograd.

Each is a way of taking SGD steps W <- W - eta (gradient of the batch's mean loss + mu W) of K bias-free ReLU nets:
a function of weights [K, in, out] by layer and of the batches' rows [T, S, B], which returns the weights after T steps.
Net k sees the batches of seed k mod S. JAX is left out where it is not installed.
"""

import importlib.util
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import training
from torch import Tensor
from torch.func import grad, vmap
from torch.nn import functional
from training import RATE, SEEDS, Advance, Net

AT_ONCE = 10
"""Steps that JAX compiles into one call."""
Step = Callable[[list[Any], Any], list[Any]]


def decays(cells: int) -> Tensor:
    """mu of each net, [K, 1, 1]: those of the engine's nets in `training.stacked`."""
    return (training.DECAY * torch.arange(cells) / cells)[:, None, None]


def _loss(f: Tensor, y: Tensor, task: str) -> Tensor:
    return functional.mse_loss(f, y) if task == "regression" else functional.cross_entropy(f, y)


def by_func(net: Net, x: Tensor, y: Tensor, cells: int) -> Step:
    """vmap(grad(loss)) of torch.func."""
    seed_of, mu = torch.arange(cells) % SEEDS, decays(cells)

    def loss(weights: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
        for weight in weights[:-1]:
            x = (x @ weight).relu()
        return _loss(x @ weights[-1], y, net.task)

    gradients = vmap(grad(loss))

    def take(weights: list[Tensor], rows: Tensor) -> list[Tensor]:
        for batch in rows[:, seed_of]:
            for weight, gradient in zip(weights, gradients(weights, x[batch], y[batch]), strict=True):
                weight.mul_(1 - RATE * mu).sub_(gradient, alpha=RATE)
        return weights

    return take


def by_bmm(net: Net, x: Tensor, y: Tensor, cells: int) -> Step:
    """A module of stacked weights: torch.bmm forward, autograd of the sum of the nets' losses, a fused torch.optim.SGD.

    Without weight decay: torch.optim has one for all nets.
    """
    seed_of = torch.arange(cells) % SEEDS

    def take(weights: list[Tensor], rows: Tensor) -> list[Tensor]:
        for weight in weights:
            weight.requires_grad_()
        updates = torch.optim.SGD(weights, lr=RATE, fused=True)
        for batch in rows[:, seed_of]:
            h = x[batch]
            for weight in weights[:-1]:
                h = torch.bmm(h, weight).relu()
            f = torch.bmm(h, weights[-1])
            (_loss(f.flatten(0, 1), y[batch].flatten(0, 1), net.task) * cells).backward()
            updates.step()
            updates.zero_grad()
        return weights

    return take


def by_jax(net: Net, x: Tensor, y: Tensor, cells: int) -> Step:
    """jit(vmap(a scan over steps of grad))."""
    import jax
    from jax import numpy as jnp

    inputs, targets = jnp.array(x.numpy()), jnp.array(y.numpy())
    seed_of, mu = jnp.arange(cells) % SEEDS, jnp.array(decays(cells)[:, 0, 0].numpy())

    def loss(weights: list[Any], h: Any, y: Any) -> Any:
        for weight in weights[:-1]:
            h = jax.nn.relu(h @ weight)
        f = h @ weights[-1]
        if net.task == "regression":
            return jnp.mean((f - y) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(f), y[:, None], axis=1))

    def one(weights: list[Any], seed: Any, mu: Any, rows: Any) -> list[Any]:
        def step(weights: list[Any], batch: Any) -> tuple[list[Any], None]:
            gradients = jax.grad(loss)(weights, inputs[batch], targets[batch])
            return [w * (1 - RATE * mu) - RATE * g for w, g in zip(weights, gradients, strict=True)], None

        return jax.lax.scan(step, weights, rows[:, seed])[0]

    compiled = jax.jit(jax.vmap(one, in_axes=(0, 0, 0, None)), donate_argnums=0)

    def take(weights: list[Any], rows: Tensor) -> list[Any]:
        weights = [jnp.asarray(weight.numpy() if isinstance(weight, Tensor) else weight) for weight in weights]
        for part in rows.numpy().reshape(-1, AT_ONCE, *rows.shape[1:]):
            weights = compiled(weights, seed_of, mu, part)
        return jax.block_until_ready(weights)

    return take


RIVALS = {"torch.func": by_func, "bmm": by_bmm, "JAX": by_jax}


def available() -> list[tuple[str, Callable[..., Step]]]:
    """The rivals that are installed, by name."""
    known = importlib.util.find_spec("jax") is not None
    return [(name, rival) for name, rival in RIVALS.items() if known or name != "JAX"]


def weights_of(net: Net, cells: int) -> list[Tensor]:
    """Random weights, [K, in, out] each."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(cells, *pair, generator=generator) / pair[0] ** 0.5 for pair in pairwise(net.sizes)]


def loop(make: Callable[..., Step], net: Net, batch_size: int, cells: int) -> Advance:
    """The steps of a rival on random data, a multiple of AT_ONCE at a time."""
    x, y = training.random_data(net.sizes[0], net.sizes[-1], net.task, net.rows)
    take, weights = make(net, x, y, cells), weights_of(net, cells)
    draw = np.random.default_rng(0)

    def advance(steps: int) -> None:
        nonlocal weights
        rows = torch.from_numpy(draw.integers(0, net.rows, (-(-steps // AT_ONCE) * AT_ONCE, SEEDS, batch_size)))
        weights = take(weights, rows)

    return advance
