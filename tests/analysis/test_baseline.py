"""The linear baseline against least squares by NumPy and scikit-learn, for each task."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from ranktwo.analysis.baseline import linear
from ranktwo.data.labels import targets


def inputs(rows=60, columns=5, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def found(x, labels, test_x, test_labels, task, outputs):
    y, test_y = (targets(torch.tensor(part), task, outputs) for part in (labels, test_labels))
    return linear(torch.tensor(x), y, torch.tensor(test_x), test_y, task)


def test_regression_is_least_squares_with_an_intercept():
    x, test_x = inputs(), inputs(seed=1)
    y, test_y = ((part @ np.arange(5) + 3 + 0.5 * part[:, 0] ** 2).astype(np.float32)[:, None] for part in (x, test_x))
    own = found(x, y, test_x, test_y, "regression", 1)
    model = LinearRegression().fit(x.astype(float), y.astype(float))
    assert own["linear_train_score"] == pytest.approx(model.score(x, y), abs=1e-9)
    assert own["linear_test_score"] == pytest.approx(model.score(test_x, test_y), abs=1e-9)
    assert (own["input_rank"], own["chance_score"]) == (5, 0)


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 3)])
def test_classes_are_those_of_the_greatest_output(task, classes):
    x, test_x = inputs(), inputs(seed=1)
    y, test_y = (np.digitize(part[:, 0] + 0.5 * part[:, 1], [0.3, 1.0][: classes - 1]) for part in (x, test_x))
    own = found(x, y, test_x, test_y, task, 1 if classes == 2 else classes)
    model = LinearRegression().fit(x.astype(float), np.eye(classes)[y])
    assert own["linear_train_score"] == pytest.approx((model.predict(x).argmax(1) == y).mean())
    assert own["linear_test_score"] == pytest.approx((model.predict(test_x).argmax(1) == test_y).mean())
    assert own["chance_score"] == pytest.approx(np.bincount(y).max() / len(y))


def test_inputs_of_lower_rank_have_it_and_the_model_of_least_norm():
    x = inputs()
    x = np.hstack([x, x[:, :1] + x[:, 1:2], np.zeros((60, 1), np.float32)])
    y = x[:, 0] ** 2
    own = found(x, y[:, None], x, y[:, None], "regression", 1)
    assert own["input_rank"] == 5
    assert own["linear_train_score"] == pytest.approx(LinearRegression().fit(x.astype(float), y).score(x, y), abs=1e-6)
