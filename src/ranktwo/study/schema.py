"""What a study's config may hold: the model of its keys, each with its type, limits, default and meaning.

The model is closed: a key that is not known is an error. The keys of a grid follow from `study.axes`, the sources of
data and the figures from what is registered in the package.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, create_model

from ranktwo.store import registry
from ranktwo.study.axes import AXES, MOST_SEED, summaries
from ranktwo.study.grid import MOST_CELLS
from ranktwo.study.limits import Limits
from ranktwo.study.planes import SIDES
from ranktwo.study.source_options import FORMATS, LEAST_MODULUS, MOST_MODULUS, SOURCE, Kind, trimmed
from ranktwo.study.values import REAL, WHOLE, Closed, Folder, Name, OneOf, Range, axis_field, axis_type, distinct

Classes = Annotated[list[Annotated[int, Field(ge=0), WHOLE]], Field(min_length=2), AfterValidator(distinct)]
OwnFile = Annotated[Folder, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1), REAL]
InnerShare = Annotated[float, Field(gt=0, lt=1), REAL]
Source = Annotated[str, OneOf(tuple(registry.entries("source")))]
FigureName = Annotated[str, OneOf(tuple(registry.entries("figure")))]
PHASE = "phase"
"""The figure that shows a plane."""
Stackable = Annotated[str, OneOf(tuple(name for name, axis in AXES.items() if axis.stacks))]


class DataSet(Closed):
    """One data set, prepared once; train size and label noise are axes of a grid."""

    source: Source = Field(
        description="Where the raw data come from, one of the sources registered in the package (`@source`). digits, "
        f"diabetes, breast-cancer, wine and iris are bundled with scikit-learn. {summaries('source')}"
    )
    classes: Classes | None = Field(
        default=None,
        description="Classes to keep, numbered as in the source; two classes give a one-logit task. Null keeps all.",
    )
    test_size: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        default=None,
        description="Rows of the test set. Null means a quarter of the rows, or the source's own test set.",
    )
    scaling: Literal["feature", "global", "unit", "none"] = Field(
        default="feature",
        description="feature gives each feature mean 0 and sd 1 over the training rows; global does so with one mean "
        "and one sd for all features; unit divides by the largest absolute training value; none leaves the values "
        "alone.",
    )
    clip: Annotated[float, Field(gt=0), REAL] | None = Field(
        default=None, description="Scaled features are clipped to plus or minus this value; null clips nothing."
    )
    bias: bool = Field(default=False, description="Whether a column of ones is appended to the features.")
    seed: Annotated[int, Field(ge=0, le=MOST_SEED), WHOLE] = Field(
        default=0,
        description="Seed of split 0 into training and test rows and of the order of its training rows; split s has "
        "the seed `seed` + s.",
    )
    path: OwnFile | None = Field(
        default=None,
        description=f"Your own file, {', '.join(FORMATS)}, with `source: {SOURCE}`, which alone takes this key "
        "and the next three and needs them but for `test_path`. `~` and `$NAME` stand for what they do in a shell; a "
        "relative path counts from the folder in which Snakemake runs, as `data_folder` does.",
    )
    target: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Column of the file, or array of an npz file, that is to be predicted."
    )
    kind: Kind | None = Field(default=None, description="What is to be predicted: classes, or numbers.")
    test_path: OwnFile | None = Field(
        default=None, description="File of test rows with the same columns; null splits them off `path`."
    )
    modulus: Annotated[int, Field(ge=LEAST_MODULUS, le=MOST_MODULUS), WHOLE] | None = Field(
        default=None,
        description="p of `source: modular`, addition modulo p, which alone takes this key and needs it: all p^2 pairs "
        "of numbers as two one-hot codes, and their sum modulo p as class. Its codes want `scaling: none`.",
    )


class Weights(Closed):
    """A file of weights trained elsewhere."""

    path: OwnFile = Field(
        description="The file: .safetensors, .npz, or a state dict of PyTorch (.pt, .pth, .bin); no code in it is run. "
        "`~` and `$NAME` stand for what they do in a shell."
    )


_GIVEN: Any = {name: (axis_type(axis), axis_field(axis)) for name, axis in AXES.items()}
_CHOSEN: Any = {
    name: (axis_type(axis, with_ranges=False), Field(default=None, description=axis.help))
    for name, axis in AXES.items()
}


class Sample(Closed):
    """Points drawn in the box of those axes of a grid that are ranges without a number of points."""

    points: Annotated[int, Field(ge=1, le=MOST_CELLS), WHOLE] = Field(
        description="Number of points; of axes with whole numbers, equal points count once."
    )
    seed: Annotated[int, Field(ge=0, le=MOST_SEED), WHOLE] = Field(
        default=0, description="Seed of the scrambled Sobol sequence. More points leave those of fewer as they are."
    )


Grid = create_model(
    "Grid",
    __base__=Closed,
    __doc__="A product of axes.",
    **_GIVEN,
    sample=(Sample | None, Field(default=None, description=str(Sample.__doc__))),
)
Where = create_model("Where", __base__=Closed, __doc__="Values of some axes.", **_CHOSEN)


class Plane(Closed):
    """What the figure `phase` shows: columns of gaps.parquet over two axes."""

    x: Annotated[str, OneOf(tuple(SIDES))] = Field(
        default="weight_decay",
        description="Axis from left to right: one of the grid with numbers, or a derived one, "
        f"{', '.join(f'{name} ({side.words})' for name, side in SIDES.items() if side.derived)}.",
    )
    y: Annotated[str, OneOf(tuple(SIDES))] = Field(default="learning_rate", description="Axis from below to above.")
    columns: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=4)] = Field(
        default=["residual_2"], description="Columns of gaps.parquet with numbers, a panel each."
    )
    contours: list[Annotated[float, REAL]] | None = Field(
        default=None,
        description="Values at which lines are drawn; null draws them at `verdicts.low_rank` for residuals, at 2 for "
        "`effective_rank` and `directions`, at 1 for `dual_ratio`, and none for other columns.",
    )
    bins: Annotated[int, Field(ge=2, le=200), WHOLE] = Field(
        default=16, description="Tiles along a derived axis, and along one with more values than that."
    )


class Figure(Closed):
    """What to draw of a study."""

    draws: FigureName | None = Field(
        default=None,
        description="The registered figure that is drawn, for a second one of it under a name of your own; null means "
        "the one of the same name.",
    )
    width: Literal["page", "column"] = Field(
        default="page",
        description="Of the drawing, page 7 inches or column 3.4 inches, for a page with two columns of text.",
    )
    where: Where = Field(  # type: ignore[valid-type]
        default=Where(),
        description="Draws only the cells whose axes have these values, each one value or a list of values.",
    )
    plane: Plane | None = Field(default=None, description=f"{Plane.__doc__} Of no other figure.")


def _drawn(figures: dict[str, Figure | None]) -> dict[str, Figure]:
    """An empty entry of a figure is one without settings; PHASE alone shows a plane, the default one if none is given.

    Whether others were given one is not for a type to say.
    """
    found = {name: figure or Figure() for name, figure in figures.items()}
    for name, figure in found.items():
        if (figure.draws or name) == PHASE:
            figure.plane = figure.plane or Plane()
    return found


class Status(Closed):
    """Thresholds behind the column `status` of gaps.parquet."""

    collapsed_norm: Share = Field(
        default=0.01,
        description="A cell without normalisation is `collapsed` if the norm of V ends below this fraction of its "
        "initial norm.",
    )
    fit_linear: Annotated[float, Field(ge=0), REAL] = Field(
        default=0.9,
        description="A cell whose skill on its training rows is less than this share of a linear model's is `unfit`.",
    )
    fit_free: Share = Field(
        default=0.5,
        description="A cell whose skill is less than this share of that of the same net without weight decay is "
        "`unfit`.",
    )


class Bounds(Closed):
    """Settings of the generalization bounds."""

    percentile: Annotated[float, Field(ge=0, le=100), REAL] = Field(
        default=10, description="The margin gamma is this percentile of the training margins."
    )
    delta: InnerShare = Field(default=0.01, description="Bounds hold with probability 1 - delta.")


class Optima(Closed):
    """Settings of the search for the minimisers of the decayed loss."""

    points: Annotated[int, Field(ge=0, le=1000), WHOLE] = Field(
        default=8,
        description="Weight decays from mu_c down to `lowest` mu_c, log-spaced, at which the minimiser is found "
        "besides those of the study; the lines of the figure `path`.",
    )
    lowest: InnerShare = Field(
        default=0.02,
        description="No minimiser is found below this share of mu_c, where the search becomes slow.",
    )
    largest: Annotated[int, Field(ge=0), WHOLE] | None = Field(
        default=2_000_000,
        description="No minimiser is found where rows times features of the training inputs exceed this; null means no "
        "limit. Large ones take long: MNIST 3-v-8 with 9 million some 20 s of one core a decay, ten classes minutes.",
    )
    splits: Annotated[int, Field(ge=1), WHOLE] = Field(
        default=1,
        description="Splits of a data set whose minimisers are found, those of the smallest numbers; cells of other "
        "splits have no prediction.",
    )
    gap: InnerShare = Field(
        default=1e-4,
        description="Relative duality gap at which a search ends, ten times that for the points of the path. Each row "
        "says the gap that was reached.",
    )


class Verdicts(Closed):
    """Numbers that verdicts depend on."""

    low_rank: InnerShare = Field(
        default=Limits.low_rank,
        description="V is approximately of rank two if its rank-two residual d_2/||V|| is below this.",
    )
    negligible_tau: Share = Field(
        default=Limits.negligible_tau, description="A rank correlation below this says next to nothing."
    )
    negligible_gain: Share = Field(
        default=Limits.negligible_gain,
        description="A gain in test loss below this, as a share of the loss without weight decay, is no gain.",
    )
    prediction: InnerShare = Field(
        default=Limits.prediction,
        description="V is like the minimiser if d_2/||V|| of the two differs by less than this. A second row of C6 "
        "asks the same of the logarithm of the effective rank.",
    )


class Study(Closed):
    """Data sets, grids of training runs over them, and what to draw."""

    results: Annotated[Folder, Field(min_length=1)] = Field(
        default="results",
        description="Folder that the study's files are written to; `~` and `$NAME` stand for what they do in a shell. "
        "Two studies with different folders never touch each other.",
    )
    data_folder: Folder | None = Field(
        default=None,
        description="Folder with the source files of data sets that are not bundled; `~` and `$NAME` stand for what "
        "they do in a shell. Null means the environment variable RANKTWO_DATA or, without it, the folder `data`.",
    )
    download: bool = Field(
        default=False, description="Whether absent source files may be downloaded into the data folder."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where nets are trained; auto takes a GPU where PyTorch sees one."
    )
    checkpoint: Annotated[float, Field(ge=0), REAL] = Field(
        default=60,
        description="Seconds between checkpoints of a training job, from which it goes on if it is stopped or killed. "
        "Writing them takes at most a twentieth of the time.",
    )
    datasets: Annotated[dict[Name, DataSet], Field(min_length=1)] = Field(
        description="The data sets, by the names that grids and figures use. Only those that a grid names are prepared."
    )
    grids: Annotated[list[Grid], Field(min_length=1)] = Field(  # type: ignore[valid-type]
        description="Each grid is the product of its axes' values; the study is the union of its grids, duplicates "
        "counted once."
    )
    stack: Annotated[list[Stackable], AfterValidator(distinct)] = Field(
        default=["split", "seed", "weight_decay", "decay_rule", "learning_rate", "label_noise"],
        description="Axes whose values are trained together in one job; every other axis splits into jobs.",
    )
    snapshots: Annotated[int, Field(ge=1, le=1000), WHOLE] = Field(
        default=12,
        description="Steps at which weights and losses are recorded, log-spaced from 1 to the last; step 0 is recorded "
        "as well.",
    )
    keep: Literal["all", "last"] = Field(
        default="all",
        description="Weights that stay on disk: of `all` snapshots, or of step 0 and the `last` alone. Then spectra "
        "and certificates are made of these two; losses and scores are recorded at every snapshot all the same. From "
        "all to last nothing is trained, from last to all everything is.",
    )
    status: Status = Status()
    bounds: Bounds = Bounds()
    optima: Optima = Optima()
    verdicts: Verdicts = Verdicts()
    weights: dict[Name, Weights] = Field(
        default={},
        description="Files of weights trained elsewhere, by the names that the figure `weights` gives them. It shows "
        "their matrices beside V of the study's nets.",
    )
    figures: Annotated[dict[Name, Figure | None], AfterValidator(_drawn)] = Field(
        default_factory=lambda: dict.fromkeys(registry.entries("figure")),
        validate_default=True,
        description="Which figures to draw, each with its settings; an empty entry draws every cell. The names are "
        "those registered in the package (`@figure`), or your own with `draws`; without this section all registered "
        "ones are drawn.",
    )


def as_dicts(value: Any) -> Any:
    """Plain dicts and lists of what the model has read; a figure's `where` has only the axes that were given."""
    if isinstance(value, BaseModel):
        # null is a value of its own on some axes, and what a range does not say is not there.
        names = value.model_fields_set if isinstance(value, Where | Range) else type(value).model_fields
        left_out = {"draws", "plane"} if isinstance(value, Figure) else {}
        found = {name: as_dicts(item) for name, item in value if name in names and (name not in left_out or item)}
        return trimmed(found) if isinstance(value, DataSet) else found
    if isinstance(value, dict):
        return {key: as_dicts(item) for key, item in value.items()}
    return [as_dicts(item) for item in value] if isinstance(value, list) else value
