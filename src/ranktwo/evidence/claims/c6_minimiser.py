"""Claim C6, which is ours and not the paper's: V is as far from rank two as the minimiser of the decayed loss."""

from collections.abc import Iterator

import numpy as np
import pandas

from ranktwo.evidence.claims.families import DataSet
from ranktwo.evidence.claims.judging import NOTHING_FITS, Finding, claim
from ranktwo.evidence.effects import Effect, every, some
from ranktwo.evidence.wording import number
from ranktwo.study.limits import Limits


@claim(
    "C6",
    words="(ours) a two-layer net's d_2/||V|| is about that of the minimiser of the decayed loss",
    objection="Where the loss is flat, nets of nearly the least loss differ in rank; the minimiser's own rank is "
    "uncertain by what its gap leaves open.",
)
def minimiser(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """Measured minus predicted by replicate, at every decay with every replicate ok.

    Predicted is what the minimiser of the decayed loss has, found from the data alone. The decay whose interval reaches
    farthest from zero is shown: by it the claim stands or falls.
    """
    near = limits.prediction
    for family in data.families:
        cells = family.fit
        for rule, words in (("residual_2", "d_2/||V||"), ("effective_rank", "ln of the effective rank of V")):
            known = cells.dropna(subset=[rule, f"optimum_{rule}"])
            measured, predicted = known[rule].astype(float), known[f"optimum_{rule}"].astype(float)
            if rule == "effective_rank":
                measured, predicted = np.log(measured), np.log(predicted)
            difference = (measured - predicted).to_frame("difference").assign(weight_decay=known["weight_decay"])
            effects = {mu: Effect.of(own["difference"]) for mu, own in difference.groupby("weight_decay")}
            judged = [effect for effect in effects.values() if effect.known]
            worst = max(judged or effects.values(), key=_reach, default=Effect())
            yield Finding(
                rule=rule,
                effect=worst,
                effect_name=f"{words}, measured minus predicted, at the decay whose interval reaches farthest from 0",
                criterion=f"Supported if the interval lies within {near:g} of 0 at every weight decay at which every "
                "replicate is ok, contradicted if it lies outside at any (by Bonferroni).",
                threshold=near,
                support=every(*(every(one.above(-near), one.below(near)) for one in effects.values())),
                against=some(*(min(one.above(near), one.below(-near)) for one in judged)),
                cells=list(known["cell"]),
                looked_at=family.decayed,
                note=_note(known, effects, near) if len(known) else "no prediction" if len(cells) else NOTHING_FITS,
                **family.place,
            )


def _reach(effect: Effect) -> float:
    """How far from zero its interval reaches, or without one its mean."""
    return max(-effect.low, effect.high) if effect.known else abs(effect.value)


def _note(known: pandas.DataFrame, effects: dict[float, Effect], near: float) -> str:
    """At which weight decays means agree and at which they do not, with eta mu T and the gap there."""
    apart = {mu: effect for mu, effect in effects.items() if abs(effect.value) > near}
    count = f"{len(effects)} weight decay{'s' * (len(effects) > 1)}, {min(effects):g} to {max(effects):g}"
    scope = "" if known.index.get_level_values("split").nunique() > 1 else "; of one split"
    if not apart:
        return f"means within {near:g} at all of {count}{scope}"
    parts = []
    for mu, effect in apart.items():
        cells = known[known["weight_decay"] == mu]
        descent = (cells["learning_rate"] * cells["weight_decay"] * cells["steps"]).iloc[0]
        gap = number(cells["relative_gap"].astype(float).median())
        parts.append(f"{mu:g} (by {number(effect.value)}, eta mu T = {number(descent)}, relative gap {gap})")
    return f"of {count}, they differ by more at {', '.join(parts)}{scope}"
