"""The critical decay of each cell of a stack."""

import math

from support import a_cell, a_dataset
from textbook import SAMPLES, make_data

from ranktwo.analysis.certificates import collapse


def test_critical_decays_are_worked_out_once_for_all_cells_with_the_same_targets(monkeypatch):
    x, targets = make_data("binary")
    data = a_dataset("binary", 1, x, targets[:, 0].long(), SAMPLES)
    data.metadata["critical_decay"] = 7.0
    asked = []
    monkeypatch.setattr(collapse, "critical_decay", lambda *given: (float(asked.append(given) or len(asked)), None))
    plain = vars(a_cell()) | {"decay": "coupled", "widths": "8", "label_noise": 0.0, "seed": 0}
    changes = [{}, {"seed": 1}, {"label_noise": 0.2}, {"label_noise": 0.2, "seed": 1}, {"label_noise": 0.2}]
    changes += [{"label_noise": 0.4}, {"decay": "decoupled"}, {"widths": "8-8"}, {"activation": "gelu"}, {"bias": True}]
    cells = [plain | change for change in changes]
    found = collapse.critical_decays(cells, data, x, [targets] * len(cells))
    assert found[:6] == [7, 7, 1, 2, 1, 3] and all(map(math.isnan, found[6:]))
    asked.clear()
    assert collapse.critical_decays(cells[:2], data, x[:-1], [targets[:-1]] * 2) == [1, 1]


def test_there_is_no_critical_decay_where_decay_is_not_known_to_be_a_penalty():
    x, targets = make_data("binary")
    data = a_dataset("binary", 1, x, targets[:, 0].long(), SAMPLES)
    data.metadata["critical_decay"] = 7.0
    facts = [{"decay": "coupled"}, {"decay": "decoupled"}, {"decay": "of another kind"}, {"decay": None}, {}]
    cells = [vars(a_cell()) | {"widths": "8"} | known for known in facts]
    found = collapse.critical_decays(cells, data, x, [targets] * len(cells))
    assert found[0] == 7
    assert all(math.isnan(value) for value in found[1:])
