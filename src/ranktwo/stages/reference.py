"""Print what docs/columns.md or docs/config.md lists: all columns of the Parquet files, or all keys of a config."""

from collections.abc import Iterator

from ranktwo.analysis import measured
from ranktwo.analysis.inputs import ANALYSES
from ranktwo.analysis.optimum import table as optima
from ranktwo.evidence import gaps, layers, predictors, timing, verdicts
from ranktwo.report.reference import File, of_columns, of_config
from ranktwo.stages import parser
from ranktwo.store import registry
from ranktwo.store.columns import schema
from ranktwo.store.records import DIVERGED, SNAPSHOT
from ranktwo.study import config
from ranktwo.study.axes import CELL_COLUMNS
from ranktwo.training import recording


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("page", choices=["columns", "config"])
    page = arguments.parse_args().page
    print(of_columns(_files()) if page == "columns" else of_config(config.keys()))


def _files() -> Iterator[File]:
    yield File("Columns of a cell, in every file with rows for cells", schema(CELL_COLUMNS))
    history = {**SNAPSHOT, **DIVERGED, **recording.COLUMNS}
    yield File("`results/runs/*/history.parquet`: a row for each cell and snapshot", schema(history))
    registry.load_all("analysis")
    for name, analysis in ANALYSES.items():
        yield File(f"`results/{name}/*.parquet`: a row for each {analysis.rows}", analysis.schema())
    rows = "data set, its labels and weight decay"
    yield File(f"`results/optima/*.parquet`: a row for each {rows}: the minimiser of the decayed loss", optima.schema())
    heading = "What `python -m ranktwo measure --output FILE` writes: a row for each matrix of a file of weights"
    yield File(heading, measured.schema())
    after = schema({**gaps.COLUMNS, **timing.COLUMNS, **gaps.PREDICTED})
    yield File("`results/gaps.parquet`: a row for each cell, after training", after)
    heading = "`results/layers.parquet`: a row for each cell and matrix, after training; with all single values of "
    heading += "`spectra` and `certificates`"
    yield File(heading, schema(layers.COLUMNS))
    rows = "data set, architecture, measure, statistic and axis"
    yield File(f"`results/predictors.parquet`: a row for each {rows}", schema(predictors.COLUMNS))
    rows = "claim, data set, architecture, family of cells and rule"
    yield File(f"`results/verdicts.parquet`: a row for each {rows}", schema(verdicts.COLUMNS))
