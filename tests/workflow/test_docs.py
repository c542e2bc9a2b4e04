"""The documents: the tutorial runs line by line and shows in its report, which a browser opens; links and commands."""

import base64
import itertools
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import matplotlib.image
import pyarrow.parquet
import pytest
from support import ROOT, copy_project, environment

from ranktwo.evidence.claims.judging import VERDICTS
from ranktwo.store import registry

DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory) -> Path:
    """A checkout in which docs/extending.md was followed, block by block."""
    folder = copy_project(tmp_path_factory.mktemp("tutorial"))
    for language, block in BLOCK.findall((folder / "docs" / "extending.md").read_text()):
        name, _, content = block.partition("\n")
        path = folder / name.removeprefix("# ")
        if language == "python":
            assert not path.exists(), f"{path} would have to be edited"
            path.write_text(content)
        elif language == "yaml":
            path.write_text(content)
        else:
            for command in block.splitlines():
                done = subprocess.run(
                    ["bash", "-c", command], cwd=folder, env=environment(), capture_output=True, text=True
                )
                assert done.returncode == 0, done.stdout + done.stderr
                with open(folder / "said.txt", "a") as said:
                    said.write(done.stdout + done.stderr)
    return folder


@pytest.mark.slow
def test_what_the_tutorial_adds_is_in_its_results_and_its_report(tutorial):
    results = tutorial / "results" / "moons"
    verdicts = (results / "verdicts.md").read_text()
    assert "| C7: weight decay makes V smaller" in verdicts
    assert re.search(r"\| data set +\|.*\| half +\|", verdicts)
    assert r"\newcommand{\rtVerdictCSixMoons}" in (results / "numbers.tex").read_text()
    spectra = [pyarrow.parquet.read_table(path) for path in (results / "spectra").glob("*gated*.parquet")]
    assert {name for table in spectra for name in table["matrix"].to_pylist()} == {"V", "narrow", "value", "U", "AB"}
    assert {name for table in spectra for name in table["activation"].to_pylist()} == {"softplus"}
    assert "squared_norm" in (results / "predictors.md").read_text()
    assert "$\\|V\\|$" in (results / "figures" / "norms.csv").read_text()
    assert "half" in (results / "figures" / "ranks.csv").read_text()
    assert (results / "figures" / "norms.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_a_finished_run_says_the_verdicts_and_what_to_open(tutorial):
    said = (tutorial / "said.txt").read_text()
    closing = said[said.index("Verdicts, from results/moons/verdicts.md:") :].splitlines()
    claims = [line.split() for line in itertools.takewhile(lambda line: line.startswith("  "), closing[1:])]
    known = sorted({*registry.entries("claim"), "C7"})
    assert [words[1] for words in claims] == [f"{claim}:" for claim in known]
    assert {words[0] for words in claims} <= set(VERDICTS)
    assert closing[1 + len(claims)] == "Open first: results/moons/report.html"
    assert closing[2 + len(claims)].startswith("Figures: results/moons/figures/")


@pytest.mark.slow
def test_an_added_figure_redraws_no_other_and_the_same_numbers_give_the_same_bytes(tutorial):
    command = ["snakemake", "--cores", "2", "--configfile", "moons.yaml"]
    figures = tutorial / "results" / "moons" / "figures"

    def drawn() -> dict[str, bytes]:
        """What the figures show. A PNG also says what it was made for, the code of its time included."""
        return {
            path.name: matplotlib.image.imread(path).tobytes() if path.suffix == ".png" else path.read_bytes()
            for path in figures.iterdir()
        }

    before = drawn()
    package, started = tutorial / "src" / "ranktwo", time.time()
    shared, added = package / "report" / "drawing" / "panels.py", package / "report" / "figures" / "another.py"
    text = shared.read_text()
    try:
        shared.write_text(text.replace("flat = list(drawn", "flat = list[object](drawn"))
        assert shared.read_text() != text
        done = subprocess.run(command, cwd=tutorial, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "cells trained" not in done.stderr
        assert drawn() == before
        assert (figures / "norms.pdf").stat().st_mtime > started
        norms = package / "report" / "figures" / "norms.py"
        added.write_text(norms.read_text().replace("def norms", "def another"))
        done = subprocess.run([*command, "-n"], cwd=tutorial, env=environment(), capture_output=True, text=True)
        assert "Nothing to be done" in done.stdout + done.stderr
    finally:
        shared.write_text(text)
        added.unlink(missing_ok=True)


LATEX = r"""
\documentclass{article}
\usepackage{booktabs,tabularx,graphicx}
\input{numbers}
\begin{document}
Of \rtCells{} cells, \rtOkCells{} are ok; C1 is \rtVerdictCOne{} ($d_2/\|V\|$ = \rtEffectCOneMoons{}).
BODY
\end{document}
"""
FIGURE = r"\begin{figure}[h]\includegraphics[width=.5\linewidth]{figures/norms}\end{figure}"
WIDE = r"\begin{table}[h]\resizebox{\linewidth}{!}{\input{%s}}\end{table}"
PAPERS = {
    "one page": ([FIGURE, WIDE % "tables/grid", WIDE % "tables/results"], "1 page,"),
    # As long as there are claims and measures.
    "verdicts": (
        [r"\begin{table}[h]\input{verdicts}\end{table}", r"\begin{table}[h]\input{predictors}\end{table}"],
        "page",
    ),
}


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex (Debian: texlive-latex-recommended)")
@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.slow
def test_a_document_with_a_figure_two_tables_and_the_macros_compiles(paper, tutorial, tmp_path):
    results = tutorial / "results" / "moons"
    body, pages = PAPERS[paper]
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"-output-directory={tmp_path}"]
    (results / "paper.tex").write_text(LATEX.replace("BODY", "\n".join(body)))
    done = subprocess.run([*command, "paper.tex"], cwd=results, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert not re.findall(r"Overfull .hbox .([0-9]{2,}|[5-9])", done.stdout), "a table is wider than the text"
    assert re.search(rf"Output written on\s.*\s?\(.*{pages}", done.stdout.replace("\n", "")), done.stdout[-500:]
    assert "Undefined control sequence" not in done.stdout
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")


@pytest.fixture(scope="module")
def report(tutorial) -> Iterator[SimpleNamespace]:
    """The tutorial's report in a headless browser without a network: a page, and what its console says."""
    found = [path for path in map(shutil.which, BROWSERS) if path]
    if not found:
        pytest.skip("no Chromium (Debian: chromium-headless-shell)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found[0], args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1366, "height": 768}, offline=True)
        page, errors = context.new_page(), []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("requestfailed", lambda request: errors.append(request.url[:200]))
        page.goto((tutorial / "moons.html").as_uri())
        yield SimpleNamespace(page=page, errors=errors, front=(tutorial / "results" / "moons" / "report.html").as_uri())
        browser.close()


def opened(page, category: str) -> list[str]:
    """Names of a category's items."""
    page.reload()
    page.get_by_text(category, exact=True).first.click()
    page.wait_for_selector("table tbody tr")
    return page.locator("table tbody tr").all_inner_texts()


@pytest.mark.slow
def test_the_report_opens_at_verdicts_first_and_every_item_loads(report, tmp_path):
    page = report.page
    page.wait_for_selector("text=1 Verdicts")
    categories = [text for text in page.locator("nav, #root").first.inner_text().splitlines() if re.match(r"\d ", text)]
    assert categories[:4] == ["1 Verdicts", "2 Figures", "3 Tables", "4 Study"]
    assert [name.split()[0:2] for name in opened(page, "2 Figures")] == [["01", "norms"], ["02", "ranks"]]
    for category in categories[:4]:
        for index in range(len(opened(page, category))):
            opened(page, category)
            row = page.locator("table tbody tr").nth(index)
            row.locator("a, button").first.click()
            if category == "2 Figures":
                page.wait_for_function("[...document.images].some(image => image.naturalWidth > 500)")
                assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)")
            else:
                frame = page.frame_locator("iframe").first
                assert frame.locator("h1").inner_text()
    assert not report.errors


@pytest.mark.slow
def test_the_report_can_be_read_at_a_phones_width(report):
    page = report.page
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, "1 Verdicts")
    page.locator("table tbody tr").first.locator("a, button").first.click()
    page.locator("nav a[type=button], nav button").first.click()  # closes the menu, which leaves a phone little room
    page.wait_for_function("document.querySelector('iframe').getBoundingClientRect().width > 350")
    assert page.frame_locator("iframe").first.locator("h1").inner_text() in (
        "Verdicts",
        "Which measure predicts the gap",
    )
    assert not report.errors


@pytest.mark.slow
@pytest.mark.parametrize("width", [375, 1366])
def test_the_page_of_the_study_opens_on_the_answer_and_its_points_say_their_numbers(width, report):
    page = report.page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(report.front)
    # The answer is read without scrolling, and nothing is wider than the screen.
    answer = page.locator("p", has_text='C1, "').first.bounding_box()
    assert answer["y"] + answer["height"] < 800
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawing = page.locator(".drawing").first
    point = drawing.locator("circle").first
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    assert page.locator("#said").inner_text() == point.locator("title").text_content()
    narrow = drawing.locator("svg").bounding_box()["width"]
    drawing.locator("svg").click(position={"x": 5, "y": 5})
    assert drawing.locator("svg").bounding_box()["width"] > 1.2 * narrow
    assert page.locator("details summary", has_text="Rank-r residuals").count() == 1
    assert not report.errors


@pytest.mark.slow
def test_the_report_holds_captions_config_and_graph_and_asks_for_no_network(tutorial):
    text = (tutorial / "moons.html").read_text()
    assert "a norm that falls where" in text.replace("\\n", " ")
    pages = [base64.b64decode(found).decode() for found in re.findall(r"data:text/html[^,]*;base64,([\w+/=]+)", text)]
    assert any("C7: weight decay makes V smaller" in page for page in pages)
    assert not re.search(r"""<(?:script|link|img)[^>]+(?:src|href)=["']https?:""", text)


# Links and commands.


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    text = BLOCK.sub("", path.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("https://", "http://", "#")):
            name, _, anchor = target.partition("#")
            assert (path.parent / name).exists(), target
            if anchor:
                heads = re.findall(r"^#+ (.*)$", (path.parent / name).read_text(), flags=re.MULTILINE)
                assert anchor in {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}, target


def commands() -> list[tuple[str, str]]:
    """Every command that a document tells its reader to type."""
    found = []
    for path in DOCS:
        text = path.read_text()
        lines = [line for _, block in BLOCK.findall(text) for line in block.splitlines()]
        lines += re.findall(r"^ {4}(.*)$", text, flags=re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
        starts = ("snakemake ", "make ", "python ", "python3 ")
        found += [(path.name, line.partition("  #")[0].strip()) for line in lines if line.startswith(starts)]
    return list(dict.fromkeys(found))


def written() -> list[str]:
    """Configs that a document has its reader write: a block of YAML begins with its file's name."""
    blocks = [block for path in DOCS for kind, block in BLOCK.findall(path.read_text()) if kind == "yaml"]
    return [block.partition("\n")[0].removeprefix("# ") for block in blocks]


@pytest.fixture(scope="module")
def snakemake_help() -> str:
    return subprocess.run(["snakemake", "--help"], env=environment(), capture_output=True, text=True).stdout


@pytest.mark.parametrize(("document", "command"), commands())
def test_commands_in_documents_exist(document, command, snakemake_help):
    words = command.split()
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert all(word in targets or "=" in word or word == ".venv/.installed" for word in words[1:]), command
    elif words[0] == "snakemake":
        for word in words[1:]:
            if word.startswith("--"):
                assert word.partition("=")[0] in snakemake_help, command
        if "--configfile" in words:
            study = words[words.index("--configfile") + 1]
            assert (ROOT / study).exists() or study in ("my.yaml", *written()) or study.isupper(), command
        if "--profile" in words:
            assert (ROOT / words[words.index("--profile") + 1]).exists(), command
    elif "-m" in words:
        module, *rest = words[words.index("-m") + 1 :]
        known = registry.stages() if module == "ranktwo" else ("venv", "pip", "pytest")
        assert (rest[0] if module == "ranktwo" else module) in [*known, "--help", "STAGE"], command
    elif words[1] != "-c":
        assert (ROOT / words[1]).exists(), command


def test_the_rule_graph_in_the_docs_is_the_workflows():
    done = subprocess.run(
        ["snakemake", "--rulegraph", "mermaid-js"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    names = dict(re.findall(r"^\s*(id\d+)\[(\w+)\]$", done.stdout, flags=re.MULTILINE))
    drawn = re.findall(r"^\s*(id\d+) --> (id\d+)$", done.stdout, flags=re.MULTILINE)
    edges = {(names[a], names[b]) for a, b in drawn if names[b] != "all"}
    graph = dict(BLOCK.findall((ROOT / "docs" / "reading.md").read_text()))["mermaid"]
    assert edges == set(re.findall(r"^    (\w+) --> (\w+)$", graph, flags=re.MULTILINE))


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 90


def rows_of(section: str) -> dict[str, dict[str, str]]:
    """The first table of a section of docs/reading.md: the cells of each line by their headings, by its first cell."""
    page = (ROOT / "docs" / "reading.md").read_text()
    [table] = re.findall(rf"^## {section}\n(?:[^|\n].*\n|\n)*((?:\|.*\n)+)", page, flags=re.MULTILINE)
    headings, _, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines())
    return {row[0]: dict(zip(headings[1:], row[1:], strict=True)) for row in rows}


def test_the_readme_says_what_the_tables_of_results_say():
    readme = " ".join((ROOT / "README.md").read_text().split())
    table = rows_of("What the default study says")

    def effects(claim: str) -> dict[str, float]:
        [row] = [cells for name, cells in table.items() if name.startswith(f"{claim},")]
        return {dataset: float(cell.split()[0]) for dataset, cell in row.items()}

    first, best = effects("C1"), effects("C1b")
    assert all(0.5e-7 < first[name] < 1.5e-7 for name in ("digits-3v8", "breast-cancer"))
    said = f"{first['diabetes']:.2f} on diabetes, {first['digits-5c']:.2f} on five classes of digits and"
    assert f"is about 1e-7 on digits-3v8 and breast-cancer, {said} {first['digits']:.2f} on ten" in readme
    assert f"it is at least {min(best.values()):.2f} on all five" in readme

    nets = rows_of("Attention, convolutions, residual blocks")
    lows = [float(re.match(r"[\d.]+ \[([\d.]+), ", cell)[1]) for cells in nets.values() for cell in cells.values()]
    assert min(lows) > 0.1  # contradicted: the interval lies above C1's threshold
    assert f"contradicts C1 in all {len(lows)} settings" in readme
    assert len(nets) == 3 and {name.partition(",")[0] for name in nets} == {"convnet", "resnet", "transformer"}


LINTS = {
    "Environment variable": "The workflow sets PYTHONPATH and PATH; it needs none.",
    "No log directive defined": "The rule plan makes no file; it prints.",
    "Specify a conda environment": "Jobs run by the Python that runs Snakemake: requirements.lock.",
}
"""What `snakemake --lint` says that is so on purpose, and why."""


def test_the_linters_have_nothing_to_say_but_what_is_argued():
    done = subprocess.run(["snakemake", "--lint"], cwd=ROOT, env=environment(), capture_output=True, text=True)
    said = re.findall(r"^    \* (.*)$", done.stdout + done.stderr, flags=re.MULTILINE)
    assert [line for line in said if not line.startswith(tuple(LINTS))] == []
    assert len(said) >= 3


@pytest.mark.parametrize(
    "command",
    [
        "ruff check .",
        "ruff format --check .",
        "snakefmt --check Snakefile workflow",
        pytest.param("mypy", marks=pytest.mark.slow),
    ],
)
def test_style_and_types(command):
    done = subprocess.run(command.split(), cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
