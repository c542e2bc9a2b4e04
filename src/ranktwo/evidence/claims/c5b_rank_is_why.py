"""Claim C5b: low rank, and not weight decay by another way, is why they do."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas

from ranktwo.evidence.claims.c5a_generalizes import MEANINGS
from ranktwo.evidence.claims.families import DataSet
from ranktwo.evidence.claims.judging import Finding, claim
from ranktwo.evidence.effects import Effect
from ranktwo.study.axes import FAMILY, REPLICATE
from ranktwo.study.limits import Limits

SAME_DATA = ["train_size", "label_noise", "decay_rule"]
"""Axes that move the test loss, or the meaning of mu, by themselves."""


@claim(
    "C5b",
    words="(ours) of nets of equal weight decay, those of lower rank have a lower test loss",
    objection="What moves the rank at a fixed decay (rate, batch size, width) may move the test loss by another way.",
)
def rank_beyond_decay(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """Kendall's tau of effective rank and test loss, of nets of one replicate and decay in different settings.

    Only pairs of settings count whose ranks differ by more than replicates of one setting do.
    """
    seen = set()
    for family in data.families:
        same = (data.rows[SAME_DATA] == family.cells[SAME_DATA].iloc[0]).all(axis=1)
        if (group := tuple(data.rows.index[same])) in seen:
            continue
        seen.add(group)
        cells = data.rows[same]
        for meaning, words in MEANINGS.items():
            used = cells[(cells["status"] == "ok") & cells[["effective_rank", meaning]].notna().all(axis=1)]
            found = at_fixed_decay(used, meaning)
            # Signs that all agree vary as coins do, and not by nothing.
            effect = Effect.of(found.taus, spread=1 / np.sqrt(max(found.independent, 1)))
            yield Finding(
                rule=f"effective_rank {meaning}",
                effect=effect,
                effect_name=f"Kendall tau of effective rank and {words}, over pairs of nets of equal weight decay",
                criterion=f"Supported if the interval lies above {limits.negligible_tau:g}, contradicted if below, "
                "where rank tells next to nothing, or the opposite. Needs settings of equal decay whose ranks differ "
                "by more than those of replicates.",
                threshold=limits.negligible_tau,
                support=effect.above(limits.negligible_tau),
                against=effect.below(limits.negligible_tau),
                cells=found.cells,
                looked_at=cells,
                note=f"{found.pairs} pairs of settings"
                if found.pairs
                else "no two settings of equal decay differ in rank by more than replicates do",
                **family.place,
            )


@dataclass(frozen=True)
class FixedDecay:
    """What nets of equal weight decay say: a tau for each replicate, and what it rests on."""

    taus: pandas.Series
    """By (split, seed): mean over pairs of settings of the product of the signs of both differences."""
    cells: list[str]
    pairs: int
    """Pairs of settings."""
    independent: int
    """Settings less one, summed over decays: so many signs could be tossed independently."""


def at_fixed_decay(cells: pandas.DataFrame, target: str) -> FixedDecay:
    """Compare effective rank and target over pairs of settings of equal decay, within each replicate.

    A pair of settings counts if the means of ln(effective rank) differ by more than the root of the mean variance
    between the replicates of the two.
    """
    products: list[pandas.Series] = []
    names: dict[str, None] = {}
    independent = pairs = 0
    replicates = pandas.MultiIndex.from_frame(cells[list(REPLICATE)].drop_duplicates()).sort_values()
    placed = cells[["weight_decay", "cell", "effective_rank", target]].assign(
        setting=cells.groupby(FAMILY, dropna=False).ngroup(),
        replicate=replicates.get_indexer(pandas.MultiIndex.from_frame(cells[list(REPLICATE)])),
    )
    for _, level in placed.groupby("weight_decay"):
        settings = _Settings(level, target, len(replicates))
        compared = set()
        for i in range(len(settings.cells)):
            later = settings.that_differ(i)
            both = settings.known[i] & settings.known[later]
            signs = np.sign(settings.log_rank[i] - settings.log_rank[later])
            signs *= np.sign(settings.target[i] - settings.target[later])
            pair, replicate = np.nonzero(both)
            products.append(pandas.Series(signs[pair, replicate], replicates[replicate], dtype=float))
            for j, shared in zip(later, both, strict=True):
                own = settings.order[i][shared[settings.order[i]]]
                names |= dict.fromkeys([*settings.cells[i, own], *settings.cells[j, own]])
            compared |= {i, *later} if len(later) else set()
            pairs += len(later)
        independent += max(len(compared) - 1, 0)
    none = pandas.Series([], index=pandas.MultiIndex.from_tuples([], names=REPLICATE), dtype=float)
    taus = pandas.concat(products).groupby(level=list(REPLICATE)).mean() if pairs else none
    return FixedDecay(taus, list(names), pairs, independent)


class _Settings:
    """The settings of one weight decay, S of them, each with a cell for some of R replicates."""

    def __init__(self, level: pandas.DataFrame, target: str, replicates: int) -> None:
        setting = np.unique(level["setting"], return_inverse=True)[1]
        replicate = level["replicate"].to_numpy()
        place, shape = (setting, replicate), (setting.max(initial=-1) + 1, replicates)
        self.known = np.zeros(shape, bool)
        self.known[place] = True
        self.log_rank, self.target = np.full(shape, np.nan), np.full(shape, np.nan)
        self.log_rank[place] = np.log(level["effective_rank"].to_numpy(float))
        self.target[place] = level[target].to_numpy(float)
        self.cells = np.full(shape, "", dtype=object)
        self.cells[place] = level["cell"].to_numpy()
        self.order = [replicate[setting == number] for number in range(shape[0])]
        """The replicates of each setting in the order of the rows."""

    def that_differ(self, i: int) -> np.ndarray:
        """The later settings that setting i makes a pair with."""
        both = self.known[i] & self.known[i + 1 :]
        # Of one replicate alone there is no spread, and no pair.
        several = np.flatnonzero(both.sum(axis=1) > 1)
        both, others = both[several], self.log_rank[i + 1 :][several]
        own = np.where(both, self.log_rank[i], np.nan)
        variances = np.nanvar(own, axis=1, ddof=1) + np.nanvar(np.where(both, others, np.nan), axis=1, ddof=1)
        means = np.nanmean(np.where(both, own - others, np.nan), axis=1)
        return i + 1 + several[np.abs(means) > np.sqrt(variances / 2)]
