"""TODO report.verdicts."""

import pandas

from ranktwo.evidence.claims.judging import CLAIMS, CONTRADICTED, INCONCLUSIVE, SUPPORTED
from ranktwo.evidence.predictors import OVERALL
from ranktwo.evidence.wording import bracket, number, short
from ranktwo.report.pages import Part


def headlines(rows: pandas.DataFrame) -> pandas.DataFrame:
    """For people: a line for each claim, with its verdict and the data sets behind it."""
    shown = rows[rows["headline"]]
    lines = []
    for one, found in shown.groupby("claim", sort=False):
        whole, parts = found[found["dataset"] == OVERALL].iloc[0], found[found["dataset"] != OVERALL]
        line = {"claim": f"{one}: {CLAIMS[one].words}", "verdict": whole["verdict"]}
        for verdict in (SUPPORTED, CONTRADICTED, INCONCLUSIVE):
            line[f"{verdict} on"] = ", ".join(parts.loc[parts["verdict"] == verdict, "dataset"]) or "-"
        lines.append(line)
    return pandas.DataFrame(lines)


def details(rows: pandas.DataFrame) -> pandas.DataFrame:
    """For people: a line for each of the rows, with its numbers."""
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
    """For people: the rank of V by every rule at C1's setting, a line for each data set."""
    shown = rows[(rows["claim"] == "C1") & rows["rule"].str.startswith("rank_") & (rows["family"] == "")]
    shown = shown[shown["dataset"] != OVERALL]
    lines = [
        {"data set": name}
        | {row.rule.removeprefix("rank_").replace("_", "-"): number(row.effect) for row in found.itertuples()}
        for name, found in shown.groupby("dataset", sort=False)
    ]
    return pandas.DataFrame(lines)


def excluded(cells: pandas.DataFrame) -> list[str]:
    """For people: how many cells of each data set ended other than ok, and at which weight decays."""
    failed = cells[cells["status"] != "ok"]
    return [
        f"{name}: {len(found)} {status}, at weight decay " + ", ".join(map(short, sorted(set(found["weight_decay"]))))
        for (name, status), found in failed.groupby(["dataset", "status"], sort=False)
    ] or ["none"]


def page(rows: pandas.DataFrame, cells: pandas.DataFrame) -> list[Part]:
    """For people: the verdicts first; then the numbers, the criteria and what was left out."""
    whole = rows["dataset"] == OVERALL
    first = {one: found["rule"].iloc[0] for one, found in rows.groupby("claim")}
    others = rows[(rows["family"] != "") & (rows["rule"] == rows["claim"].map(first))]
    remarks = [f"- {row.claim}: {row.note}" for row in rows[whole & rows["headline"]].itertuples() if row.note]
    criteria = rows[~whole & rows["headline"]].drop_duplicates("claim")
    parts = [
        headlines(rows),
        "\n".join(remarks),
        "By data set:",
        details(rows[~whole & rows["headline"]]),
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
