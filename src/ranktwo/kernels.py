"""What a step of K nets needs besides matrix products, compiled by numba: one pass over memory, not one per operation.

Arrays are [K, P], row k the matrix of net k and what pads it. No net's numbers reach another's. That a
product and a sum may be rounded once (`contract`) is decided when a function is compiled, for all entries alike.
"""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

USABLE = importlib.util.find_spec("numba") is not None
"""Whether these functions can be used; where not, torch's operations do the same, slower."""
Array = NDArray[Any]


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """`function`, compiled when it is first called: what never calls it never waits for numba."""

    @functools.cache
    def machine_code() -> Callable[..., None]:
        import numba

        options: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}
        try:
            return numba.njit(function, cache=True, **options)
        except RuntimeError:  # there is no folder to keep it in: compiled anew, for a second or two
            return numba.njit(function, **options)

    @functools.wraps(function)
    def call(*arguments: Any) -> None:
        machine_code()(*arguments)

    return call


@_compiled
def sgd(weights: Array, inputs: int, delta: Array, h: Array, shrinkage: Array) -> None:
    """W <- shrinkage W + sum_b delta_b h_b^T with delta [K, B, out], h_b `inputs` numbers from b `inputs` on."""
    for k in range(delta.shape[0]):
        for o in range(delta.shape[2]):
            row = weights[k, o * inputs : (o + 1) * inputs]
            keep = shrinkage[k]
            done = 0
            while delta.shape[1] - done >= 4:
                d0, d1, d2, d3 = delta[k, done, o], delta[k, done + 1, o], delta[k, done + 2, o], delta[k, done + 3, o]
                start = done * inputs
                h0 = h[k, start : start + inputs]
                h1 = h[k, start + inputs : start + 2 * inputs]
                h2 = h[k, start + 2 * inputs : start + 3 * inputs]
                h3 = h[k, start + 3 * inputs : start + 4 * inputs]
                for i in range(inputs):
                    row[i] = keep * row[i] + d0 * h0[i] + d1 * h1[i] + d2 * h2[i] + d3 * h3[i]
                keep = weights.dtype.type(1)
                done += 4
            for b in range(done, delta.shape[1]):
                d0, h0 = delta[k, b, o], h[k, b * inputs : (b + 1) * inputs]
                for i in range(inputs):
                    row[i] = keep * row[i] + d0 * h0[i]
                keep = weights.dtype.type(1)


@_compiled
def momentum(
    weights: Array, velocities: Array, gradients: Array, size: int, rates: Array, decays: Array, beta: Any
) -> None:
    """v <- beta v + mu W + g, then W <- W - eta v, for the first `size` entries of each row."""
    for k in range(weights.shape[0]):
        w, v, g, rate, decay = weights[k], velocities[k], gradients[k], rates[k], decays[k]
        for i in range(size):
            v[i] = beta * v[i] + (decay * w[i] + g[i])
            w[i] = w[i] - rate * v[i]


@_compiled
def adamw(
    weights: Array, means: Array, squares: Array, gradients: Array, size: int,
    shrinkage: Array, mean_rates: Array, roots: Array, constants: Array,
) -> None:  # fmt: skip
    """m <- a m + c g, s <- b s + d g^2, W <- shrinkage W - mean_rate m / (sqrt(s) / root + e); constants a b c d e."""
    a, b, c, d, e = constants
    for k in range(weights.shape[0]):
        w, m, s, g = weights[k], means[k], squares[k], gradients[k]
        keep, rate, root = shrinkage[k], mean_rates[k], roots[k]
        for i in range(size):
            m[i] = a * m[i] + c * g[i]
            s[i] = b * s[i] + d * (g[i] * g[i])
            w[i] = keep * w[i] - rate * (m[i] / (np.sqrt(s[i]) / root + e))


@_compiled
def cross_entropy_gradients(outputs: Array, targets: Array, scale: Array) -> None:
    """f_b <- scale (softmax(f_b) - y_b): outputs [K, P], targets [K, B, c]. On short rows torch's softmax is slow."""
    for k in range(targets.shape[0]):
        for b in range(targets.shape[1]):
            row = outputs[k, b * targets.shape[2] : (b + 1) * targets.shape[2]]
            greatest, total = row[0], outputs.dtype.type(0)
            for c in range(len(row)):
                greatest = max(greatest, row[c])
            for c in range(len(row)):
                row[c] = np.exp(row[c] - greatest)
                total += row[c]
            for c in range(len(row)):
                row[c] = scale[k] * (row[c] / total - targets[k, b, c])
