"""What a study's config may hold: the model of its keys, each with its type, limits, default and meaning.

The model is closed: a key that is not known is an error. The keys of a grid follow from `study.axes`, the sources of
data and the figures from what is registered in the package.
"""

import os
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WrapValidator,
    create_model,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ranktwo.store import registry
from ranktwo.study import own
from ranktwo.study.axes import AXES, MOST_SEED, Axis
from ranktwo.study.limits import Limits

# Types of values.

# YAML 1.1 reads 1e-3 as text, since it wants 1.0e-3; nobody who writes 1e-3 for a number means text.
_EXPONENT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})")


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _whole(value: Any) -> Any:
    """Whole numbers such as 1e4 as integers."""
    number = _number(value)
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _real(value: Any, check: Any) -> Any:
    """The number as it was given: 5 stays an integer, because names of stacks depend on how a number is written."""
    number = _number(value)
    check(number)
    return number


def _folder(text: str) -> str:
    """The path of a folder or file with `~` and `$NAME` replaced by what they stand for."""
    for plain, braced in _VARIABLE.findall(text):
        if (plain or braced) not in os.environ:
            raise _refusal("the environment variable {name} is not set", name=plain or braced)
    folder = os.path.expanduser(os.path.expandvars(text))
    if folder.startswith("~"):
        raise _refusal("nobody on this machine has that home folder; write the folder's name out")
    if text and not folder:
        raise _refusal("the environment variable is empty")
    if not folder.isprintable() or set(folder) & set("{}"):
        raise _refusal("a path has no braces and no control characters")
    return folder


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise _refusal("no entry may stand twice")
    return values


def _refusal(reason: str, **facts: str) -> PydanticCustomError:
    """An error of a value; `reason` ends the sentence that begins with the key and the value."""
    return PydanticCustomError("refused", reason, facts)


@dataclass(frozen=True)
class OneOf:
    """Marks the type of a text that has to be one of some words."""

    words: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.literal_schema(list(self.words))


WHOLE, REAL = BeforeValidator(_whole), WrapValidator(_real)
Folder = Annotated[str, AfterValidator(_folder)]
Classes = Annotated[list[Annotated[int, Field(ge=0), WHOLE]], Field(min_length=2), AfterValidator(_distinct)]
OwnFile = Annotated[Folder, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1), REAL]
InnerShare = Annotated[float, Field(gt=0, lt=1), REAL]
Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]*$")]
Source = Annotated[str, OneOf(tuple(registry.entries("source")))]
FigureName = Annotated[str, OneOf(tuple(registry.entries("figure")))]
Stackable = Annotated[str, OneOf(tuple(name for name, axis in AXES.items() if axis.stacks))]


def _one_or_list(one: Any, item: Any) -> Any:
    """The type of one value or a list of items, told apart by what is there, so that errors speak of one of the two."""
    items = Annotated[list[item], Field(min_length=1), Tag("list")]
    return Annotated[Union[Annotated[one, Tag("one")], items], Discriminator(_shape)]  # noqa: UP007


def _shape(value: Any) -> str:
    return "list" if isinstance(value, list) else "one"


def _axis_type(axis: Axis) -> Any:
    """What an axis may be in a grid: one value or a list of values."""
    limits = Field(ge=axis.least, gt=axis.above, le=axis.most)
    kinds: dict[str, list[Any]] = {
        "text": [str],
        "whole": [Annotated[int, limits, WHOLE]],
        "widths": [Annotated[int, limits, WHOLE]],
        "real": [Annotated[float, limits, REAL]],
        "choice": [],
    }
    words = tuple(axis.words())
    types = kinds[axis.kind] + [Annotated[str, OneOf(words)]] * bool(words) + [None] * axis.optional
    one: Any = Union[tuple(types)]  # noqa: UP007
    # The widths of a net are a list themselves.
    return _one_or_list(one, _one_or_list(one, one) if axis.kind == "widths" else one)


def _axis_field(axis: Axis) -> Any:
    """An axis' default, as a config has it, and meaning."""
    if axis.required:
        return Field(description=axis.help)
    default = axis.default
    if isinstance(default, tuple):
        default = default[0] if len(default) == 1 else [list(default)]
    return Field(default=default, description=axis.help)


# The model.


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class DataSet(_Closed):
    """One data set, prepared once; train size and label noise are axes of a grid."""

    source: Source = Field(
        description="Where the raw data come from, one of the sources registered in the package (`@source`). digits, "
        "diabetes, breast-cancer, wine and iris are bundled with scikit-learn; file is a file of your own."
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
        description=f"Your own file, {', '.join(own.FORMATS)}, with `source: {own.SOURCE}`, which alone takes this key "
        "and the next three and needs them but for `test_path`. `~` and `$NAME` stand for what they do in a shell; a "
        "relative path counts from the folder in which Snakemake runs, as `data_folder` does.",
    )
    target: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Column of the file, or array of an npz file, that is to be predicted."
    )
    kind: own.Kind | None = Field(default=None, description="What is to be predicted: classes, or numbers.")
    test_path: OwnFile | None = Field(
        default=None, description="File of test rows with the same columns; null splits them off `path`."
    )


class Weights(_Closed):
    """A file of weights trained elsewhere."""

    path: OwnFile = Field(
        description="The file: .safetensors, .npz, or a state dict of PyTorch (.pt, .pth, .bin); no code in it is run. "
        "`~` and `$NAME` stand for what they do in a shell."
    )


_GIVEN: Any = {name: (_axis_type(axis), _axis_field(axis)) for name, axis in AXES.items()}
_CHOSEN: Any = {name: (_axis_type(axis), Field(default=None, description=axis.help)) for name, axis in AXES.items()}

Grid = create_model("Grid", __base__=_Closed, __doc__="A product of axes.", **_GIVEN)
Where = create_model("Where", __base__=_Closed, __doc__="Values of some axes.", **_CHOSEN)


class Figure(_Closed):
    """What to draw of a study."""

    width: Literal["page", "column"] = Field(
        default="page",
        description="Of the drawing, page 7 inches or column 3.4 inches, for a page with two columns of text.",
    )
    where: Where = Field(  # type: ignore[valid-type]
        default=Where(),
        description="Draws only the cells whose axes have these values, each one value or a list of values.",
    )


def _drawn(figures: dict[str, Figure | None]) -> dict[str, Figure]:
    """An empty entry of a figure is one without settings."""
    return {name: figure or Figure() for name, figure in figures.items()}


class Status(_Closed):
    """Thresholds behind the column `status` of gaps.parquet."""

    collapsed_norm: Share = Field(
        default=0.01, description="A cell is `collapsed` if the norm of V ends below this fraction of its initial norm."
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


class Bounds(_Closed):
    """Settings of the generalization bounds."""

    percentile: Annotated[float, Field(ge=0, le=100), REAL] = Field(
        default=10, description="The margin gamma is this percentile of the training margins."
    )
    delta: InnerShare = Field(default=0.01, description="Bounds hold with probability 1 - delta.")


class Optima(_Closed):
    """Settings of the search for the minimisers of the decayed loss."""

    points: Annotated[int, Field(ge=0, le=1000), WHOLE] = Field(
        default=8,
        description="Weight decays from mu_c down to `lowest` mu_c, log-spaced, at which the minimiser is found "
        "besides those of the study; the lines of the figure `path`.",
    )
    lowest: InnerShare = Field(
        default=0.02,
        description="Weight decays below this share of mu_c have no prediction: to find it takes longer and longer.",
    )
    largest: Annotated[int, Field(ge=0), WHOLE] | None = Field(
        default=10_000_000,
        description="Training inputs of more numbers (rows times features) have no prediction; null means no limit. "
        "MNIST 3-v-8, with 9 million, takes about 20 s of one core for each decay; all of MNIST has 47 million.",
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


class Verdicts(_Closed):
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
        description="The rank of V is that of the minimiser if the two differ by less than this, in d_2/||V|| or in "
        "the logarithm of the effective rank.",
    )


class Study(_Closed):
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
    stack: Annotated[list[Stackable], AfterValidator(_distinct)] = Field(
        default=["split", "seed", "weight_decay", "decay_rule", "learning_rate", "label_noise"],
        description="Axes whose values are trained together in one job; every other axis splits into jobs.",
    )
    snapshots: Annotated[int, Field(ge=1, le=1000), WHOLE] = Field(
        default=12,
        description="Steps at which weights and losses are recorded, log-spaced from 1 to the last; step 0 is recorded "
        "as well.",
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
    figures: Annotated[dict[FigureName, Figure | None], AfterValidator(_drawn)] = Field(
        default_factory=lambda: dict.fromkeys(registry.entries("figure")),
        validate_default=True,
        description="Which figures to draw, each with its settings; an empty entry draws every cell. The names are "
        "those registered in the package (`@figure`); without this section all of them are drawn.",
    )


def as_dicts(value: Any) -> Any:
    """Plain dicts and lists of what the model has read; a figure's `where` has only the axes that were given."""
    if isinstance(value, BaseModel):
        # null is a value of its own on some axes.
        names = value.model_fields_set if isinstance(value, Where) else type(value).model_fields
        found = {name: as_dicts(item) for name, item in value if name in names}
        return own.trimmed(found) if isinstance(value, DataSet) else found
    if isinstance(value, dict):
        return {key: as_dicts(item) for key, item in value.items()}
    return [as_dicts(item) for item in value] if isinstance(value, list) else value
