"""The fingerprint changes with what code means, and with nothing else; columns are documented as they are."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

from ranktwo.store import columns, fingerprints, provenance

SOURCES = {
    "engine": (
        "'''Doc.'''\nfrom ranktwo.nets import f\nfrom ranktwo import labels, files\n\n"
        "def g(x):\n    '''Doc.'''\n    return f(x) + 1\n"
    ),
    "nets": "def f(x):\n    return x * 2\n",
    "labels": "NOISE = 1\n",
    "files": "import os\n",
    "figures": "WIDTH = 7\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    for name, source in SOURCES.items():
        (tmp_path / f"{name}.py").write_text(source)

    def edit(name: str, old: str, new: str) -> str:
        assert old in SOURCES[name]
        (tmp_path / f"{name}.py").write_text(SOURCES[name].replace(old, new))
        fingerprints.fingerprint.cache_clear()
        found = fingerprints.fingerprint("engine")
        (tmp_path / f"{name}.py").write_text(SOURCES[name])
        fingerprints.fingerprint.cache_clear()
        return found

    fingerprints.fingerprint.cache_clear()
    yield edit
    fingerprints.fingerprint.cache_clear()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("engine", "'''Doc.'''", "'''Other.'''"),
        ("engine", "    return f(x) + 1", "    # Why.\n    return (f(x)\n            + 1)"),
        ("nets", "def f(x):", "def f(x):\n    '''New.'''"),
        ("figures", "7", "8"),
        ("files", "os", "sys"),
    ],
)
def test_what_means_the_same_has_the_same_fingerprint(package, name, old, new):
    assert package(name, old, new) == fingerprints.fingerprint("engine")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("engine", "+ 1", "+ 2"),
        ("nets", "* 2", "* 3"),
        ("labels", "NOISE = 1", "NOISE = 2"),
        ("nets", "(x)", "(x, y=0)"),
    ],
)
def test_what_means_something_else_has_another_fingerprint(package, name, old, new):
    assert package(name, old, new) != fingerprints.fingerprint("engine")


def test_training_depends_on_the_source_of_a_gpu_s_kernel_but_not_on_its_comments(tmp_path, monkeypatch):
    def of(source: str) -> str:
        (tmp_path / "gpu.py").write_text("import torch\n")
        (tmp_path / "gpu.cu").write_text(source)
        fingerprints.fingerprint.cache_clear()
        return fingerprints.fingerprint("gpu")

    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    before = of("// sums\nint a = 1;\n")
    assert of("int a = 1;  // one\n\n") == before
    assert of("// sums\nint a = 2;\n") != before
    fingerprints.fingerprint.cache_clear()


def test_training_depends_on_the_modules_that_make_its_numbers():
    modules = {"evaluation", "engine", "optimizers", "kernels", "gpu", "nets", "labels", "streams"}
    assert set(fingerprints._closure(("evaluation",))) == modules
    assert "style" not in fingerprints._closure(("figures",))


def test_a_result_says_what_it_was_made_with():
    found = provenance.circumstances("gaps")
    assert {"torch", "numpy", "pyarrow", "python"} <= set(found["versions"])
    assert found["device"] == "cpu"
    assert found["commit"] is None or re.fullmatch("[0-9a-f]{40}", found["commit"])


@pytest.mark.parametrize("page", ["columns", "config"])
def test_reference_pages_say_what_the_code_says(page):
    command = [sys.executable, "-m", "ranktwo.reference", page]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / f"{page}.md").read_text().endswith(shown), f"put the output of {command[1:]} into it"


def test_columns_carry_their_meaning():
    assert columns.schema(["norm"]).field("norm").metadata[b"description"]


def test_a_registered_function_is_no_part_of_what_others_depend_on(package, tmp_path):
    figures = (
        "def figure(f):\n    return f\n\n@figure\ndef one(x):\n    return x\n\n@figure\ndef two(x):\n    return x + 1\n"
    )

    def both(source: str) -> tuple[str, str]:
        (tmp_path / "figures.py").write_text(source)
        fingerprints.fingerprint.cache_clear()
        return fingerprints.fingerprint("figures", figure="one"), fingerprints.fingerprint("figures", figure="two")

    first, second = both(figures)
    assert both(figures.replace("x + 1", "x + 2"))[0] == first
    assert both(figures.replace("x + 1", "x + 2"))[1] != second
    added = both(figures + "\n\n@figure\ndef three(x):\n    import ranktwo.nets\n")
    assert added == (first, second)
