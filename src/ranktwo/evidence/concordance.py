"""How far the order of cells by a measure agrees with their order by the gap, for every draw of their replicates.

`predictors` defines the statistics. Here they are made from sums over pairs of cells, for n cells in S settings and R
replicates, and D draws of the replicates with weights d [D, R]. With s_ij the product of the two signs of a pair, the
sum over pairs of weight d_a d_b, a and b the replicates of the two cells, is the quadratic form d' Q d, Q_ab the sum
over the pairs of cells of a and b. Signs and weights are whole numbers, so these sums are exact. Memory does not grow
with the number of pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
ELEMENTS, CACHED = 2**23, 2**17
"""Most numbers of an array that grows with pairs or with draws, and of one that is gone through several times."""

Statistics = dict[tuple[str, str | None], Numbers]
"""(statistic, axis; None: over all axes) -> its value for every draw."""


def ratio(top: Numbers, bottom: Numbers) -> Numbers:
    """top / bottom; null, not infinite, where bottom is not above 0."""
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def mean(values: Numbers) -> Numbers:
    """Mean over the last axis of what is not null."""
    return ratio(np.nansum(values, axis=-1), np.isfinite(values).sum(axis=-1))


@dataclass(frozen=True, eq=False)
class _Environments:
    """Pairs of settings that differ in one axis alone, in the order of their codes; E of them."""

    first: Places
    second: Places
    sizes: Numbers
    """Weight of the pairs of cells of each, [D, E]."""


@dataclass(frozen=True, eq=False)
class _Groups:
    """Pairs of cells of one replicate that differ in one axis alone, by group: cells that agree in all other axes."""

    i: Places
    j: Places
    group: Places
    count: Numbers
    """Pairs of each group."""
    owner: Places
    """Replicate of each group."""
    weight: Numbers
    """Number of groups that each draw has, [D]."""


@dataclass(frozen=True, eq=False)
class Design:
    """What is the same for all measures that are known in the same cells."""

    gap: Numbers
    control: Numbers
    places: Places
    """Of each cell on each axis, [n, axes]."""
    replicates: Places
    draws: Numbers
    """How often each replicate was drawn, [D, R]."""
    axes: list[str]
    min_pairs: int

    @cached_property
    def _ranks_of_gap(self) -> Places:
        return dense(self.gap)

    @cached_property
    def _strides(self) -> Places:
        return np.cumprod([1, *(self.places.max(0, initial=0) + 1)])

    @cached_property
    def _codes(self) -> Places:
        """The settings' codes, rising, [S]."""
        return np.unique(self._code_of_cell)

    @cached_property
    def _code_of_cell(self) -> Places:
        return self.places @ self._strides[:-1]

    @cached_property
    def _setting(self) -> Places:
        """Number of each cell's setting, [n]."""
        return np.searchsorted(self._codes, self._code_of_cell)

    @cached_property
    def _cell_of(self) -> Places:
        """The cell of each setting and replicate, -1 where there is none, [S, R]."""
        table = np.full((len(self._codes), self.draws.shape[1]), -1)
        table[self._setting, self.replicates] = np.arange(len(self.replicates))
        return table

    @cached_property
    def _weight_of_setting(self) -> Numbers:
        """Weight of each setting's cells in each draw, [D, S]."""
        return self.draws @ (self._cell_of >= 0).T.astype(float)

    def _neighbours(self, axis: int) -> tuple[Places, Places]:
        """Pairs of settings that differ in this axis alone, first < second, in the order of their codes."""
        codes, stride, next_stride = self._codes, self._strides[axis], self._strides[axis + 1]
        place = codes % next_stride // stride
        _, group = np.unique(codes - place * stride, return_inverse=True)
        order = np.argsort(group, kind="stable")
        sizes = np.bincount(group)
        first, second = [], []
        for start, size in zip(np.cumsum(sizes) - sizes, sizes, strict=True):
            one, other = np.triu_indices(size, 1)
            first.append(order[start + one])
            second.append(order[start + other])
        one, other = (np.concatenate([np.empty(0, int), *parts]) for parts in (first, second))
        sequence = np.argsort(one * len(codes) + other)
        return one[sequence], other[sequence]

    @cached_property
    def _environments(self) -> list[_Environments]:
        found = []
        counts = (self._cell_of >= 0).sum(1)
        for axis in range(len(self.axes)):
            first, second = self._neighbours(axis)
            enough = counts[first] * counts[second] >= self.min_pairs
            first, second = first[enough], second[enough]
            sizes = self._weight_of_setting[:, first] * self._weight_of_setting[:, second]
            found.append(_Environments(first, second, sizes))
        return found

    @cached_property
    def _groups(self) -> list[_Groups]:
        found, replicates = [], self.draws.shape[1]
        for axis in range(len(self.axes)):
            first, second = self._neighbours(axis)
            pair, replicate = np.nonzero((self._cell_of[first] >= 0) & (self._cell_of[second] >= 0))
            i, j = self._cell_of[first[pair], replicate], self._cell_of[second[pair], replicate]
            rest = self._code_of_cell[i] - self.places[i, axis] * self._strides[axis]
            _, start, group = np.unique(rest * replicates + replicate, return_index=True, return_inverse=True)
            owner = replicate[start]
            weight = self.draws @ np.bincount(owner, minlength=replicates).astype(float)
            found.append(_Groups(i, j, group, np.bincount(group).astype(float), owner, weight))
        return found

    # Sums over pairs.

    def _blocks(self, ranks: Places, cells: Places, apart: bool) -> Numbers:
        """Q [1, R, R] over all ordered pairs of these cells, of different settings if `apart`."""
        own = Ordered.of(ranks[cells], self._ranks_of_gap[cells], self.replicates[cells], self._setting[cells])
        return block_sums(own, own, (self.draws.shape[1],) * 2, apart)[None]

    @cached_property
    def _pair_draws(self) -> Numbers | None:
        """d_a d_b of every two replicates a <= b, [D, R (R + 1)/2]; None where that is too much."""
        one, other = np.triu_indices(self.draws.shape[1])
        return self.draws[:, one] * self.draws[:, other] if len(self.draws) * len(one) <= ELEMENTS else None

    def _quadratic(self, blocks: NDArray[Any]) -> Numbers:
        """d' Q d of matrices of whole numbers, [E, R, R], for every draw: [D, E]."""
        draws, pair_draws = self.draws, self._pair_draws
        # float32 is twice as fast, and exact as long as no sum passes 2^24.
        exact = draws.sum(1).max(initial=0) ** 2 * np.abs(blocks).max(initial=0) < 2**24
        kind = np.float32 if exact else np.float64
        if pair_draws is not None:
            one, other = np.triu_indices(draws.shape[1])
            folded = blocks[:, one, other] + np.where(one < other, blocks[:, other, one], 0)
            return (pair_draws.astype(kind) @ folded.T.astype(kind)).astype(float)
        weights = draws.astype(kind)
        found = np.empty((len(draws), len(blocks)))
        for number, block in enumerate(blocks):
            found[:, number] = ((weights @ block.astype(kind)) * weights).sum(1)
        return found

    @cached_property
    def _by_control(self) -> list[Places]:
        """The cells of each value of the control that stands in several settings."""
        values, which = np.unique(self.control, return_inverse=True)
        parts = (np.flatnonzero(which == number) for number in range(len(values)))
        return [cells for cells in parts if len(np.unique(self._setting[cells])) > 1]

    @cached_property
    def _sizes(self) -> tuple[Numbers, Numbers]:
        """Weight of all ordered pairs of cells, and of those of equal control and different settings, [D] each."""
        squared, cells = self.draws**2, np.bincount(self.replicates, minlength=self.draws.shape[1]).astype(float)
        fixed = np.zeros(len(self.draws))
        for own in self._by_control:
            settings = np.unique(self._setting[own])
            weight = self._weight_of_setting[:, settings]
            fixed += weight.sum(1) ** 2 - (weight**2).sum(1)
        return (self.draws @ cells) ** 2 - squared @ cells, fixed

    def _disagreements(self, ranks: Places, environments: _Environments) -> Numbers:
        """Mean of (1 - s)/2 in each environment, [D, E]."""
        count = self.draws.shape[1]
        step = max(1, CACHED // count**2)
        parts = []
        for begin in range(0, len(environments.first), step):
            own = slice(begin, begin + step)
            one, other = self._cell_of[environments.first[own]], self._cell_of[environments.second[own]]
            products = np.ones((len(one), count, count), np.int8)
            for values in (ranks, self._ranks_of_gap):
                products *= _signs(values[one][:, :, None], values[other][:, None, :])
            products *= (one >= 0)[:, :, None] & (other >= 0)[:, None, :]
            parts.append(self._quadratic(products))
        sums = np.concatenate([np.empty((len(self.draws), 0)), *parts], axis=1)
        return ratio((environments.sizes - sums) / 2, environments.sizes)

    def _granulated(self, ranks: Places, groups: _Groups) -> Numbers:
        """Mean of tau over groups; a draw repeats all groups of a replicate. [D]."""
        signs = (_signs(values[groups.i], values[groups.j]) for values in (ranks, self._ranks_of_gap))
        products = np.prod(list(signs), axis=0, dtype=float)
        sums = np.bincount(groups.group, products, len(groups.count)).astype(float)
        taus = ratio(sums, groups.count)
        return ratio(self.draws @ np.bincount(groups.owner, taus, self.draws.shape[1]), groups.weight)

    # Statistics.

    def _keys(self) -> list[tuple[str, str | None]]:
        """What `of_pairs` gives, in its order."""
        places = [*self.axes, None]
        errors = [(name, place) for place in places for name in ("sign_error", "robust_sign_error")]
        return [("tau", None), ("tau_fixed_control", None), *(("psi", place) for place in places), *errors]

    def of_pairs(self, measure: Numbers) -> Statistics:
        """All that is made of sign products; null where the measure or the gap is the same in all cells."""
        if not len(measure) or not np.ptp(measure) or not np.ptp(self.gap):
            return {key: np.full(len(self.draws), np.nan) for key in self._keys()}
        ranks = dense(measure)
        same_control = np.zeros((1, *(self.draws.shape[1],) * 2))
        for own in self._by_control:
            same_control += self._blocks(ranks, own, True)
        everything = self._blocks(ranks, np.arange(len(ranks)), False)
        sizes, sizes_of_control = self._sizes
        statistics: Statistics = {
            ("tau", None): ratio(self._quadratic(everything)[:, 0], sizes),
            ("tau_fixed_control", None): ratio(self._quadratic(same_control)[:, 0], sizes_of_control),
        }
        errors: dict[str | None, Numbers] = {}
        for axis, environments, groups in zip(self.axes, self._environments, self._groups, strict=True):
            statistics["psi", axis] = self._granulated(ranks, groups)
            errors[axis] = self._disagreements(ranks, environments)
        statistics["psi", None] = mean(np.stack([statistics["psi", axis] for axis in self.axes], axis=1))
        errors[None] = np.concatenate(list(errors.values()), axis=1)
        for place, error in errors.items():
            statistics["sign_error", place] = mean(error)
            worst = np.where(np.isfinite(error), error, -np.inf).max(1, initial=-np.inf)
            statistics["robust_sign_error", place] = np.where(np.isfinite(worst), worst, np.nan)
        return statistics

    @cached_property
    def _weights(self) -> Numbers:
        """How often each cell was drawn, [D, n]."""
        return self.draws[:, self.replicates]

    def _parts(self) -> Iterator[slice]:
        """The draws in parts whose arrays of cells fit into a processor's cache."""
        step = max(1, CACHED // max(1, len(self.gap)))
        return (slice(begin, begin + step) for begin in range(0, len(self.draws), step))

    def _mid_ranks(self, values: Numbers) -> Iterator[tuple[slice, Numbers, Numbers]]:
        """For each part of the draws, the cells' mid-ranks less their mean, [d, n], and their sd, [d].

        Each cell stands as often as it was drawn. The mean of mid-ranks is half their greatest, whatever the ties. The
        sd is times the root of the number of cells drawn.
        """
        distinct, which, counts = np.unique(values, return_inverse=True, return_counts=True)
        order, last = np.argsort(which, kind="stable"), np.cumsum(counts) - 1
        for part in self._parts():
            ends = np.zeros((len(self.draws[part]), len(distinct) + 1))
            ends[:, 1:] = self._weights[part, order].cumsum(axis=1)[:, last]
            middles = (ends[:, 1:] + ends[:, :-1] - ends[:, -1:]) / 2
            sd = np.sqrt(np.einsum("dv,dv,dv->d", np.diff(ends, axis=1), middles, middles))
            yield part, middles[:, which], sd

    @cached_property
    def _others(self) -> list[Numbers]:
        """Standardised mid-ranks of gap and control times the cells' weights, [D, n] each."""
        found = []
        for values in (self.gap, self.control):
            parts = (
                self._weights[part] * ranks * ratio(np.ones(len(sd)), sd)[:, None]
                for part, ranks, sd in self._mid_ranks(values)
            )
            found.append(np.concatenate(list(parts)))
        return found

    def _correlations(self, values: Numbers, others: list[Numbers]) -> list[Numbers]:
        """Rank correlations with `others`, which are as in `_others`, [D] each."""
        found = [np.empty(len(self.draws)) for _ in others]
        for part, ranks, sd in self._mid_ranks(values):
            for result, other in zip(found, others, strict=True):
                result[part] = ratio(np.einsum("dn,dn->d", ranks, other[part]), sd)
        return found

    @cached_property
    def _gap_and_control(self) -> Numbers:
        """Their rank correlation in each draw, [D]."""
        return self._correlations(self.control, self._others[:1])[0]

    @cached_property
    def _enough_cells(self) -> NDArray[np.bool_]:
        """Whether a draw has more than 3 cells: of 3 the partial correlation is +-1."""
        return (self._weights > 0).sum(1) > 3

    def partial_spearman(self, measure: Numbers) -> Statistics:
        """Partial rank correlation of measure and gap given the control."""
        if not len(measure):
            return {("partial_spearman", None): np.full(len(self.draws), np.nan)}
        gc, (mg, mc) = self._gap_and_control, self._correlations(measure, self._others)
        left = (1 - mc**2) * (1 - gc**2)
        # Rounding leaves 1 - r^2 a little off 0 where the control alone orders a variable.
        defined = (left > 1e-12) & self._enough_cells
        return {("partial_spearman", None): ratio(mg - mc * gc, np.where(defined, np.sqrt(np.abs(left)), 0))}


@dataclass(frozen=True, eq=False)
class Ordered:
    """Cells in the order of their replicates."""

    measure: NDArray[Any]
    """Whole numbers that order them as the measure does."""
    gap: NDArray[Any]
    replicates: Places
    setting: Places

    @classmethod
    def of(cls, measure: Places, gap: Places, replicates: Places, setting: Places) -> "Ordered":
        order = np.argsort(replicates, kind="stable")
        return cls(_narrow(measure[order]), _narrow(gap[order]), replicates[order], setting[order])


def block_sums(one: Ordered, other: Ordered, shape: tuple[int, int], apart: bool = False) -> Numbers:
    """Q: the sums of s_ij over the cells i of each replicate of `one` and the cells j of each of `other`.

    Of pairs of different settings alone if `apart`.
    """
    total, starts = np.zeros(shape), _starts(other.replicates)
    step = max(1, ELEMENTS // max(1, len(other.gap)))
    for begin in range(0, len(one.gap), step):
        rows = slice(begin, begin + step)
        products = _signs(one.measure[rows, None], other.measure) * _signs(one.gap[rows, None], other.gap)
        if apart:
            products *= one.setting[rows, None] != other.setting
        sums = np.add.reduceat(products, starts, axis=1, dtype=np.int32)
        own = one.replicates[rows]
        inner = _starts(own)
        total[np.ix_(own[inner], other.replicates[starts])] += np.add.reduceat(sums, inner, axis=0)
    return total


def dense(values: Numbers) -> Places:
    """The place of each value among the distinct ones."""
    return np.unique(values, return_inverse=True)[1]


def _narrow(ranks: Places) -> NDArray[np.integer]:
    """Ranks in as few bits as hold them: fewer bytes, faster comparisons."""
    return ranks.astype(np.min_scalar_type(int(ranks.max(initial=0))))


def _signs(one: NDArray[np.integer], other: NDArray[np.integer]) -> NDArray[np.int8]:
    return (one > other).view(np.int8) - (one < other).view(np.int8)


def _starts(codes: Places) -> Places:
    """Where each run of equal codes begins."""
    return np.flatnonzero(np.diff(codes, prepend=-1))
