"""Every figure is drawn whatever the cells ended as, has a caption, and is a file that is loaded and counted alone."""

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import docutils.core
import pandas
import pytest
from figure_study import LISTS, NAMES, NULLABLE, changed, draw, panels_of, study
from support import patience

import ranktwo
from ranktwo.report.drawing.data import Data
from ranktwo.report.drawing.titles import plain
from ranktwo.store import fingerprints, registry

PACKAGE = Path(ranktwo.__file__).parent


def python(code: str, *, package: Path = PACKAGE, **more: str) -> str:
    """What a fresh Python with this package says."""
    environment = os.environ | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"} | more
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=patience(12)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_drawn_whatever_the_cells_ended_as(name):
    for failed in ("collapsed", "diverged"):
        drawn = draw(name, study(**{f"mu{mu}": failed for mu in ("0", "0.001", "0.01", "1")}))
        # Without a panel the figure is one sentence.
        words = [axes.get_title() for axes in panels_of(drawn)] or [text.get_text() for text in drawn.texts]
        assert words and all(words)
    drawn = draw(name, study(**{"mu0": "unfit", "mu0.01": "diverged", "mu1": "collapsed"}))
    drawn.draw_without_rendering()
    titles = [axes.get_title() for axes in panels_of(drawn)]
    assert titles and all(titles)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_says_of_itself_whether_its_panels_count_replicates(name):
    panels = panels_of(draw(name, study()))
    words = [[axes.get_title(), *(text.get_text() for text in axes.get_xticklabels())] for axes in panels]
    counted = [any("$n$ = 3" in plain(text) for text in of_panel) for of_panel in words]
    assert set(counted) == {registry.entries("figure")[name].settings.get("replicates", True)}


def with_two_splits(rows: pandas.DataFrame) -> pandas.DataFrame:
    return pandas.concat([rows, rows.assign(cell=rows["cell"] + "-split1", split=1)], ignore_index=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_split_of_the_same_numbers_changes_no_panel_but_its_count(name):
    data = study()
    once = [plain(axes.get_title()) for axes in panels_of(draw(name, data))]
    for table in ("gaps", "train", "layers", "neural-collapse", "spectra", "certificates", "truncation", "optimality"):
        data = changed(data, table, with_two_splits)
    twice = [plain(axes.get_title()) for axes in panels_of(draw(name, data))]
    if name in ("dual", "neurons"):
        assert [title.replace("seed", "split 0, seed") for title in once] == twice
    else:
        assert [title.replace("= 3)", "= 6)") for title in once] == twice


def without_numbers(rows: pandas.DataFrame, table: str, how: str) -> pandas.DataFrame:
    if how == "no rows" and table != "gaps":
        return rows.iloc[:0]
    numbers = [name for name in NULLABLE[table] if name not in LISTS]
    empty = rows.assign(**{name: rows[name].mask(rows[name].notna()) for name in numbers})
    return empty.assign(**{name: None for name in NULLABLE[table] if name in LISTS})


@pytest.mark.parametrize("how", ["nulls", "no rows"])
@pytest.mark.parametrize("name", NAMES)
def test_no_figure_crashes_for_want_of_numbers(name, how):
    data = study()
    for table in NULLABLE:
        data = changed(data, table, lambda rows, table=table: without_numbers(rows, table, how))
    assert all(data.read(table)[NULLABLE[table]].isna().all(axis=None) for table in ("certificates", "truncation"))
    draw(name, data)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_drawn_for_every_task(name, task):
    draw(name, changed(study(), "gaps", lambda rows: rows.assign(task=task, outputs=3)))


@pytest.mark.parametrize("name", NAMES)
def test_a_caption_says_what_is_seen_and_what_it_means(name):
    seen, _, meaning = registry.entries("figure")[name].text.partition("\n\n")
    assert seen.endswith(".") and "\n" not in seen
    ends = re.findall(r"[.;:](?=\s|$)", meaning)
    assert len(ends) >= 3, "what is seen, what it means for the claim, and its limits"
    messages = io.StringIO()
    docutils.core.publish_doctree(meaning, settings_overrides={"warning_stream": messages})
    assert not messages.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_reads_the_tables_that_it_names_and_no_other(name):
    data, asked = study(), set()

    def read(table: str) -> pandas.DataFrame:
        asked.add(table)
        return data.read(table)

    draw(name, Data(gaps=data.gaps, kinds=data.kinds, read=read, norm=data.norm))
    assert asked == set(registry.entries("figure")[name].settings.get("reads", []))


# One file each.


def test_a_figure_is_registered_in_the_file_of_its_name():
    for name, entry in registry.entries("figure").items():
        assert entry.module == f"ranktwo.report.figures.{name.replace('-', '_')}"
    files = {path.stem for path in (PACKAGE / "report" / "figures").glob("[a-z]*.py")}
    assert files == {name.replace("-", "_") for name in NAMES}


def test_a_figure_is_loaded_alone_without_torch_or_windows():
    loaded = python(
        "import sys; from ranktwo.store import registry; import ranktwo.stages.figure\n"
        "registry.load('figure', 'vacuity')\n"
        "print(*(name for name in sys.modules if name.startswith(('ranktwo.', 'torch', 'matplotlib.'))))"
    ).split()
    assert [name for name in loaded if "report.figures." in name] == ["ranktwo.report.figures.vacuity"]
    assert not {"torch", "matplotlib.pyplot"} & set(loaded)
    rooms = {name.split(".")[1] for name in loaded if name.startswith("ranktwo.")}
    assert rooms == {"errors", "evidence", "report", "stages", "store", "study"}


@pytest.mark.parametrize("name", NAMES)
def test_no_figure_s_code_is_another_s(name):
    entry = registry.entries("figure")[name]
    path = PACKAGE.parent.joinpath(*entry.module.split(".")).with_suffix(".py")
    assert "report.figures" not in path.read_text(encoding="utf-8")
    reached = fingerprints.reached("figure", figure=name)
    own = f"report.figures.{name.replace('-', '_')}"
    assert [module for module in reached if module.startswith("report.figures.")] == [own]


PRINTS = (
    "from ranktwo.store import fingerprints, registry\n"
    "for name in registry.entries('figure'): print(name, fingerprints.fingerprint('figure', figure=name))"
)
NEW = '''"""The figure `norms`."""

from matplotlib.figure import Figure

from ranktwo.report.drawing.data import Data, figure


@figure
def norms(data: Data) -> Figure:
    """Norms."""
    return Figure()
'''


def test_a_figure_is_redrawn_for_its_own_code_and_for_the_style_and_for_no_other_figure(tmp_path):
    package = shutil.copytree(PACKAGE, tmp_path / "ranktwo", ignore=shutil.ignore_patterns("__pycache__"))
    figures = package / "report" / "figures"

    def prints() -> dict[str, str]:
        return dict(line.split() for line in python(PRINTS, package=package).splitlines())

    before = prints()
    assert sorted(before) == NAMES
    (figures / "norms.py").write_text(NEW)
    added = prints()
    assert added.pop("norms") and added == before
    gap = (figures / "gap.py").read_text()
    (figures / "gap.py").write_text(gap.replace('"error gap"', '"gap in error"').replace("Test sets are", "Tests are"))
    edited = prints()
    assert {name for name in before if edited[name] != before[name]} == {"gap"}
    style = package / "report" / "drawing" / "style.mplstyle"
    style.write_text(style.read_text().replace("font.size: 8", "font.size: 9"))
    restyled = prints()
    assert all(restyled[name] != edited[name] for name in restyled)
