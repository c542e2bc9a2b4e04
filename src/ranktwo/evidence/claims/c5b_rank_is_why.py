"""Claim C5b: low rank, and not weight decay by another way, is why they do."""

from collections.abc import Iterator

from ranktwo.evidence import predictors
from ranktwo.evidence.claims.families import DataSet
from ranktwo.evidence.claims.judging import Effect, Finding, Limits, claim
from ranktwo.evidence.predictors import GAP
from ranktwo.study.axes import FAMILY

SAME_DATA = ["train_size", "label_noise", "decay_rule"]
"""Axes that move the gap, or the meaning of mu, by themselves."""


@claim("C5b", words="low rank is why: rank tells something about the gap once weight decay is known")
def rank_beyond_decay(data: DataSet, limits: Limits) -> Iterator[Finding]:
    """Rank statistics of effective rank against the gap in all families that share training data and decay rule.

    Where nets of equal decay differ in their seed only, neighbouring decays repeat one order of the few seeds, and
    chance alone gives great correlations: that is no evidence.
    """
    statistics = {
        "tau_fixed_control": "Kendall tau of effective rank and gap over pairs of nets of equal weight decay",
        "partial_spearman": "Spearman correlation of effective rank and gap given weight decay",
    }
    seen = set()
    for family in data.families:
        same = (data.rows[SAME_DATA] == family.cells[SAME_DATA].iloc[0]).all(axis=1)
        if (group := tuple(data.rows.index[same])) in seen:
            continue
        seen.add(group)
        cells = data.rows[same]
        used = cells[(cells["status"] == "ok") & cells[["effective_rank", GAP]].notna().all(axis=1)]
        settings = used.drop_duplicates([*FAMILY, "weight_decay"])
        varied = bool(settings["weight_decay"].duplicated().any())
        scored = predictors.compare(cells, ["effective_rank"], resamples=limits.resamples).set_index("statistic")
        for statistic, words in statistics.items():
            row = scored.loc[[statistic]].iloc[0]
            effect = Effect(row["value"], row["low"], row["high"], int(row["seeds"]))
            yield Finding(
                rule=f"effective_rank {statistic}",
                effect=effect,
                effect_name=words,
                criterion=f"Contradicted if the interval lies below {limits.negligible_tau:g}, where rank tells next "
                "to nothing, or tells the opposite; else supported if it lies above 0. Needs nets of equal decay that "
                "differ in more than the seed.",
                threshold=limits.negligible_tau,
                supported=varied and effect.low > 0 and effect.high >= limits.negligible_tau,
                contradicted=varied and effect.high < limits.negligible_tau,
                cells=list(
                    used["cell"] if statistic == "tau_fixed_control" else used.loc[used["weight_decay"] > 0, "cell"]
                ),
                looked_at=cells,
                note="" if varied else "nets of equal decay differ in the seed only",
                **family.place,
            )
