"""How long the jobs of a study are reckoned to take, and how that is said."""

from types import SimpleNamespace

import pytest
from support import SMALL, with_axis

from ranktwo.study import costs
from ranktwo.study.terminal import duration, seconds
from ranktwo.study.workflow import Workflow


@pytest.mark.parametrize(
    ("time", "words"), [(0.4, "0 s"), (89, "89 s"), (91, "2 min"), (5000, "83 min"), (9000, "2 h")]
)
def test_a_duration_is_said_in_the_unit_that_a_person_would_choose(time, words):
    assert duration(time) == words


def test_a_longer_job_is_reckoned_to_take_longer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def reckoned(rule: str, study: dict) -> float:
        own = Workflow(study, "test")
        [stack] = own.stacks
        return seconds(rule, SimpleNamespace(stack=stack, dataset="digits-3v8"), own)

    long, many = with_axis("steps", 10**7), with_axis("weight_decay", [0.01 * number for number in range(1, 60)])
    assert reckoned("train", long) > 10 * reckoned("train", SMALL)
    assert reckoned("analysis", many) > 2 * reckoned("analysis", SMALL)
    assert reckoned("optimum", many) > reckoned("optimum", SMALL)
    assert reckoned("gaps", SMALL) > 0
    # Of a stack that trains next to nothing, all the same: shares of the work are divided by it.
    assert reckoned("train", with_axis("steps", 1)) >= costs.START


def test_a_data_set_of_unknown_size_is_reckoned_with_all_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = {"source": "file", "path": "absent.csv", "target": "y", "kind": "regression"}
    study = Workflow(SMALL | {"datasets": {"digits-3v8": own}}, "test")
    [stack] = study.stacks
    assert seconds("train", SimpleNamespace(stack=stack), study) > 0
