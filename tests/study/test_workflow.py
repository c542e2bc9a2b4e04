"""What the Snakefile is told of a study: the splits of its data sets, and what captions say of them."""

import pytest
from support import SMALL, with_axis

from ranktwo.study.workflow import Workflow


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
        (0, ["has 2 seeds.", "how many seeds (n)"]),
        ([0, 1, 2], ["has 3 splits and 2 seeds.", "how many pairs of a split and a seed (n)"]),
    ],
)
def test_a_caption_counts_the_runs_behind_a_line(splits, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    caption = Workflow(with_axis("split", splits), "test").caption("spectrum")
    assert all(words in caption for words in said)


def test_minimisers_are_found_for_as_many_splits_as_the_config_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = with_axis("split", [0, 1, 2])
    found = Workflow(study | {"optima": {"splits": 2}}, "test").problems["digits-3v8"]
    assert [problem.split for problem in found] == [0, 1]
    alone = [Workflow(one, "test").optimum_identity("digits-3v8") for one in (SMALL, study)]
    assert alone[0] == alone[1]
