"""Checks the config; makes the cells and stacks and the strings that say what each job's result depends on."""

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

from ranktwo import config as configuration, grid
from ranktwo.errors import UserError, failures
from ranktwo.provenance import STARTED, STUDY as STUDY_VARIABLE, fingerprint

CONFIG_FILE = os.path.relpath((workflow.configfiles or ["config"])[-1])

try:
    STUDY = configuration.read(config, where=CONFIG_FILE)
    STACKS = grid.stacks(grid.expand(STUDY["grids"]), STUDY["stack"], STUDY["datasets"])
except UserError as error:
    sys.exit(f"ranktwo: {error}")

RESULTS = STUDY["results"].rstrip("/")
DATA_FOLDER = STUDY["data_folder"] or os.environ.get("RANKTWO_DATA") or "data"
DOWNLOAD = "--download" if STUDY["download"] else "--no-download"
DEVICE = STUDY["device"]
CHECKPOINT = STUDY["checkpoint"]
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


def every(pattern: str) -> list[str]:
    """The file of each stack."""
    return expand(pattern, stack=STACKS)


def where(figure: str) -> dict:
    """The cells that the config wants in a figure."""
    return (STUDY["figures"][figure] or {}).get("where", {})
