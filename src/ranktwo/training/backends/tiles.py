"""Matrix products of small matrices: numba intrinsics that keep a tile of the result in a processor's registers.

A tile is some rows of the result times one or two vectors of 64 bytes. LLVM lowers these vectors to whatever registers
a processor has. Each entry of a result is one sum in one fixed order, of one rounding per term wherever the processor
has a fused multiply-add. So its bits depend neither on the tile that it was part of nor on the width of the registers.

All matrices lie in one array `work`, and a, b, c, ... are the places in it where they begin.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import NDArray

from ranktwo.compiling import compiled, part_of_caller

Array = NDArray[Any]
VECTOR = 64
"""Bytes of a vector: those of a line of the cache."""
WIDEST = 2
"""Vectors that a tile is wide at most; rows of matrices are filled up with zeros to a multiple of it."""
DEEPEST = 8
"""Rows that a tile is high at most."""
STORE, RELU, MASK, ADD = range(4)
"""What becomes of a sum s: c <- s, c <- max(s, 0), c <- s where a positive number stands at `other` and else 0,
c <- keep c + s."""

# Part of the key under which compiled code is kept, so numbers may follow from it.
_features = cpu_target.target_context.codegen().magic_tuple()
_fused = "+fma" in _features[2].split(",") or not _features[0].startswith(("x86", "i"))
WIDE = WIDEST if "+avx512f" in _features[2].split(",") else 1
HIGH = DEEPEST if WIDE == WIDEST else 6
"""Vectors and rows of the largest tile. With AVX-512 it fills 16 of 32 registers, with AVX2 12 of 16."""

_whole = ir.IntType(64)


class _Code:
    """LLVM's instructions for vectors of 64 bytes of the numbers in the array `work`."""

    def __init__(self, context: Any, builder: ir.IRBuilder, array: Any, work: Any) -> None:
        self.builder = builder
        self.number = context.get_data_type(array.dtype)
        self.lanes = VECTOR * 8 // array.dtype.bitwidth
        self.vector = ir.VectorType(self.number, self.lanes)
        self.data = context.make_array(array)(context, builder, work).data

    def at(self, *terms: Any) -> Any:
        """A pointer to the number whose place is the sum of the terms."""
        place = terms[0]
        for term in terms[1:]:
            place = self.builder.add(place, term if isinstance(term, ir.Value) else _whole(term))
        return self.builder.gep(self.data, [place])

    def load(self, pointer: Any) -> Any:
        return self._aligned(self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer())))

    def load_number(self, pointer: Any) -> Any:
        return self._aligned(self.builder.load(pointer))

    def store(self, vector: Any, pointer: Any) -> None:
        self._aligned(self.builder.store(vector, self.builder.bitcast(pointer, vector.type.as_pointer())))

    def _aligned(self, instruction: Any) -> Any:
        instruction.align = 4 if isinstance(self.number, ir.FloatType) else 8
        return instruction

    def constant(self, number: float) -> Any:
        return ir.Constant(self.vector, [number] * self.lanes)

    def everywhere(self, number: Any) -> Any:
        """The vector of copies of a number."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, number, ir.IntType(32)(0))
        return self.shuffled(first, undefined, [0] * self.lanes)

    def shuffled(self, one: Any, other: Any, places: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)
        return self.builder.shuffle_vector(one, other, mask)

    def add_product(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, rounded once where the processor can."""
        if not _fused:
            return self.builder.fadd(self.builder.fmul(a, b), c)
        name = f"llvm.fma.v{self.lanes}f{VECTOR * 8 // self.lanes}"
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        function = self.builder.module.globals.get(name) or ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, [a, b, c])

    def sums(self, count: int, terms: Any, term: Any) -> list[Any]:
        """For k < terms, at least one: `count` vectors s <- term(k, s), from zero on."""
        builder, entry = self.builder, self.builder.block
        loop, done = builder.append_basic_block("loop"), builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        k, sums = builder.phi(_whole), [builder.phi(self.vector) for _ in range(count)]
        new = term(k, sums)
        following = builder.add(k, _whole(1))
        for value, start, after in [
            (k, _whole(0), following),
            *((one, self.constant(0.0), other) for one, other in zip(sums, new, strict=True)),
        ]:
            value.add_incoming(start, entry)
            value.add_incoming(after, loop)
        builder.cbranch(builder.icmp_signed("<", following, terms), loop, done)
        builder.position_at_end(done)
        return new

    def folded(self, vectors: list[Any]) -> list[Any]:
        """The sums of the lanes of each vector, one after the other in vectors: the halves are added until one is left.

        There are 1, 2, 4, ... vectors. Two of them are folded at a time, as long as there are two.
        """
        width = self.lanes
        while width > 1:
            half, count = width // 2, vectors[0].type.count
            lanes = range(count * min(len(vectors), 2))
            first, second = ([lane for lane in lanes if lane % width // half == part] for part in range(2))
            pairs = list(zip(vectors[::2], vectors[1::2], strict=False)) or [(vectors[0], vectors[0])]
            vectors = [self.builder.fadd(self.shuffled(*pair, first), self.shuffled(*pair, second)) for pair in pairs]
            width = half
        return vectors


def _tile(rows: int, wide: int) -> Any:
    """A tile of `product`, of so many rows and vectors."""

    @intrinsic
    def tile(typing, work, kind, keep, a, a_row, a_term, b, b_term, b_next, c, c_row, c_next, other, terms):  # type: ignore[no-untyped-def]
        places = [types.int64] * 11
        signature = types.void(work, types.int64, work.dtype, *places)

        def call(context, builder, signature, values):  # type: ignore[no-untyped-def]
            work, kind, keep, a, a_row, a_term, b, b_term, b_next, c, c_row, c_next, other, terms = values
            code, mul = _Code(context, builder, signature.args[0], work), builder.mul
            tile = [(m, r) for m in range(rows) for r in range(wide)]
            starts = [code.at(a, mul(a_row, _whole(m))) for m in range(rows)]
            others = [code.at(b, mul(b_next, _whole(r))) for r in range(wide)]

            def term(k, sums):  # type: ignore[no-untyped-def]
                in_a, in_b = mul(k, a_term), mul(k, b_term)
                vectors = [code.load(builder.gep(start, [in_b])) for start in others]
                new = []
                for m, start in enumerate(starts):
                    number = code.everywhere(code.load_number(builder.gep(start, [in_a])))
                    new += [
                        code.add_product(number, vector, old)
                        for vector, old in zip(vectors, sums[m * wide : (m + 1) * wide], strict=True)
                    ]
                return new

            sums = code.sums(len(tile), terms, term)
            where = [builder.add(mul(c_row, _whole(m)), mul(c_next, _whole(r))) for m, r in tile]
            zero, end = code.constant(0.0), builder.append_basic_block("end")
            blocks = [builder.append_basic_block(name) for name in ("store", "relu", "mask", "add")]
            switch = builder.switch(kind, blocks[STORE])
            for which, block in enumerate(blocks):
                switch.add_case(_whole(which), block)
                builder.position_at_end(block)
                factor = code.everywhere(keep) if which == ADD else None
                for place, found in zip(where, sums, strict=True):
                    pointer = code.at(c, place)
                    if which == RELU:  # nan stays
                        found = builder.select(builder.fcmp_ordered("<", found, zero), zero, found)
                    elif which == MASK:
                        found = builder.select(
                            builder.fcmp_ordered("<=", code.load(code.at(other, place)), zero), zero, found
                        )
                    elif which == ADD:
                        found = code.add_product(factor, code.load(pointer), found)
                    code.store(found, pointer)
                builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return signature, call

    return tile


def _dots(rows: int, others: int) -> Any:
    """A tile of `dots`: c[m, r] <- a[m] . b[r] for so many rows of a and of b; 1, 2 or 4 of each."""

    @intrinsic
    def tile(typing, work, kind, a, a_row, b, b_row, c, c_row, terms):  # type: ignore[no-untyped-def]
        signature = types.void(work, *[types.int64] * 8)

        def call(context, builder, signature, values):  # type: ignore[no-untyped-def]
            work, kind, a, a_row, b, b_row, c, c_row, terms = values
            code, mul = _Code(context, builder, signature.args[0], work), builder.mul
            of_a = [code.at(a, mul(a_row, _whole(m))) for m in range(rows)]
            of_b = [code.at(b, mul(b_row, _whole(r))) for r in range(others)]

            def term(k, sums):  # type: ignore[no-untyped-def]
                place = mul(k, _whole(code.lanes))
                one, other = ([code.load(builder.gep(start, [place])) for start in starts] for starts in (of_a, of_b))
                pairs = [(x, y) for x in one for y in other]
                return [code.add_product(x, y, old) for (x, y), old in zip(pairs, sums, strict=True)]

            found = code.folded(code.sums(rows * others, terms, term))
            relu = builder.icmp_signed("==", kind, _whole(RELU))
            for index, vector in enumerate(found):
                zero = ir.Constant(vector.type, [0.0] * vector.type.count)
                positive = builder.select(builder.fcmp_ordered("<", vector, zero), zero, vector)
                vector = builder.select(relu, positive, vector)
                for first in range(0, vector.type.count, others):
                    part = code.shuffled(vector, vector, list(range(first, first + others)))
                    m = (index * vector.type.count + first) // others
                    code.store(part, code.at(c, mul(c_row, _whole(m))))
            return context.get_dummy_value()

        return signature, call

    return tile


LOW = 4
SQUARE = 4 if WIDE == WIDEST else 2
"""Rows of the next smaller tile, and of each matrix in a tile of `dots`."""
BLOCK = 96
"""Rows, and terms of sums that are added to, which are taken together: they stay in the cache."""
_highest, _high, _low = _tile(HIGH, WIDE), _tile(LOW, WIDE), _tile(1, WIDE)
_square, _column, _single = _dots(SQUARE, SQUARE), _dots(SQUARE, 1), _dots(1, 1)


@part_of_caller
def product(
    work: Array, kind: int, keep: Any, a: int, a_row: int, a_term: int, b: int, b_term: int, b_next: int,
    c: int, c_row: int, c_next: int, other: int, rows: int, width: int, terms: int,
) -> None:  # fmt: skip
    """c <- a b [rows, width], with so many terms, in one of the ways of `kind`; width in numbers.

    Entry (m, k) of a is at a + m a_row + k a_term. Row k of b is made of vectors at b + k b_term + r b_next for
    r = 0, 1, ...; those of c and `other` are at m c_row + r c_next.
    """
    whole = np.int64  # constants would be types of their own, each with a copy of the code
    together = BLOCK if kind in (STORE, ADD) else terms
    for k in range(0, terms, together):
        for m in range(0, rows, BLOCK):
            _block(
                work, whole(kind), keep, a + m * a_row + k * a_term, whole(a_row), whole(a_term),
                b + k * b_term, b_term, b_next, c + m * c_row, c_row, c_next, other + m * c_row,
                min(BLOCK, rows - m), width, min(together, terms - k),
            )  # fmt: skip
        kind, keep = ADD, work.dtype.type(1)


@compiled
def _block(
    work: Array, kind: int, keep: Any, a: int, a_row: int, a_term: int, b: int, b_term: int, b_next: int,
    c: int, c_row: int, c_next: int, other: int, rows: int, width: int, terms: int,
) -> None:  # fmt: skip
    """A product by tiles. What rows are left after the highest tiles is done by a tile that takes some of theirs again,
    unless it adds to c."""
    for r in range(0, width * work.itemsize // VECTOR, WIDE):
        m = 0
        while m < rows:
            if m + HIGH > rows >= HIGH and m + LOW != rows and kind != ADD:
                m = rows - HIGH
            of_a, of_b, place = a + m * a_row, b + r * b_next, m * c_row + r * c_next
            of_c, of_other = c + place, other + place
            if m + HIGH <= rows:
                _highest(
                    work, kind, keep, of_a, a_row, a_term, of_b, b_term, b_next, of_c, c_row, c_next, of_other, terms
                )
                m += HIGH
            elif m + LOW <= rows:
                _high(work, kind, keep, of_a, a_row, a_term, of_b, b_term, b_next, of_c, c_row, c_next, of_other, terms)
                m += LOW
            else:
                _low(work, kind, keep, of_a, a_row, a_term, of_b, b_term, b_next, of_c, c_row, c_next, of_other, terms)
                m += 1


@compiled
def dots(
    work: Array, kind: int, a: int, a_row: int, b: int, b_row: int, c: int, c_row: int,
    rows: int, others: int, width: int,
) -> None:  # fmt: skip
    """c[m, r] <- a[m] . b[r] (STORE or RELU) for rows a [rows, width] and b [others, width] without gaps in a row.

    The last tile takes some rows again.
    """
    terms = width * work.itemsize // VECTOR
    high = SQUARE if rows >= SQUARE else 1
    wide = SQUARE if high == SQUARE and others >= SQUARE else 1
    for r in range(0, others, wide):
        of_r = min(r, others - wide)
        for m in range(0, rows, high):
            of_m = min(m, rows - high)
            of_a, of_b, of_c = a + of_m * a_row, b + of_r * b_row, c + of_m * c_row + of_r
            if wide == SQUARE:
                _square(work, kind, of_a, a_row, of_b, b_row, of_c, c_row, terms)
            elif high == SQUARE:
                _column(work, kind, of_a, a_row, of_b, b_row, of_c, c_row, terms)
            else:
                _single(work, kind, of_a, a_row, of_b, b_row, of_c, c_row, terms)
