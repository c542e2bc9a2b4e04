"""What a phase diagram's axes may be: numbers of a grid, and numbers derived from them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ranktwo.study.axes import AXES, REPLICATE


@dataclass(frozen=True, kw_only=True)
class Side:
    """A number that a phase diagram may be drawn against."""

    label: str
    of: Callable[[Any], Any]
    """Its values in rows of gaps.parquet, a frame with a column for each axis."""
    made_of: tuple[str, ...]
    """The axes that it is made of; cells that differ in these alone lie in one plane."""
    derived: bool

    @property
    def words(self) -> str:
        """Its label without TeX."""
        return re.sub(r"(?<=\w)\\", " ", self.label).replace("\\", "").replace("$", "")


NAMES = {"train_size": "training rows", "widths": "hidden units", "batch_size": "batch size"}
"""Of the axes whose heading in tables is a letter or does not fit one number."""


def _own(name: str) -> Side:
    letter, given, _ = AXES[name].symbol.partition(" = ")
    label = NAMES.get(name, AXES[name].heading) + (f" ${letter.strip('$')}$" if given else "")
    return Side(label=label, of=lambda rows: rows[name].astype(float), made_of=(name,), derived=False)


def _derived(label: str, of: Callable[[Any], Any], *made_of: str) -> Side:
    return Side(label=label, of=of, made_of=made_of, derived=True)


SIDES: Mapping[str, Side] = MappingProxyType(
    {
        **{name: _own(name) for name, axis in AXES.items() if axis.is_number and name not in REPLICATE},
        "decay_ratio": _derived("$\\mu/\\mu_c$", lambda rows: rows["decay_ratio"], "weight_decay"),
        "decay_time": _derived(
            "$\\eta\\mu T$",
            lambda rows: rows["learning_rate"] * rows["weight_decay"] * rows["steps"],
            *("learning_rate", "weight_decay", "steps"),
        ),
        "batch_over_rate": _derived(
            "$B/\\eta$", lambda rows: rows["batch_size"] / rows["learning_rate"], "batch_size", "learning_rate"
        ),
        "batch_over_decay": _derived(
            "$B/(\\eta\\mu)$",
            lambda rows: (
                rows["batch_size"] / (rows["learning_rate"] * rows["weight_decay"]).where(lambda both: both > 0)
            ),
            *("batch_size", "learning_rate", "weight_decay"),
        ),
    }
)
"""By the name that a config gives them."""
