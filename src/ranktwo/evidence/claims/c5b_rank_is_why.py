"""Claim C5b: low rank, and not weight decay by another way, is why they do."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

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
    cells = cells.assign(log_rank=np.log(cells["effective_rank"].astype(float)), target=cells[target].astype(float))
    cells = cells.set_index(list(REPLICATE))
    products: list[pandas.Series] = []
    names: dict[str, None] = {}
    independent = 0
    for _, level in cells.groupby("weight_decay"):
        compared = set()
        settings = [part for _, part in level.groupby(FAMILY, dropna=False)]
        for (i, one), (j, other) in combinations(enumerate(settings), 2):
            both = one.index.intersection(other.index)
            first, second = one.loc[both], other.loc[both]
            difference = first[["log_rank", "target"]] - second[["log_rank", "target"]]
            spread = np.sqrt((first["log_rank"].var() + second["log_rank"].var()) / 2)
            # Of one replicate alone there is no spread (nan), and no pair.
            if abs(difference["log_rank"].mean()) > spread:
                products.append(np.sign(difference).prod(axis=1))
                names |= dict.fromkeys([*first["cell"], *second["cell"]])
                compared |= {i, j}
        independent += max(len(compared) - 1, 0)
    none = pandas.Series([], index=pandas.MultiIndex.from_tuples([], names=REPLICATE), dtype=float)
    taus = pandas.concat(products).groupby(level=list(REPLICATE)).mean() if products else none
    return FixedDecay(taus, list(names), len(products), independent)
