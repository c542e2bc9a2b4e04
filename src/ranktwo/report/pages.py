"""Tables as CSV (numbers), Markdown, LaTeX and HTML (for people): one function each, from gaps.parquet alone."""

import html
import re
import textwrap
from pathlib import Path
from typing import TypeAlias

import pandas

from ranktwo.store import files


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
