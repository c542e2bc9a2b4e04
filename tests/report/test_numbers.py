"""Macros for a paper's text: names that LaTeX takes, values that are those of the verdicts."""

import re

import numpy as np
import pytest
from test_verdicts import judge, study

from ranktwo.report import numbers


@pytest.mark.parametrize(
    ("name", "macro"),
    [("digits-3v8", "DigitsThreeVEight"), ("C5a", "CFiveA"), ("breast-cancer", "BreastCancer"), ("ok", "Ok")],
)
def test_names_are_letters(name, macro):
    assert numbers.letters(name) == macro


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.789, r"\ensuremath{0.789}"),
        (1.21e-7, r"\ensuremath{1.21\times 10^{-7}}"),
        (-0.02, r"\ensuremath{-0.02}"),
        (np.nan, "--"),
    ],
)
def test_numbers_are_mathematics(value, text):
    assert numbers.typeset(value) == text


def test_there_is_a_macro_for_each_headline_verdict_and_its_number():
    cells = study()
    rows = judge(cells)
    found = {name: value for name, value, _ in numbers.macros(rows, cells)}
    assert found["rtCells"] == str(len(cells))
    assert int(found["rtOkCells"]) == (cells["status"] == "ok").sum()
    for row in rows[rows["headline"]].itertuples():
        place = "" if row.dataset == "overall" else numbers.letters(row.dataset)
        assert found[f"rtVerdict{numbers.letters(row.claim)}{place}"] == row.verdict
        if place:
            assert found[f"rtEffect{numbers.letters(row.claim)}{place}"] == numbers.typeset(row.effect)


def test_no_two_macros_have_one_name_and_the_source_is_a_comment():
    lines = numbers.to_latex(iter([("rtA", "1", "one"), ("rtA", "2", "two")]), "3 cells").splitlines()
    assert lines[0].startswith("% From 3 cells.")
    assert lines[1:] == [r"\newcommand{\rtA}{1} % one", r"\newcommand{\rtAB}{2} % two"]
    assert all(re.fullmatch(r"\\newcommand\{\\[A-Za-z]+\}\{.*\} % .+", line) for line in lines[1:])
