"""Claim C2: without weight decay there is no low rank."""

from collections.abc import Iterator

import pandas

from ranktwo.evidence.claims.families import DataSet
from ranktwo.evidence.claims.judging import (
    INCONCLUSIVE,
    SUPPORTED,
    Effect,
    Finding,
    Limits,
    claim,
    over_datasets,
    predicted,
)
from ranktwo.evidence.wording import number


def _both_tasks(own: pandas.DataFrame, judged: pandas.DataFrame) -> tuple[str, str]:
    """As `over_datasets`, but supported only if there are data sets of both kinds."""
    verdict, note = over_datasets(own, judged)
    if verdict == SUPPORTED and len({task == "regression" for task in own["task"]}) == 1:
        return INCONCLUSIVE, "needs regression and classification; the study has one of them"
    return verdict, note


@claim("C2", words="weight decay is necessary for low rank, in regression and in classification", combine=_both_tasks)
def necessary(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """The rank-two residual and the effective rank, without decay minus at the strongest decay, seed by seed."""
    for family in data.families:
        without, decayed = family.at(0), family.strongest
        free = Effect.of(without["residual_2"], limits)
        for rule, words in (("residual_2", "d_2/||V||"), ("effective_rank", "effective rank of V")):
            drop = (without[rule] - decayed[rule]).dropna()
            effect = Effect.of(drop, limits)
            yield Finding(
                rule=rule,
                effect=effect,
                effect_name=f"{words} without weight decay minus at the greatest weight decay with every seed ok",
                criterion=f"Supported if the interval lies above 0 and, without decay, that of d_2/||V|| above "
                f"{limits.low_rank:g}; contradicted if the latter lies below {limits.low_rank:g}.",
                threshold=limits.low_rank,
                supported=effect.low > 0 and free.low > limits.low_rank,
                contradicted=free.high < limits.low_rank,
                cells=[*without.loc[drop.index, "cell"], *decayed.loc[drop.index, "cell"]],
                looked_at=family.cells,
                note=f"without decay d_2/||V|| is {number(free.value)}, with it "
                f"{number(Effect.of(decayed['residual_2'], limits).value)}{predicted(decayed)}",
                **family.place,
            )
