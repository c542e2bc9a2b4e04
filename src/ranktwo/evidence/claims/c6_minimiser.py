"""Claim C6, which is ours and not the paper's: the rank of V is that of the minimiser of the decayed loss."""

from collections.abc import Iterator

import numpy as np
import pandas

from ranktwo.evidence.claims.families import DataSet
from ranktwo.evidence.claims.judging import Effect, Finding, Limits, claim
from ranktwo.evidence.wording import number


@claim("C6", words="(ours) a two-layer net's V has the rank of the minimiser of the decayed loss")
def minimiser(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """Measured minus predicted, seed by seed, at the weight decay where they differ most.

    Predicted is what the minimiser of the decayed loss has, found from the data alone.
    """
    for family in data.families:
        cells = family.cells[family.cells["status"] == "ok"]
        for rule, words in (("residual_2", "d_2/||V||"), ("effective_rank", "ln of the effective rank of V")):
            known = cells.dropna(subset=[rule, f"optimum_{rule}"])
            measured, predicted = known[rule].astype(float), known[f"optimum_{rule}"].astype(float)
            if rule == "effective_rank":
                measured, predicted = np.log(measured), np.log(predicted)
            difference = (measured - predicted).to_frame("difference").assign(seed=known["seed"])
            worst = difference.loc[difference["difference"].abs().groupby(difference["seed"]).idxmax()]
            effect = Effect.of(worst.set_index("seed")["difference"], limits)
            yield Finding(
                rule=rule,
                effect=effect,
                effect_name=f"{words}, measured minus predicted, at the weight decay where they differ most",
                criterion=f"Supported if the interval lies within {limits.prediction:g} of 0, contradicted if it lies "
                "outside.",
                threshold=limits.prediction,
                supported=effect.low > -limits.prediction and effect.high < limits.prediction,
                contradicted=effect.low > limits.prediction or effect.high < -limits.prediction,
                cells=list(known["cell"]),
                looked_at=family.decayed,
                note=_note(known, difference["difference"], limits) if len(known) else "no prediction",
                **family.place,
            )


def _note(known: pandas.DataFrame, difference: pandas.Series, limits: Limits) -> str:
    """At which weight decays the medians over seeds agree and at which they do not, with eta mu T and the gap there."""
    by_decay = difference.groupby(known["weight_decay"]).median()
    apart = by_decay[by_decay.abs() > limits.prediction]
    if apart.empty:
        return f"at all {len(by_decay)} weight decays from {by_decay.index.min():g} to {by_decay.index.max():g}"
    parts = []
    for decay, size in apart.items():
        cells = known[known["weight_decay"] == decay]
        descent = (cells["learning_rate"] * cells["weight_decay"] * cells["steps"]).iloc[0]
        gap = number(cells["relative_gap"].astype(float).median())
        parts.append(f"{decay:g} (by {number(size)}, eta mu T = {number(descent)}, relative gap {gap})")
    return f"of {len(by_decay)} weight decays they differ by more at {', '.join(parts)}"
