"""How a claim is judged, from gaps.parquet and layers.parquet: in each data set, and over all of them.

A *setting* is all axes but split and seed, a *family* all axes but these and weight decay. Every family is judged; a
data set's verdict is that of its main family: the one with the most cells among those with clean labels, constant
decay, SGD and mini-batches, or among all if none is such. Every architecture (`families.py`) is judged by itself, over
data sets too. What headlines show is the paper's, or, without it, the one that most data sets have.

Claims C1 and C2 are judged of the other matrices of a net, too, where it is not the paper's two-layer net. The matrices
of a family are a family of tests of their own, corrected by Holm's method: they ask of one net which of its layers are
of low rank, and a deep net shall not have more chances than a shallow one that luck makes one of them count. They count
over data sets for nothing.

Only cells with status `ok` are evidence; the others are counted in the row. Where low rank is to be seen at its best
the setting is the *strongest decay*: the greatest weight decay at which every replicate is ok, whatever its rank is.

An effect is a mean over splits with a 95 % interval (evidence/effects.py). Every finding has two p-values: of the
claim's criterion, and of its contrary. A claim is, in a data set,

- `trivial` if it could not be otherwise there: low rank where the inputs have rank two,
- `vacuous` if it holds and says nothing there: a bound that is above what it bounds can be at most,
- `supported` if its p-value is at most 5 %, that is if the interval lies on its side of the threshold,
- `contradicted` if the contrary's is, and
- `inconclusive` otherwise.

Over data sets, trivial ones do not count, and p-values are corrected by Holm's method: the chance that any data set
counts for or against the claim by luck is at most 5 %. A claim about every data set (`for_all`) is contradicted if one
contradicts it so, and supported if each supports it so; a claim that something can be achieved (`for_some`) is
supported if one supports it, and contradicted if each contradicts it.

Adding a claim is adding one file to this folder, with one function marked `@claim`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas

from ranktwo.evidence.claims.families import DataSet, V
from ranktwo.evidence.effects import LEVEL, Effect, holm
from ranktwo.evidence.wording import number
from ranktwo.study.limits import Limits

SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
VACUOUS, TRIVIAL = "vacuous", "trivial"
VERDICTS = (SUPPORTED, CONTRADICTED, INCONCLUSIVE, VACUOUS, TRIVIAL)
NOTHING_FITS = "at no weight decay is every replicate ok"
"""Note on a family of which nothing can be judged."""
STATUSES = ("ok", "unfit", "collapsed", "diverged")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one claim comes to in one family, by one measure; the columns of verdicts.parquet define the words."""

    rule: str
    effect: Effect
    effect_name: str
    criterion: str
    threshold: float
    support: float
    """p-value of the claim."""
    against: float
    """p-value of its contrary."""
    vacuous: bool = False
    trivial: bool = False
    cells: list[str]
    """Cells that the effect rests on."""
    looked_at: pandas.DataFrame
    """Cells whose status is counted."""
    family: str = ""
    main: bool = True
    """Whether the family is its data set's main one."""
    matrix: str = V
    """The matrix that is judged."""
    by_layer: bool = False
    """Whether it is one of a net's layers, which are a family of tests of their own."""
    sample_rank: int | None = None
    """By layer, R of the matrix."""
    note: str = ""

    @property
    def verdict(self) -> str:
        """One of VERDICTS, as the module's docstring says."""
        if self.trivial:
            return TRIVIAL
        if self.vacuous:
            return VACUOUS
        supported, contradicted = self.support <= LEVEL, self.against <= LEVEL
        if supported == contradicted:
            return INCONCLUSIVE
        return SUPPORTED if supported else CONTRADICTED


Judge = Callable[[DataSet, Limits], Iterator[Finding]]


@dataclass(frozen=True)
class Combination:
    """How the verdict over all data sets is made."""

    judge: Callable[[pandas.DataFrame], tuple[str, str]]
    """Verdict and note, from a claim's rows, one for each data set."""
    criterion: str
    """The same in words."""


@dataclass(frozen=True)
class Claim:
    """A claim in words, and the functions that judge it: in one data set, and over the data sets' verdicts."""

    id: str
    words: str
    """What we test."""
    paper: str
    """The paper's own words; empty if the claim is ours."""
    objection: str
    """The strongest objection to our test."""
    judge: Judge
    combine: Combination


def corrected(own: pandas.DataFrame) -> pandas.DataFrame:
    """The rows with the verdict that each has after Holm's correction over those that are a test.

    A row without p-values, of which no net is evidence, is none.
    """
    found = own["verdict"].tolist()
    p_values = np.fmin(*own[["p_supported", "p_contradicted"]].astype(float).to_numpy().T)
    judged = [
        place
        for place, verdict in enumerate(found)
        if verdict not in (VACUOUS, TRIVIAL) and not np.isnan(p_values[place])
    ]
    for place, counts in zip(judged, holm(list(p_values[judged])), strict=True):
        found[place] = found[place] if counts else INCONCLUSIVE
    return own.assign(verdict=found)


def counted(own: pandas.DataFrame) -> tuple[pandas.DataFrame, str]:
    """The rows that count over data sets, with the verdict that each has after Holm's correction, and words on them."""
    rows = corrected(own[own["verdict"] != TRIVIAL])
    named: dict[str, list[str]] = {word: [] for word in (*VERDICTS, _CHANGED)}
    after = iter(rows["verdict"])
    for name, verdict in zip(_names(own), own["verdict"], strict=True):
        named[verdict if verdict == TRIVIAL or next(after) == verdict else _CHANGED].append(name)
    parts = {word: ", ".join(dict.fromkeys(names)) for word, names in named.items() if names}
    return rows, "; ".join(f"{word} on {names}" for word, names in parts.items())


_CHANGED = "inconclusive by Holm's correction"


def _combined(own: pandas.DataFrame, decisive: str) -> tuple[str, str]:
    """The decisive verdict if one data set has it, else the verdict that all have, else inconclusive; and the note."""
    rows, note = counted(own)
    verdicts = set(rows["verdict"]) or {TRIVIAL}
    if decisive in verdicts:
        return decisive, note
    return (verdicts.pop() if len(verdicts) == 1 else INCONCLUSIVE), note


_HOLM = "p-values are corrected by Holm's method, so that luck makes any data set count in at most 5 % of studies."
for_all = Combination(
    lambda own: _combined(own, decisive=CONTRADICTED),
    f"Supported if it is in every data set, contradicted if it is in any; {_HOLM}",
)
"""Of a claim about every data set."""
for_some = Combination(
    lambda own: _combined(own, decisive=SUPPORTED),
    f"Supported if it is in any data set, contradicted if it is in every one; {_HOLM}",
)
"""Of a claim that something can be achieved."""


def claim(
    id: str, *, words: str, objection: str, paper: str = "", combine: Combination = for_all
) -> Callable[[Judge], Claim]:
    """Register a claim by the function that judges it in one data set.

    The function takes the cells of a data set and the limits, and yields a Finding for each family and measure. The
    first measure that it yields is the one that headlines show. `combine` is what makes the verdict over all data sets.
    """
    return lambda judge: Claim(id, words, paper, objection, judge, combine)


def _names(rows: pandas.DataFrame) -> list[str]:
    """Of each row its data set, with its family unless that is the main one."""
    pairs = zip(rows["dataset"], rows["family"], strict=True)
    return [f"{dataset} ({family})" if family else dataset for dataset, family in pairs]


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
