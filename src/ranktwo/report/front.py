"""The page of a study that one would send to a colleague: the answer first, then its figures, then how it was made."""

from dataclasses import dataclass
from typing import Any

import pandas
import yaml

from ranktwo.evidence import gaps
from ranktwo.evidence.claims.judging import VERDICTS
from ranktwo.evidence.predictors import OVERALL
from ranktwo.report import pages, verdicts
from ranktwo.store import registry

TITLE = "Does weight decay make weight matrices low rank, and is that why nets generalize?"
KEY = "path"
"""The figure that stands open beside the verdicts, where the study draws it; otherwise its first one."""


@dataclass(frozen=True)
class Drawn:
    """A figure of the study."""

    name: str
    title: str
    caption: str
    svg: str
    """The text of its SVG file."""


def page(study: dict[str, Any], rows: pandas.DataFrame, cells: pandas.DataFrame, figures: list[Drawn]) -> str:
    """The page as HTML that needs no other file, from the study, rows of verdicts.parquet and gaps.parquet, figures."""
    planted = [name for name, options in study["datasets"].items() if _planted(options)]
    ordered = sorted(figures, key=lambda drawn: drawn.name != KEY)
    single = rows[rows["headline"] & (rows["dataset"] != OVERALL)]
    return pages.render(
        "report.html",
        title=TITLE,
        about=" ".join([_about(cells), *verdicts.scope(rows)]),
        controls=_controls(study, single[single["dataset"].isin(planted)]) if planted else None,
        sentences=verdicts.answers(rows),
        verdicts=verdicts.overall(rows),
        words=VERDICTS,
        details=verdicts.details(single),
        effects=verdicts.EFFECTS,
        tests=verdicts.tests(rows),
        layers=verdicts.architectures(rows),
        of_layers=verdicts.ARCHITECTURES,
        excluded=verdicts.excluded(cells),
        figures=[_shown(drawn) for drawn in ordered],
        config=yaml.safe_dump(study, sort_keys=False, width=100),
        origin=gaps.origin(cells),
    )


def _planted(options: dict[str, Any]) -> bool:
    return bool(registry.entries("source")[options["source"]].settings.get("planted"))


def _about(cells: pandas.DataFrame) -> str:
    """How large the study is."""
    counts = [(len(cells), "net"), (cells["dataset"].nunique(), "data set"), (cells["split"].nunique(), "split")]
    counts.append((cells["seed"].nunique(), "seed"))
    return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts) + "."


def _controls(study: dict[str, Any], single: pandas.DataFrame) -> pandas.DataFrame:
    """A line for each data set of planted truth: what is planted, and the claims with each verdict that occurs."""
    lines, words = [], [word for word in VERDICTS if (single["verdict"] == word).any()]
    for name, own in single.groupby("dataset", sort=False):
        source = study["datasets"][name]["source"]
        line = {"data set": name, "planted": registry.entries("source")[source].summary}
        lines.append(line | {word: ", ".join(own.loc[own["verdict"] == word, "claim"]) or "-" for word in words})
    return pandas.DataFrame(lines)


def _shown(drawn: Drawn) -> dict[str, Any]:
    """What the template shows of a figure; an SVG inside a page begins at its own element."""
    _, begin, rest = drawn.svg.partition("<svg ")
    return {"title": drawn.title.removesuffix("."), "caption": drawn.caption.split("\n\n"), "svg": begin + rest}
