"""The page that is read first: what it says follows from the rows, and the answer comes before everything else."""

import re

import pytest

from ranktwo.report import front, verdicts

SVG = '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg width="1"><circle r="1"><title>a &lt; b</title></circle></svg>\n'


@pytest.fixture
def make_page(verdict_rows, make_gaps):
    """The page of a study with these sources and figures, of rows in which words are replaced."""

    def make(sources: dict[str, str], figures: tuple[str, ...] = ("spectrum", "path"), **replaced: str) -> str:
        study = {"datasets": {name: {"source": source} for name, source in sources.items()}}
        rows = verdict_rows.replace({"verdict": replaced})
        drawn = [front.Drawn(name, f"The figure {name}.", f"Seen in {name}.\n\nn & m", SVG) for name in figures]
        return front.page(study, rows, make_gaps(mu1="unfit"), drawn)

    return make


DATA = {"digits-3v8": "digits", "a_b": "iris"}


def heads(page: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_the_page_begins_with_the_answer_and_the_key_figure(make_page):
    page = make_page(DATA)
    assert [head.split()[0] for head in heads(page)] == ["The", "The", "Behind", "Figures", "How"]
    assert page.index("is contradicted: contradicted on a_b.") < page.index("<svg")
    assert page.index("Seen in path.") < page.index("Seen in spectrum.")
    assert page.count("<svg") == 2 and "<?xml" not in page and "<!DOCTYPE svg" not in page
    assert "n &amp; m" in page
    # Nothing is fetched from anywhere.
    assert not re.search(r'(src|href)="(https?:|//)', page)


def test_without_figures_the_page_has_none(make_page):
    page = make_page(DATA, figures=())
    assert "<svg" not in page and heads(page)[1:] == ["Behind the verdicts", "How it was made"]


def test_what_it_says_follows_from_the_rows(make_page, verdict_rows):
    page = make_page(DATA, contradicted="vacuous")
    assert "is vacuous: contradicted on a_b." in page
    assert '<span class="contradicted">' not in page
    # A claim that no row judges has no sentence.
    assert len(verdicts.answers(verdict_rows)) == 1
    assert verdicts.answers(verdict_rows[verdict_rows["claim"] != "C1"]) == []


def test_controls_come_first_where_the_study_has_them(make_page):
    page = make_page(DATA | {"a_b": "planted-rank-4"})
    assert heads(page)[:2] == ["Where the answer is known", "The verdicts"]
    first = page[: page.index("<h2>The verdicts")]
    assert "y = sum_r +- relu(v_r . x)" in first
    assert re.findall(r'data-name="(\w+)">([^<]*)</td>', first)[1:] == [("supported", "C5a"), ("contradicted", "C1")]
    assert "digits-3v8" not in first
