"""Training steps of K nets on a CPU, compiled by numba around the matrix products of tiles.py.

One net takes all its steps before the next net does: its weights stay in the cache, and no step waits for Python. No
net's numbers reach another's, so its bits do not depend on the nets beside it. Whether a product and a sum are rounded
once or twice (`contract`) is decided when a function is compiled, for all entries alike.

While a net takes steps, its matrices lie in memory of their own, `work`, with rows filled up with zeros to a multiple
of 128 bytes. Between rows are 64 bytes more: the same columns of many rows would else share few places of the cache.
Of two layers and more, the weights of the first lie in panels of as many outputs as fill 64 bytes, and in a panel input
by input, so products read them in the order in which they lie. The fill stays zero as long as all of a net's numbers
are finite: it is the weights of inputs and hidden units that are always zero.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ranktwo.compiling import compiled, part_of_caller
from ranktwo.nets import layout
from ranktwo.training.backends.tiles import ADD, DEEPEST, MASK, RELU, STORE, VECTOR, WIDEST, dots, product
from ranktwo.training.optimizers.base import Factors

Array = NDArray[Any]

# numba keeps compiled code, with the numbers of this module in it, until a file of this folder changes. So these
# numbers must not follow from a file elsewhere.
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

PLACES = 6
"""What `work` has of each layer: h_l, delta_l, W_l and its two slots. The first two places of the last row are those of
the batch's targets and of one gradient."""
H, DELTA, W, SLOT_1, SLOT_2, SCRATCH = range(PLACES)


def work(dtype: torch.dtype, sizes: list[int], batch: int, slots: int) -> tuple[Array, Array, Array]:
    """Memory for one net's steps, the places of its parts, and the lengths of rows h_l, as `steps` takes them.

    All begin on 64-byte boundaries: places [PLACES, L + 1], lengths [L + 1].
    """
    layers, vector = len(sizes) - 1, VECTOR // dtype.itemsize
    rows = [(-(-size // (WIDEST * vector)) * WIDEST + 1) * vector for size in sizes[:-1]] + sizes[-1:]
    if layers > 1:
        rows[0] = -(-sizes[0] // DEEPEST) * DEEPEST
    matrices = [rows[0] * (rows[1] - vector)] * (layers > 1) + [
        rows[layer] * sizes[layer + 1] for layer in range(layers > 1, layers)
    ]
    rooms = {(H, layer): batch * row for layer, row in enumerate(rows)}
    rooms |= {(DELTA, layer): batch * rows[layer] for layer in range(1, layers)}
    rooms |= {(W + slot, layer): room for slot in range(1 + slots) for layer, room in enumerate(matrices)}
    rooms |= {(SCRATCH, 0): batch * sizes[-1], (SCRATCH, 1): max(matrices)}
    places, end = np.zeros((PLACES, layers + 1), np.int64), 0
    for place, room in rooms.items():
        places[place] = end
        end += layout.padded(room)
    return torch.zeros(end, dtype=dtype).numpy(), places, np.array(rows)


@compiled
def output_gradients(task: int, f: Array, y: Array, scale: Any, batch: int, outputs: int) -> None:
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
def _update(optimizer: int, w: Array, m: Array, s: Array, g: Array, factors: Array, constants: Array) -> None:
    """A step of a matrix with slots m and s along its gradient g; factors [F]."""
    if optimizer == MOMENTUM:
        _momentum(w, m, g, factors[RATE], factors[DECAY], constants[0])
    elif optimizer == ADAMW:
        _adamw(w, m, s, g, factors[SHRINKAGE], factors[MEAN_RATE], factors[ROOT], constants)
    else:
        raise ValueError("no code for an optimizer of this number")


@compiled
def gather(table: Array, rows: Array, work: Array, place: int, length: int) -> None:
    """Copies rows of a table to `place`, each with room for so many numbers."""
    width = table.shape[1]
    for b in range(len(rows)):
        of, to = table[rows[b]], work[place + b * length : place + b * length + width]
        for i in range(width):
            to[i] = of[i]


@compiled
def move(
    packs: bool, sizes: Array, memory: Array, k: int, starts: Array, work: Array, places: Array, lengths: Array
) -> None:
    """Pack the matrices of net k and their slots into `work`, or unpack them."""
    layers, lanes = len(sizes) - 1, VECTOR // work.itemsize
    for slot in range(len(memory)):
        for layer in range(layers):
            inputs, outputs, length, start = sizes[layer], sizes[layer + 1], lengths[layer], places[W + slot, layer]
            matrix = memory[slot, k, starts[layer] : starts[layer] + inputs * outputs].reshape(outputs, inputs)
            panels = layers > 1 and layer == 0
            size = length * (lengths[1] - lanes if panels else outputs)
            packed = work[start : start + size]
            if packs:
                for i in range(size):
                    packed[i] = 0
            if panels:
                _move_panels(packs, matrix, packed, length, lanes)
            else:
                _move_rows(packs, matrix, packed, length)


@compiled
def _move_rows(packs: bool, matrix: Array, work: Array, length: int) -> None:
    """Between a matrix and its rows with room for so many numbers each."""
    outputs, inputs = matrix.shape
    for o in range(outputs):
        row, packed = matrix[o], work[o * length : o * length + inputs]
        if packs:
            for i in range(inputs):
                packed[i] = row[i]
        else:
            for i in range(inputs):
                row[i] = packed[i]


@compiled
def _move_panels(packs: bool, matrix: Array, work: Array, length: int, lanes: int) -> None:
    """Between a matrix and its panels of so many outputs, each of `length` inputs."""
    outputs, inputs = matrix.shape
    for first in range(0, outputs, lanes):
        panel = work[first * length : (first + lanes) * length].reshape(length, lanes)
        part = matrix[first : first + lanes]
        if packs:
            for i in range(inputs):
                for o in range(len(part)):
                    panel[i, o] = part[o, i]
        else:
            for i in range(inputs):
                for o in range(len(part)):
                    part[o, i] = panel[i, o]


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


@part_of_caller
def forward(work: Array, sizes: Array, places: Array, lengths: Array, batch: int) -> None:
    """h_l <- relu(h_{l-1} W_l^T) of all hidden layers, and the outputs f [B, c]."""
    layers, lanes = len(sizes) - 1, VECTOR // work.itemsize
    panels = layers > 1
    if panels:
        product(
            work, RELU, work.dtype.type(0), places[H, 0], lengths[0], 1, places[W, 0], lanes, lengths[0] * lanes,
            places[H, 1], lengths[1], lanes, 0, batch, lengths[1] - lanes, lengths[0],
        )  # fmt: skip
    for layer in range(panels, layers):
        length, kind = lengths[layer], STORE if layer == layers - 1 else RELU
        dots(
            work, kind, places[H, layer], length, places[W, layer], length,
            places[H, layer + 1], lengths[layer + 1], batch, sizes[layer + 1], length - lanes,
        )  # fmt: skip


@part_of_caller
def backward(
    optimizer: int, work: Array, sizes: Array, places: Array, lengths: Array, batch: int, factors: Array,
    constants: Array,
) -> None:  # fmt: skip
    """A step of all matrices along their gradients, from the gradients by f that stand in place of f; factors [F]."""
    layers, lanes, zero = len(sizes) - 1, VECTOR // work.itemsize, work.dtype.type(0)
    kind, keep, delta = STORE, zero, places[H, layers]
    if optimizer == SGD:
        kind, keep = ADD, factors[SHRINKAGE]
    for layer in range(layers - 1, -1, -1):
        h, w, length, below = places[H, layer], places[W, layer], lengths[layer], places[DELTA, layer]
        outputs, of_delta = sizes[layer + 1], lengths[layer + 1]
        g = w if optimizer == SGD else places[SCRATCH, 1]
        if layer > 0:
            product(
                work, MASK, zero, delta, of_delta, 1, w, length, lanes,
                below, length, lanes, h, batch, length - lanes, outputs,
            )  # fmt: skip
        if layers > 1 and layer == 0:
            size = length * (of_delta - lanes)
            product(
                work, kind, keep, h, 1, length, delta, of_delta, lanes,
                g, lanes, length * lanes, 0, length, of_delta - lanes, batch,
            )  # fmt: skip
        else:
            size = length * outputs
            product(
                work, kind, keep, delta, 1, of_delta, h, length, lanes,
                g, length, lanes, 0, outputs, length - lanes, batch,
            )  # fmt: skip
        if optimizer != SGD:
            m, s = places[SLOT_1, layer], places[SLOT_2, layer]
            _update(
                optimizer, work[w : w + size], work[m : m + size], work[s : s + size], work[g : g + size],
                factors, constants,
            )  # fmt: skip
        delta = below


@compiled
def steps(
    optimizer: int, task: int, sizes: Array, memory: Array, starts: Array, x: Array, targets: Array, seed_of: Array,
    rows: Array, factors: Array, constants: Array, work: Array, places: Array, lengths: Array,
) -> None:  # fmt: skip
    """Train each net for T steps.

    sizes n, m_1, ..., c; memory [1 + slots, K, P], the weights and the optimizer's slots of each net, layer l from
    starts[l] on; x [N, n]; targets [1 or K, N, c]; seed_of [K]; rows [T, S, B], the batches of each seed, or [0, 0, N]
    where every batch is all of x; factors [T, F, K] in the order of `Factors`; the optimizer's CONSTANTS; then what
    the function `work` gives.
    """
    batch, outputs, whole = rows.shape[2], sizes[-1], len(rows) == 0
    f_place, y_place = places[H, len(sizes) - 1], places[SCRATCH, 0]
    every = np.empty(batch, np.int64)
    for b in range(batch):
        every[b] = b
    f, y = work[f_place : f_place + batch * outputs], work[y_place : y_place + batch * outputs]
    for k in range(memory.shape[1]):
        of_net = targets[k if len(targets) > 1 else 0]
        move(np.bool_(True), sizes, memory, k, starts, work, places, lengths)
        for t in range(len(factors)):
            if t == 0 or not whole:
                chosen = every if whole else rows[t, seed_of[k]]
                gather(x, chosen, work, places[H, 0], lengths[0])
                gather(of_net, chosen, work, y_place, outputs)
            forward(work, sizes, places, lengths, batch)
            output_gradients(task, f, y, factors[t, SCALE, k], batch, outputs)
            backward(optimizer, work, sizes, places, lengths, batch, factors[t, :, k], constants)
        move(np.bool_(False), sizes, memory, k, starts, work, places, lengths)
