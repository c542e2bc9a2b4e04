"""Macros for a paper's text: names that LaTeX takes, values that are those of the verdicts."""

import re

import numpy as np
import pytest

from ranktwo.report import numbers
from ranktwo.report.numbers import Macro
from ranktwo.stages import numbers as stage


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


def test_there_is_a_macro_for_each_headline_verdict_and_its_number(make_gaps, verdict_rows):
    cells = make_gaps(mu1="collapsed")
    made = {macro.name: macro.value for macro in numbers.macros(verdict_rows, cells)}
    expected = {"rtCells": "24", "rtSplits": "1", "rtSeeds": "3", "rtDataSets": "1"}
    expected |= {"rtOkCells": "18", "rtUnfitCells": "0", "rtCollapsedCells": "6", "rtDivergedCells": "0"}
    for row in verdict_rows[verdict_rows["headline"]].itertuples():
        place = "" if row.dataset == "overall" else numbers.letters(row.dataset)
        name = numbers.letters(row.claim) + place
        expected[f"rtVerdict{name}"] = row.verdict
        if place:
            values = {"Effect": row.effect, "Low": row.low, "High": row.high}
            expected |= {f"rt{what}{name}": numbers.typeset(value) for what, value in values.items()}
            expected[f"rtSeeds{name}"] = str(row.seeds)
    assert made == expected
    assert made["rtEffectCOneDigitsThreeVEight"] == r"\ensuremath{1.21\times 10^{-7}}"
    assert made["rtEffectCFiveADigitsThreeVEight"] == "--"


def test_no_two_macros_have_one_name_and_the_source_is_a_comment():
    macros = [Macro("rtA", "1", "one"), Macro("rtA", "2", "two"), Macro("rtA", "3", "three")]
    lines = numbers.to_latex(macros, "3 cells").splitlines()
    assert lines[0].startswith("% From 3 cells.")
    assert lines[1:] == [
        r"\newcommand{\rtA}{1} % one",
        r"\newcommand{\rtAB}{2} % two",
        r"\newcommand{\rtAC}{3} % three",
    ]


def test_the_stage_writes_a_macro_a_line(make_gaps, verdict_rows, run_on_rows):
    text = run_on_rows(stage, writes=("output",), options={}, gaps=make_gaps(), verdicts=verdict_rows)["output"]
    first, *lines = text.splitlines()
    assert re.fullmatch(r"% From 24 cells of gaps.parquet, values [0-9a-f]{12}\. Undefined is --\.", first)
    assert all(re.fullmatch(r"\\newcommand\{\\[A-Za-z]+\}\{.*\} % .+", line) for line in lines)
    assert len(lines) == len(list(numbers.macros(verdict_rows, make_gaps())))
