"""The page of verdicts, from rows of verdicts.parquet and gaps.parquet."""

import pandas

from ranktwo.evidence.claims.judging import CONTRADICTED, INCONCLUSIVE, SUPPORTED
from ranktwo.evidence.predictors import OVERALL
from ranktwo.evidence.wording import bracket, number, short
from ranktwo.report.pages import Part
from ranktwo.store import registry


def headlines(rows: pandas.DataFrame) -> pandas.DataFrame:
    """A line for each claim: its words, its verdict, and the data sets with each verdict."""
    claims = registry.entries("claim")
    lines = []
    for claim, verdicts in rows[rows["headline"]].groupby("claim", sort=False):
        overall = verdicts[verdicts["dataset"] == OVERALL].iloc[0]
        single = verdicts[verdicts["dataset"] != OVERALL]
        line = {"claim": f"{claim}: {claims[claim].settings['words']}", "verdict": overall["verdict"]}
        for verdict in (SUPPORTED, CONTRADICTED, INCONCLUSIVE):
            line[f"{verdict} on"] = ", ".join(single.loc[single["verdict"] == verdict, "dataset"]) or "-"
        lines.append(line)
    return pandas.DataFrame(lines)


def details(rows: pandas.DataFrame) -> pandas.DataFrame:
    """A line for each row, with its numbers."""
    lines = [
        {
            "claim": row.claim,
            "data set": f"{row.dataset} ({row.family})" if row.family else row.dataset,
            "verdict": row.verdict,
            "effect": number(row.effect),
            "95 % interval": bracket(row.low, row.high),
            "seeds, cells": f"{row.seeds}, {row.cells}",
            "remark": row.note,
        }
        for row in rows.itertuples()
    ]
    return pandas.DataFrame(lines)


def ranks(rows: pandas.DataFrame) -> pandas.DataFrame:
    """The rank of V by every rule in the setting where claim C1 is judged, a line for each data set."""
    shown = rows[(rows["claim"] == "C1") & rows["rule"].str.startswith("rank_") & (rows["family"] == "")]
    shown = shown[shown["dataset"] != OVERALL]
    lines = [
        {"data set": name}
        | {row.rule.removeprefix("rank_").replace("_", "-"): number(row.effect) for row in judged.itertuples()}
        for name, judged in shown.groupby("dataset", sort=False)
    ]
    return pandas.DataFrame(lines)


def excluded(cells: pandas.DataFrame) -> list[str]:
    """How many cells of each data set ended other than ok, and at which weight decays, a text for each status."""
    failed = cells[cells["status"] != "ok"]
    return [
        f"{name}: {len(part)} {status}, at weight decay " + ", ".join(map(short, sorted(set(part["weight_decay"]))))
        for (name, status), part in failed.groupby(["dataset", "status"], sort=False)
    ] or ["none"]


def page(rows: pandas.DataFrame, cells: pandas.DataFrame) -> list[Part]:
    """The page: the verdicts first; then the numbers, the criteria, and the cells that were left out."""
    overall = rows["dataset"] == OVERALL
    first_rule = {claim: judged["rule"].iloc[0] for claim, judged in rows.groupby("claim")}
    others = rows[(rows["family"] != "") & (rows["rule"] == rows["claim"].map(first_rule))]
    remarks = [f"- {row.claim}: {row.note}" for row in rows[overall & rows["headline"]].itertuples() if row.note]
    criteria = rows[~overall & rows["headline"]].drop_duplicates("claim")
    parts = [
        headlines(rows),
        "\n".join(remarks),
        "By data set:",
        details(rows[~overall & rows["headline"]]),
        *(["In the other families of cells:", details(others)] if len(others) else []),
        *(["Rank of V at C1's setting, by rule, median over seeds:", ranks(rows)] if len(ranks(rows)) else []),
        "Effects and criteria:",
        "\n".join(f"- {row.claim}: {row.effect_name}. {row.criterion}" for row in criteria.itertuples()),
        "Effects are medians over seeds. Of 3 seeds the interval is their range, which holds the true median in 75 % "
        "of studies (88 % of 4, 94 % of 5). Fewer than 3 seeds: inconclusive.",
        "Cells that support nothing:",
        "\n".join(f"- {line}" for line in excluded(cells)),
    ]
    return [part for part in parts if len(part)]
