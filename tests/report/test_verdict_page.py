"""The page of verdicts and the table of predictors show what the rows say, in words."""

import numpy as np
import pandas
import pytest

from ranktwo.report import pages, predictors, verdicts
from ranktwo.store import registry

WORDS = {"C1": "d_2/||V|| is small | or less", "C5a": "decay helps"}


@pytest.fixture(autouse=True)
def made_up_claims(monkeypatch):
    said = {"paper": "as the paper says", "objection": "none"}
    entries = {claim: registry.Entry(claim, "", "", "", {"words": words} | said) for claim, words in WORDS.items()}
    monkeypatch.setattr(registry, "entries", {"claim": entries}.__getitem__)


def test_a_line_for_each_claim_says_its_verdict_and_which_data_sets_count_how(verdict_rows):
    shown = verdicts.overall(verdict_rows)
    assert list(shown.columns) == ["claim", "verdict", "data sets"]
    assert shown.to_numpy().tolist() == [
        ["C1: d_2/||V|| is small | or less", "contradicted", "contradicted on a_b"],
        ["C5a: decay helps", "inconclusive", ""],
    ]


def test_details_are_the_numbers_of_the_rows(verdict_rows):
    shown = verdicts.details(verdict_rows.iloc[[0, 2, 6]])
    assert shown.to_numpy().tolist() == [
        ["C1", "digits-3v8", "supported", "1.21e-07", "[1.1e-07, 1.3e-07]", "1, 3, 6", "6 of 6 rules | all"],
        ["C1", "a_b (B 64)", "contradicted", "0.789", "[0.7, 0.8]", "1, 3, 6", ""],
        ["C5a", "digits-3v8", "inconclusive", "-", "-", "1, 3, 0", ""],
    ]


def test_ranks_stand_in_a_column_for_each_rule(verdict_rows):
    shown = verdicts.ranks(verdict_rows)
    assert list(shown.columns) == ["data set", "relative-tolerance", "energy"]
    assert shown.fillna("absent").to_numpy().tolist() == [["a_b", "7", "absent"], ["digits-3v8", "absent", "2"]]


def test_cells_that_did_not_end_ok_are_counted(make_gaps):
    assert verdicts.excluded(make_gaps()) == ["none"]
    cells = make_gaps(mu1="collapsed", **{"mu0": "unfit", "mu0.01": "unfit"})
    expected = ["toy: 12 unfit, at weight decay 0, 0.01", "toy: 6 collapsed, at weight decay 1"]
    assert verdicts.excluded(cells) == expected


def test_the_page_shows_verdicts_first_and_every_part(verdict_rows, make_gaps):
    parts = verdicts.page(verdict_rows, make_gaps(mu1="unfit"))
    texts = [part if isinstance(part, str) else f"table of {len(part)} lines" for part in parts]
    assert texts == [
        "table of 2 lines",
        "In numbers, each with its 95 % interval:",
        "- **C1** is contradicted. Its effect is d_2/||V||: 1.21e-07 [1.1e-07, 1.3e-07] on digits-3v8, "
        "0.789 [0.7, 0.8] on a_b.\n"
        "- **C5a** is inconclusive. Its effect is d_2/||V||: -0.02 [1.1e-07, 1.3e-07] on a_b.",
        "Each claim in the paper's words, our test of it, and the strongest objection to the test:",
        "table of 2 lines",
        "By data set:",
        "table of 4 lines",
        "In the other families of cells:",
        "table of 1 lines",
        "Rank of V at C1's setting, by rule, mean over splits:",
        "table of 2 lines",
        "Effects and criteria:",
        "- C1: d_2/||V||. Supported if below 0.1.\n- C5a: d_2/||V||. Supported if below 0.1.",
        texts[13],
        "Cells that support nothing:",
        "- toy: 6 unfit, at weight decay 1",
    ]
    assert texts[13].startswith("Effects are means over splits of means over their seeds")


def test_a_page_without_remarks_families_and_ranks_leaves_their_parts_out(verdict_rows, make_gaps):
    plain = verdict_rows[verdict_rows["headline"]].assign(note="")
    texts = [part for part in verdicts.page(plain, make_gaps()) if isinstance(part, str)]
    assert [text.split(":")[0] for text in texts if text.endswith(":")] == [
        "In numbers, each with its 95 % interval",
        *("Each claim in the paper's words, our test of it, and the strongest objection to the test",),
        *("By data set", "Effects and criteria", "Cells that support nothing"),
    ]
    assert "" not in texts


def test_bars_of_a_claim_s_words_are_shown_and_make_no_cell(verdict_rows, make_gaps):
    parts = verdicts.page(verdict_rows, make_gaps())
    assert "| C1: d_2/\\|\\|V\\|\\| is small \\| or less |" in pages.to_markdown("3 cells", *parts)
    assert "<td>C1: d_2/||V|| is small | or less</td>" in pages.to_html("Verdicts", "3 cells", *parts)
    bar = r"\textbar{}"
    latex = pages.to_latex("3 cells", verdicts.overall(verdict_rows))
    assert rf"C1: d\_\allowbreak{{}}2/{bar}{bar}V{bar}{bar} is small {bar} or less & contradicted &" in latex
    assert "|" not in latex.replace(r"\textbar", "")


def test_every_line_of_the_tables_has_as_many_cells_in_markdown(verdict_rows, make_gaps):
    markdown = pages.to_markdown("3 cells", *verdicts.page(verdict_rows, make_gaps()))
    tables = [block.splitlines() for block in markdown.split("\n\n") if block.startswith("|")]
    bars = [{line.replace(r"\|", "").count("|") for line in lines} for lines in tables]
    assert bars == [{4}, {6}, {8}, {8}, {4}]


def scored(measure: str, dataset: str, fixed: float, axis: str | None = None) -> list[dict[str, object]]:
    if dataset == "between data sets":
        return [
            {"dataset": dataset, "measure": measure, "statistic": "tau", "axis": axis, "value": fixed}
            | {"low": np.nan, "high": np.nan, "cells": 48}
        ]
    statistics = {"tau": 0.5, "tau_fixed_control": fixed, "partial_spearman": -0.001, "psi": np.nan}
    return [
        {"dataset": dataset, "measure": measure, "statistic": statistic, "axis": axis, "value": value}
        | {"low": value - 0.1, "high": value + 0.1, "cells": 48}
        for statistic, value in statistics.items()
    ]


def test_measures_are_ordered_by_their_strength_at_fixed_decay():
    rows = [*scored("weak", "overall", 0.2), *scored("strong", "overall", -0.7), *scored("none", "overall", np.nan)]
    rows += [*scored("weak", "a", -1.0), *scored("weak", "b", 1.0), *scored("strong", "a", 9.0, axis="weight_decay")]
    rows += [*scored("strong", "a", -0.001), *scored("none", "a", np.nan)]
    rows += [*scored("weak", "between data sets", 0.9), *scored("strong", "between data sets", np.nan)]
    rows += scored("none", "between data sets", 0.0)
    shown = predictors.summary(pandas.DataFrame(rows).assign(architecture="mlp")).set_index("measure")
    assert list(shown.index) == ["strong", "weak", "none"]
    assert list(shown["by data set"]) == ["[0, 0] of 1", "[-1, 1] of 2", "-"]
    assert list(shown["tau at fixed decay"]) == ["-0.7 [-0.8, -0.6]", "0.2 [0.1, 0.3]", "-"]
    # What rounds to zero has no sign.
    assert shown.loc["weak", "partial Spearman"] == "0 [-0.1, 0.1]"
    assert shown.loc["weak", "psi"] == "-"
    assert list(shown["between data sets"]) == ["-", "0.9", "0"]
    assert set(shown["cells"]) == {"48"}
