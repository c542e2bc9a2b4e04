"""TODO report.predictors."""

import pandas as pd

from ranktwo.evidence import wording
from ranktwo.evidence.predictors import OVERALL

SAID = (
    "A line for each measure, with its statistics over all data sets and their 95 % intervals; the strongest at fixed "
    "decay, by the size of its tau there, first. By data set: least and greatest tau at fixed decay of one data set."
)


def summary(scored: pd.DataFrame) -> pd.DataFrame:
    """For people: a line for each measure, with its statistics over all data sets; the strongest at fixed decay first.

    Strength is |tau_fixed_control|. Beside it stand its least and greatest value over the data sets taken alone. Two
    decimals: all are correlations.
    """
    whole = scored[scored["axis"].isna()]
    every = whole[whole["dataset"] == OVERALL].set_index(["measure", "statistic"])
    alone = whole[(whole["dataset"] != OVERALL) & (whole["statistic"] == "tau_fixed_control")]
    spread = alone.groupby("measure")["value"].agg(["min", "max"])
    strength = every.xs("tau_fixed_control", level="statistic")["value"].abs()
    # Zero has no sign, and neither has what rounding left of it.
    spread = spread.astype(float).round(2) + 0.0
    every = every[["value", "low", "high", "cells"]].astype(float).round(2) + 0.0
    lines = []
    for measure in strength.sort_values(ascending=False, kind="stable").index:
        found = every.loc[measure]
        shown = {
            statistic: f"{wording.number(row['value'])} {wording.bracket(row['low'], row['high'])}".removesuffix(" -")
            for statistic, row in found.iterrows()
        }
        lines.append(
            {
                "measure": measure,
                "tau": shown["tau"],
                "tau at fixed decay": shown["tau_fixed_control"],
                "by data set": wording.bracket(*spread.loc[measure]),
                "partial Spearman": shown["partial_spearman"],
                "psi": shown["psi"],
                "cells": f"{found.loc['tau', 'cells']:.0f}",
            }
        )
    return pd.DataFrame(lines)
