"""The options of a data set: what a study's config says of it, checked."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.study import own

Scaling = Literal["feature", "global", "unit", "none"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What determines a prepared data set together with its source's content. UserError if a value is not allowed."""

    source: str
    """Name of a registered source."""
    classes: Sequence[int] | None = None
    """Two or more classes to keep, by their numbers in the source; the i-th becomes class i. None keeps all."""
    test_size: int | None = None
    """Rows of the test part. None: all of the source's own test part, or a quarter of a source that has none."""
    scaling: Scaling = "feature"
    """How the training part scales the features of both parts.

    `feature`: each feature has mean 0 and sd 1; a constant one becomes 0. `global`: all features together have mean 0
    and sd 1. `unit`: all features are divided by the largest absolute value. `none`: features stay as they are.
    """
    clip: float | None = None
    """Bound to which scaled features are clipped, on both sides of 0. None clips nothing."""
    bias: bool = False
    """Whether a column of ones is appended, after scaling and clipping."""
    seed: int = 0
    """Seed of split 0 and of the order of its rows; of split s it is `seed` + s. Nothing else but the source and the
    classes decides on them."""
    path: str | None = None
    """File of the source `file`, which alone takes this option and the next three; `test_path` may be left out."""
    target: str | None = None
    """Name of its column, or array, of targets."""
    kind: own.Kind | None = None
    test_path: str | None = None
    """File of its test part."""
    modulus: int | None = None
    """p of the source `modular`, which alone takes it."""

    def __post_init__(self) -> None:
        known = list(registry.entries("source"))  # a list, for JSON may give a value that a dict cannot look up
        if self.source not in known:
            raise _unknown("source", self.source, known)
        number = type(self.clip) in (int, float)
        labels = self.classes if isinstance(self.classes, (list, tuple)) else []
        distinct = len(labels) == len(set(map(repr, labels))) >= 2 and all(type(label) is int for label in labels)
        for key, valid, wanted in (
            ("classes", self.classes is None or distinct, "null or a list of at least two different class numbers"),
            ("test_size", self.test_size is None or _whole(self.test_size, 1), "null or a whole number from 1"),
            ("scaling", self.scaling in get_args(Scaling), "one of " + ", ".join(get_args(Scaling))),
            ("clip", self.clip is None or number and 0 < self.clip < math.inf, "null or a positive number"),
            ("bias", type(self.bias) is bool, "true or false"),
            ("seed", _whole(self.seed, 0), "a whole number from 0"),
            ("kind", self.kind in (None, *get_args(own.Kind)), "one of " + ", ".join(get_args(own.Kind))),
            *((key, isinstance(getattr(self, key), str | None), "text") for key in ("path", "target", "test_path")),
            (
                "modulus",
                self.modulus is None or _whole(self.modulus, own.LEAST_MODULUS) and self.modulus <= own.MOST_MODULUS,
                f"a whole number from {own.LEAST_MODULUS} to {own.MOST_MODULUS}",
            ),
        ):
            if not valid:
                raise UserError(f"the option {key} must be {wanted}, not {json.dumps(getattr(self, key))}")
        if wrong := own.problem(vars(self)):
            raise UserError(f"the option {' '.join(wrong)}")

    @property
    def own(self) -> dict[str, Any]:
        """The options that the source alone takes."""
        return {key: value for key, value in self.as_dict().items() if key in own.OPTIONS}

    def as_dict(self) -> dict[str, Any]:
        """The options as a study's config has them."""
        return own.trimmed(asdict(self))


def read_options(text: str) -> Options:
    """Options from the text of a JSON object; UserError if it is none, or if a key or a value is not allowed."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise UserError(f"the options are not JSON ({error}): {text}") from error
    if not isinstance(given, dict) or "source" not in given:
        raise UserError(f'the options must be a JSON object with a "source", not {text}')
    known = [option.name for option in fields(Options)]
    for key in given:
        if key not in known:
            raise _unknown("option", key, known)
    return Options(**given)


def _whole(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _unknown(kind: str, name: object, known: Iterable[str]) -> UserError:
    known = list(known)
    return UserError(f"unknown {kind} {name}; known are {', '.join(known)}{registry.near_miss(name, known)}")
