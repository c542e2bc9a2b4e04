"""LaTeX macros for a paper's text: every claim's verdict and headline number, and how many cells they rest on.

Names are letters alone, as LaTeX wants: `\\rtVerdictCOne` is claim C1 over all data sets, `\\rtEffectCOneDigits` its
effect on the data set digits, with `\\rtLow...` and `\\rtHigh...` the ends of the 95 % interval and `\\rtSeeds...` n.
"""

import itertools
import re
from collections.abc import Iterator

import pandas

from ranktwo.evidence.claims.judging import STATUSES
from ranktwo.evidence.predictors import OVERALL
from ranktwo.evidence.wording import number

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
Macro = tuple[str, str, str]
"""Name, value, and what it is."""


def letters(name: str) -> str:
    """`digits-3v8` as `DigitsThreeVEight`."""
    parts = re.findall(r"[A-Za-z]+|\d", name)
    return "".join(DIGITS[int(part)] if part.isdigit() else part[0].upper() + part[1:] for part in parts)


def typeset(value: float) -> str:
    """`1.21e-07` as 1.21 x 10^-7, for text and mathematics alike; two dashes where undefined."""
    if pandas.isna(value):
        return "--"
    mantissa, _, exponent = number(value).partition("e")
    return f"\\ensuremath{{{mantissa}" + (f"\\times 10^{{{int(exponent)}}}" if exponent else "") + "}"


def macros(rows: pandas.DataFrame, cells: pandas.DataFrame) -> Iterator[Macro]:
    """From rows of verdicts.parquet and of gaps.parquet."""
    counts = cells["status"].value_counts()
    yield "rtCells", str(len(cells)), "all cells of the study"
    for status in STATUSES:
        yield f"rt{letters(status)}Cells", str(counts.get(status, 0)), f"cells that ended {status}"
    yield "rtSeeds", str(cells["seed"].nunique()), "seeds of the study"
    yield "rtDataSets", str(cells["dataset"].nunique()), ", ".join(cells["dataset"].unique())
    for row in rows[rows["headline"]].itertuples():
        place = "" if row.dataset == OVERALL else letters(row.dataset)
        name = letters(row.claim) + place
        rests = f"{row.claim}, {row.dataset}: {row.cells} cells, {row.seeds} seeds; `rests_on` in verdicts.parquet"
        yield f"rtVerdict{name}", row.verdict, rests
        if place:
            for what, value in (("Effect", row.effect), ("Low", row.low), ("High", row.high)):
                yield (
                    f"rt{what}{name}",
                    typeset(value),
                    row.effect_name,
                )
            yield f"rtSeeds{name}", str(row.seeds), rests


def to_latex(found: Iterator[Macro], origin: str) -> str:
    """A \\newcommand a line. Two names that are the same in letters are told apart by a B, C, ... at the end."""
    used: set[str] = set()
    lines = [f"% From {origin}. Undefined is --."]
    for name, value, what in found:
        free = next(name + mark for mark in itertools.chain([""], map(chr, range(66, 91))) if name + mark not in used)
        used.add(free)
        lines.append(f"\\newcommand{{\\{free}}}{{{value}}} % {what}")
    return "\n".join(lines) + "\n"
