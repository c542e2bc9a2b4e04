"""One row per cell and matrix after training: all that the analyses tell of a matrix, beside how its cell ended.

What an analysis tells of each matrix follows from its file: of every one with a column `matrix`, all columns but lists
stand here, of the last snapshot. An analysis that is added to the package therefore appears by itself.
"""

from pathlib import Path

import pyarrow

from ranktwo.errors import UserError
from ranktwo.evidence import gaps
from ranktwo.store import files
from ranktwo.store.columns import REAL, WHOLE, column, schema
from ranktwo.store.records import MATRIX
from ranktwo.study.axes import CELL_COLUMNS

CERTIFICATES = "certificates"
"""The analysis whose file has the net's own matrices, from the input on."""
ENDS = ("status", "train_loss", "test_loss", "test_accuracy", "test_r2")
"""Columns of gaps.parquet that stand beside every matrix of a cell."""
COLUMNS = {
    "depth": column(
        WHOLE,
        "Place of the matrix in its net, from the input on: 1 is V. Null for what is no matrix of its own.",
    ),
    "residual_sample_rank": column(
        REAL,
        "d_R/||W||, R `sample_rank`: relative distance from the rank that the theorem speaks of. It is 0 where R is "
        "the full rank, and the theorem says nothing.",
    ),
}
"""Columns that are computed here."""
PLACE = ("cell", "matrix")


def table(results: Path, stacks: list[str], cells: pyarrow.Table) -> pyarrow.Table:
    """layers.parquet: a row for each cell and matrix of the stacks' spectra, in their order.

    Its columns are those of a cell, of a matrix, COLUMNS, ENDS from `cells`, the rows of gaps.parquet, and then all
    single values that the analyses have for each matrix, null where one has no such row. Of two columns of the same
    name the first wins, those of the spectra before others. UserError where `cells` are not those of the stacks.
    """
    rows = pyarrow.concat_tables([_stack(results, stack) for stack in stacks], promote_options="default")
    places = {name: row for row, name in enumerate(cells["cell"].to_pylist())}
    try:
        ends = cells.select(ENDS).take([places[name] for name in rows["cell"].to_pylist()])
    except KeyError as error:
        raise UserError(
            f"gaps.parquet has no row of {error.args[0]}; run snakemake with `--forcerun gaps` to make it anew"
        ) from error
    first = [*CELL_COLUMNS, *MATRIX, *COLUMNS]
    shown = [name for name in rows.column_names if name not in (*first, *ENDS)]
    fields = [*(rows.schema.field(name) for name in first), *ends.schema, *(rows.schema.field(name) for name in shown)]
    values = [*(rows[name] for name in first), *ends.columns, *(rows[name] for name in shown)]
    return pyarrow.table(values, schema=pyarrow.schema(fields))


def sources(results: Path, stacks: list[str]) -> list[Path]:
    """The files of stacks that the table is made from, beside gaps.parquet."""
    return [path for stack in stacks for _, path in _files(results, stack)]


def _files(results: Path, stack: str) -> list[tuple[str, Path]]:
    """The analyses, and the file that each made of a stack."""
    return [(name, gaps.paths(results, name, [stack])[0]) for name in gaps.stages() if name != gaps.TRAINING]


def _stack(results: Path, stack: str) -> pyarrow.Table:
    """A row for each cell and matrix of a stack, without ENDS."""
    places: list[tuple[str, str]] = []
    fields: dict[str, pyarrow.Field] = {}
    values: dict[str, pyarrow.ChunkedArray] = {}
    for stage, path in _files(results, stack):
        content, _ = files.read_parquet(path, stage)
        if not set(PLACE) <= set(content.column_names):
            continue
        # The last snapshot's row comes last.
        named = zip(*(content[name].to_pylist() for name in PLACE), strict=True)
        last = {place: row for row, place in enumerate(named)}
        places = places or list(last)
        ends = content.take(pyarrow.array([last.get(place) for place in places], pyarrow.int64()))
        if stage == CERTIFICATES:
            own = _computed(ends, list(last), places)
            fields |= {field.name: field for field in own.schema}
            values |= {name: own[name] for name in own.column_names}
        new = [field for field in content.schema if field.name not in fields and not pyarrow.types.is_list(field.type)]
        fields |= {field.name: field for field in new}
        values |= {field.name: ends[field.name] for field in new}
    return pyarrow.table(list(values.values()), schema=pyarrow.schema(list(fields.values())))


def _computed(ends: pyarrow.Table, own: list[tuple[str, str]], places: list[tuple[str, str]]) -> pyarrow.Table:
    """The values of COLUMNS at these places, from the certificates there and the net's own matrices, in their order."""
    depths: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    for cell, matrix in own:
        counts[cell] = depths[cell, matrix] = counts.get(cell, 0) + 1
    known = zip(ends["d_sample_rank"].to_pylist(), ends["norm"].to_pylist(), strict=True)
    residuals = [distance / norm if norm and distance is not None else None for distance, norm in known]
    return pyarrow.table([[depths.get(place) for place in places], residuals], schema=schema(COLUMNS))
