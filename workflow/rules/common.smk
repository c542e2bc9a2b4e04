"""Checks the config; makes the cells and stacks and the strings that say what each job's result depends on."""

import itertools
import os
import sys
from pathlib import Path

SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))
# Jobs run the package beside this file by the Python that runs Snakemake, whatever else is installed.
os.environ["PYTHONPATH"] = (
    f"{SOURCE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
)
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

from ranktwo import config as configuration, files, grid
from ranktwo.errors import UserError, failures
from ranktwo.provenance import STARTED, STUDY as STUDY_VARIABLE, fingerprint
from ranktwo.registry import registered

# A study is one file: --configfile replaces the default study, it is not merged over it.
CONFIG_FILE = os.path.relpath(
    (workflow.overwrite_configfiles or [Path(workflow.basedir) / "config.yaml"])[-1]
)
try:
    configuration.check(Path(CONFIG_FILE))
except UserError as error:
    sys.exit(f"ranktwo: {error}")

if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


try:
    STUDY = configuration.read(config, where=CONFIG_FILE)
    STACKS = grid.stacks(grid.expand(STUDY["grids"]), STUDY["stack"], STUDY["datasets"])
    files.check_folder(Path(STUDY["results"]))
except UserError as error:
    sys.exit(f"ranktwo: {error}")

STACK_NAMES = grid.packed(grid.canonical(list(STACKS)))
RESULTS = STUDY["results"].rstrip("/")
DATA_FOLDER = STUDY["data_folder"] or os.environ.get("RANKTWO_DATA") or "data"
DOWNLOAD = "--download" if STUDY["download"] else "--no-download"
DEVICE = STUDY["device"]
CHECKPOINT = STUDY["checkpoint"]
# Every training job asks for its share of these.
ALL_STEPS = sum(cell.steps for cells in STACKS.values() for cell in cells)
SEEDS = len({cell.seed for cells in STACKS.values() for cell in cells})
MEDIANS = "lines are their medians, bands reach from the least to the greatest."
# For provenance: jobs write into their results which config asked for them.
os.environ[STUDY_VARIABLE] = grid.canonical(
    {"config": CONFIG_FILE, "hash": grid.short_hash(STUDY)}
)


# Snakemake takes a limit of zero for no limit at all, and would start every training job at once on the same GPU.
if workflow.global_resources.get("gpu").value == 0:
    sys.exit(
        "ranktwo: --resources gpu=0 limits nothing in Snakemake; give the number of GPUs, or set `device: cpu` in the config"
    )


wildcard_constraints:
    dataset="[a-z0-9-]+",
    stack="[^/]+",
    figure="[a-z-]+",
    table="[a-z-]+",


def job(stack: str, *modules: str, **settings) -> str:
    """What a stack's job depends on, as one string: its cells, their data set's options, settings, and the code."""
    cells = STACKS[stack]
    return grid.encode(
        cells,
        STUDY["datasets"][cells[0].dataset],
        fingerprint=fingerprint(*modules),
        **settings,
    )


def training(stack: str) -> str:
    """What a stack's training is asked for."""
    return job(stack, "evaluation", snapshots=STUDY["snapshots"])


def processes(stack: str) -> int:
    """Processes that train a stack: its share, by steps and cells, of the cores that this machine lends.

    On a cluster each job has its own machine: one, or what --set-threads or the profile says.
    """
    if workflow.remote_exec or not workflow.local_exec:
        return 1
    share = sum(cell.steps for cell in STACKS[stack]) / ALL_STEPS
    share *= workflow.resource_settings.cores or 1
    return max(1, min(round(share), len(STACKS[stack])))


def first_the_longest() -> dict[str, int]:
    """Priority of each stack's training: the longest does not wait until the others are done, and then run alone.

    By steps, rows and hidden units: what its data look like is not known before they are prepared.
    """

    def work(cells) -> int:
        first = cells[0]
        whole = first.batch_size == "full"
        rows = (first.train_size or 1000) if whole else first.batch_size
        return sum(cell.steps for cell in cells) * (10 + rows) * sum(first.widths)

    return {
        stack: rank
        for rank, stack in enumerate(
            sorted(STACKS, key=lambda stack: work(STACKS[stack])), start=1
        )
    }


PRIORITY = first_the_longest()


def closing() -> str:
    """What a finished run says: the verdicts, where there are some, and what to open."""
    page = Path(RESULTS) / "verdicts.md"
    rows = page.read_text(encoding="utf-8").splitlines() if page.exists() else []
    columns = [
        [part.strip() for part in row.split("|")[1:3]]
        for row in itertools.takewhile(str.strip, rows[2:])
    ]
    lines = [f"  {verdict:<13} {claim}" for claim, verdict in columns]
    return "\n".join(
        [
            f"\nVerdicts, by {page}:" if lines else "",
            *lines,
            f"Figures: {RESULTS}/figures/  Tables: {RESULTS}/tables/  Macros: {RESULTS}/numbers.tex  "
            f"One row per cell: {RESULTS}/gaps.parquet  All in one file: make report",
        ]
    )


def caption(figure: str) -> str:
    """What the figure's function says after its first line, and over how many seeds."""
    seen, _, meaning = registered("figure")[figure].partition("\n\n")
    return f"{meaning or seen}\n\nThe study has {SEEDS} seeds, n of which are behind a panel; {MEDIANS}"


def numbered(figure: str) -> str:
    """`03 ranks`: the report sorts by name, and figures are to be read in the config's order."""
    return f"{list(STUDY['figures']).index(figure) + 1:02d} {figure}"


def every(pattern: str) -> list[str]:
    """The file of each stack."""
    return expand(pattern, stack=STACKS)
