"""Which measure predicts the generalization gap? Rank statistics of a measure against the gap, over many cells.

A cell is one trained net: a row with its seed, its place on the axes, its measures and its gap. A cell whose measure or
gap is null or infinite is excluded and counted. A measure (or gap) that is the same in all cells used has null
statistics: it ranks nothing. With s_ij = sgn(mu_i - mu_j) sgn(g_i - g_j) for cells i, j, mu the measure, g the gap:

- tau: mean of s_ij over all pairs of cells. Jiang et al. 2020 (1912.02178), their definition of Kendall's coefficient:
  sign products over |T|(|T| - 1), so a tie counts 0 and stays in the denominator. This is tau-a; published
  reimplementations take scipy's tau-b, which leaves ties out of the denominator.
- tau_fixed_control: the same over the pairs of cells with equal values of the control (weight decay): what the measure
  says once the control is known, whatever the shape of its dependence on the control.
- partial_spearman: Spearman correlation of measure and gap given the control,
  (r_mg - r_mc r_gc) / sqrt((1 - r_mc^2)(1 - r_gc^2)), the first-order partial correlation of mid-ranks, as
  pingouin.partial_corr(method="spearman"). Null where the control alone orders the measure (|r_mc| = 1). The ranks
  of the control are those of its logarithm; cells without a logarithm (control <= 0) are excluded and counted.
- psi: granulated Kendall coefficient (Jiang et al. 2020, same section). Cells that differ in one axis only form a
  group; psi of that axis is the mean over groups of tau within the group; psi over axes is their mean. Seeds are held
  fixed like any other axis, so a group compares nets that started alike.
- sign_error: mean over environments of the mean of (1 - s_ij)/2; robust_sign_error: the worst environment, for one axis
  or for all. Dziugaite et al. 2020 (2010.11924), environments as in their published code: two settings that differ in
  the value of one axis, with every seed of the one against every seed of the other. All pairs weigh the same, because
  their Hoeffding weights hold for errors in [0, 1] only; an environment needs `min_pairs` pairs of cells.

Intervals are bootstrap percentiles over seeds: seeds are drawn with replacement, all cells of a seed together, and a
pair of cells weighs as often as its seeds were drawn (a cell is never paired with itself). Fewer than 3 seeds: null.
The maximum in robust_sign_error makes its resamples lean upwards: the lower end of its interval is cautious.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ranktwo.errors import UserError
from ranktwo.evidence.gaps import Cells
from ranktwo.store.columns import REAL, TEXT, WHOLE, column
from ranktwo.study.axes import AXES, CELL_COLUMNS

MIN_SEEDS = 3
OVERALL = "overall"
"""In the column `dataset`: all data sets together."""
GAP = "matched_loss_gap"
RANKS = ["effective_rank", "stable_rank", "residual_2", "norm", "functional_rank", "vacuity_lower", "weight_decay"]
"""Columns of gaps.parquet that are scored beside the bounds, rates and measures."""
INTERVAL = {
    "low": column(
        REAL,
        "Lower end of the 95 % interval: percentiles of a bootstrap over seeds; null for fewer than 3 seeds. Of 3 to 5 "
        "seeds it is the seeds' range, which holds the true median in 75, 88 and 94 % of studies.",
    ),
    "high": column(REAL, "Upper end of that interval."),
    "seeds": column(WHOLE, "Number of seeds that the row rests on; of `overall` the fewest of its data sets."),
    "cells": column(WHOLE, "Number of cells that the row rests on."),
}
"""Columns that say how far a number can be trusted."""
COLUMNS = {
    "dataset": CELL_COLUMNS["dataset"],
    "measure": column(TEXT, "A column of gaps.parquet: a bound, rate or measure of the generalization gap, or a rank."),
    "statistic": column(
        TEXT, f"How the measure's order of cells agrees with that of `{GAP}`; evidence/predictors.py defines each."
    ),
    "axis": column(TEXT, "The one axis in which the compared cells differ; null for all axes."),
    "value": column(REAL, "The statistic; null where the measure or the gap is the same in all cells."),
    **INTERVAL,
    "excluded": column(WHOLE, "Cells left out because the measure or the gap is null there."),
}


def score(
    table: pd.DataFrame,
    measures: Sequence[str],
    gap: str,
    axes: Sequence[str],
    *,
    seed: str = "seed",
    control: str = "weight_decay",
    resamples: int = 1000,
    level: float = 0.95,
    min_pairs: int = 5,
    random_seed: int = 0,
) -> pd.DataFrame:
    """One row per measure, statistic and axis (null: over all axes): value, low, high, seeds, cells, excluded.

    `axes` are all columns, other than the seed, in which the cells differ by design.
    """
    axes = list(axes)
    if table.duplicated([*axes, seed]).any():
        raise UserError(f"two cells agree in {', '.join([*axes, seed])}: name every axis in which the cells differ")
    places = np.stack([_codes(table[axis]) for axis in axes], axis=1)
    controls = table[control].to_numpy(float)
    rows = []
    for measure in measures:
        mu, g = table[[measure, gap]].to_numpy(float).T
        usable = np.isfinite(mu) & np.isfinite(g)
        for cells, statistics in (
            (usable, partial(_pair_statistics, axes=axes, min_pairs=min_pairs)),
            (usable & (controls > 0), _partial_spearman),
        ):
            seeds = _codes(table[seed][cells])
            draws = _draws(seeds, resamples, random_seed)
            counts = {"seeds": draws.shape[1], "cells": cells.sum(), "excluded": len(table) - cells.sum()}
            # Few seeds have few distinct resamples, ten of three seeds: each is computed once.
            distinct, which = np.unique(draws, axis=0, return_inverse=True)
            values = statistics(mu[cells], g[cells], controls[cells], places[cells], seeds, distinct)
            for (statistic, axis), samples in values.items():
                keys = {"measure": measure, "statistic": statistic, "axis": axis}
                rows.append(keys | _interval(samples[which], level) | counts)
    return pd.DataFrame(rows)


def _codes(values: pd.Series) -> np.ndarray:
    return pd.factorize(values, sort=True, use_na_sentinel=False)[0]


def _draws(seeds: np.ndarray, resamples: int, random_seed: int) -> np.ndarray:
    """How often each seed was drawn, [1 + resamples, seeds]; the first row is the data themselves.

    The generator is fresh for every measure, so measures are resampled alike, whichever others are scored.
    """
    count = seeds.max(initial=-1) + 1
    if count < MIN_SEEDS:
        return np.ones((1, count))
    generator = np.random.default_rng(random_seed)
    return np.vstack([np.ones(count), generator.multinomial(count, np.full(count, 1 / count), size=resamples)])


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
    seeds: np.ndarray,
    draws: np.ndarray,
    *,
    axes: list[str],
    min_pairs: int,
) -> dict[tuple[str, str | None], np.ndarray]:
    """All that is made of sign products: (statistic, axis) -> its value for every draw of the seeds."""
    i, j = np.triu_indices(len(mu), 1)
    signs = np.sign(mu[i] - mu[j]) * np.sign(gap[i] - gap[j])
    if len(mu) and (np.ptp(mu) == 0 or np.ptp(gap) == 0):
        signs[:] = np.nan
    count = draws.shape[1]
    seed_pairs = seeds[i] * count + seeds[j]
    pair_draws = (draws[:, :, None] * draws[:, None, :]).reshape(len(draws), -1)

    def means(values: np.ndarray, pairs: np.ndarray, group: np.ndarray, least: int) -> np.ndarray:
        """Mean value of the pairs of each group, [draws, groups], for groups of at least `least` pairs."""
        names, codes = np.unique(group[pairs], return_inverse=True)
        keys, size = codes * count**2 + seed_pairs[pairs], (len(names), count**2)
        sizes = np.bincount(keys, minlength=np.prod(size)).reshape(size)
        sums = np.bincount(keys, values[pairs], minlength=np.prod(size)).reshape(size)
        enough = sizes.sum(1) >= least
        return _ratio(pair_draws @ sums[enough].T, pair_draws @ sizes[enough].T)

    def granulated(pairs: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Mean of tau over groups of cells of one seed; a draw repeats all groups of a seed."""
        _, first, codes = np.unique(group[pairs], return_index=True, return_inverse=True)
        taus = _ratio(np.bincount(codes, signs[pairs]), np.bincount(codes))
        owner = seeds[i][pairs][first]
        return _ratio(draws @ np.bincount(owner, taus, count), draws @ np.bincount(owner, minlength=count))

    together = np.zeros(len(i), int)
    differ = places[i] != places[j]
    strides = np.cumprod([1, *(places.max(0, initial=0) + 1)])
    settings = places @ strides[:-1]
    first, second = np.sort([settings[i], settings[j]], axis=0)
    statistics: dict[tuple[str, str | None], np.ndarray] = {
        ("tau", None): _mean(means(signs, together == 0, together, 1)),
        ("tau_fixed_control", None): _mean(means(signs, controls[i] == controls[j], together, 1)),
    }
    errors: dict[str | None, np.ndarray] = {}
    for a, axis in enumerate(axes):
        alone = differ[:, a] & (differ.sum(1) == 1)
        rest = (settings - places[:, a] * strides[a])[i] * count + seeds[i]
        statistics["psi", axis] = granulated(alone & (seeds[i] == seeds[j]), rest)
        errors[axis] = means((1 - signs) / 2, alone, first * strides[-1] + second, min_pairs)
    statistics["psi", None] = _mean(np.stack([statistics["psi", axis] for axis in axes], axis=1))
    errors[None] = np.concatenate(list(errors.values()), axis=1)
    for place, error in errors.items():
        statistics["sign_error", place] = _mean(error)
        worst = np.where(np.isfinite(error), error, -np.inf).max(1, initial=-np.inf)
        statistics["robust_sign_error", place] = np.where(np.isfinite(worst), worst, np.nan)
    return statistics


def _partial_spearman(
    mu: np.ndarray, gap: np.ndarray, controls: np.ndarray, places: np.ndarray, seeds: np.ndarray, draws: np.ndarray
) -> dict[tuple[str, None], np.ndarray]:
    """Partial rank correlation of measure and gap given the control, for every draw of the seeds."""
    weights = draws[:, seeds]

    def scores(values: np.ndarray) -> np.ndarray:
        """Standardised mid-ranks of the cells, each as often as its seed was drawn, [draws, cells]."""
        below = np.zeros((draws.shape[1], len(values)))
        for seed in range(draws.shape[1]):
            ordered = np.sort(values[seeds == seed])
            below[seed] = (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, side="right")) / 2
        ranks = draws @ below
        ranks -= _ratio((weights * ranks).sum(1), weights.sum(1))[:, None]
        return _ratio(ranks, np.sqrt((weights * ranks**2).sum(1))[:, None] * np.ones(len(values)))

    m, g, c = scores(mu), scores(gap), scores(controls)
    mg, mc, gc = ((weights * a * b).sum(1) for a, b in ((m, g), (m, c), (g, c)))
    left = (1 - mc**2) * (1 - gc**2)
    # Rounding leaves 1 - r^2 a little off 0 where the control alone orders a variable; of 3 cells the result is +-1.
    defined = (left > 1e-12) & ((weights > 0).sum(1) > 3)
    return {("partial_spearman", None): _ratio(mg - mc * gc, np.where(defined, np.sqrt(np.abs(left)), 0))}


def compare(cells: pd.DataFrame, measures: Sequence[str], **options: Any) -> pd.DataFrame:
    """`score` of those rows of gaps.parquet whose status is ok, against GAP, over all axes in which they differ.

    A run that stands in the study under two names (`full` and the batch size that it means) counts once.
    """
    cells = cells[cells["status"] == "ok"].drop_duplicates(list(AXES))
    axes = [axis for axis in AXES if axis != "seed" and cells[axis].nunique(dropna=False) > 1]
    numbers = dict.fromkeys({*measures, GAP}, float)
    return score(cells.astype(numbers), measures, GAP, axes or ["weight_decay"], **options)


def measures_of(cells: Cells) -> list[str]:
    """The columns that are scored: every bound, rate and measure, in the file's order, then RANKS."""
    return list(dict.fromkeys([*cells.of_kind("bound", "rate", "measure"), *RANKS]))


def predictors(cells: Cells) -> pd.DataFrame:
    """`compare` of all measures, for every data set and for all of them: the columns of predictors.parquet."""
    parts = {OVERALL: cells.rows} | dict(list(cells.rows.groupby("dataset", sort=False)))
    scored = [compare(part, measures_of(cells)).assign(dataset=name) for name, part in parts.items()]
    return pd.concat(scored)[list(COLUMNS)]
