"""Fixtures of the tests of training."""

import pytest

from ranktwo.training.backends import choice


@pytest.fixture(params=["compiled", "torch"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes steps: compiled functions, or torch's operations, as on a GPU."""
    if request.param == "torch":
        monkeypatch.setattr(choice, "numba_works", lambda: False)
    else:
        pytest.importorskip("ranktwo.training.backends.kernels", reason="numba is not installed")
