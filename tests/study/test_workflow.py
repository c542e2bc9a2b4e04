"""What the Snakefile is told of a study: the splits of its data sets, and what captions say of them."""

import json

import pytest
from support import SMALL, with_axis

from ranktwo.evidence import gaps
from ranktwo.store import registry
from ranktwo.study.workflow import Workflow

OWN = {"neural-collapse": None, "collapse-again": {"draws": "neural-collapse"}}
"""Figures that read an analysis on demand."""


def test_the_splits_of_a_data_set_are_those_of_its_cells(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = Workflow(SMALL, "test")
    assert one.splits("digits-3v8") == "0"
    several = Workflow(with_axis("split", [3, 1]), "test")
    assert several.splits("digits-3v8") == "1 3"
    assert several.dataset_identity("digits-3v8") != one.dataset_identity("digits-3v8")
    assert list(several.stacks) == list(one.stacks)


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (0, ["from cells of 2 seeds.", "how many seeds (n)"]),
        ([0, 1, 2], ["from cells of 3 splits and 2 seeds.", "how many pairs of a split and a seed (n)"]),
    ],
)
def test_a_caption_counts_the_runs_behind_a_line(splits, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    caption = Workflow(with_axis("split", splits), "test").caption("spectrum")
    assert all(words in caption for words in said)


def test_a_caption_counts_the_cells_that_the_figure_draws_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = with_axis("split", [0, 1, 2])
    more = study["grids"][0] | {"widths": [[8, 4]], "split": 0, "seed": 5}
    where = {"ranks": {}, "gap": {"widths": [[8, 4]]}, "bounds": {"seed": [0, 1], "widths": 16, "split": 2}}
    figures = {name: {"where": own} for name, own in where.items()}
    workflow = Workflow(study | {"grids": [study["grids"][0], more], "figures": figures}, "test")
    said = {"ranks": "3 splits and 3 seeds", "gap": "1 seed", "bounds": "2 seeds"}
    assert all(f"It is drawn from cells of {words}." in workflow.caption(name) for name, words in said.items())


@pytest.mark.parametrize(
    ("figure", "counts", "medians"),
    [("spectrum", True, True), ("fit", True, False), ("gap-against-rank", True, False), ("dual", False, False)],
)
def test_a_caption_says_of_panels_and_lines_what_holds_of_them(figure, counts, medians, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    caption = Workflow(SMALL | {"figures": {figure: None}}, "test").caption(figure)
    assert ("A panel says how many" in caption, "Lines are medians" in caption) == (counts, medians)


def test_an_analysis_on_demand_is_made_for_the_figures_that_read_it_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain, asked = (Workflow(SMALL | {"figures": figures}, "test") for figures in ({"ranks": None}, OWN))
    assert plain.on_demand == [] and asked.on_demand == ["neural-collapse"]
    assert all("neural-collapse" in asked.analyses_of(figure) for figure in OWN)
    assert "neural-collapse" not in plain.analyses == asked.analyses
    [stack] = asked.stacks
    assert plain.analysis_identities(stack) == asked.analysis_identities(stack)
    assert list(json.loads(asked.analysis_identities(stack, "neural-collapse"))) == ["neural-collapse"]
    assert "neural-collapse" not in gaps.stages()


def test_a_table_that_stands_beside_a_figure_is_made_where_the_study_draws_it_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for figures, more in (
        ({"ranks": None}, set()),
        ({"timing": None}, {"timing"}),
        ({"a": {"draws": "timing"}}, {"timing"}),
    ):
        assert set(Workflow(SMALL | {"figures": figures}, "test").tables) == {"results", "grid"} | more
    figures = registry.entries("figure")
    assert all(entry.settings.get("beside", "ranks") in figures for entry in registry.entries("table").values())


def test_minimisers_are_found_for_as_many_splits_as_the_config_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = with_axis("split", [0, 1, 2])
    found = Workflow(study | {"optima": {"splits": 2}}, "test").problems["digits-3v8"]
    assert [problem.split for problem in found] == [0, 1]
    alone = [Workflow(one, "test").optimum_identity("digits-3v8") for one in (SMALL, study)]
    assert alone[0] == alone[1]
