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

Statistics are made within each data set, and so within one loss. Over all data sets, `overall`, a statistic is the mean
of the data sets' (the worst, of robust_sign_error). Pairs of cells of two data sets with the same task stand apart,
under `between data sets`: there a measure may order data sets and not nets.

Intervals are bootstrap percentiles: splits are drawn with replacement, and inside each drawn split its seeds; all cells
of a replicate (a split and a seed) together. A pair of cells weighs as often as its replicates were drawn (a cell is
never paired with itself). Data sets are drawn from independently. Fewer than 3 replicates: null. The maximum in
robust_sign_error makes its resamples lean upwards: the lower end of its interval is cautious.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ranktwo.errors import UserError
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


Samples = dict[tuple[str, str | None], np.ndarray]
"""(statistic, axis; None: over all axes) -> its value, followed by its values in the resamples."""


@dataclass(frozen=True)
class Scores:
    """The statistics of one measure in some cells."""

    measure: str
    samples: Samples
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
    controls = table[control].to_numpy(float)
    found = []
    for measure in measures:
        mu, g = table[[measure, gap]].to_numpy(float).T
        usable = np.isfinite(mu) & np.isfinite(g)
        for cells, statistics in (
            (usable, partial(_pair_statistics, axes=axes, min_pairs=min_pairs)),
            (usable & (controls > 0), _partial_spearman),
        ):
            replicates, draws = _draws(table[cells], resamples, random_seed)
            # Few replicates have few distinct resamples, ten of three seeds: each is computed once.
            distinct, which = np.unique(draws, axis=0, return_inverse=True)
            values = statistics(mu[cells], g[cells], controls[cells], places[cells], replicates, distinct)
            samples = {key: sample[which] for key, sample in values.items()}
            counts = draws.shape[1], int(cells.sum()), int(len(table) - cells.sum())
            found.append(Scores(measure, samples, *counts))
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


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom; null, not infinite, where bottom is not above 0."""
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not null."""
    return _ratio(np.nansum(values, axis=-1), np.isfinite(values).sum(axis=-1))


def _pair_statistics(
    mu: np.ndarray,
    gap: np.ndarray,
    controls: np.ndarray,
    places: np.ndarray,
    replicates: np.ndarray,
    draws: np.ndarray,
    *,
    axes: list[str],
    min_pairs: int,
) -> dict[tuple[str, str | None], np.ndarray]:
    """All that is made of sign products: (statistic, axis) -> its value for every draw of the replicates."""
    i, j = np.triu_indices(len(mu), 1)
    signs = np.sign(mu[i] - mu[j]) * np.sign(gap[i] - gap[j])
    if len(mu) and (np.ptp(mu) == 0 or np.ptp(gap) == 0):
        signs[:] = np.nan
    count = draws.shape[1]
    replicate_pairs = replicates[i] * count + replicates[j]
    pair_draws = (draws[:, :, None] * draws[:, None, :]).reshape(len(draws), -1)

    def means(values: np.ndarray, pairs: np.ndarray, group: np.ndarray, least: int) -> np.ndarray:
        """Mean value of the pairs of each group, [draws, groups], for groups of at least `least` pairs."""
        names, codes = np.unique(group[pairs], return_inverse=True)
        keys, size = codes * count**2 + replicate_pairs[pairs], (len(names), count**2)
        sizes = np.bincount(keys, minlength=np.prod(size)).reshape(size)
        sums = np.bincount(keys, values[pairs], minlength=np.prod(size)).reshape(size)
        enough = sizes.sum(1) >= least
        return _ratio(pair_draws @ sums[enough].T, pair_draws @ sizes[enough].T)

    def granulated(pairs: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Mean of tau over groups of cells of one replicate; a draw repeats all groups of a replicate."""
        _, first, codes = np.unique(group[pairs], return_index=True, return_inverse=True)
        taus = _ratio(np.bincount(codes, signs[pairs]), np.bincount(codes))
        owner = replicates[i][pairs][first]
        return _ratio(draws @ np.bincount(owner, taus, count), draws @ np.bincount(owner, minlength=count))

    together = np.zeros(len(i), int)
    differ = places[i] != places[j]
    strides = np.cumprod([1, *(places.max(0, initial=0) + 1)])
    settings = places @ strides[:-1]
    first, second = np.sort([settings[i], settings[j]], axis=0)
    statistics: dict[tuple[str, str | None], np.ndarray] = {
        ("tau", None): _mean(means(signs, together == 0, together, 1)),
        ("tau_fixed_control", None): _mean(
            means(signs, (controls[i] == controls[j]) & (settings[i] != settings[j]), together, 1)
        ),
    }
    errors: dict[str | None, np.ndarray] = {}
    for a, axis in enumerate(axes):
        alone = differ[:, a] & (differ.sum(1) == 1)
        rest = (settings - places[:, a] * strides[a])[i] * count + replicates[i]
        statistics["psi", axis] = granulated(alone & (replicates[i] == replicates[j]), rest)
        errors[axis] = means((1 - signs) / 2, alone, first * strides[-1] + second, min_pairs)
    statistics["psi", None] = _mean(np.stack([statistics["psi", axis] for axis in axes], axis=1))
    errors[None] = np.concatenate(list(errors.values()), axis=1)
    for place, error in errors.items():
        statistics["sign_error", place] = _mean(error)
        worst = np.where(np.isfinite(error), error, -np.inf).max(1, initial=-np.inf)
        statistics["robust_sign_error", place] = np.where(np.isfinite(worst), worst, np.nan)
    return statistics


def _partial_spearman(
    mu: np.ndarray, gap: np.ndarray, controls: np.ndarray, places: np.ndarray, replicates: np.ndarray, draws: np.ndarray
) -> dict[tuple[str, None], np.ndarray]:
    """Partial rank correlation of measure and gap given the control, for every draw of the replicates."""
    weights = draws[:, replicates]

    def scores(values: np.ndarray) -> np.ndarray:
        """Standardised mid-ranks of the cells, each as often as its replicate was drawn, [draws, cells]."""
        below = np.zeros((draws.shape[1], len(values)))
        for replicate in range(draws.shape[1]):
            ordered = np.sort(values[replicates == replicate])
            below[replicate] = (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, side="right")) / 2
        ranks = draws @ below
        ranks -= _ratio((weights * ranks).sum(1), weights.sum(1))[:, None]
        return _ratio(ranks, np.sqrt((weights * ranks**2).sum(1))[:, None] * np.ones(len(values)))

    m, g, c = scores(mu), scores(gap), scores(controls)
    mg, mc, gc = ((weights * a * b).sum(1) for a, b in ((m, g), (m, c), (g, c)))
    left = (1 - mc**2) * (1 - gc**2)
    # Rounding leaves 1 - r^2 a little off 0 where the control alone orders a variable; of 3 cells the result is +-1.
    defined = (left > 1e-12) & ((weights > 0).sum(1) > 3)
    return {("partial_spearman", None): _ratio(mg - mc * gc, np.where(defined, np.sqrt(np.abs(left)), 0))}


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


def between(datasets: Sequence[pd.DataFrame], measure: str, *, resamples: int = 1000, random_seed: int = 0) -> Scores:
    """tau over the pairs of cells of two data sets with the same task: does a measure order data sets by their gap?"""
    parts = []
    for number, cells in enumerate(datasets):
        own = cells[np.isfinite(cells[[measure, GAP]].to_numpy(float)).all(axis=1)]
        if len(own):
            mu, gap = own[[measure, GAP]].to_numpy(float).T
            parts.append(_Part(own["task"].iloc[0], mu, gap, *_draws(own, resamples, (random_seed, number))))
    length = min((len(part.draws) for part in parts), default=1)
    sums, sizes, used = np.zeros(length), np.zeros(length), set()
    for (i, one), (j, other) in combinations(enumerate(parts), 2):
        if one.task != other.task:
            continue
        used |= {i, j}
        differences = np.subtract.outer(one.measure, other.measure), np.subtract.outer(one.gap, other.gap)
        first, second = (part.draws[:length, part.replicates] for part in (one, other))
        sums += np.einsum("da,ab,db->d", first, np.prod(np.sign(differences), axis=0), second, optimize=True)
        sizes += first.sum(1) * second.sum(1)
    counted = [parts[place] for place in sorted(used)]
    return Scores(
        measure,
        {("tau", None): _ratio(sums, sizes)},
        replicates=min((part.draws.shape[1] for part in counted), default=0),
        cells=sum(len(part.gap) for part in counted),
        excluded=sum(map(len, datasets)) - sum(len(part.gap) for part in parts),
    )


def measures_of(cells: Cells) -> list[str]:
    """The columns that are scored: every bound, rate and measure, in the file's order, then RANKS."""
    return list(dict.fromkeys([*cells.of_kind("bound", "rate", "measure"), *RANKS]))


def predictors(cells: Cells) -> pd.DataFrame:
    """All measures in every data set, over all of them and between them: the columns of predictors.parquet.

    Cells count whose status is ok. A run that stands in the study under two names (`full` and the batch size that it
    means) counts once.
    """
    measures = measures_of(cells)
    ok = cells.rows[cells.rows["status"] == "ok"].drop_duplicates(list(AXES))
    numbers = dict.fromkeys({*measures, GAP}, float)
    ok = ok.astype(numbers)
    datasets = {name: ok[ok["dataset"] == name] for name in cells.rows["dataset"].unique()}
    single = {
        name: compare(part, measures, random_seed=(0, number)) for number, (name, part) in enumerate(datasets.items())
    }
    overall = [combine(list(scores)) for scores in zip(*single.values(), strict=True)]
    apart = [between(list(datasets.values()), measure) for measure in measures]
    return pd.DataFrame(
        [
            {"dataset": name} | row
            for name, scores in ({OVERALL: overall} | single | {BETWEEN: apart}).items()
            for one in scores
            for row in one.rows()
        ]
    )[list(COLUMNS)]
