"""Tables as CSV (numbers), Markdown, LaTeX and HTML (for people): one function each, from gaps.parquet alone."""

import argparse
import html
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas
from scipy import stats

from ranktwo import files, gaps
from ranktwo.errors import run
from ranktwo.grid import AXES
from ranktwo.registry import registered

FAMILY = [axis for axis in AXES if axis not in ("weight_decay", "seed")]
HEADINGS = {
    "dataset": "data set",
    "train_size": "N",
    "label_noise": "label noise",
    "learning_rate": "learning rate",
    "batch_size": "B",
    "decay_rule": "decay rule",
    "weight_decay": "weight decay",
    "train_loss": "train loss",
    "test_loss": "test loss",
    "train_score": "train accuracy or R2",
    "test_score": "test accuracy or R2",
    "effective_rank": "effective rank",
    "residual_2": "rank-two residual",
}


@dataclass(frozen=True)
class Table:
    """A table twice: with numbers in full, and with text for people."""

    numbers: pandas.DataFrame
    text: pandas.DataFrame


Make = Callable[[pandas.DataFrame], Table]
TABLES: dict[str, Make] = {}


def table(function: Make) -> Make:
    """Register a table under its function's name."""
    TABLES[function.__name__] = function
    return function


def interval(values: pandas.Series) -> tuple[float, float, int]:
    """Mean, half-width of its 95 % interval (Student's t, nan for fewer than two values), and the number of values."""
    values = values.dropna().astype(float)
    count = len(values)
    if count < 2:
        return (float(values.mean()) if count else np.nan), np.nan, count
    return float(values.mean()), float(stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count)), count


@table
def results(rows: pandas.DataFrame) -> Table:
    """Losses, scores and ranks by data set and weight decay: mean over seeds and its 95 % interval.

    Cells that collapsed or diverged are counted, and left out of the means.
    """
    rows = rows.assign(
        train_score=rows["train_accuracy"].fillna(rows["train_r2"]),
        test_score=rows["test_accuracy"].fillna(rows["test_r2"]),
    )
    varying = [axis for axis in FAMILY if axis != "dataset" and rows[axis].nunique() > 1]
    keys = ["dataset", *(axis for axis in varying if rows.groupby("dataset")[axis].nunique().max() > 1), "weight_decay"]
    columns = ["train_loss", "test_loss", "train_score", "test_score", "effective_rank", "residual_2"]
    numbers, text = [], []
    for values, cells in rows.groupby([*FAMILY, "weight_decay"], sort=False):
        named = dict(zip([*FAMILY, "weight_decay"], values, strict=True))
        whole = cells[cells["status"].isin(["ok", "unfit"])]
        number = {key: named[key] for key in keys} | {
            "cells": len(cells),
            "averaged": len(whole),
            "status": counts(cells),
        }
        line = {HEADINGS.get(key, key): short(named[key]) for key in keys}
        line |= {"n": f"{len(whole)}", "status": counts(cells)}
        for column in columns:
            mean, half, _ = interval(whole[column])
            number |= {column: mean, f"{column}_low": mean - half, f"{column}_high": mean + half}
            line[HEADINGS[column]] = plus_minus(mean, half)
        numbers.append(number)
        text.append(line)
    return Table(pandas.DataFrame(numbers), pandas.DataFrame(text))


@table
def grid(rows: pandas.DataFrame) -> Table:
    """The grid as it was run: the values of every axis, and how each family of cells ended."""
    lines = []
    for values, cells in rows.groupby(FAMILY, sort=False):
        line = {HEADINGS.get(axis, axis): short(value) for axis, value in zip(FAMILY, values, strict=True)}
        line["weight decays"] = " ".join(short(value) for value in sorted(cells["weight_decay"].unique()))
        line["seeds"] = " ".join(str(seed) for seed in sorted(cells["seed"].unique()))
        lines.append(line | {"cells": str(len(cells)), "status": counts(cells)})
    frame = pandas.DataFrame(lines)
    return Table(frame, frame)


def counts(cells: pandas.DataFrame) -> str:
    """`3 ok` or `2 ok, 1 diverged`."""
    found = cells["status"].value_counts()
    return ", ".join(f"{found[name]} {name}" for name in ("ok", "unfit", "collapsed", "diverged") if name in found)


def short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def plus_minus(mean: float, half: float) -> str:
    """A mean with its interval's half-width, to two digits of the latter; a dash where undefined."""
    if np.isnan(mean):
        return "-"
    if np.isnan(half):
        return f"{mean:.3g}"
    if half < 1e-9:
        return f"{mean:.4f} ± 0"
    places = min(5, max(0, 1 - int(np.floor(np.log10(half)))))
    return f"{mean:.{places}f} ± {half:.{places}f}"


def number(value: float) -> str:
    """Three digits; a dash where undefined."""
    return "-" if np.isnan(value) else f"{value:.3g}"


def bracket(low: float, high: float) -> str:
    """`[low, high]`; a dash where undefined."""
    return "-" if np.isnan(low) else f"[{number(low)}, {number(high)}]"


def to_csv(frame: pandas.DataFrame) -> str:
    return frame.to_csv(index=False)


Part: TypeAlias = str | pandas.DataFrame
"""Of a page: a table, or text: a paragraph, lines that begin with a dash, or `code`."""


def code(text: str) -> str:
    """The text as it stands, for a page."""
    return textwrap.indent(text.rstrip(), "    ", lambda line: True)


def to_markdown(origin: str, *parts: Part) -> str:
    """A page; `origin`, what it was made from, is a comment at its end."""
    return "\n\n".join([*map(_markdown, parts), f"<!-- From {origin}. -->"]) + "\n"


def _markdown(part: Part) -> str:
    if isinstance(part, str):
        return part
    return part.replace({r"\|": r"\|"}, regex=True).to_markdown(index=False, disable_numparse=True)


def to_latex(origin: str, *texts: pandas.DataFrame) -> str:
    """A booktabs table each; every character that LaTeX would read otherwise is escaped, ± is mathematics.

    With columns of long text it is a tabularx as wide as the line. `origin` is a comment.
    """
    return f"% From {origin}.\n" + "\n\\bigskip\n\n".join(map(_latex, texts))


LATEX = {
    "±": ("PLUSMINUS", r"$\pm$"),
    "|": ("VERTICALBAR", r"\textbar{}"),
    "<": ("LESSTHAN", r"\textless{}"),
    ">": ("GREATERTHAN", r"\textgreater{}"),
}
"""Characters that pandas leaves and LaTeX's default fonts show as others: a word in their place, and a command."""


def _latex(text: pandas.DataFrame) -> str:
    longest = {name: text[name].astype(str).str.len().max() for name in text}
    wide = max(longest.values()) > 30
    # Names and numbers up to 15 characters stay whole; the others share the line, half of it by their longest word.
    words = {
        name: max(len(word) for value in text[name].astype(str) for word in re.split("[ _]", value))
        for name in text
        if wide and longest[name] > 15
    }
    shares = {name: 0.5 + 0.5 * len(words) * length / sum(words.values()) for name, length in words.items()}
    column = r">{\hsize=%.3f\hsize\raggedright\arraybackslash}X"
    form = "".join(column % shares[name] if name in shares else "l" for name in text)
    placeholders = {rf"\{character}": word for character, (word, _) in LATEX.items()}
    latex = text.replace(placeholders, regex=True).to_latex(index=False, escape=True, column_format=form)
    if wide:
        latex = latex.replace(r"\_", r"\_\allowbreak{}")
        latex = latex.replace(r"\begin{tabular}", r"\begin{tabularx}{\linewidth}").replace(
            r"\end{tabular}", r"\end{tabularx}"
        )
        size = r"\footnotesize" if len(shares) <= 4 else r"\scriptsize"
        latex = f"{{{size}" + "\\setlength{\\tabcolsep}{3pt}\n" + latex + "}\n"
    for word, command in LATEX.values():
        latex = latex.replace(word, command)
    return latex


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 1rem; max-width: 75rem }}
div {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums }}
th, td {{ padding: .25rem .6rem; text-align: left; vertical-align: top; border: 0; border-bottom: 1px solid #ddd }}
th {{ border-bottom: 1px solid #222 }}
pre {{ overflow-x: auto; background: #f6f6f6; padding: .6rem }}
</style></head><body>
<h1>{title}</h1>
{body}
<p><small>From {origin}.</small></p>
</body></html>
"""


def to_html(title: str, origin: str, *parts: Part) -> str:
    """A page that needs no other file, for a laptop's width and a phone's."""
    return PAGE.format(title=html.escape(title), origin=html.escape(origin), body="\n".join(map(_html, parts)))


def _html(part: Part) -> str:
    if isinstance(part, pandas.DataFrame):
        return f"<div>{part.to_html(index=False, border=0)}</div>"
    lines = [html.escape(line) for line in part.split("\n")]
    if all(line.startswith("    ") for line in lines):
        return "<pre>" + "\n".join(line[4:] for line in lines) + "</pre>"
    if all(line.startswith("- ") for line in lines):
        return "<ul>" + "".join(f"<li>{line[2:]}</li>" for line in lines) + "</ul>"
    return f"<p>{'<br>'.join(lines)}</p>"


def write(contents: dict[Path, str]) -> None:
    for path, content in contents.items():
        with files.replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(TABLES))
    parser.add_argument("--gaps", type=Path, required=True)
    for kind in ("csv", "md", "tex", "html"):
        parser.add_argument(f"--{kind}", type=Path, required=True)
    arguments = parser.parse_args()
    cells = gaps.read("gaps", arguments.gaps)
    made, origin = TABLES[arguments.name](cells), gaps.origin(cells)
    said, *_ = registered("table")[arguments.name].split("\n\n")
    write(
        {
            arguments.csv: to_csv(made.numbers),
            arguments.md: to_markdown(origin, made.text),
            arguments.tex: to_latex(origin, made.text),
            arguments.html: to_html(arguments.name.capitalize(), origin, said, made.text),
        }
    )


if __name__ == "__main__":
    run(main)
