"""Claim C2: without weight decay there is no low rank."""

from collections.abc import Iterator
from dataclasses import replace

import pandas

from ranktwo.evidence.claims.families import DataSet, Family, V
from ranktwo.evidence.claims.judging import (
    INCONCLUSIVE,
    SUPPORTED,
    TRIVIAL,
    Combination,
    Finding,
    claim,
    for_all,
    predicted,
)
from ranktwo.evidence.effects import Effect, every
from ranktwo.evidence.wording import number
from ranktwo.study.limits import Limits


def _both_tasks(own: pandas.DataFrame) -> tuple[str, str]:
    """As `for_all`, but supported only if there are data sets of both kinds that count."""
    verdict, note = for_all.judge(own)
    tasks = own.loc[own["verdict"] != TRIVIAL, "task"]
    if verdict == SUPPORTED and len({task == "regression" for task in tasks}) == 1:
        return INCONCLUSIVE, f"{note}; needs regression and classification, the study has one of them"
    return verdict, note


@claim(
    "C2",
    words="V falls to low rank with weight decay, and is not of low rank without",
    paper="WD is a necessary condition for inducing this low-rank bias across both regression and classification tasks",
    objection="Only the study's own training without decay is tested, at the study's number of steps. Another way of "
    "training without decay might make V low rank.",
    combine=Combination(_both_tasks, f"{for_all.criterion} Supported only if both tasks are in the study."),
)
def necessary(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """The rank-two residual and the effective rank, without decay minus at the strongest decay, by replicate."""
    for family in data.families:
        yield from _falls(family, limits)
    for layer in data.by_layer:
        if layer.matrix != V:
            yield from (replace(finding, sample_rank=layer.shape[0]) for finding in _falls(layer, limits))


def _falls(family: Family, limits: Limits) -> Iterator[Finding]:
    """The two findings of a family, or of one matrix of its nets."""
    low, matrix, residual = limits.low_rank, family.matrix, f"d_2/{family.norm}"
    without, decayed = family.at(0), family.strongest
    free, bound = Effect.of(without["residual_2"]), Effect.of(decayed["residual_2"])
    for rule, words in (("residual_2", residual), ("effective_rank", f"effective rank of {matrix}")):
        drop = (without[rule] - decayed[rule]).dropna()
        effect = Effect.of(drop)
        yield Finding(
            rule=rule,
            effect=effect,
            effect_name=f"{words} without weight decay minus at the greatest weight decay with every replicate ok",
            criterion=f"Supported if it is above 0 and {residual} above {low:g} without decay and below {low:g} "
            f"with it; contradicted if {residual} is below {low:g} without decay. Inconclusive if {matrix} is not of "
            "low rank with decay either.",
            threshold=low,
            support=every(effect.above(0), free.above(low), bound.below(low)),
            against=free.below(low) if effect.known else 1.0,
            trivial=family.trivial,
            cells=[*without.loc[drop.index, "cell"], *decayed.loc[drop.index, "cell"]],
            looked_at=family.cells,
            note=f"without decay {residual} is {number(free.value)}, with it {number(bound.value)}{predicted(decayed)}",
            **family.place,
        )
