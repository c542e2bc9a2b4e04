"""Fixtures of the tests of training."""

import pytest
import torch

from ranktwo.training.backends import choice


@pytest.fixture(params=["scipy", "mkl", "torch"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes steps: compiled functions with SciPy's or with MKL's products, or torch's operations, as on a GPU."""
    if request.param == "torch":
        monkeypatch.setattr(choice, "numba_works", lambda: False)
        return
    kernels = pytest.importorskip("ranktwo.training.backends.kernels", reason="numba is not installed")
    if request.param == "mkl":
        if kernels._of_torch("sgemm") is None:
            pytest.skip("this PyTorch shows no product of an MKL")
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
        monkeypatch.setattr(kernels, "SMALL_TERMS", 1)
