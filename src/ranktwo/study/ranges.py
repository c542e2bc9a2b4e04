"""Values that a config does not write out one by one: ranges of an axis, and samples of a box of axes.

A **range** is a mapping such as `{log: [1e-4, 1], points: 13}`, as the model in `study.schema` has checked it: its ends
rise, and those of `log` are above 0. A range of `log` or `linear` without `points` is a side of the **box** of its
grid, in which `sample` draws points.

Names and identities of cells depend on their values. So a value between two ends is rounded to LEAST_DIGITS significant
digits, and to more where two neighbours would be one number otherwise; on an axis of whole numbers to a whole one.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

LEAST_DIGITS = 3
MOST_DIGITS = 15
RANGES = ("log", "linear", "range")
"""The keys that say what a range is between its ends."""

Range = Mapping[str, Any]


def of_box(value: Any) -> bool:
    """Whether an axis' value in a config is a side of a box to sample."""
    return isinstance(value, Mapping) and "range" not in value and "points" not in value


def expand(given: Range, whole: bool) -> list[Any]:
    """All values of a range, rising: `points` from end to end, or those `step` (1) apart from the first on."""
    if "range" in given:
        first, last = given["range"]
        step = given.get("step", 1)
        return [_plain(first + index * step, whole) for index in range(count(given))]
    points = given["points"]
    return _distinct(lambda digits: [at(given, index / (points - 1), whole, digits) for index in range(points)])


def count(given: Range) -> int:
    """How many values a range has, at most; known before memory is spent on them."""
    if "range" in given:
        first, last = given["range"]
        # A step of 0.1 makes ten steps of a range from 0 to 1, whatever the rounding.
        return math.floor((last - first) / given.get("step", 1) + 1e-9) + 1
    return given["points"]


def at(given: Range, share: float, whole: bool, digits: int = LEAST_DIGITS) -> Any:
    """The value a share of the way from one end to the other, 0 <= share <= 1; the ends are as they were given."""
    [(least, greatest)] = (given[kind] for kind in ("log", "linear") if kind in given)
    if share in (0, 1):
        return greatest if share else least
    value = least * (greatest / least) ** share if "log" in given else least + (greatest - least) * share
    return round(value) if whole else float(f"{value:.{digits}g}")


def sampled(box: Mapping[str, Range], whole: Callable[[str], bool], points: int, seed: int) -> Iterator[dict[str, Any]]:
    """The values of each axis at points of a scrambled Sobol sequence in the box, in the sequence's order.

    The sequence fills the box more evenly than independent draws. More points leave the first ones as they are.
    """
    from scipy.stats import qmc

    # A sequence is balanced at powers of two; scipy says so aloud at other lengths.
    sequence = qmc.Sobol(len(box), rng=seed).random_base2(math.ceil(math.log2(points)))
    for place in sequence[:points]:
        yield {
            name: at(side, float(share), whole(name)) for (name, side), share in zip(box.items(), place, strict=True)
        }


def _plain(value: float, whole: bool) -> float | int:
    return int(value) if whole else float(f"{value:.{MOST_DIGITS}g}")


def _distinct(rounded: Callable[[int], list[Any]]) -> list[Any]:
    """The values with the fewest digits that tell them apart; equal ones, of whole numbers, once."""
    for digits in range(LEAST_DIGITS, MOST_DIGITS + 1):
        values = list(dict.fromkeys(found := rounded(digits)))
        if len(values) == len(found):
            break
    return values
