"""Training steps of K nets on a CPU, compiled by numba around the matrix products of SciPy's BLAS.

One net takes all its steps before the next net does: its weights stay in the cache, and no step waits for Python. No
net's numbers reach another's, so its bits do not depend on the nets beside it. Whether a product and a sum are rounded
once or twice (`contract`) is decided when a function is compiled, for all entries alike.

Matrices lie row by row in one-dimensional arrays: weights W [out, in], inputs h and gradients delta [B, .].
"""

import ctypes
import functools
import importlib
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
import torch
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import get_cython_function_address, intrinsic
from numpy.typing import NDArray

from ranktwo.nets import layout
from ranktwo.training.backends.compiling import compiled, part_of_caller
from ranktwo.training.optimizers.base import Factors

Array = NDArray[Any]
N, T = ord("N"), ord("T")
"""BLAS's letters for a matrix as it is and for its transpose."""

# numba keeps compiled code, with the numbers of this module in it, until this file changes. So these numbers must not
# follow from another file.
SGD, MOMENTUM, ADAMW = range(3)
OPTIMIZERS = {"sgd": SGD, "momentum": MOMENTUM, "adamw": ADAMW}
REGRESSION, BINARY, MULTICLASS = range(3)
TASKS = {"regression": REGRESSION, "binary": BINARY, "multiclass": MULTICLASS}
FACTORS = ("rate", "decay", "shrinkage", "scale", "mean_rate", "root")
RATE, DECAY, SHRINKAGE, SCALE, MEAN_RATE, ROOT = range(len(FACTORS))
if Factors._fields != FACTORS:
    raise TypeError(f"kernels.py reads the factors {FACTORS} in this order, but there are {Factors._fields}")
CONSTANTS = {"sgd": (), "momentum": ("BETA",), "adamw": ("BETA_1", "BETA_2", "REST_1", "REST_2", "EPSILON")}
"""Names of the optimizer's constants that `steps` is given, in this order."""

# OpenBLAS, which SciPy's wheels bring, multiplies small matrices without copying them first, with AVX-512 two or three
# times as fast as MKL. A product is small up to SMALL multiplications; h W^T also needs at most SMALL_OUTPUTS outputs,
# of SMALL_TERMS terms or more. Larger products are cut into small ones. Measured by `benchmarks/run.py forms`.
SMALL, SMALL_OUTPUTS, SMALL_TERMS = 1_000_000, 1200, 32

# Many small products gain nothing by a second thread. The limit reaches SciPy's BLAS only once it is loaded.
importlib.import_module("scipy.linalg.cython_blas")
threadpoolctl.threadpool_limits(1, user_api="blas")


def blas(dtype: torch.dtype, sizes: list[int]) -> Array:
    """Addresses of the matrix product that suits each layer, int64 [L]: SciPy's, or that of the MKL in torch.

    Without AVX-512, MKL is the faster one for all but narrow matrices.
    """
    name = {torch.float32: "sgemm", torch.float64: "dgemm"}[dtype]
    ours = get_cython_function_address("scipy.linalg.cython_blas", name)
    wide = ours if torch.backends.cpu.get_cpu_capability() == "AVX512" else _of_torch(name) or ours
    return np.array([wide if min(pair) >= SMALL_TERMS else ours for pair in itertools.pairwise(sizes)])


@functools.cache
def _of_torch(name: str) -> int | None:
    """Address of the product in the MKL of torch's wheels for x86; None where torch has no MKL or hides it."""
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    if not (torch.backends.mkl.is_available() and library.exists()):
        return None
    function = getattr(ctypes.CDLL(str(library)), f"{name}_", None)
    return ctypes.cast(function, ctypes.c_void_p).value if function else None


def work(dtype: torch.dtype, sizes: list[int], batch: int) -> tuple[Array, Array]:
    """Memory for one net's steps, and the places of its parts, as `steps` takes them; all on 64-byte boundaries."""
    layers, pairs = len(sizes) - 1, itertools.pairwise(sizes)
    rooms = {(0, layer): batch * size for layer, size in enumerate(sizes)}
    rooms |= {(1, layer): batch * sizes[layer] for layer in range(1, layers)}
    rooms |= {(2, 0): batch * sizes[-1], (2, 1): max(inputs * outputs for inputs, outputs in pairs)}
    places, end = np.zeros((3, layers + 1), np.int64), 0
    for place, room in rooms.items():
        places[place] = end
        end += layout.padded(room)
    return torch.zeros(end, dtype=dtype).numpy(), places


@intrinsic
def gemm(typing, blas, op_a, op_b, m, n, k, a, lda, b, ldb, beta, c, ldc):  # type: ignore[no-untyped-def]
    """C <- op(A) op(B) + beta C by the product at address `blas`, columns first: C [m, n] with k terms; op T or N."""
    whole, real = types.int32, c.dtype
    letters, counts = [types.uint8] * 2, [whole] * 3
    signature = types.void(types.int64, *letters, *counts, a, whole, b, whole, real, c, whole)

    def call(context, builder, signature, values):  # type: ignore[no-untyped-def]
        address, op_a, op_b, m, n, k, a, lda, b, ldb, beta, c, ldc = values
        a, b, c = (
            context.make_array(signature.args[place])(context, builder, values[place]).data for place in (6, 8, 11)
        )
        passed = [op_a, op_b, m, n, k, context.get_constant(real, 1), a, lda, b, ldb, beta, c, ldc]
        pointers = [
            value if isinstance(value.type, ir.PointerType) else cgutils.alloca_once_value(builder, value)
            for value in passed
        ]
        function = ir.FunctionType(ir.VoidType(), [pointer.type for pointer in pointers])
        builder.call(builder.inttoptr(address, function.as_pointer()), pointers)
        return context.get_dummy_value()

    return signature, call


@compiled
def _part(size: int, others: int) -> int:
    """The most of `size` rows that make a small product with `others` multiplications each, a multiple of 16.

    All rows if they make one together, or if not even 16 of them do.
    """
    part = SMALL // others // 16 * 16
    return size if part >= size or part == 0 else part


@compiled
def outputs_of(blas: int, h: Array, w: Array, out: Array, batch: int, inputs: int, outputs: int) -> None:
    """out <- h W^T."""
    part = min(_part(outputs, batch * inputs), SMALL_OUTPUTS // batch // 16 * 16)
    if part == 0 or part >= outputs or inputs < SMALL_TERMS:
        part = outputs
    for o in range(0, outputs, part):
        some = min(part, outputs - o)
        gemm(blas, T, N, some, batch, inputs, w[o * inputs :], inputs, h, inputs, out.dtype.type(0), out[o:], outputs)


@compiled
def gradient_below(blas: int, delta: Array, w: Array, out: Array, batch: int, inputs: int, outputs: int) -> None:
    """out <- delta W."""
    part = _part(inputs, batch * outputs)
    for i in range(0, inputs, part):
        some = min(part, inputs - i)
        gemm(blas, N, N, some, batch, outputs, w[i:], inputs, delta, outputs, out.dtype.type(0), out[i:], inputs)


@compiled
def gradient(blas: int, delta: Array, h: Array, keep: Any, out: Array, batch: int, inputs: int, outputs: int) -> None:
    """out <- delta^T h + keep out."""
    part = _part(outputs, batch * inputs)
    for o in range(0, outputs, part):
        some = min(part, outputs - o)
        gemm(blas, N, T, inputs, some, batch, h, inputs, delta[o:], outputs, keep, out[o * inputs :], inputs)


@compiled
def adds(batch: int, inputs: int) -> bool:
    """Whether `gradient` adds to a matrix as fast as it overwrites one: not if the matrix is narrow or large."""
    return inputs >= SMALL_TERMS and 16 * batch * inputs <= SMALL


@compiled
def _output_gradients(task: int, f: Array, y: Array, scale: Any, batch: int, outputs: int) -> None:
    """f [B, c] <- scale times the gradient of each sample's loss by its outputs f, for targets y [B, c]."""
    one, two = f.dtype.type(1), f.dtype.type(2)
    if task == REGRESSION:
        scale *= two / f.dtype.type(outputs)
        for i in range(len(f)):
            f[i] = scale * (f[i] - y[i])
    elif task == BINARY:
        for i in range(len(f)):
            f[i] = scale * (one / (one + math.exp(-f[i])) - y[i])
    elif task == MULTICLASS:
        for b in range(batch):
            row, wanted = f[b * outputs : (b + 1) * outputs], y[b * outputs : (b + 1) * outputs]
            greatest, total = row[0], f.dtype.type(0)
            for c in range(outputs):
                greatest = max(greatest, row[c])
            for c in range(outputs):
                row[c] = math.exp(row[c] - greatest)
                total += row[c]
            for c in range(outputs):
                row[c] = scale * (row[c] / total - wanted[c])
    else:
        raise ValueError("no code for a task of this number")


@part_of_caller
def _update(optimizer: int, memory: Array, k: int, start: int, g: Array, factors: Array, constants: Array) -> None:
    """A step of net k's matrix at `start` along its gradient g (along its step -eta g in SGD); factors [F]."""
    stop = start + len(g)
    w = memory[0, k, start:stop]
    if optimizer == SGD:
        _sgd(w, g, factors[SHRINKAGE])
    elif optimizer == MOMENTUM:
        _momentum(w, memory[1, k, start:stop], g, factors[RATE], factors[DECAY], constants[0])
    elif optimizer == ADAMW:
        m, s = memory[1, k, start:stop], memory[2, k, start:stop]
        _adamw(w, m, s, g, factors[SHRINKAGE], factors[MEAN_RATE], factors[ROOT], constants)
    else:
        raise ValueError("no code for an optimizer of this number")


@compiled
def _gather(table: Array, rows: Array, out: Array) -> None:
    """out <- the rows of a table, one after the other."""
    width = table.shape[1]
    for b in range(len(rows)):
        for i in range(width):
            out[b * width + i] = table[rows[b], i]


@compiled
def _relu(h: Array) -> None:
    zero = h.dtype.type(0)
    for i in range(len(h)):
        h[i] = zero if h[i] < zero else h[i]  # nan stays


@compiled
def _relu_gradient(h: Array, delta: Array) -> None:
    """delta <- 0 where relu gave 0."""
    zero = h.dtype.type(0)
    for i in range(len(h)):
        delta[i] = zero if h[i] <= zero else delta[i]


@compiled
def _sgd(w: Array, g: Array, keep: Any) -> None:
    """W <- keep W + g."""
    for i in range(len(g)):
        w[i] = keep * w[i] + g[i]


@compiled
def _momentum(w: Array, v: Array, g: Array, rate: Any, decay: Any, beta: Any) -> None:
    """v <- beta v + mu W + g, then W <- W - eta v."""
    for i in range(len(g)):
        v[i] = beta * v[i] + (decay * w[i] + g[i])
        w[i] = w[i] - rate * v[i]


@part_of_caller
def _adamw(w: Array, m: Array, s: Array, g: Array, keep: Any, rate: Any, root: Any, constants: Array) -> None:
    """m <- a m + c g, s <- d g^2 + b s, W <- keep W - rate m / (sqrt(s) / root + e); constants a b c d e."""
    a, b, c, d, e = constants
    for i in range(len(g)):
        m[i] = a * m[i] + c * g[i]
        s[i] = d * (g[i] * g[i]) + b * s[i]
        w[i] = keep * w[i] - rate * (m[i] / (np.sqrt(s[i]) / root + e))


@compiled
def steps(
    blas: Array, optimizer: int, task: int, sizes: Array, memory: Array, starts: Array,
    x: Array, targets: Array, seed_of: Array, rows: Array, factors: Array, constants: Array, work: Array, places: Array,
) -> None:  # fmt: skip
    """Train each net for T steps.

    blas [L], addresses of the matrix product; sizes n, m_1, ..., c; memory [1 + slots, K, P], the weights and the
    optimizer's slots of each net, layer l from starts[l] on; x [N, n]; targets [1 or K, N, c]; seed_of [K]; rows
    [T, S, B], the batches of each seed, or [0, 0, B] where every batch is all of x; factors [T, F, K] in the order of
    `Factors`; the optimizer's CONSTANTS; work, with room for h_l from places[0, l] on, delta_l from places[1, l], the
    batch's targets from places[2, 0] and a gradient from places[2, 1].
    """
    batch, layers, whole = rows.shape[2], len(sizes) - 1, len(rows) == 0
    zero = work.dtype.type(0)
    for k in range(memory.shape[1]):
        of_net = targets[k if len(targets) > 1 else 0]
        for t in range(len(factors)):
            first, y = x.reshape(x.size), of_net.reshape(of_net.size)
            if not whole:
                first, y = work[places[0, 0] :], work[places[2, 0] :]
                _gather(x, rows[t, seed_of[k]], first)
                _gather(of_net, rows[t, seed_of[k]], y)
            h = first
            for layer in range(layers):
                inputs, outputs = sizes[layer], sizes[layer + 1]
                out = work[places[0, layer + 1] : places[0, layer + 1] + batch * outputs]
                outputs_of(blas[layer], h, memory[0, k, starts[layer] :], out, batch, inputs, outputs)
                if layer < layers - 1:
                    _relu(out)
                h = out
            delta = h
            _output_gradients(task, delta, y, factors[t, SCALE, k], batch, sizes[layers])
            for layer in range(layers - 1, -1, -1):
                inputs, outputs = sizes[layer], sizes[layer + 1]
                start, stop = starts[layer], starts[layer] + inputs * outputs
                w, h, below = memory[0, k, start:stop], first, delta
                if layer > 0:
                    h = work[places[0, layer] : places[0, layer] + batch * inputs]
                    below = work[places[1, layer] : places[1, layer] + batch * inputs]
                    gradient_below(blas[layer], delta, w, below, batch, inputs, outputs)
                    _relu_gradient(h, below)
                if optimizer == SGD and adds(batch, inputs):
                    gradient(blas[layer], delta, h, factors[t, SHRINKAGE, k], w, batch, inputs, outputs)
                else:
                    g = work[places[2, 1] : places[2, 1] + len(w)]
                    gradient(blas[layer], delta, h, zero, g, batch, inputs, outputs)
                    _update(optimizer, memory, k, start, g, factors[t, :, k], constants)
                delta = below
