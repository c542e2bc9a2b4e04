"""How matrices lie in memory: each begins on a 64-byte boundary."""

import itertools
from collections.abc import Iterable

from torch import Tensor


def padded(size: int) -> int:
    """Round size up to a multiple of 16 floats (64 bytes)."""
    return -(-size // 16) * 16


def starts(sizes: list[int]) -> list[int]:
    """`offsets` of the L matrices of an MLP of layer sizes n, m_1, ..., c."""
    return offsets(inputs * outputs for inputs, outputs in itertools.pairwise(sizes))


def offsets(lengths: Iterable[int]) -> list[int]:
    """One offset more than there are tensors of these lengths: where each begins in a net's memory, and the end.

    Tensors lie one after another, each filled up as `padded` says.
    """
    return list(itertools.accumulate(map(padded, lengths), initial=0))


def aligned(cells: int, rows: int, columns: int, like: Tensor) -> Tensor:
    """An uninitialised tensor [K, rows, columns], each of whose K matrices begins on a 64-byte boundary.

    It has the type and device of `like`. The last digit of a product by MKL depends on the alignment of its operands.
    Without equal alignment, a cell's numbers would depend on its place in the stack.
    """
    stride = padded(rows * columns)
    return like.new_empty(cells, stride).as_strided((cells, rows, columns), (stride, columns, 1))
