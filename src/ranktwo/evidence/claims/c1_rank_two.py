"""Claim C1: nets trained with weight decay have a weight matrix of about rank two."""

from collections.abc import Iterator

import numpy as np

from ranktwo.evidence.claims.families import DataSet
from ranktwo.evidence.claims.judging import Effect, Finding, Limits, claim, decay_words, known_cells, predicted
from ranktwo.evidence.wording import number


@claim("C1", words="ReLU nets trained with SGD and weight decay have an approximately rank-two weight matrix")
def approximately_rank_two(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """The rank-two residual at the strongest decay, the setting most favourable to the claim; then every rank rule."""
    for family in data.families:
        cells = family.strongest
        ranks = {rule: Effect.of(cells[rule], limits) for rule in data.of_kind("rank")}
        known = [rank.value for rank in ranks.values() if not np.isnan(rank.value)]
        note = f"{sum(rank <= 2 for rank in known)} of {len(known)} rank rules say at most two"
        if len(cells):
            note += f"; weight decay {decay_words(cells)}, functional rank {number(cells['functional_rank'].median())}"
        residual = Effect.of(cells["residual_2"], limits)
        note += predicted(cells)
        yield Finding(
            rule="residual_2",
            effect=residual,
            effect_name="d_2/||V||, relative distance to rank two, at the greatest weight decay with every seed ok",
            criterion=f"Supported if the interval lies below {limits.low_rank:g}, contradicted if above.",
            threshold=limits.low_rank,
            supported=residual.high < limits.low_rank,
            contradicted=residual.low > limits.low_rank,
            cells=known_cells(cells, "residual_2"),
            looked_at=family.decayed,
            note=note,
            **family.place,
        )
        for rule, rank in ranks.items():
            yield Finding(
                rule=rule,
                effect=rank,
                effect_name=f"{rule} of V at the greatest weight decay with every seed ok",
                criterion="Supported if the interval reaches no higher than 2, contradicted if it lies above.",
                threshold=2,
                supported=rank.high <= 2,
                contradicted=rank.low > 2,
                cells=known_cells(cells, rule),
                looked_at=family.decayed,
                **family.place,
            )
