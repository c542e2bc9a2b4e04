"""Text that stages write for people: tables as CSV, Markdown, LaTeX and HTML, and pages of tables and paragraphs."""

import re
import textwrap
from pathlib import Path
from typing import TypeAlias

import jinja2
import pandas

from ranktwo.store import files, provenance

Part: TypeAlias = str | pandas.DataFrame
"""A part of a page: a table, or a text. A text is a paragraph, a list (each line begins with a dash) or `code`."""


def to_csv(frame: pandas.DataFrame) -> str:
    """The table as CSV, with every number in full."""
    return frame.to_csv(index=False)


def code(text: str) -> str:
    """A part of a page that shows the text as it stands, such as a config."""
    return textwrap.indent(text.rstrip(), "    ", lambda line: True)


def to_markdown(origin: str, *parts: Part) -> str:
    """A Markdown page of these parts. `origin` says what the page was made from; it is a comment at the end."""
    return "\n\n".join([*map(_markdown, parts), f"<!-- From {origin}. -->"]) + "\n"


def _markdown(part: Part) -> str:
    if isinstance(part, str):
        return part
    escaped = part.rename(columns=with_bars_escaped).map(with_bars_escaped)
    return escaped.to_markdown(index=False, disable_numparse=True)


def with_bars_escaped(value: object) -> str:
    """The text for a cell of a Markdown table, where a vertical bar as it is would begin a new cell."""
    return str(value).replace("|", r"\|")


def to_latex(origin: str, *frames: pandas.DataFrame) -> str:
    """A LaTeX table (booktabs) of each frame, one below the other. `origin` is a comment at the beginning.

    A character that means something to LaTeX is escaped. A frame with a column of long text becomes a tabularx as wide
    as the line.
    """
    return f"% From {origin}.\n" + "\n\\bigskip\n\n".join(map(_latex, frames))


COMMANDS = str.maketrans({"±": r"$\pm$", "|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}"})
"""Characters that pandas does not escape and that LaTeX's default fonts lack or show as others."""
YEAR = r"(?<=[a-z])(?=[0-9]{4})"
"""Where the year begins in a name such as neyshabur2018_rate."""
LONG = 15
"""Characters up to which a column's text stays on one line of a wide table."""


def _latex(frame: pandas.DataFrame) -> str:
    # pandas escapes and writes the table; it knows neither tabularx nor how a line is shared among columns.
    texts = frame.astype(str)
    longest = {name: texts[name].str.len().max() for name in texts}
    wide = max(longest.values()) > 2 * LONG
    shares = _shares(texts[[name for name in texts if longest[name] > LONG]]) if wide else {}
    column = r">{\hsize=%.3f\hsize\raggedright\arraybackslash}X"
    form = "".join(column % shares[name] if name in shares else "l" for name in texts)

    def finish(escaped: str) -> str:
        text = escaped.translate(COMMANDS)
        # A line may end inside a long name, so that it does not make its column wider than its share.
        return re.sub(rf"(?<=\\_)|{YEAR}", r"\\allowbreak{}", text) if wide else text

    style = texts.style.hide(axis="index").format(finish, escape="latex")
    latex = style.format_index(finish, escape="latex", axis="columns").to_latex(hrules=True, column_format=form)
    if not wide:
        return latex
    latex = latex.replace(r"\begin{tabular}", r"\begin{tabularx}{\linewidth}")
    latex = latex.replace(r"\end{tabular}", r"\end{tabularx}")
    size = r"\footnotesize" if len(shares) <= 4 else r"\scriptsize"
    return f"{{{size}\\setlength{{\\tabcolsep}}{{3pt}}\n{latex}}}\n"


def _shares(texts: pandas.DataFrame) -> dict[str, float]:
    """How wide each column is against their mean width: half of it is equal, half follows the longest word."""
    words = {
        name: max(len(word) for text in texts[name] for word in re.split(rf"[ _]|{YEAR}", text))
        for name in texts.columns
    }
    return {name: 0.5 + 0.5 * len(words) * length / sum(words.values()) for name, length in words.items()}


def to_html(title: str, origin: str, *parts: Part) -> str:
    """An HTML page of these parts that needs no other file, for a laptop's width and a phone's."""
    return render("page.html", title=title, origin=origin, blocks=map(_block, parts))


def render(template: str, **facts: object) -> str:
    """A template of the folder `templates`, filled in; what is not marked as HTML is text."""
    loader = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template).render(facts)


def _block(part: Part) -> tuple[str, object]:
    """What the template shows: the part's kind, and its content without the marks of the kind."""
    if isinstance(part, pandas.DataFrame):
        return "table", part
    lines = part.split("\n")
    if all(line.startswith("    ") for line in lines):
        return "code", "\n".join(line[4:] for line in lines)
    if all(line.startswith("- ") for line in lines):
        return "list", [line.removeprefix("- ") for line in lines]
    return "paragraph", lines


COMMENTS = {".html": "<!-- {} -->", ".tex": "% {}", ".yaml": "# {}"}
"""How a comment is written in a file, by its suffix."""


def write(contents: dict[Path, str]) -> None:
    """Write each text to its file; a file changes as a whole or not at all.

    A file whose kind has comments says in its second line what it was made for.
    """
    for path, content in contents.items():
        if provenance.mark() and path.suffix in COMMENTS:
            first, _, rest = content.partition("\n")
            content = "\n".join([first, COMMENTS[path.suffix].format(provenance.mark()), rest])
        with files.replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
