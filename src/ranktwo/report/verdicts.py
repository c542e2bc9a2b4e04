"""The page of verdicts, from rows of verdicts.parquet and gaps.parquet."""

from collections.abc import Iterator
from typing import Any

import pandas

from ranktwo.evidence.claims.families import V
from ranktwo.evidence.claims.judging import VERDICTS
from ranktwo.evidence.predictors import OVERALL
from ranktwo.evidence.wording import bracket, number, short
from ranktwo.report.pages import Part
from ranktwo.store import registry
from ranktwo.study.axes import MLP

EFFECTS = (
    "Effects are means over splits of means over their seeds, and intervals are Student's t over the splits. Where a "
    "data set has one split, they are over its seeds, and say nothing of other splits. Fewer than three: no interval, "
    "and inconclusive. S counts splits, n replicates (pairs of split and seed). Over data sets p-values are corrected "
    "by Holm's method at the level of 5 %."
)


ARCHITECTURES = (
    "Each architecture is judged by itself. Beside V, other matrices are judged as V is, by their own distance from "
    "rank two; those of a family are a family of tests of their own, corrected by Holm's method, and count for nothing "
    "over data sets. R bounds the rank of a sample's gradient: the theorem speaks of rank R, and of nothing where R is "
    "the full rank of the matrix."
)


def overall(rows: pandas.DataFrame) -> pandas.DataFrame:
    """A line for each claim, as narrow as a page: its words, its verdict, and which data sets count how."""
    lines = [{"claim": _words(row.claim), "verdict": row.verdict, "data sets": row.note} for row in _over_all(rows)]
    return pandas.DataFrame(lines)


def sentences(rows: pandas.DataFrame) -> list[str]:
    """A sentence for each claim: its verdict, and its effect on each data set with its interval."""
    single = rows[rows["headline"] & (rows["dataset"] != OVERALL) & rows["effect"].notna()]
    found = []
    for row in _over_all(rows):
        own = single[single["claim"] == row.claim]
        numbers = [f"{number(one.effect)} {bracket(one.low, one.high)} on {one.dataset}" for one in own.itertuples()]
        measured = f" Its effect is {own['effect_name'].iloc[0]}: {', '.join(numbers)}." if numbers else ""
        found.append(f"**{row.claim}** is {row.verdict}.{measured}")
    return found


QUESTIONS = {
    "C1": "Does weight decay make the first weight matrix V of about rank two?",
    "C6": "Why?",
    "C5b": "Is that why nets generalize?",
}
"""The question of the project in three parts, each with the claim that answers it."""


def answers(rows: pandas.DataFrame) -> list[str]:
    """A sentence for each part of the question whose claim the study judges: its verdict, and on which data sets."""
    judged = {row.claim: row for row in _over_all(rows)}
    found = []
    for claim in (claim for claim in QUESTIONS if claim in judged):
        said = registry.entries("claim")[claim].settings["words"].removeprefix("(ours) ")
        note = f": {judged[claim].note}" if judged[claim].note else ""
        found.append(f'{QUESTIONS[claim]} {claim}, "{said}", is {judged[claim].verdict}{note}.')
    return found


def tests(rows: pandas.DataFrame) -> pandas.DataFrame:
    """A line for each claim: the paper's words, what we test, the verdict with its counts, the strongest objection."""
    lines = []
    for row in _over_all(rows):
        said = registry.entries("claim")[row.claim].settings
        paper = f'"{said["paper"]}"' if said.get("paper") else "-"
        line = {"claim": row.claim, "the paper's words": paper, "our test": said["words"].removeprefix("(ours) ")}
        counts = f"{row.splits} or more splits, {row.replicates} or more nets a setting, {row.cells} cells"
        lines.append(line | {"verdict": f"{row.verdict} ({row.note}; {counts})", "objection": said["objection"]})
    return pandas.DataFrame(lines)


def _over_all(rows: pandas.DataFrame) -> Iterator[Any]:
    """The row of each claim over all data sets."""
    return rows[rows["headline"] & (rows["dataset"] == OVERALL)].itertuples()


def scope(rows: pandas.DataFrame) -> list[str]:
    """A sentence on which nets the headlines are of; none where the study has the paper's two-layer nets alone."""
    first, *others = rows["architecture"].drop_duplicates()
    if not others and first == MLP:
        return []
    datasets = rows.loc[rows["headline"] & (rows["dataset"] != OVERALL), "dataset"].drop_duplicates()
    rest = f" Of {'; '.join(others)} see the table by architecture and layer." if others else ""
    return [f"These verdicts are of one architecture, {first}, on {', '.join(datasets)}.{rest}"]


def _words(claim: str) -> str:
    """A claim's name and words."""
    return f"{claim}: {registry.entries('claim')[claim].settings['words']}"


def details(rows: pandas.DataFrame) -> pandas.DataFrame:
    """A line for each row, with its numbers."""
    lines = [
        {
            "claim": row.claim,
            "data set": _place(row),
            "verdict": row.verdict,
            "effect": number(row.effect),
            "95 % interval": bracket(row.low, row.high),
            "S, n, cells": f"{row.splits}, {row.replicates}, {row.cells}",
            "remark": row.note,
        }
        for row in rows.itertuples()
    ]
    return pandas.DataFrame(lines)


def architectures(rows: pandas.DataFrame) -> pandas.DataFrame:
    """A line for each claim that is judged by layer, architecture, data set and family; none without rows of layers."""
    lines = []
    for claim in rows.loc[rows["sample_rank"].notna(), "claim"].unique():
        own = rows[rows["claim"] == claim]
        own = own[own["rule"] == own["rule"].iloc[0]]
        for (name, *_), family in own.groupby(["architecture", "dataset", "family"], sort=False):
            [of_v] = family[family["matrix"] == V].itertuples()
            line = {"claim": claim, "architecture": name, "data set": _place(of_v), "V": of_v.verdict}
            line |= {"effect": number(of_v.effect), "95 % interval": bracket(of_v.low, of_v.high)}
            named = {
                word: ", ".join(f"{one.matrix} (R = {one.sample_rank})" for one in part.itertuples())
                for word, part in family[family["matrix"] != V].groupby("verdict")
            }
            line["other matrices"] = "; ".join(f"{word}: {named[word]}" for word in VERDICTS if word in named) or "-"
            lines.append(line)
    return pandas.DataFrame(lines)


def _place(row: Any) -> str:
    """The data set of a row, and its family unless that is the main one."""
    return f"{row.dataset} ({row.family})" if row.family else row.dataset


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
    """The page: the verdicts first; then the numbers, the criteria, and the cells that were left out.

    All but the table by architecture and layer is of the headlines' architecture, which stands first in the rows.
    """
    by_architecture, of_which = architectures(rows), scope(rows)
    rows = rows[(rows["architecture"] == rows["architecture"].iloc[0]) & (rows["matrix"] == V)]
    over_all = rows["dataset"] == OVERALL
    first_rule = {claim: judged["rule"].iloc[0] for claim, judged in rows.groupby("claim")}
    others = rows[(rows["family"] != "") & (rows["rule"] == rows["claim"].map(first_rule))]
    criteria = rows[~over_all & rows["headline"]].drop_duplicates("claim")
    parts = [
        overall(rows),
        *of_which,
        "In numbers, each with its 95 % interval:",
        "\n".join(f"- {sentence}" for sentence in sentences(rows)),
        "Each claim in the paper's words, our test of it, and the strongest objection to the test:",
        tests(rows),
        "By data set:",
        details(rows[~over_all & rows["headline"]]),
        *(["In the other families of cells:", details(others)] if len(others) else []),
        *(["By architecture and layer:", ARCHITECTURES, by_architecture] if len(by_architecture) else []),
        *(["Rank of V at C1's setting, by rule, mean over splits:", ranks(rows)] if len(ranks(rows)) else []),
        "Effects and criteria:",
        "\n".join(f"- {row.claim}: {row.effect_name}. {row.criterion}" for row in criteria.itertuples()),
        EFFECTS,
        "Cells that support nothing:",
        "\n".join(f"- {line}" for line in excluded(cells)),
    ]
    return [part for part in parts if len(part)]
