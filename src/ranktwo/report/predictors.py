"""The table of how well each measure orders nets by their generalization gap, from rows of predictors.parquet."""

import pandas

from ranktwo.evidence import wording
from ranktwo.evidence.predictors import BETWEEN, OVERALL

EXPLANATION = (
    "A line for each measure: means of its statistics over the data sets in which they are defined, with 95 % "
    "intervals (jackknife over splits); the strongest at fixed decay, by the size of its tau there, first. By data "
    "set: least and greatest tau at fixed decay of one data set, and in how many it is defined. Between data sets: tau "
    "over pairs of nets of two data sets with the same task; it tells data sets, not nets, apart. Nets of two "
    "architectures are never compared."
)
"""What the page says above the table."""


def summary(scored: pandas.DataFrame) -> pandas.DataFrame:
    """A line for each measure, with its statistics over all data sets; the strongest at fixed decay first.

    Strength is |tau_fixed_control|. The column `by data set` holds the least and the greatest tau_fixed_control of a
    single data set. Statistics are correlations and are shown with two decimals. Where there are several architectures,
    a column names them, and the lines of one stand together.
    """
    parts = _by_architecture(scored)
    if len(parts) == 1:
        return next(iter(parts.values()))
    named = [lines.assign(architecture=name) for name, lines in parts.items()]
    return pandas.concat(named, ignore_index=True)[["architecture", *named[0].columns[:-1]]]


def on_paper(scored: pandas.DataFrame) -> list[pandas.DataFrame]:
    """A table for each architecture, which its first heading names where there are several.

    A page has no room for a column with their names, nor for the statistic between data sets, nor for the number of
    data sets in which a measure is known at fixed decay.
    """
    parts = _by_architecture(scored)
    return [
        lines.drop(columns=BETWEEN)
        .replace({"by data set": r" of \d+$"}, "", regex=True)
        .rename(columns={"measure": f"measure, of {name}"} if len(parts) > 1 else {})
        for name, lines in parts.items()
    ]


def _by_architecture(scored: pandas.DataFrame) -> dict[str, pandas.DataFrame]:
    return {name: _of_nets(own) for name, own in scored.groupby("architecture", sort=False)}


def _of_nets(scored: pandas.DataFrame) -> pandas.DataFrame:
    """The lines of one architecture."""
    all_axes = scored[scored["axis"].isna()]
    overall = all_axes[all_axes["dataset"] == OVERALL].set_index(["measure", "statistic"])
    apart = all_axes[all_axes["dataset"] == BETWEEN].set_index("measure")
    single = all_axes[~all_axes["dataset"].isin([OVERALL, BETWEEN]) & (all_axes["statistic"] == "tau_fixed_control")]
    counts = single.groupby("measure")["value"].count()
    spread = single.groupby("measure")["value"].agg(["min", "max"])
    strength = overall.xs("tau_fixed_control", level="statistic")["value"].abs()
    # Rounding leaves -0.0 of a small negative number; adding 0.0 makes it 0.0.
    spread = spread.astype(float).round(2) + 0.0
    overall = overall[["value", "low", "high", "cells"]].astype(float).round(2) + 0.0
    lines = []
    for measure in strength.sort_values(ascending=False, kind="stable").index:
        statistics = overall.loc[measure]
        shown = {statistic: _shown(row) for statistic, row in statistics.iterrows()}
        lines.append(
            {
                "measure": measure,
                "tau": shown["tau"],
                "tau at fixed decay": shown["tau_fixed_control"],
                "by data set": f"{wording.bracket(*spread.loc[measure])} of {counts[measure]}".removesuffix(" of 0"),
                "partial Spearman": shown["partial_spearman"],
                "psi": shown["psi"],
                BETWEEN: _between(apart, measure),
                "cells": f"{statistics.loc['tau', 'cells']:.0f}",
            }
        )
    return pandas.DataFrame(lines)


def _between(apart: pandas.DataFrame, measure: str) -> str:
    """tau between data sets with its interval; a dash where there is none."""
    row = apart.loc[measure, ["value", "low", "high"]].astype(float).round(2) + 0.0
    return _shown(row)


def _shown(row: pandas.Series) -> str:
    """A value and its interval, if it has one."""
    return f"{wording.number(row['value'])} {wording.bracket(row['low'], row['high'])}".removesuffix(" -")
