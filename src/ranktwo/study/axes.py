"""The axes of a study's grids. Each is declared once, as a field of `Cell`, with all that the project says of it.

From a field follow the key of the config and its allowed values, the column of the Parquet files, the part of a cell's
name, the heading in tables, the words in a panel's title and the line in docs/config.md.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pyarrow

from ranktwo.store import registry
from ranktwo.store.columns import BOOL, REAL, TEXT, WHOLE, Column, column
from ranktwo.store.records import CELL

MOST_SEED = 2**32 - 1
CONSTANT = "constant"
"""The decay rule, and the schedule, under which each step has the same eta mu."""
MLP, RELU, NO_NORM = "mlp", "relu", "none"
"""The net, activation and normalisation of the paper."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What the project says of one axis."""

    name: str
    kind: str
    """`text`, `whole` or `real` number, `widths`, `flag`, or `choice` of words; of the values in a config."""
    help: str
    """For the page of config keys; `explained` says of what is registered too."""
    meaning: str
    """For the page of columns."""
    heading: str
    """In tables."""
    symbol: str
    """In a panel's title; `{}` stands for the value."""
    slug: str
    """In a cell's name; `{}` stands for the value."""
    stacks: bool
    """Whether cells that differ in it can be trained together in one stack."""
    type: pyarrow.DataType
    """Of its column."""
    words: Callable[[], list[str]]
    """Words that are allowed, instead of a number or as the only values."""
    mark: str
    """The decorator under which its values are registered; empty if they are no functions."""
    least: float | None
    above: float | None
    most: float | None
    optional: bool
    """Whether null is allowed."""
    default: Any
    """dataclasses.MISSING where the axis has to be given."""

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING

    @property
    def is_whole(self) -> bool:
        return self.kind in ("whole", "widths")

    @property
    def is_number(self) -> bool:
        """Whether a config may give a range of it."""
        return self.is_whole or self.kind == "real"

    @property
    def explained(self) -> str:
        """`help`, and what its values are if they are registered functions."""
        return f"{self.help} {summaries(self.mark)}" if self.mark else self.help


def summaries(mark: str) -> str:
    """The functions registered under a decorator, each with its summary."""
    return " ".join(f"`{entry.name}`: {entry.summary}" for entry in registry.entries(mark).values())


def _axis(
    *,
    kind: str,
    help: str,
    heading: str,
    symbol: str,
    slug: str,
    type: pyarrow.DataType,
    meaning: str = "",
    stacks: bool = False,
    words: Callable[[], list[str]] = list,
    mark: str = "",
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    optional: bool = False,
    default: Any = dataclasses.MISSING,
) -> Any:
    """A field of Cell; `meaning` is `help` unless it is given, and with a `mark` the words are what is registered."""
    words = (lambda: list(registry.entries(mark))) if mark else words
    facts = dict(
        kind=kind, help=help, meaning=meaning or help, heading=heading, symbol=symbol, slug=slug, stacks=stacks
    )  # fmt: skip
    facts |= dict(type=type, words=words, mark=mark, least=least, above=above, most=most, optional=optional)
    return dataclasses.field(default=default, metadata=facts)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training run. Its fields are the axes of a grid, in the order in which names and tables show them."""

    dataset: str = _axis(
        kind="text",
        help="Name of a data set of this study.",
        meaning="Name of the data set in the study.",
        heading="data set",
        symbol="{}",
        slug="{}",
        type=TEXT,
    )
    train_size: int | None = _axis(
        kind="whole",
        help="Number N of training rows, the first N of the data set's; null means all.",
        meaning="N, training samples.",
        heading="N",
        symbol="N = {}",
        slug="n{}",
        type=WHOLE,
        least=1,
        most=10**9,
        optional=True,
        default=None,
    )
    split: int = _axis(
        kind="whole",
        help="Number of the split into training and test rows. Data without an official test set are split anew, and "
        "preprocessing is fitted on the training rows of that split. Data with one keep their test set, and another "
        "split is another random order of the training rows, so that `train_size` draws another subset.",
        meaning="Number of the split into training and test rows.",
        heading="split",
        symbol="split {}",
        slug="split{}",
        type=WHOLE,
        stacks=True,
        least=0,
        most=10**6,
        default=0,
    )
    label_noise: float = _axis(
        kind="real",
        help="Share of training labels replaced by another class; in regression the sd of Gaussian noise added to the "
        "standardised targets.",
        heading="label noise",
        symbol="label noise {}",
        slug="noise{:g}",
        type=REAL,
        stacks=True,
        least=0,
        most=10**6,
        default=0.0,
    )
    net: str = _axis(
        kind="choice",
        help="Kind of net. A convnet and a resnet need images, as digits, mnist and cifar10 have.",
        meaning="Kind of net.",
        heading="net",
        symbol="{}",
        slug="{}",
        type=TEXT,
        mark="net",
        default=MLP,
    )
    widths: tuple[int, ...] = _axis(
        kind="widths",
        help="Hidden units; a list holds several values, a list in it is a deeper net's (`[[64, 64]]` has two hidden "
        "layers). Of a convnet the channels of each convolution, of a resnet those of the first one and of each block, "
        "of a transformer the units of each block, all equal.",
        meaning="Hidden units of each layer, `128` or `64-64`.",
        heading="widths",
        symbol="m = {}",
        slug="w{}",
        type=TEXT,
        least=1,
        most=10**6,
        default=(128,),
    )
    activation: str = _axis(
        kind="choice",
        help="What a hidden unit makes of its input z.",
        heading="activation",
        symbol="{}",
        slug="{}",
        type=TEXT,
        mark="activation",
        default=RELU,
    )
    bias: bool = _axis(
        kind="flag",
        help="Whether layers have biases. Weight decay acts on weight matrices alone: biases and the gains of "
        "normalisations are not decayed.",
        heading="bias",
        symbol="bias {}",
        slug="bias",
        type=BOOL,
        default=False,
    )
    normalisation: str = _axis(
        kind="choice",
        help="What normalises the inputs z of the hidden units. A normalised layer's biases are those of the "
        "normalisation.",
        meaning="What normalises the inputs of the hidden units.",
        heading="normalisation",
        symbol="norm {}",
        slug="{}norm",
        type=TEXT,
        mark="normalisation",
        default=NO_NORM,
    )
    optimizer: str = _axis(
        kind="choice",
        help="How a weight matrix W follows its gradient g.",
        heading="optimizer",
        symbol="{}",
        slug="{}",
        type=TEXT,
        mark="optimizer",
        default="sgd",
    )
    learning_rate: float = _axis(
        kind="real",
        help="Learning rate eta, the initial one where the schedule is cosine.",
        heading="learning rate",
        symbol="$\\eta$ = {}",
        slug="lr{:g}",
        type=REAL,
        stacks=True,
        above=0,
        most=10**6,
    )
    schedule: str = _axis(
        kind="choice",
        help="Factor of eta at step t of T.",
        heading="schedule",
        symbol="{}",
        slug="{}",
        type=TEXT,
        stacks=True,
        mark="schedule",
        default=CONSTANT,
    )
    batch_size: int | str = _axis(
        kind="whole",
        help="Rows B of a batch, or `full` for all training rows.",
        meaning="B, samples a step; equal to `train_size` for full batches.",
        heading="B",
        symbol="B = {}",
        slug="b{}",
        type=WHOLE,
        words=lambda: ["full"],
        least=1,
        most=10**9,
    )
    weight_decay: float = _axis(
        kind="real",
        help="Weight decay mu in torch's convention, mu W is added to the gradient by every weight matrix W.",
        heading="weight decay",
        symbol="$\\mu$ = {}",
        slug="wd{:g}",
        type=REAL,
        stacks=True,
        least=0,
        most=10**6,
    )
    decay_rule: str = _axis(
        kind="choice",
        help="Weight decay c_i of sample i; a batch's is the mean of its samples'.",
        heading="decay rule",
        symbol="{} decay",
        slug="{}",
        type=TEXT,
        stacks=True,
        mark="decay_rule",
        default=CONSTANT,
    )
    steps: int = _axis(
        kind="whole",
        help="Number T of optimizer steps.",
        heading="steps",
        symbol="T = {}",
        slug="t{}",
        type=WHOLE,
        least=1,
        most=10**12,
    )
    seed: int = _axis(
        kind="whole",
        help="Seed of a cell's initial weights, batches and label noise. With the same seed every split has its own.",
        heading="seed",
        symbol="seed {}",
        slug="s{}",
        type=WHOLE,
        stacks=True,
        least=0,
        most=MOST_SEED,
    )

    def counted(self, axes: Iterable[str]) -> dict[str, Any]:
        """This cell's values on some axes, as the hash of a name counts them."""
        own = {name: getattr(self, name) for name in axes}
        return {name: value for name, value in own.items() if name not in LATER or value != AXES[name].default}

    def functions(self) -> dict[str, str]:
        """The registered functions that make this cell's numbers, by decorator, as `fingerprint` takes them."""
        return {mark: getattr(self, name) for name, mark in REGISTERED.items()}

    def slug(self, axes: tuple[str, ...]) -> str:
        """Readable name of this cell's values on some axes, without those at a default that most studies keep."""
        parts = []
        for name in axes:
            axis, value = AXES[name], getattr(self, name)
            if value != axis.default or name in ALWAYS_NAMED:
                parts.append(axis.slug.format(widths_text(value) if isinstance(value, tuple) else value))
        return "_".join(parts)


def widths_text(widths: Iterable[int]) -> str:
    """Widths as names, records and columns have them, `64-64`."""
    return "-".join(map(str, widths))


def widths_of(given: str | Iterable[int]) -> tuple[int, ...]:
    """Widths as a cell has them, given so or as `widths_text`."""
    return tuple(map(int, given.split("-") if isinstance(given, str) else given))


ALWAYS_NAMED = ("widths", "optimizer")
"""Axes that stand in a cell's name at their default, too."""
LATER = ("split", "net", "activation", "bias", "normalisation")
"""Axes that came after others. At their default no hash of a name counts them, so that older names stay."""

AXES: Mapping[str, Axis] = MappingProxyType(
    {item.name: Axis(name=item.name, default=item.default, **item.metadata) for item in dataclasses.fields(Cell)}
)
"""Every axis by name, in the order of Cell's fields."""

REGISTERED = {name: axis.mark for name, axis in AXES.items() if axis.mark}
"""Axes whose values are functions, each with the decorator that marks them."""

REPLICATE = ("split", "seed")
"""Axes that repeat a training: cells that differ in these alone are replicates of one setting."""

FAMILY = [name for name in AXES if name not in ("weight_decay", *REPLICATE)]
"""Axes that the cells of a family share: they differ in weight decay, split and seed only."""

FACTS = {
    "task": column(TEXT, "`regression` (MSE), `binary` (one logit, logistic loss) or `multiclass` (cross entropy)."),
    "inputs": column(WHOLE, "n, features of a sample, the bias column included."),
    "outputs": column(WHOLE, "c, outputs of the net."),
}
"""Columns of what a cell's data set implies."""


def _columns() -> dict[str, Column]:
    own = {name: column(axis.type, axis.meaning) for name, axis in AXES.items()}
    return {**CELL, "dataset": own["dataset"], **FACTS, **own}


CELL_COLUMNS = _columns()
"""Columns that identify a cell in every table: its name, its axes, and what its data set implies."""


def heading(name: str) -> str:
    """A column's heading in tables for people."""
    return AXES[name].heading if name in AXES else name.replace("_", " ")


def title_part(name: str, value: object) -> str:
    """An axis' value in a panel's title, such as `B = 16`."""
    if isinstance(value, bool):
        value = str(value).lower()
    return AXES[name].symbol.format(f"{value:g}" if isinstance(value, float) and math.isfinite(value) else value)
