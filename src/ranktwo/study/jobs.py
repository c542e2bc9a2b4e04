"""TODO study.jobs."""

import base64
import json
import zlib
from dataclasses import asdict
from typing import Any

from ranktwo.errors import UserError
from ranktwo.store.canonical import canonical
from ranktwo.study.axes import AXES, Cell

# Linux takes no argument of more than 131,072 bytes.
LONGEST_ARGUMENT = 120_000
PACKED = "zlib:"


def packed(text: str) -> str:
    """The text, compressed if it is too long to be read anyway: as an argument, it has to be short."""
    if len(text) < LONGEST_ARGUMENT // 4:
        return text
    return PACKED + base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(text: str) -> str:
    """What was packed; ValueError if it is damaged."""
    if not text.startswith(PACKED):
        return text
    try:
        return zlib.decompress(base64.b64decode(text.removeprefix(PACKED), validate=True)).decode()
    except zlib.error as error:
        raise ValueError(str(error)) from error


def encode(cells: list[Cell], options: dict[str, Any], **settings: Any) -> str:
    """One canonical string for a stack's job: what its cells share, their values on the other axes, and settings.

    Snakemake compares the *set* of a job's parameter values, so what determines a result has to be one value.
    """
    rows = [asdict(cell) for cell in cells]
    shared = {axis: rows[0][axis] for axis in AXES if all(row[axis] == rows[0][axis] for row in rows)}
    differing = [axis for axis in AXES if axis not in shared]
    values = [[row[axis] for axis in differing] for row in rows]
    return packed(canonical({"shared": shared, "axes": differing, "cells": values, "options": options, **settings}))


def stack_names(text: str) -> list[str]:
    """A command's argument that lists stacks: JSON, maybe packed."""
    try:
        return list(map(str, json.loads(unpacked(text))))
    except (ValueError, TypeError) as error:
        raise UserError(f"the stacks given to this command are not a list of names ({error})") from error


def decode(text: str) -> tuple[list[Cell], dict[str, Any], dict[str, Any]]:
    """Cells, data set options and settings of a string made by `encode`."""
    try:
        job = json.loads(unpacked(text))
        shared, axes, values, options = (job.pop(key) for key in ("shared", "axes", "cells", "options"))
        points = [shared | dict(zip(axes, row, strict=True)) for row in values]
        return [Cell(**point | {"widths": tuple(point["widths"])}) for point in points], options, job
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"the cells given to this command are not those of a ranktwo job ({error})") from error
