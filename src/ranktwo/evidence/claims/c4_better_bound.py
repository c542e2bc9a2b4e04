"""Claim C4: a generalization bound becomes better by low rank."""

from collections.abc import Iterator

from ranktwo.evidence.claims.families import DataSet
from ranktwo.evidence.claims.judging import Effect, Finding, Limits, claim, known_cells
from ranktwo.evidence.wording import number


@claim("C4", words="low rank improves the generalization bound")
def better_bound(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """Explicit VC bound at rank two against the dense one, at the strongest decay; then the paper's rates.

    Explicit bounds are those with all constants. They bound a difference of two error rates: above 1 they say nothing.
    """
    explicit = data.of_kind("bound")
    for family in data.families:
        cells = family.strongest
        low, dense = cells["vc_bound_rank_2"], cells["vc_bound_dense"]
        bound, gain = Effect.of(low, limits), Effect.of(dense - low, limits)
        decayed = family.decayed
        every = decayed.loc[decayed["status"] == "ok", explicit]
        medians = cells[explicit].median().dropna()
        note = "no explicit bound is defined here"
        if len(medians):
            note = f"{(medians <= 1).sum()} of {len(medians)} explicit bounds are at most 1, "
            note += f"the least {number(medians.min())}; dense {number(dense.median())}, "
            note += f"measured error gap {number(cells['accuracy_gap'].median())}"
        yield Finding(
            rule="vc_bound_rank_2",
            effect=bound,
            effect_name="VC bound on the error gap, V cut to rank two, at the greatest weight decay with every seed ok",
            criterion=f"Supported if the interval lies below 1, the dense net's bound is greater and d_2/||V|| below "
            f"{limits.low_rank:g}; contradicted if every explicit bound is above 1 in every ok cell with decay.",
            threshold=1,
            supported=bound.high < 1 and gain.low > 0 and Effect.of(cells["residual_2"], limits).high < limits.low_rank,
            contradicted=bool(every.min().min() > 1),
            cells=known_cells(cells, "vc_bound_rank_2"),
            looked_at=decayed,
            note=note,
            **family.place,
        )
        rates = cells["chen2024_rank_two_rate"] / cells["chen2024_dense_rate"]
        ratio = Effect.of(rates, limits)
        yield Finding(
            rule="chen2024_rank_two_rate",
            effect=ratio,
            effect_name="the paper's rate at rank two over its dense rate: arithmetic of m and n, whatever the net",
            criterion="Supported if below 1, contradicted if above.",
            threshold=1,
            supported=ratio.high < 1,
            contradicted=ratio.low > 1,
            cells=list(cells.loc[rates.notna(), "cell"]),
            looked_at=decayed,
            **family.place,
        )
