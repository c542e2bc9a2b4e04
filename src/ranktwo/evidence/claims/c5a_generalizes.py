"""Claim C5a: nets with weight decay and low rank generalize better."""

from collections.abc import Iterator

import numpy as np
import pandas

from ranktwo.evidence.claims.families import DataSet, Family
from ranktwo.evidence.claims.judging import Effect, Finding, Limits, claim, decay_words


@claim("C5a", words="nets with weight decay and low rank generalize better than nets without decay")
def generalizes_better(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """Test loss without decay minus at the best decay; the other seeds choose it, so luck is not counted as merit."""
    for family in data.families:
        without = family.at(0)
        for rule, residual, words in (
            ("residual_2", limits.low_rank, f"the best decay with d_2/||V|| below {limits.low_rank:g}"),
            ("test_loss", np.inf, "the best decay"),
        ):
            chosen = _chosen(family, residual)
            gain = (without["test_loss"] - chosen["test_loss"]).dropna()
            effect = Effect.of(gain, limits)
            yield Finding(
                rule=rule,
                effect=effect,
                effect_name=f"test loss without weight decay minus at {words}, chosen for each seed by the others",
                criterion="Supported if the interval lies above 0, contradicted if below.",
                threshold=0,
                supported=effect.low > 0,
                contradicted=effect.high < 0,
                cells=[*without.loc[gain.index, "cell"], *chosen.loc[gain.index, "cell"]],
                looked_at=family.cells,
                note=f"weight decay {decay_words(chosen)}" if len(chosen) else "no such weight decay",
                **family.place,
            )


def _chosen(family: Family, residual: float) -> pandas.DataFrame:
    """For each seed its cell at the decay of least test loss, and residual below `residual`, by the *other* seeds."""
    cells = family.cells[family.cells["weight_decay"].isin(family.decays)]
    losses, residuals = (
        cells.pivot(index="seed", columns="weight_decay", values=v) for v in ("test_loss", "residual_2")
    )
    chosen = {}
    for seed in losses.index:
        low_rank = residuals.drop(index=seed).median() < residual
        others = losses.drop(index=seed).mean()[low_rank & losses.loc[seed].notna()]
        if len(others):
            chosen[seed] = others.idxmin()
    return cells[cells["weight_decay"] == cells["seed"].map(chosen)].set_index("seed")
