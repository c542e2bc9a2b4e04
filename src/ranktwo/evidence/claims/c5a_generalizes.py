"""Claim C5a: nets with weight decay and low rank generalize better."""

from collections.abc import Iterator

import numpy as np

from ranktwo.evidence.claims.families import DataSet
from ranktwo.evidence.claims.judging import Finding, claim, decay_words, for_some
from ranktwo.evidence.effects import Effect
from ranktwo.study.limits import Limits

MEANINGS = {"test_loss": "test loss", "matched_loss_gap": "generalization gap"}
"""The two meanings of generalization, columns of gaps.parquet: how good the net is on new data, and how much worse than
on its training data. Claims are judged by the first; the second stands beside it."""


@claim(
    "C5a",
    words="some weight decay that makes V low rank gives a lower test loss than none",
    paper="better generalization can be achieved",
    objection="A gain may be weight decay's and not low rank's: C5b asks that.",
    combine=for_some,
)
def generalizes_better(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """The gain in test loss over no decay, as a share of it, at the decay that other splits, or seeds, choose."""
    nil = limits.negligible_gain
    for family in data.families:
        without = family.at(0)
        for meaning, words in MEANINGS.items():
            for most, which in (
                (limits.low_rank, f", of those with d_2/||V|| below {limits.low_rank:g}"),
                (np.inf, ""),
            ):
                chosen = family.validated(most)
                whole = without[meaning].mean()
                gain = ((without[meaning] - chosen[meaning]) / (whole if whole > 0 else np.nan)).dropna()
                effect = Effect.of(gain)
                yield Finding(
                    rule=meaning + (" low rank" if np.isfinite(most) else " any rank"),
                    effect=effect,
                    effect_name=f"fall of the {words} from no weight decay to the decay of least test loss{which}, "
                    f"which other splits choose, as a share of the mean {words} without decay",
                    criterion=f"Supported if the interval lies above {nil:g}, contradicted if below: a gain of less "
                    "than that is none.",
                    threshold=nil,
                    support=effect.above(nil),
                    against=effect.below(nil),
                    cells=[*without.loc[gain.index, "cell"], *chosen.loc[gain.index, "cell"]],
                    looked_at=family.cells,
                    note=f"weight decay {decay_words(chosen)}" if len(chosen) else "no such weight decay",
                    **family.place,
                )
