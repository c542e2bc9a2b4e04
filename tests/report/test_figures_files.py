"""The files of a figure: what they say of their source, and that no setting of the user's changes a byte of them."""

import dataclasses
import os
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pytest
from figure_study import draw, study, write
from matplotlib.layout_engine import ConstrainedLayoutEngine
from support import patience

import ranktwo
from ranktwo.errors import UserError
from ranktwo.evidence import gaps
from ranktwo.report.drawing import sidecar
from ranktwo.stages import figure
from ranktwo.store import registry

KINDS = ("pdf", "png", "svg", "csv")
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "axes.facecolor: yellow\nlines.linewidth: 8\nfont.size: 20\nimage.cmap: jet\ntext.usetex: True\nsavefig.dpi: 50\n"
    "savefig.bbox: tight\nfigure.autolayout: True\naxes.formatter.use_locale: True\nbackend: nonsense\n"
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments that name the tables of a made-up study."""
    return write(study(mu1="unfit"), tmp_path_factory.mktemp("results"))


@pytest.fixture
def run(tables: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Path]]:
    """Runs the stage in this process; gives the paths of its files."""

    def run(name: str, *more: str) -> dict[str, Path]:
        made = {kind: tmp_path / f"{name}.{kind}" for kind in KINDS}
        outputs = [f"--{kind}={path}" for kind, path in made.items()]
        monkeypatch.setattr(sys, "argv", ["figure", name, *tables, *outputs, *more])
        figure.main()
        return made

    return run


def test_the_stage_writes_the_figure_and_says_what_it_was_drawn_from(run, tables):
    made = run("gap", "--where", '{"batch_size": 16}', "--width", "column")
    data = study(mu1="unfit")
    rows = data.gaps[data.gaps["batch_size"] == 16]
    data.gaps = rows
    pandas.testing.assert_frame_equal(
        pandas.read_csv(made["csv"]), sidecar.rows(draw("gap", data)), check_dtype=False, check_exact=False
    )
    source = gaps.origin(gaps.read_cells(Path(tables[0].removeprefix("--gaps="))).rows)
    assert f"12 of {source}".encode() in made["png"].read_bytes()
    assert b"CreationDate" not in made["pdf"].read_bytes()
    width = int.from_bytes(made["png"].read_bytes()[16:20], "big")
    assert width == round(3.4 * 300)


def test_a_table_that_a_figure_does_not_name_is_refused_and_nothing_is_written(run, monkeypatch, tmp_path):
    """Such a figure would not be drawn anew where the table changes."""
    entries = registry.entries("figure")
    monkeypatch.setitem(entries, "timing", dataclasses.replace(entries["timing"], settings={"reads": ["train"]}))
    message = r"the figure timing reads the table spectra; name it: @figure\(reads=\['train', 'spectra'\]\)"
    with pytest.raises(UserError, match=message):
        run("timing")
    assert not list(tmp_path.iterdir())


def test_a_figure_that_is_one_sentence_is_written_without_a_warning(run):
    made = run("scaling", "--where", '{"batch_size": 16}')
    assert all(path.exists() for path in made.values())


def test_a_figure_is_laid_out_once_for_all_its_files(run, monkeypatch):
    times, execute = [], ConstrainedLayoutEngine.execute
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda *given: (times.append(1), execute(*given))[1])
    run("gap")
    assert len(times) == 1


def test_the_svg_says_under_the_pointer_what_the_csv_has(run):
    made = run("ranks")
    rows = pandas.read_csv(made["csv"])
    tree = xml.etree.ElementTree.parse(made["svg"])
    circles = [(float(one.get("cx")), float(one.get("cy")), one[0].text) for one in tree.iter(f"{SVG}circle")]
    shown = rows[rows["mark"].isin(["line", "filled", "hollow"]) & rows["y"].notna()]
    # A panel of residuals ends at 1.02, which made-up ones exceed.
    shown = shown[(shown["y_axis"] != "residual") | (shown["y"] <= 1.02)]
    assert len(circles) == len(shown) > 30
    assert circles[0][2].startswith(f"d_2/||V||: residual {shown['y'].iloc[0]:.4g} (")
    assert circles[0][2].endswith(" at weight decay \u03bc 0")
    assert not any(sign in text for *_, text in circles for sign in "$\\{}")
    # Matplotlib's own marks, wherever it put them.
    marks = np.array([(float(one.get("x")), float(one.get("y"))) for one in tree.iter(f"{SVG}use") if one.get("y")])
    places = np.array([place for *place, _ in circles])
    far = np.abs(places[:, None] - marks[None]).max(-1).min(1)
    assert (far[(shown["mark"] != "line").to_numpy()] < 0.1).all()


def test_cells_that_are_none_are_said_in_a_sentence(run):
    with pytest.raises(UserError, match="figure gap: no cell has the values asked for by `where`"):
        run("gap", "--where", '{"batch_size": 7}')
    with pytest.raises(UserError, match="names batchsize, which is no axis of a grid; did you mean batch_size?"):
        run("gap", "--where", '{"batchsize": 16}')


def drawn_by(folder: Path, tables: list[str], **environment: str) -> dict[str, bytes]:
    """The files of a figure that a fresh process draws in a folder."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "ranktwo", "figure", "spectrum", *tables]
    command += [f"--{kind}={folder / kind}.{kind}" for kind in KINDS]
    own = {"PYTHONPATH": str(Path(ranktwo.__file__).parents[1])}
    user = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "MATPLOTLIB"))}
    done = subprocess.run(
        command, cwd=folder, env=user | own | environment, capture_output=True, text=True, timeout=patience(12)
    )
    assert done.returncode == 0, done.stderr
    return {kind: (folder / f"{kind}.{kind}").read_bytes() for kind in KINDS}


@pytest.mark.slow
def test_no_setting_of_the_user_s_changes_a_byte(tables, tmp_path):
    plain = drawn_by(tmp_path / "plain", tables)
    # A matplotlibrc in the working folder goes before all others, so that each is tried in a run of its own.
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "matplotlibrc").write_text(HOSTILE)
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    inline = "module://matplotlib_inline.backend_inline"  # as Jupyter sets it for what a notebook starts
    assert drawn_by(beside, tables, MPLBACKEND=inline, **locale) == plain
    (tmp_path / "named").write_text(HOSTILE)
    assert drawn_by(tmp_path / "elsewhere", tables, MATPLOTLIBRC=str(tmp_path / "named")) == plain
    (tmp_path / "unreadable").write_bytes(b"\xff\xfe")
    assert (
        drawn_by(tmp_path / "last", tables, MATPLOTLIBRC=str(tmp_path / "unreadable"), MPLBACKEND="nonsense") == plain
    )
