"""Pages for people: every character of a name or number comes out as itself in Markdown, LaTeX and HTML."""

import html.parser
import re
import shutil
import subprocess

import pandas
import pytest
import yaml

from ranktwo.report import pages
from ranktwo.stages import study

SCRIPT = "<script>alert('&amp;')</script>"
SPECIAL = r"100 % of $x_1$ & #2 {a} ~b ^c \d | e < f > g ± h"
PROSE = "a text that is much longer than what fits into one line of a column with other columns beside it"


class Reader(html.parser.HTMLParser):
    """The tags of a page, and its texts by the tag that they stand in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.tags[-1], data))


def test_html_shows_every_character_of_a_name_as_itself():
    frame = pandas.DataFrame({SCRIPT: [SCRIPT]})
    parts = [SCRIPT, f"- {SCRIPT}", pages.code(SCRIPT), frame]
    read = Reader(pages.to_html(SCRIPT, SCRIPT, *parts))
    assert "script" not in read.tags
    shown = [tag for tag, text in read.texts if SCRIPT in text]
    assert shown == ["title", "h1", "p", "li", "pre", "th", "td", "small"]


def test_html_has_the_parts_in_their_order_and_needs_no_other_file():
    parts = ["one\ntwo", "- first\n- second", pages.code("a:\n  b: 1\n\nc: 2"), pandas.DataFrame({"n": ["1", "2"]})]
    page = pages.to_html("A page", "3 cells", *parts)
    read = Reader(page)
    assert read.tags[read.tags.index("h1") :] == [
        *("h1", "p", "br", "ul", "li", "li", "pre"),
        *("div", "table", "thead", "tr", "th", "tbody", "tr", "td", "tr", "td", "p", "small"),
    ]
    texts = [text for _, text in read.texts]
    assert texts[texts.index("one") :] == [
        *("one", "two", "first", "second", "a:\n  b: 1\n\nc: 2", "n", "1", "2", "From 3 cells.")
    ]
    assert not re.search(r"(?:src|href)=", page)


def test_markdown_shows_a_vertical_bar_in_a_cell_and_in_a_heading():
    frame = pandas.DataFrame({"||V||": ["a|b", "c"], "n": ["1e-07", "10"]})
    lines = pages.to_markdown("3 cells", "Text:", frame).splitlines()
    assert lines[0] == "Text:" and lines[-1] == "<!-- From 3 cells. -->"
    assert lines[2:] == [
        r"| \|\|V\|\|   | n     |",
        "|:------------|:------|",
        r"| a\|b        | 1e-07 |",
        "| c           | 10    |",
        "",
        "<!-- From 3 cells. -->",
    ]


def test_latex_is_booktabs_with_plus_minus_in_mathematics():
    latex = pages.to_latex("3 cells", pandas.DataFrame({"test_loss": ["0.123 ± 0.012"]}))
    assert latex.splitlines() == [
        "% From 3 cells.",
        r"\begin{tabular}{l}",
        r"\toprule",
        r"test\_loss \\",
        r"\midrule",
        r"0.123 $\pm$ 0.012 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_characters_that_latex_shows_as_others_are_commands():
    """In the default encoding | < > are a dash and two Spanish marks."""
    latex = pages.to_latex("1 cell", pandas.DataFrame({"remark": ["d_2/||V|| < 1 > 0"]}))
    assert r"d\_2/\textbar{}\textbar{}V\textbar{}\textbar{} \textless{} 1 \textgreater{} 0" in latex


def test_text_that_reads_like_a_placeholder_stays_as_it_is():
    latex = pages.to_latex("1 cell", pandas.DataFrame({"name": ["PLUSMINUS", "LESSTHAN"]}))
    assert "PLUSMINUS" in latex and "LESSTHAN" in latex


def test_a_table_with_long_text_is_as_wide_as_the_line_and_short_columns_stay_whole():
    frame = pandas.DataFrame({"a_name": ["x_1", "x_2"], "number": ["1.00", "2.00"], "remark": [PROSE, "d_2/||V||"]})
    latex = pages.to_latex("3 cells", frame)
    column = r">{\hsize=1.000\hsize\raggedright\arraybackslash}X"
    assert rf"\begin{{tabularx}}{{\linewidth}}{{ll{column}}}" in latex
    assert r"\end{tabularx}" in latex and "{tabular}" not in latex
    # A long name may be broken after an underscore, in the heading as well.
    assert r"a\_\allowbreak{}name" in latex and r"x\_\allowbreak{}1" in latex


def test_columns_of_long_text_share_the_line_by_their_longest_words():
    frame = pandas.DataFrame({"a": [PROSE], "b": ["a_column_with incomprehensibilities"]})
    shares = [float(share) for share in re.findall(r"\\hsize=([0-9.]+)\\hsize", pages.to_latex("3 cells", frame))]
    longest = {"a": len("columns"), "b": len("incomprehensibilities")}
    assert shares == pytest.approx([0.5 + length / sum(longest.values()) for length in longest.values()], abs=1e-3)
    assert sum(shares) == pytest.approx(2, abs=2e-3)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex (Debian: texlive-latex-recommended)")
def test_latex_typesets_every_special_character(tmp_path):
    narrow, wide = pandas.DataFrame({SPECIAL[:9]: [SPECIAL[:20]]}), pandas.DataFrame({SPECIAL: [SPECIAL, PROSE]})
    (tmp_path / "table.tex").write_text(pages.to_latex("3 cells", narrow, wide))
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,tabularx}\parindent 0pt"
        r"\begin{document}\input{table}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert not re.findall(r"Overfull|Missing character|Undefined control", done.stdout)


def test_the_study_page_gives_a_config_back_and_shows_who_made_it(make_gaps, run_on_rows):
    config = '{"results": "out <i>", "grids": [{"dataset": "toy", "weight_decay": [0, 0.001]}], "download": false}'
    made = run_on_rows(study, writes=("yaml", "html"), options={"config": config}, gaps=make_gaps())
    read = yaml.safe_load(made["yaml"])
    assert read == {"results": "out <i>", "grids": [{"dataset": "toy", "weight_decay": [0, 0.001]}], "download": False}
    assert list(read) == ["results", "grids", "download"]
    assert made["yaml"].startswith("# As run, with every default; from 24 cells of gaps.parquet, values ")
    pre = [text for tag, text in Reader(made["html"]).texts if tag == "pre"]
    assert yaml.safe_load(pre[0]) == {"stage": "gaps", "device": "a <b>"}
    assert yaml.safe_load(pre[1]) == read


def test_files_are_written_as_utf_8(tmp_path):
    pages.write({tmp_path / "new" / "a.md": "±", tmp_path / "b.md": "b"})
    assert (tmp_path / "new" / "a.md").read_bytes() == "±".encode()
    assert (tmp_path / "b.md").read_text() == "b"
