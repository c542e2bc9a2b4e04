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

Intervals are by the jackknife over splits (of one split alone: over seeds). With S of them and theta_k the statistic
without the k-th, its variance is (S - 1)/S sum_k (theta_k - mean theta)^2. Its 95 % interval is the value +- t times
the root of that, cut to the range of the statistic, t the 97.5th percentile of Student's t with S - 1 degrees of
freedom. A mean over D data sets has 1/D^2 times the sum of their variances, a statistic between data sets the sum of a
variance for the splits of each; degrees of freedom are Satterthwaite's. There is no interval of fewer than 3 splits, of
a statistic that all of them leave the same, and of robust_sign_error: a maximum is no smooth function of the splits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from ranktwo.errors import UserError
from ranktwo.evidence.claims.families import ARCHITECTURE, by_architecture
from ranktwo.evidence.concordance import Design, Ordered, Statistics, block_sums, dense, ratio
from ranktwo.evidence.effects import LEAST, LEVEL
from ranktwo.evidence.gaps import Cells
from ranktwo.store.columns import REAL, TEXT, WHOLE, column
from ranktwo.study.axes import AXES, REPLICATE

OVERALL, BETWEEN = "overall", "between data sets"
"""In the column `dataset`: all data sets together, and pairs of cells of two of them."""
ROUNDING = 1e-12
"""By so much may sums in another order differ."""
WORST = "robust_sign_error"
"""The statistic that is a maximum."""
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
        "Lower end of the 95 % interval, by the jackknife over splits (of one split, over seeds); null for fewer than "
        f"3 of them, where all leave the statistic the same, and of `{WORST}`.",
    ),
    "high": column(REAL, "Upper end of that interval."),
    "replicates": column(
        WHOLE,
        "Number of replicates, pairs of split and seed, that the row rests on; of `overall` the fewest of its sets.",
    ),
    "datasets": column(WHOLE, "Number of data sets that the row rests on, those in which the statistic is defined."),
    "cells": column(WHOLE, "Number of cells that the row rests on: those of these data sets, if there are any."),
    "excluded": column(WHOLE, "Cells left out because the measure or the gap is null there."),
}


Statistic = Callable[[Design, np.ndarray], Statistics]
"""A statistic of a measure in the cells of a design."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A statistic, how sure it is, and what it rests on."""

    value: float
    variance: float = np.nan
    """0 where every split leaves the statistic the same, and NaN where it is unknown; there is no interval then."""
    freedom: float = np.nan
    """Degrees of freedom of the variance."""
    replicates: int
    datasets: int
    cells: int
    excluded: int

    def row(self, statistic: str) -> dict[str, Any]:
        """Value, low, high, and what it rests on."""
        low = high = np.nan
        if np.isfinite(self.value) and self.variance > 0 and statistic != WORST:
            reach = float(stdtrit(self.freedom, 1 - LEVEL / 2)) * np.sqrt(self.variance)
            least = 0.0 if statistic == "sign_error" else -1.0
            low, high = max(self.value - reach, least), min(self.value + reach, 1.0)
        counts = {name: getattr(self, name) for name in ("replicates", "datasets", "cells", "excluded")}
        return {"value": self.value, "low": low, "high": high} | counts


def _jackknife(without: np.ndarray) -> tuple[float, float]:
    """Variance of a statistic and its degrees of freedom, from what it is without each split; NaN if it has none."""
    count = len(without)
    if count < LEAST or not np.isfinite(without).all():
        return np.nan, np.nan
    return float((count - 1) * without.var()) if np.ptp(without) > ROUNDING else 0.0, count - 1.0


def _sum(terms: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Variance of a sum of independent terms, and Satterthwaite's degrees of freedom, from those of each term."""
    total, square = sum(variance for variance, _ in terms), sum(variance**2 / freedom for variance, freedom in terms)
    return total, total**2 / square if square else np.nan


@dataclass(frozen=True)
class Scores:
    """The statistics of one measure in some cells."""

    measure: str
    estimates: dict[tuple[str, str | None], Estimate]
    """By name and axis."""

    def rows(self) -> list[dict[str, Any]]:
        """A row for each statistic and axis."""
        return [
            {"measure": self.measure, "statistic": statistic, "axis": axis} | estimate.row(statistic)
            for (statistic, axis), estimate in self.estimates.items()
        ]


def score(
    table: pd.DataFrame,
    measures: Sequence[str],
    gap: str,
    axes: Sequence[str],
    *,
    control: str = "weight_decay",
    min_pairs: int = 5,
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
    designs: dict[bytes, Design] = {}
    known: dict[tuple[Statistic, bytes, bytes], dict[tuple[str, str | None], Estimate]] = {}

    def scored(statistic: Statistic, mu: np.ndarray, cells: np.ndarray) -> Scores:
        """The statistic in some cells. What depends on the cells alone is made once, and so is what has one order."""
        key = cells.tobytes()
        if key not in designs:
            designs[key] = Design(
                gaps[cells], controls[cells], places[cells], *_left_out(table[cells]), axes, min_pairs
            )
        design = designs[key]
        ordered = statistic, key, dense(mu[cells]).tobytes()
        if ordered not in known:
            used = int(cells.sum())
            counts = {"replicates": design.draws.shape[1], "cells": used, "excluded": len(table) - used}
            estimates = known[ordered] = {}
            for name, values in statistic(design, mu[cells]).items():
                variance, freedom = _jackknife(values[1:])
                datasets = int(np.isfinite(values[0]))
                estimates[name] = Estimate(
                    value=values[0], variance=variance, freedom=freedom, datasets=datasets, **counts
                )
        return Scores(measure, known[ordered])

    found = []
    for measure in measures:
        mu = table[measure].to_numpy(float)
        usable = np.isfinite(mu) & np.isfinite(gaps)
        found.append(scored(Design.of_pairs, mu, usable))
        found.append(scored(Design.partial_spearman, mu, usable & (controls > 0)))
    return found


def _codes(values: pd.Series) -> np.ndarray:
    return pd.factorize(values, sort=True, use_na_sentinel=False)[0]


def _left_out(cells: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The replicate of each cell, and weights of replicates: all 1, then 0 for those of one split after the other.

    The weights are [1 + S, replicates] for S splits. Of one split its seeds are left out, each by itself.
    """
    replicates = cells.groupby(list(REPLICATE), sort=True).ngroup().to_numpy()
    unit = np.zeros(replicates.max(initial=-1) + 1, int)
    unit[replicates] = _codes(cells[REPLICATE[0]])
    if len(set(unit)) == 1:
        unit = np.arange(len(unit))
    left_out = np.arange(unit.max(initial=-1) + 1)[:, None] == unit
    return replicates, 1.0 - np.concatenate([np.zeros((1, len(unit)), bool), left_out])


def compare(cells: pd.DataFrame, measures: Sequence[str], **options: Any) -> list[Scores]:
    """`score` of the cells of one data set against GAP, over all axes in which they differ."""
    axes = [axis for axis in AXES if axis not in REPLICATE and cells[axis].nunique(dropna=False) > 1]
    return score(cells, measures, GAP, axes or ["weight_decay"], **options)


def combine(scores: list[Scores]) -> Scores:
    """The scores of one measure in several data sets as one: means over those in which a statistic is defined.

    Of robust_sign_error it is the worst.
    """
    keys = dict.fromkeys(key for one in scores for key in one.estimates)
    estimates = {}
    for key in keys:
        own = [one.estimates[key] for one in scores if key in one.estimates]
        known = [estimate for estimate in own if np.isfinite(estimate.value)]
        values = [estimate.value for estimate in known]
        variance, freedom = _sum([(estimate.variance, estimate.freedom) for estimate in known])
        rests_on = known or [estimate for estimate in own if estimate.cells]
        estimates[key] = Estimate(
            value=max(values, default=np.nan) if key[0] == WORST else float(np.mean(values)) if known else np.nan,
            variance=variance / len(known) ** 2 if known else np.nan,
            freedom=freedom,
            replicates=min((estimate.replicates for estimate in rests_on), default=0),
            datasets=len(known),
            cells=sum(estimate.cells for estimate in rests_on),
            excluded=sum(estimate.excluded for estimate in own),
        )
    return Scores(scores[0].measure, estimates)


class _Part(NamedTuple):
    """The usable cells of one data set, for comparison with another's."""

    task: str
    measure: np.ndarray
    gap: np.ndarray
    replicates: np.ndarray
    """Of each cell."""
    weights: np.ndarray
    """As in `_left_out`."""


def between(datasets: Sequence[pd.DataFrame], measures: Sequence[str]) -> list[Scores]:
    """tau over the pairs of cells of two data sets with the same task: does a measure order data sets by their gap?"""
    left_out: dict[tuple[int, bytes], tuple[np.ndarray, np.ndarray]] = {}
    numbers = [cells[[*measures, GAP]].to_numpy(float) for cells in datasets]
    found = []
    for place, measure in enumerate(measures):
        parts = []
        for number, (cells, values) in enumerate(zip(datasets, numbers, strict=True)):
            usable = np.isfinite(values[:, [place, -1]]).all(axis=1)
            key = number, usable.tobytes()
            if key not in left_out:
                left_out[key] = _left_out(cells[usable])
            if usable.any():
                mu, gap = values[usable][:, [place, -1]].T
                parts.append(_Part(cells["task"].iloc[0], mu, gap, *left_out[key]))
        excluded = sum(map(len, datasets)) - sum(len(part.gap) for part in parts)
        found.append(Scores(measure, {("tau", None): _between(parts, excluded)}))
    return found


def _between(parts: list[_Part], excluded: int) -> Estimate:
    # Of each part: the sums and sizes with all of it, and without each of its splits.
    sums, sizes = ([np.zeros(len(part.weights)) for part in parts] for _ in range(2))
    used = set()
    for (i, one), (j, other) in combinations(enumerate(parts), 2):
        if one.task != other.task:
            continue
        used |= {i, j}
        orders = [dense(np.concatenate(pair)) for pair in ((one.measure, other.measure), (one.gap, other.gap))]
        cells = [
            Ordered.of(orders[0][own], orders[1][own], part.replicates, part.replicates)
            for part, own in ((one, slice(len(one.gap))), (other, slice(len(one.gap), None)))
        ]
        blocks = block_sums(cells[0], cells[1], (one.weights.shape[1], other.weights.shape[1]))
        counts = np.outer(*(np.bincount(part.replicates) for part in (one, other)))
        for table, totals in ((blocks, sums), (counts, sizes)):
            of_one, of_other = one.weights @ table.sum(1), other.weights @ table.sum(0)
            for k in range(len(parts)):
                totals[k] += of_one if k == i else of_other if k == j else table.sum()
    counted = [parts[place] for place in sorted(used)]
    taus = [ratio(sums[place], sizes[place]) for place in sorted(used)]
    variance, freedom = _sum([_jackknife(tau[1:]) for tau in taus])
    return Estimate(
        value=taus[0][0] if taus else np.nan,
        variance=variance,
        freedom=freedom,
        replicates=min((part.weights.shape[1] for part in counted), default=0),
        datasets=len(counted),
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
        _of_nets({part["dataset"].iloc[0]: part[part["status"] == "ok"] for part in parts}, measures).assign(
            architecture=name
        )
        for name, parts in by_architecture(judged)
    ]
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def _of_nets(datasets: dict[str, pd.DataFrame], measures: Sequence[str]) -> pd.DataFrame:
    """The rows of one architecture, from its cells by data set."""
    single = {name: compare(part, measures) for name, part in datasets.items()}
    overall = [combine(list(scores)) for scores in zip(*single.values(), strict=True)]
    apart = between(list(datasets.values()), measures)
    return pd.DataFrame(
        [
            {"dataset": name} | row
            for name, scores in ({OVERALL: overall} | single | {BETWEEN: apart}).items()
            for one in scores
            for row in one.rows()
        ]
    )
