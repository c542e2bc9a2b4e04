"""Types of the values in a config: numbers, folders, and what an axis may be in a grid."""

import os
import re
from dataclasses import dataclass
from typing import Annotated, Any, Union

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
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ranktwo.study import ranges
from ranktwo.study.axes import Axis
from ranktwo.study.grid import MOST_CELLS

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
            raise refusal("the environment variable {name} is not set", name=plain or braced)
    folder = os.path.expanduser(os.path.expandvars(text))
    if folder.startswith("~"):
        raise refusal("nobody on this machine has that home folder; write the folder's name out")
    if text and not folder:
        raise refusal("the environment variable is empty")
    if not folder.isprintable() or set(folder) & set("{}"):
        raise refusal("a path has no braces and no control characters")
    return folder


def distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise refusal("no entry may stand twice")
    return values


def refusal(reason: str, **facts: str) -> PydanticCustomError:
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
Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]*$")]


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Range(Closed):
    """A range of an axis; its ends are numbers that the axis allows."""

    log: list[Any] | None = Field(default=None, description="Least and greatest value; logarithms are evenly spaced.")
    linear: list[Any] | None = Field(default=None, description="Least and greatest value; values are evenly spaced.")
    range: list[Any] | None = Field(default=None, description="First and last value, `step` apart.")
    points: Annotated[int, Field(ge=2, le=MOST_CELLS), WHOLE] | None = Field(
        default=None, description="Number of values of log and linear; without it the range is sampled (`sample`)."
    )
    step: Annotated[float, Field(gt=0), REAL] | None = Field(default=None, description="Of range; 1 unless given.")

    @model_validator(mode="after")
    def _makes_sense(self) -> "Range":
        given = {name for name in ranges.RANGES if getattr(self, name) is not None}
        if len(given) != 1:
            raise refusal(
                "a range is one of {log: [least, greatest], points: n}, {linear: [least, greatest], points: n} and "
                "{range: [first, last], step: s}"
            )
        [kind] = given
        ends = getattr(self, kind)
        if len(ends) != 2 or ends[0] > ends[1] or (ends[0] == ends[1] and kind != "range"):
            raise refusal("{kind} needs two numbers, the lesser first", kind=kind)
        if kind == "log" and ends[0] <= 0:
            raise refusal("log needs numbers above 0; write 0 beside it, [0, {log: [...], points: n}]")
        if (self.points if kind == "range" else self.step) is not None:
            raise refusal("points go with log and linear, step goes with range")
        if kind == "range" and ranges.count(self.model_dump(exclude_none=True)) > MOST_CELLS:
            raise refusal("that is more than the {most} cells that a study may have", most=f"{MOST_CELLS:,}")
        return self


RANGE = "a range"
"""Marks the alternative of an axis' type that is a range; no key has this name."""


def axis_type(axis: Axis, with_ranges: bool = True) -> Any:
    """What an axis may be: one value, a range of numbers, or a list of these; told apart by what is there.

    So errors speak of the one that was meant.
    """
    limits = Field(ge=axis.least, gt=axis.above, le=axis.most)
    whole, real = Annotated[int, limits, WHOLE], Annotated[float, limits, REAL]
    kinds: dict[str, list[Any]] = {"text": [str], "flag": [bool], "choice": []}
    kinds |= {"whole": [whole], "widths": [whole], "real": [real]}
    words = tuple(axis.words())
    types = kinds[axis.kind] + [Annotated[str, OneOf(words)]] * bool(words) + [None] * axis.optional
    one: Any = Union[tuple(types)]  # noqa: UP007
    spread: list[Any] = []
    if with_ranges and axis.is_number:
        [number] = kinds[axis.kind]
        ends: Any = {kind: (list[number] | None, Range.model_fields[kind]) for kind in ranges.RANGES}  # type: ignore[valid-type]
        spread = [Annotated[create_model(f"Range of {axis.name}", __base__=Range, **ends), Tag(RANGE)]]

    def shape(value: Any) -> str:
        return "list" if isinstance(value, list) else RANGE if spread and isinstance(value, dict) else "one"

    def either(*alternatives: Any) -> Any:
        return Annotated[Union[alternatives], Discriminator(shape)]  # noqa: UP007

    # The widths of a net are a list themselves.
    deep = [Annotated[list[one], Field(min_length=1), Tag("list")]] if axis.kind == "widths" else []
    single = Annotated[one, Tag("one")]
    item: Any = either(single, *deep, *spread) if deep or spread else one
    return either(single, Annotated[list[item], Field(min_length=1), Tag("list")], *spread)


def axis_field(axis: Axis) -> Any:
    """An axis' default, as a config has it, and meaning."""
    if axis.required:
        return Field(description=axis.explained)
    default = axis.default
    if isinstance(default, tuple):
        default = default[0] if len(default) == 1 else [list(default)]
    return Field(default=default, description=axis.explained)
