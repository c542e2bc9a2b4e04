"""How a claim of arXiv 2410.02176 is judged, from gaps.parquet alone: supported, contradicted or inconclusive.

A *setting* is all axes but the seed, a *family* all axes but seed and weight decay. Every family is judged; a data
set's verdict is that of its main family: the one with the most cells among those with clean labels, constant decay,
SGD and mini-batches, or among all if none is such. C3 is about variation, so all families of a data set count there.
Over data sets a claim is supported if it is in each of them, contradicted if it is in any, else inconclusive.

Only cells with status `ok` are evidence; the others are counted in the row. Where low rank is to be seen at its best
the setting is the *strongest decay*: the greatest weight decay at which every seed is ok, whatever its rank is.

An effect is the median over seeds (of the difference seed by seed, where settings are compared), its interval the
2.5th to 97.5th percentile of that median over resampled seeds, with one fixed random seed. Fewer than 3 seeds: no
interval, and at most inconclusive. Of 3 to 5 seeds the interval is their range, which holds the true median in 75, 88
and 94 % of studies: a verdict from 3 seeds is weaker evidence than its interval's name says.

Adding a claim is adding one file to this folder, with one function marked `@claim`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas

from ranktwo.evidence.claims.families import DataSet
from ranktwo.evidence.predictors import MIN_SEEDS
from ranktwo.evidence.wording import number

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
STATUSES = ("ok", "unfit", "collapsed", "diverged")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Numbers that verdicts depend on: the config's section `verdicts`."""

    low_rank: float = 0.1
    """V is approximately of rank two if its rank-two residual d_2/||V|| is below this."""
    negligible_tau: float = 0.2
    """A rank correlation below this says next to nothing."""
    prediction: float = 0.05
    """V has the rank of the minimiser if the two differ by less: in d_2/||V||, or in ln of the effective rank."""
    resamples: int = 2000
    """Of the seeds, behind each interval."""


@dataclass(frozen=True)
class Effect:
    """Median over seeds and its interval; NaN where undefined."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    seeds: int = 0

    @classmethod
    def of(cls, values: pandas.Series, limits: Limits) -> "Effect":
        """Of one value for each seed; nulls are left out."""
        known = values.dropna().to_numpy(float)
        count = len(known)
        if count == 0:
            return cls()
        if count < MIN_SEEDS:
            return cls(float(np.median(known)), seeds=count)
        draws = np.random.default_rng(0).integers(count, size=(limits.resamples, count))
        low, high = np.quantile(np.median(known[draws], axis=1), [0.025, 0.975])
        return cls(float(np.median(known)), float(low), float(high), count)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one claim comes to in one family, by one measure; the columns of verdicts.parquet define the words."""

    rule: str
    effect: Effect
    effect_name: str
    criterion: str
    threshold: float
    supported: bool
    contradicted: bool
    cells: list[str]
    """Cells that the effect rests on."""
    looked_at: pandas.DataFrame
    """Cells whose status is counted."""
    family: str = ""
    main: bool = True
    """Whether the family is its data set's main one."""
    note: str = ""

    @property
    def verdict(self) -> str:
        """Inconclusive where the effect has no interval, or both or neither of the criteria hold."""
        if np.isnan(self.effect.low) or self.supported == self.contradicted:
            return INCONCLUSIVE
        return SUPPORTED if self.supported else CONTRADICTED


Judge = Callable[[DataSet, Limits], Iterator[Finding]]
Combine = Callable[[pandas.DataFrame, pandas.DataFrame], tuple[str, str]]


@dataclass(frozen=True)
class Claim:
    """A claim in words, and the functions that judge it: in one data set, and over the data sets' verdicts."""

    id: str
    words: str
    judge: Judge
    combine: Combine


def over_datasets(own: pandas.DataFrame, judged: pandas.DataFrame) -> tuple[str, str]:
    """Verdict and note from a claim's rows `own`, one for each data set; `judged` are all rows made so far."""
    contradicted = own[own["verdict"] == CONTRADICTED]
    if len(contradicted):
        return CONTRADICTED, f"contradicted on {dataset_names(contradicted)}"
    return (SUPPORTED if (own["verdict"] == SUPPORTED).all() else INCONCLUSIVE), ""


def claim(id: str, *, words: str, combine: Combine = over_datasets) -> Callable[[Judge], Claim]:
    """Register a claim by the function that judges it in one data set.

    The function takes the cells of a data set and the limits, and yields a Finding for each family and measure. The
    first measure that it yields is the one that headlines show. `combine` is what makes the verdict over all data sets.
    """
    return lambda judge: Claim(id, words, judge, combine)


def dataset_names(rows: pandas.DataFrame) -> str:
    """The data sets of rows of verdicts, each with its family unless that is the main one, and each once."""
    return ", ".join(
        dict.fromkeys(f"{row.dataset} ({row.family})" if row.family else row.dataset for row in rows.itertuples())
    )


def known_cells(cells: pandas.DataFrame, column: str) -> list[str]:
    """Names of the cells in which a column is not null."""
    return list(cells.loc[cells[column].notna(), "cell"])


def predicted(cells: pandas.DataFrame) -> str:
    """`; d_2/||V|| of the minimiser of the decayed loss is 0.03`, the median over the cells; empty without one."""
    value = cells["optimum_residual_2"].astype(float).median()
    return "" if np.isnan(value) else f"; d_2/||V|| of the minimiser of the decayed loss is {number(value)}"


def decay_words(cells: pandas.DataFrame) -> str:
    """`0.1 (0.32 of the critical)`, of the median cell."""
    ratio = cells["decay_ratio"].astype(float).median()
    return f"{cells['weight_decay'].median():g}" + ("" if np.isnan(ratio) else f" ({number(ratio)} of the critical)")
