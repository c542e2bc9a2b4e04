"""One row per cell: its axes, its losses and generalization gaps after training, its ranks, and whether it counts.

The columns follow from what the other files declare. Training and every registered analysis mark some of their columns
as headlines, and each of these becomes a column here, with its meaning, unit and kind. An analysis that is added to the
package therefore appears in gaps.parquet by itself.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas
import pyarrow

from ranktwo.errors import UserError
from ranktwo.evidence import timing
from ranktwo.store import columns, files, registry
from ranktwo.store.columns import LOSS_UNIT, REAL, TEXT, WHOLE, column, schema
from ranktwo.study.axes import AXES, CELL_COLUMNS, NO_NORM
from ranktwo.study.labels import LABELS, labels_of
from ranktwo.study.theory import why_no_programme

COLUMNS = {
    "status": column(
        TEXT,
        "`diverged`: a weight or loss became non-finite. `collapsed`: the norm of V ended below "
        "`status.collapsed_norm` of its initial one, in a net without normalisation. `unfit`: the net has no skill on "
        "its training rows, or `fit_linear` is below `status.fit_linear`, or `fit_free` below `status.fit_free`; one "
        "that is null does not count. `ok`: none of these. The first that applies.",
    ),
    "fit_linear": column(
        REAL,
        "Skill on the training rows over the skill of a linear model there. Skill is (s - s0)/(1 - s0): s the score "
        "(accuracy or R^2) on the training labels, noisy or clean, whichever is greater; s0 `chance_score`. A linear "
        "model's s is `linear_train_score`. Null where it has no skill.",
    ),
    "fit_free": column(
        REAL,
        "Skill over that of the net without weight decay of the same setting, split and seed. Null where there is no "
        "such net, or none with skill.",
    ),
    "loss_gap": column(REAL, "`test_loss` - `train_loss`.", unit=LOSS_UNIT),
    "clean_loss_gap": column(REAL, "`test_loss` - `clean_train_loss`: both on labels without noise.", unit=LOSS_UNIT),
    "accuracy_gap": column(REAL, "`train_accuracy` - `test_accuracy`, that is test error - training error."),
    "clean_accuracy_gap": column(REAL, "`clean_train_accuracy` - `test_accuracy`."),
    "matched_loss_gap": column(
        REAL,
        "`noisy_test_loss` - `train_loss`: test and training labels of one distribution, as in learning theory. Equal "
        "to `loss_gap` without label noise.",
        unit=LOSS_UNIT,
    ),
    "matched_accuracy_gap": column(REAL, "`train_accuracy` - `noisy_test_accuracy`."),
    "matched_r2_gap": column(REAL, "`train_r2` - `noisy_test_r2`."),
    "initial_norm": column(REAL, "Frobenius norm of V at step 0."),
    "decay_ratio": column(REAL, "mu/mu_c; null where mu_c is 0."),
}
"""Columns that are computed here, from headlines of other files."""
OPTIMUM = "optimum_"
_WHERE = (
    "of the minimiser of the decayed loss on the cell's labels, found from the data alone (optima/); null without one."
)
PREDICTED = {
    **{f"{OPTIMUM}residual_{r}": column(REAL, f"`residual_{r}` {_WHERE}") for r in (1, 2, 3)},
    f"{OPTIMUM}effective_rank": column(REAL, f"`effective_rank` {_WHERE}"),
    f"{OPTIMUM}atoms": column(WHOLE, f"`atoms`, the directions of neurons, {_WHERE}"),
    f"{OPTIMUM}relative_gap": column(REAL, f"`relative_gap` {_WHERE}"),
}
"""Columns of a cell that the table of its data set's minimisers has under the name without `optimum_`."""
TRAINING = "train"
SPECTRA = "spectra"
"""The analysis whose file says which cells a stack has, and what their axes are."""
NEEDED = [
    *("train_loss", "train_accuracy", "train_r2", "clean_train_loss", "clean_train_accuracy", "clean_train_r2"),
    *("test_loss", "test_accuracy", "noisy_test_loss", "noisy_test_accuracy", "noisy_test_r2", "diverged_step"),
    *("norm", "critical_decay", "chance_score", "linear_train_score", *timing.MEASURES.values()),
]
"""Headlines of other files that the columns of this module are made of."""


@dataclass(frozen=True)
class Cells:
    """Rows of gaps.parquet, one for each cell."""

    rows: pandas.DataFrame
    kinds: Mapping[str, str]
    """The kind of each column that has one, by its name, in the file's order: `rank`, `bound`, `rate`, `measure`."""

    def of_kind(self, *kinds: str) -> list[str]:
        """Names of the columns of these kinds, in the file's order."""
        return [name for name, kind in self.kinds.items() if kind in kinds]


def read_cells(path: Path) -> Cells:
    """The rows of gaps.parquet and the kinds of its columns; UserError where the file is absent or damaged."""
    content, _ = files.read_parquet(path, "gaps")
    return Cells(_frame(content), columns.kinds(content.schema))


def read(stage: str, *paths: Path) -> pandas.DataFrame:
    """The rows of files that one stage made, as one frame; whole numbers stay whole beside nulls."""
    return _frame(pyarrow.concat_tables([files.read_parquet(path, stage)[0] for path in paths]))


def _frame(content: pyarrow.Table) -> pandas.DataFrame:
    return content.to_pandas(types_mapper=_nullable)


def _nullable(kind: pyarrow.DataType) -> pandas.api.extensions.ExtensionDtype | None:
    return pandas.Int64Dtype() if pyarrow.types.is_integer(kind) else None


def origin(rows: pandas.DataFrame) -> str:
    """Which gaps.parquet a figure or table was made from: its number of cells, and a hash of all its values."""
    digest = hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()[:12]
    return f"{len(rows)} cells of gaps.parquet, values {digest}"


def paths(results: Path, stage: str, stacks: list[str]) -> list[Path]:
    """The file that a stage made of each stack; an analysis counts as a stage."""
    return [
        results / "runs" / stack / "history.parquet" if stage == TRAINING else results / stage / f"{stack}.parquet"
        for stack in stacks
    ]


def stages() -> list[str]:
    """The stages whose headlines gaps.parquet shows, in the order of its columns: training, spectra, other analyses."""
    return list(dict.fromkeys([TRAINING, SPECTRA, *registry.analyses()]))


def sources(results: Path, stacks: list[str]) -> list[Path]:
    """Every file of a stack that gaps.parquet is made from."""
    return [path for stage in stages() for path in paths(results, stage, stacks)]


def table(results: Path, stacks: list[str], optima: list[Path], status: Mapping[str, float]) -> pyarrow.Table:
    """gaps.parquet: a row for each cell of the stacks' spectra, in their order.

    Its columns are those of a cell, then COLUMNS, then the headlines of training and of every analysis, then those of
    `evidence.timing`, then PREDICTED from the files `optima` of minimisers. A headline's value is that of the first
    matrix V at the last snapshot; what a diverged cell ended with is null. Of two columns of the same name the first
    wins, headlines being in the order of `stages`: `norm` is that of the spectra.

    `status` holds the thresholds `collapsed_norm`, `fit_linear` and `fit_free`. UserError where the files of a stack
    are not of the same cells and runs, or lack a column.
    """
    parts = [_stack(results, stack) for stack in stacks]
    for part, stack in zip(parts, stacks, strict=True):
        if part.schema != parts[0].schema:
            differing = ", ".join(sorted(set(part.schema.names) ^ set(parts[0].schema.names))) or "types differ"
            raise UserError(
                f"the files of the stacks {stacks[0]} and {stack} have different headline columns ({differing}); "
                f"delete those of the older one in {results} and run snakemake again"
            )
    rows = pyarrow.concat_tables(parts)
    computed = _computed(_frame(rows.select([*AXES, "initial_norm", *NEEDED])), **status)
    own = pyarrow.Table.from_pandas(computed, schema=schema(COLUMNS), preserve_index=False)
    rows = rows.drop_columns(["initial_norm"])
    for position, field in enumerate(own.schema, start=len(CELL_COLUMNS)):
        rows = rows.add_column(position, field, own[field.name])
    for field, values in zip(schema(PREDICTED), _predicted(rows, optima), strict=True):
        rows = rows.append_column(field, values)
    return rows


def _predicted(rows: pyarrow.Table, optima: list[Path]) -> list[pyarrow.Array]:
    """The values of PREDICTED for rows of cells: those of the minimiser on the cell's labels, at its weight decay."""
    if not optima:
        return [pyarrow.nulls(rows.num_rows, one.type) for one in PREDICTED.values()]
    names = [name.removeprefix(OPTIMUM) for name in PREDICTED]
    found = pyarrow.concat_tables([files.read_parquet(path, "optimum")[0] for path in optima])
    keys = ["dataset", *LABELS, "weight_decay"]
    places = {tuple(row.values()): place for place, row in enumerate(found.select(keys).to_pylist())}
    indices: list[int | None] = []
    for cell in rows.select(list(AXES)).to_pylist():
        same = why_no_programme(cell) is None
        indices.append(places.get((cell["dataset"], *labels_of(cell), cell["weight_decay"])) if same else None)
    taken = found.select(names).take(pyarrow.array(indices, pyarrow.int64()))
    return [taken[name].combine_chunks() for name in names]


def _stack(results: Path, stack: str) -> pyarrow.Table:
    """A row for each cell of a stack: the columns of a cell, `initial_norm`, all headlines, and moments of training."""
    [path] = paths(results, SPECTRA, [stack])
    spectra, _ = files.read_parquet(path, SPECTRA)
    cells = list(dict.fromkeys(spectra["cell"].to_pylist()))
    missing = [name for name in CELL_COLUMNS if name not in spectra.column_names]
    if missing:
        raise UserError(f"{path} lacks the column {missing[0]}; delete it and run snakemake again")
    first = _rows_of(spectra, cells, path, [*CELL_COLUMNS, "norm"], last=False)
    fields = {field.name: field for field in [*schema(CELL_COLUMNS), pyarrow.field("initial_norm", REAL)]}
    values = dict(zip(fields, first.columns, strict=True))
    steps: list[int] = []
    for stage in stages():
        [path] = paths(results, stage, [stack])
        content = spectra if stage == SPECTRA else _of_the_same_cells(path, stage, cells)
        shown = [field for field in columns.headlines(content.schema) if field.name not in [*fields, *COLUMNS]]
        if not shown:
            continue
        names = [*(field.name for field in shown), *({"step"} & set(content.column_names))]
        ends = _rows_of(content, cells, path, names, last=True)
        if "step" in names:
            steps = steps or ends["step"].to_pylist()
            if ends["step"].to_pylist() != steps:
                raise UserError(f"{path} and the stack's history are of other runs; delete it and run snakemake again")
        fields |= {field.name: field for field in shown}
        values |= {field.name: ends[field.name] for field in shown}
    missing = [name for name in NEEDED if name not in fields]
    if missing:
        raise UserError(
            f"no file of the stack {stack} in {results} has the headline column {missing[0]}: another version of "
            "ranktwo made them; delete the stack's files and run snakemake again"
        )
    history, _ = files.read_parquet(paths(results, TRAINING, [stack])[0], TRAINING)
    moments = timing.moments(
        _frame(history.select(["cell", "step", "train_accuracy", "test_accuracy"])),
        _frame(spectra.select(["cell", "matrix", "step", *timing.MEASURES.values()])),
    )
    timed = schema(timing.COLUMNS)
    fields |= {field.name: field for field in timed}
    values |= dict(zip(timed.names, pyarrow.Table.from_pandas(moments, timed, preserve_index=False), strict=True))
    return pyarrow.table(list(values.values()), schema=pyarrow.schema(list(fields.values())))


def _of_the_same_cells(path: Path, stage: str, cells: list[str]) -> pyarrow.Table:
    """The rows of a stack's file; UserError where it has other cells than its spectra."""
    content, _ = files.read_parquet(path, stage)
    wanted, present = set(cells), set(content["cell"].to_pylist())
    # A history keeps the cells that no config asks for any more.
    if not (wanted <= present if stage == TRAINING else wanted == present):
        files.put_aside(path)
        raise UserError(f"{path} has other cells than the stack's spectra; it was put aside, run snakemake again")
    return content


def _rows_of(content: pyarrow.Table, cells: list[str], path: Path, names: list[str], *, last: bool) -> pyarrow.Table:
    """These columns of each cell's first or last row, in the order of `cells`; of the matrix V where there are more."""
    matrices = content["matrix"].to_pylist() if "matrix" in content.column_names else ["V"] * content.num_rows
    rows: dict[str, int] = {}
    for row, (cell, matrix) in enumerate(zip(content["cell"].to_pylist(), matrices, strict=True)):
        if matrix == "V" and (last or cell not in rows):
            rows[cell] = row
    absent = [cell for cell in cells if cell not in rows]
    if absent:
        raise UserError(f"{path} has no row of the matrix V for {absent[0]}; delete it and run snakemake again")
    return content.select(names).take([rows[cell] for cell in cells])


def _computed(ends: pandas.DataFrame, *, collapsed_norm: float, fit_linear: float, fit_free: float) -> pandas.DataFrame:
    """The values of COLUMNS, from the axes of cells and what they ended with."""
    own = pandas.DataFrame(index=ends.index)
    # A net that learned noisy labels fits its data; so does one that saw through the noise.
    score = ends[["train_accuracy", "clean_train_accuracy", "train_r2", "clean_train_r2"]].max(axis=1)
    skill = _skill(score, ends["chance_score"])
    free = skill.where((ends["weight_decay"] == 0) & ends["diverged_step"].isna())
    # Without weight decay its rule changes nothing.
    same = [ends[axis] for axis in AXES if axis not in ("weight_decay", "decay_rule")]
    free = free.groupby(same, dropna=False).transform("max")
    own["status"] = "ok"
    own["fit_linear"] = _share(skill, _skill(ends["linear_train_score"], ends["chance_score"]))
    own["fit_free"] = _share(skill, free)
    # Where there is nothing to compare with, a net fits if it has any skill.
    unfit = (own["fit_linear"] < fit_linear) | (own["fit_free"] < fit_free) | ~(skill > 0)
    own.loc[unfit, "status"] = "unfit"
    # Where V's outputs are normalised, the net's outputs do not depend on the norm of V.
    small = (ends["norm"] < collapsed_norm * ends["initial_norm"]) & (ends["normalisation"] == NO_NORM)
    own.loc[small, "status"] = "collapsed"
    own.loc[ends["diverged_step"].notna(), "status"] = "diverged"
    own["loss_gap"] = ends["test_loss"] - ends["train_loss"]
    own["clean_loss_gap"] = ends["test_loss"] - ends["clean_train_loss"]
    own["accuracy_gap"] = ends["train_accuracy"] - ends["test_accuracy"]
    own["clean_accuracy_gap"] = ends["clean_train_accuracy"] - ends["test_accuracy"]
    own["matched_loss_gap"] = ends["noisy_test_loss"] - ends["train_loss"]
    own["matched_accuracy_gap"] = ends["train_accuracy"] - ends["noisy_test_accuracy"]
    own["matched_r2_gap"] = ends["train_r2"] - ends["noisy_test_r2"]
    own["initial_norm"] = ends["initial_norm"]
    own["decay_ratio"] = ends["weight_decay"] / ends["critical_decay"].where(ends["critical_decay"] > 0)
    return own


def _skill(score: pandas.Series, chance: pandas.Series) -> pandas.Series:
    """(s - s0)/(1 - s0), null where chance is all there is."""
    return (score - chance) / (1 - chance).where(chance < 1)


def _share(skill: pandas.Series, reference: pandas.Series) -> pandas.Series:
    """A skill over another one, null where that one is not above 0."""
    return skill / reference.where(reference > 0)
