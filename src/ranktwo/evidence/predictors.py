"""Which measure predicts the generalization gap? Rank statistics of a measure against the gap, over many cells.

A cell is one trained net: a row with its split and seed, its place on the axes, its measures and its gap. A cell whose
measure or gap is null or infinite is excluded and counted. A measure (or gap) that is the same in all cells used has
null statistics: it ranks nothing. With s_ij = sgn(mu_i - mu_j) sgn(g_i - g_j) for cells i, j, mu the measure and g the
gap:

- tau: mean of s_ij over all pairs of cells. Jiang et al. 2020 (1912.02178), their definition of Kendall's coefficient:
  sign products over |T|(|T| - 1), so a tie counts 0 and stays in the denominator. This is tau-a; published
  reimplementations take scipy's tau-b, which leaves ties out of the denominator.
- tau_fixed_control: the same over the pairs of cells of different settings with equal values of the control (weight
  decay): what the measure says once the control is known, whatever the shape of its dependence on the control. Cells
  that differ in split and seed alone are no such pair.
- partial_spearman: Spearman correlation of measure and gap given the control,
  (r_mg - r_mc r_gc) / sqrt((1 - r_mc^2)(1 - r_gc^2)), the first-order partial correlation of mid-ranks, as
  pingouin.partial_corr(method="spearman"). Null where the control alone orders the measure (|r_mc| = 1). The ranks
  of the control are those of its logarithm; cells without a logarithm (control <= 0) are excluded and counted.
- psi: granulated Kendall coefficient (Jiang et al. 2020, same section). Cells that differ in one axis only form a
  group; psi of that axis is the mean over groups of tau within the group; psi over axes is their mean. Split and seed
  are held fixed like any other axis, so a group compares nets of the same data that started alike.
- sign_error: mean over environments of the mean of (1 - s_ij)/2; robust_sign_error: the worst environment, for one axis
  or for all. Dziugaite et al. 2020 (2010.11924), environments as in their published code: two settings that differ in
  the value of one axis, with every seed of the one against every seed of the other. All pairs weigh the same, because
  their Hoeffding weights hold for errors in [0, 1] only; an environment needs `min_pairs` pairs of cells.

Statistics are made within each data set and architecture, and so within one loss and kind of net. Over all data sets,
`overall`, a statistic is the mean of the data sets' (the worst, of robust_sign_error). Pairs of cells of two data sets
with the same task stand apart, under `between data sets`: there a measure may order data sets and not nets.

Intervals are bootstrap percentiles: splits are drawn with replacement, and inside each drawn split its seeds; all cells
of a replicate (a split and a seed) together. A pair of cells weighs as often as its replicates were drawn (a cell is
never paired with itself). Data sets are drawn from independently. Fewer than 3 replicates: null. The maximum in
robust_sign_error makes its resamples lean upwards: the lower end of its interval is cautious.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ranktwo.errors import UserError
from ranktwo.evidence.claims.families import ARCHITECTURE, by_architecture
from ranktwo.evidence.concordance import Design, Ordered, Statistics, block_sums, dense, ratio
from ranktwo.evidence.gaps import Cells
from ranktwo.store.columns import REAL, TEXT, WHOLE, column
from ranktwo.study.axes import AXES, REPLICATE

LEAST_REPLICATES = 3
OVERALL, BETWEEN = "overall", "between data sets"
"""In the column `dataset`: all data sets together, and pairs of cells of two of them."""
GAP = "matched_loss_gap"
RANKS = ["effective_rank", "stable_rank", "residual_2", "norm", "functional_rank", "vacuity_lower", "weight_decay"]
"""Columns of gaps.parquet that are scored beside the bounds, rates and measures."""
COLUMNS = {
    "dataset": column(
        TEXT,
        f"Name of the data set in the study; `{OVERALL}`: mean over them; `{BETWEEN}`: pairs of cells of two of them.",
    ),
    "architecture": ARCHITECTURE,
    "measure": column(TEXT, "A column of gaps.parquet: a bound, rate or measure of the generalization gap, or a rank."),
    "statistic": column(
        TEXT, f"How the measure's order of cells agrees with that of `{GAP}`; evidence/predictors.py defines each."
    ),
    "axis": column(TEXT, "The one axis in which the compared cells differ; null for all axes."),
    "value": column(REAL, "The statistic; null where the measure or the gap is the same in all cells."),
    "low": column(
        REAL,
        "Lower end of the 95 % interval: percentiles of a bootstrap over splits and, inside them, seeds; null for "
        "fewer than 3 replicates.",
    ),
    "high": column(REAL, "Upper end of that interval."),
    "replicates": column(
        WHOLE,
        "Number of replicates, pairs of split and seed, that the row rests on; of `overall` the fewest of its sets.",
    ),
    "cells": column(WHOLE, "Number of cells that the row rests on."),
    "excluded": column(WHOLE, "Cells left out because the measure or the gap is null there."),
}


Statistic = Callable[[Design, np.ndarray], Statistics]
"""A statistic of a measure in the cells of a design."""


@dataclass(frozen=True)
class Scores:
    """The statistics of one measure in some cells."""

    measure: str
    samples: Statistics
    """Each with its value, followed by its values in the resamples."""
    replicates: int
    cells: int
    excluded: int

    def rows(self, level: float = 0.95) -> list[dict[str, Any]]:
        """A row for each statistic and axis: value, low, high, and what it rests on."""
        counts = {name: getattr(self, name) for name in ("replicates", "cells", "excluded")}
        return [
            {"measure": self.measure, "statistic": statistic, "axis": axis} | _interval(samples, level) | counts
            for (statistic, axis), samples in self.samples.items()
        ]


def score(
    table: pd.DataFrame,
    measures: Sequence[str],
    gap: str,
    axes: Sequence[str],
    *,
    control: str = "weight_decay",
    resamples: int = 1000,
    min_pairs: int = 5,
    random_seed: int | tuple[int, ...] = 0,
) -> list[Scores]:
    """The statistics of each measure, pairs of cells and partial correlations apart as they rest on other cells.

    `axes` are all columns, other than split and seed, in which the cells differ by design.
    """
    axes = list(axes)
    if table.duplicated([*axes, *REPLICATE]).any():
        raise UserError(
            f"two cells agree in {', '.join([*axes, *REPLICATE])}: name every axis in which the cells differ"
        )
    places = np.stack([_codes(table[axis]) for axis in axes], axis=1)
    controls, gaps = table[control].to_numpy(float), table[gap].to_numpy(float)
    designs: dict[bytes, tuple[Design, np.ndarray]] = {}
    known: dict[tuple[Statistic, bytes, bytes], Statistics] = {}

    def resampled(statistic: Statistic, mu: np.ndarray, cells: np.ndarray) -> Scores:
        """The statistic in some cells. What depends on the cells alone is made once, and so is what has one order."""
        key = cells.tobytes()
        if key not in designs:
            replicates, draws = _draws(table[cells], resamples, random_seed)
            # Few replicates have few distinct resamples, ten of three seeds: each is computed once.
            distinct, which = np.unique(draws, axis=0, return_inverse=True)
            own = Design(gaps[cells], controls[cells], places[cells], replicates, distinct, axes, min_pairs)
            designs[key] = own, which
        design, which = designs[key]
        ordered = statistic, key, dense(mu[cells]).tobytes()
        if ordered not in known:
            values = statistic(design, mu[cells])
            known[ordered] = {name: sample[which] for name, sample in values.items()}
        return Scores(measure, known[ordered], design.draws.shape[1], int(cells.sum()), int(len(table) - cells.sum()))

    found = []
    for measure in measures:
        mu = table[measure].to_numpy(float)
        usable = np.isfinite(mu) & np.isfinite(gaps)
        found.append(resampled(Design.of_pairs, mu, usable))
        found.append(resampled(Design.partial_spearman, mu, usable & (controls > 0)))
    return found


def _codes(values: pd.Series) -> np.ndarray:
    return pd.factorize(values, sort=True, use_na_sentinel=False)[0]


def _draws(cells: pd.DataFrame, resamples: int, random_seed: int | tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The replicate of each cell, and how often each replicate was drawn, [1 + resamples, replicates].

    The first row is the data themselves. Of S splits S are drawn, and of the n seeds of a split n each time that it is.
    The generator is fresh for every measure, so measures are resampled alike, whichever others are scored.
    """
    replicates = cells.groupby(list(REPLICATE), sort=True).ngroup().to_numpy()
    count = replicates.max(initial=-1) + 1
    if count < LEAST_REPLICATES:
        return replicates, np.ones((1, count))
    split = np.zeros(count, int)
    split[replicates] = _codes(cells[REPLICATE[0]])
    seeds = np.bincount(split)
    generator = np.random.default_rng(random_seed)
    splits = generator.multinomial(len(seeds), np.full(len(seeds), 1 / len(seeds)), size=resamples)
    draws = np.ones((1 + resamples, count))
    for number, size in enumerate(seeds):
        draws[1:, split == number] = generator.multinomial(splits[:, number] * size, np.full(size, 1 / size))
    return replicates, draws


def _interval(samples: np.ndarray, level: float) -> dict[str, float]:
    """Value and percentile interval; resamples in which the statistic is undefined are left out."""
    value, resampled = samples[0], samples[1:][np.isfinite(samples[1:])]
    low = high = np.nan
    if np.isfinite(value) and resampled.size:
        low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return {"value": value, "low": low, "high": high}


def compare(cells: pd.DataFrame, measures: Sequence[str], **options: Any) -> list[Scores]:
    """`score` of the cells of one data set against GAP, over all axes in which they differ."""
    axes = [axis for axis in AXES if axis not in REPLICATE and cells[axis].nunique(dropna=False) > 1]
    return score(cells, measures, GAP, axes or ["weight_decay"], **options)


def combine(scores: list[Scores]) -> Scores:
    """The scores of one measure in several data sets as one: means, and the worst robust_sign_error."""
    keys = dict.fromkeys(key for one in scores for key in one.samples)
    samples = {}
    for key in keys:
        known = [one.samples[key] for one in scores if key in one.samples and np.isfinite(one.samples[key][0])]
        length = min(map(len, known), default=1)
        stacked = np.array([sample[:length] for sample in known]) if known else np.full((1, 1), np.nan)
        samples[key] = stacked.max(axis=0) if key[0] == "robust_sign_error" else stacked.mean(axis=0)
    used = [one.replicates for one in scores if one.cells]
    return Scores(
        scores[0].measure,
        samples,
        min(used, default=0),
        sum(one.cells for one in scores),
        sum(one.excluded for one in scores),
    )


class _Part(NamedTuple):
    """The usable cells of one data set, for comparison with another's."""

    task: str
    measure: np.ndarray
    gap: np.ndarray
    replicates: np.ndarray
    """Of each cell."""
    draws: np.ndarray
    """As in `_draws`."""


def between(
    datasets: Sequence[pd.DataFrame], measures: Sequence[str], *, resamples: int = 1000, random_seed: int = 0
) -> list[Scores]:
    """tau over the pairs of cells of two data sets with the same task: does a measure order data sets by their gap?"""
    drawn: dict[tuple[int, bytes], tuple[np.ndarray, np.ndarray]] = {}
    numbers = [cells[[*measures, GAP]].to_numpy(float) for cells in datasets]
    found = []
    for place, measure in enumerate(measures):
        parts = []
        for number, (cells, values) in enumerate(zip(datasets, numbers, strict=True)):
            usable = np.isfinite(values[:, [place, -1]]).all(axis=1)
            key = number, usable.tobytes()
            if key not in drawn:
                drawn[key] = _draws(cells[usable], resamples, (random_seed, number))
            if usable.any():
                mu, gap = values[usable][:, [place, -1]].T
                parts.append(_Part(cells["task"].iloc[0], mu, gap, *drawn[key]))
        found.append(_between(measure, parts, excluded=sum(map(len, datasets)) - sum(len(part.gap) for part in parts)))
    return found


def _between(measure: str, parts: list[_Part], excluded: int) -> Scores:
    length = min((len(part.draws) for part in parts), default=1)
    sums, sizes, used = np.zeros(length), np.zeros(length), set()
    for (i, one), (j, other) in combinations(enumerate(parts), 2):
        if one.task != other.task:
            continue
        used |= {i, j}
        first, second = (part.draws[:length] for part in (one, other))
        orders = [dense(np.concatenate(pair)) for pair in ((one.measure, other.measure), (one.gap, other.gap))]
        cells = [
            Ordered.of(orders[0][own], orders[1][own], part.replicates, part.replicates)
            for part, own in ((one, slice(len(one.gap))), (other, slice(len(one.gap), None)))
        ]
        blocks = block_sums(cells[0], cells[1], (first.shape[1], second.shape[1]))
        sums += ((first @ blocks) * second).sum(1)
        sizes += first[:, one.replicates].sum(1) * second[:, other.replicates].sum(1)
    counted = [parts[place] for place in sorted(used)]
    return Scores(
        measure,
        {("tau", None): ratio(sums, sizes)},
        replicates=min((part.draws.shape[1] for part in counted), default=0),
        cells=sum(len(part.gap) for part in counted),
        excluded=excluded,
    )


def measures_of(cells: Cells) -> list[str]:
    """The columns that are scored: every bound, rate and measure, in the file's order, then RANKS."""
    return list(dict.fromkeys([*cells.of_kind("bound", "rate", "measure"), *RANKS]))


def predictors(cells: Cells) -> pd.DataFrame:
    """All measures in every data set, over all of them and between them: the columns of predictors.parquet.

    So it is for every architecture, the paper's first. Cells count whose status is ok. A run that stands in the study
    under two names (`full` and the batch size that it means) counts once.
    """
    measures = measures_of(cells)
    judged = cells.rows.drop_duplicates(list(AXES)).astype(dict.fromkeys({*measures, GAP}, float))
    tables = [
        _of_nets({part["dataset"].iloc[0]: part[part["status"] == "ok"] for part in parts}, measures, number).assign(
            architecture=name
        )
        for number, (name, parts) in enumerate(by_architecture(judged))
    ]
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def _of_nets(datasets: dict[str, pd.DataFrame], measures: Sequence[str], architecture: int) -> pd.DataFrame:
    """The rows of one architecture, from its cells by data set; its number begins the random numbers."""
    single = {
        name: compare(part, measures, random_seed=(architecture, number))
        for number, (name, part) in enumerate(datasets.items())
    }
    overall = [combine(list(scores)) for scores in zip(*single.values(), strict=True)]
    apart = between(list(datasets.values()), measures, random_seed=architecture)
    return pd.DataFrame(
        [
            {"dataset": name} | row
            for name, scores in ({OVERALL: overall} | single | {BETWEEN: apart}).items()
            for one in scores
            for row in one.rows()
        ]
    )
