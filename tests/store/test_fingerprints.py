"""A fingerprint changes with what the code of a number means, and with nothing else."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ranktwo.store import fingerprints, registry

SOURCES = {
    "stages/measure.py": (
        "'''Doc.'''\nimport argparse\nfrom ranktwo.analysis import ranks\nfrom ranktwo.store import files, registry\n\n"
        "def main():\n    parser = argparse.ArgumentParser()\n    parser.add_argument('--x', help='text')\n"
        "    files.write(ranks.measure(1))\n    registry.load('figure', 'one')\n\n"
        "def compose(x):\n    return x\n"
    ),
    "analysis/__init__.py": "",
    "analysis/ranks.py": (
        "from ranktwo.nets.losses import loss as own\nfrom ranktwo.store.columns import column\n"
        "from ranktwo.store import registry\n\n"
        "FACTOR = 2\nUNUSED = 3\nCOLUMNS = {'norm': column(float, 'The norm.', unit='1', headline=True)}\n\n"
        "def measure(x):\n    '''Doc.'''\n"
        "    if x < 0:\n        raise UserError(f'{x} is below 0')\n"
        "    return own(x) * FACTOR + len(COLUMNS) + len(registry.load_all('rule'))\n\n"
        "def unused(x):\n    return x\n"
    ),
    "analysis/rules.py": "def rule(f):\n    return f\n\n@rule\ndef half(x):\n    return x / 2\n",
    "nets/losses.py": "def loss(x):\n    return x + 1\n\ndef other(x):\n    return x\n",
    "report/figures.py": (
        "def figure(f):\n    return f\n\n@figure\ndef one(x):\n    return read('page.html')\n\n"
        "@figure\ndef two(x):\n    return x + 1\n\ndef read(name):\n    return name\n"
    ),
    "store/files.py": "def write(x):\n    print(x)\n",
    "store/columns.py": "def column(*args, **kwargs):\n    return args\n",
    "store/registry.py": "def load(mark, name):\n    pass\n\ndef load_all(mark):\n    return []\n",
}
TEXTS = {"report/page.html": "<p>{{ x }}</p>", "training.cu": ""}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """`package(file, old, new, **chosen)` gives the fingerprint of `measure` with an edit; without one, as it is."""
    monkeypatch.setattr(fingerprints, "PACKAGE", tmp_path)
    monkeypatch.setattr(registry, "PACKAGE", tmp_path)

    def with_edit(file: str = "", old: str = "", new: str = "", **chosen: str) -> str:
        shutil.rmtree(tmp_path)
        for name, source in (SOURCES | TEXTS).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(source)
        if file:
            source = (tmp_path / file).read_text() if (tmp_path / file).exists() else ""
            assert old in source
            (tmp_path / file).write_text(source.replace(old, new) if old else source + new)
        fingerprints.clear()
        return fingerprints.fingerprint("measure", **chosen)

    yield with_edit
    fingerprints.clear()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("analysis/ranks.py", "'''Doc.'''", "'''Other.'''"),
        ("analysis/ranks.py", "    return own(x)", "    # Why.\n    return own(x)"),
        ("analysis/ranks.py", "'The norm.'", "'Another text.'"),
        ("analysis/ranks.py", "unit='1'", "unit='2'"),
        ("analysis/ranks.py", "is below 0", "must not be below 0"),
        ("analysis/ranks.py", "UNUSED = 3", "UNUSED = 4"),
        ("analysis/ranks.py", "return x\n", "return x + 1\n"),
        ("nets/losses.py", "def other(x):\n    return x", "def other(x):\n    return -x"),
        ("nets/losses.py", "", "\n\ndef third(x):\n    return x\n"),
        ("store/files.py", "print(x)", "print(x, x)"),
        ("stages/measure.py", "'text'", "'other text'"),
        ("stages/measure.py", "return x", "return -x"),
        ("report/figures.py", "", "\n\n@figure\ndef three(x):\n    import ranktwo.nets\n"),
    ],
)
def test_what_means_the_same_or_is_not_used_leaves_the_fingerprint(package, file, old, new):
    assert package(file, old, new, figure="one") == package(figure="one")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("analysis/ranks.py", "FACTOR = 2", "FACTOR = 5"),
        ("analysis/ranks.py", "* FACTOR", "+ FACTOR"),
        ("analysis/ranks.py", "headline=True", "headline=False"),
        ("analysis/ranks.py", "import loss as own", "import other as own"),
        ("nets/losses.py", "x + 1", "x + 2"),
        ("nets/losses.py", "loss(x)", "loss(x, y=0)"),
        ("analysis/rules.py", "x / 2", "x / 3"),
        ("analysis/rules.py", "", "\n\n@rule\ndef third(x):\n    return x / 3\n"),
        (
            "analysis/more_rules.py",
            "",
            "from ranktwo.analysis.rules import rule\n\n@rule\ndef fourth(x):\n    return x / 4\n",
        ),
        ("analysis/ranks.py", "FACTOR = 2", "FACTOR = 2\nFACTOR += 1"),
        ("report/figures.py", "return name", "return name + ''"),
        ("report/page.html", "<p>", "<div>"),
    ],
)
def test_what_a_number_passes_through_changes_the_fingerprint(package, file, old, new):
    assert package(file, old, new, figure="one") != package(figure="one")


def test_a_registered_function_counts_for_those_who_chose_it(package):
    one, two = package(figure="one"), package(figure="two")
    edited = ("report/figures.py", "x + 1", "x + 2")
    assert package(*edited, figure="one") == one
    assert package(*edited, figure="two") != two
    assert package(*edited) != package()


def test_comments_in_a_kernel_do_not_count_and_its_code_does(package, tmp_path):
    package()
    source = tmp_path / "report" / "sums.cu"
    (tmp_path / "report" / "figures.py").write_text(SOURCES["report/figures.py"].replace("page.html", "sums.cu"))

    def of(text: str) -> str:
        source.write_text(text)
        fingerprints.clear()
        return fingerprints.fingerprint("measure", figure="one")

    before = of("// sums\nint a = 1;\n")
    assert of("int a = 1;  // one\n\n") == before
    assert of("// sums\nint a = 2;\n") != before


def reached(stage: str, **chosen: str) -> set[str]:
    """Modules of the real package that count for a stage."""
    return set(fingerprints.reached(stage, **chosen))


def test_training_depends_on_the_modules_that_make_its_numbers():
    found = reached("train", optimizer="sgd", schedule="constant", decay_rule="constant")
    assert found >= {
        *("training.recording", "training.evaluation", "training.stack", "training.batches", "training.divergence"),
        *(f"training.backends.{name}" for name in ("kernels", "tiles", "gpu", "torch_ops")),
        *(
            "nets.losses",
            "nets.mlp",
            "nets.initial",
            "nets.streams",
            "data.labels",
            "data.decay_rules",
            "study.schedules",
        ),
    }
    assert not any(name.startswith(("analysis", "evidence", "report", "store", "data.sources")) for name in found)
    assert not found & {"training.checkpoints", "training.processes", "training.job", "training.devices", "errors"}
    recorded = fingerprints.reached("train", optimizer="sgd", schedule="constant", decay_rule="constant")
    assert "cosine" not in recorded["study.schedules"]
    assert "input_norm" not in recorded["data.decay_rules"]


def test_each_analysis_depends_on_itself_and_not_on_its_neighbours():
    spectra = reached("analysis", analysis="spectra")
    assert "analysis.spectra" in spectra
    assert not any(name.startswith(("analysis.certificates", "analysis.bounds", "training")) for name in spectra)
    bounds = reached("analysis", analysis="bounds")
    assert any(name.startswith("analysis.bounds") for name in bounds)
    assert "analysis.spectra" not in bounds


def test_a_figure_depends_on_no_other_figure_and_on_its_style():
    ranks = reached("figure", figure="ranks")
    assert {name for name in ranks if name.startswith("report.figures.")} == {"report.figures.ranks"}
    assert not any(name.startswith(("analysis", "training", "data", "nets")) for name in ranks)


def test_a_data_set_depends_on_its_own_source_alone():
    digits = reached("dataset", source="digits")
    assert "data.preparation" in digits
    assert "analysis.critical" in digits
    assert not any("california" in name or "cifar" in name for name in digits)
