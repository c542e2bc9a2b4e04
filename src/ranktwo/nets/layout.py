"""TODO nets.layout."""

import itertools

from torch import Tensor


def padded(size: int) -> int:
    """So many numbers that what follows them begins on a 64-byte boundary, if they do."""
    return -(-size // 16) * 16


def starts(sizes: list[int]) -> list[int]:
    """Where each matrix of a net with layer sizes n, m_1, ..., c begins in its memory, and where the last ends."""
    rooms = (padded(inputs * outputs) for inputs, outputs in itertools.pairwise(sizes))
    return list(itertools.accumulate(rooms, initial=0))


def aligned(cells: int, rows: int, columns: int, like: Tensor) -> Tensor:
    """An uninitialised tensor [K, rows, columns] in which every cell's matrix begins on a 64-byte boundary.

    MKL's products differ in the last digit with the alignment of their operands; without this, a cell's numbers would
    depend on its place in the stack.
    """
    stride = padded(rows * columns)
    return like.new_empty(cells, stride).as_strided((cells, rows, columns), (stride, columns, 1))
