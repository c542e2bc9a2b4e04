"""Reads a study's config: checked against the model in `study.schema`, with every default filled in.

Each error is one sentence: the key, its value, what is allowed, and a near miss if there is one.
"""

import functools
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.store.columns import REAL, WHOLE
from ranktwo.study import grid, ranges, source_options
from ranktwo.study.axes import AXES, CELL_COLUMNS
from ranktwo.study.schema import PHASE, Study, as_dicts
from ranktwo.study.values import RANGE

Schema = dict[str, Any]
"""The JSON schema of a part of a config."""
EQUAL_WIDTHS = "transformer"
"""The net whose widths are equal."""
MOST_SHOWN = 12
"""Values that a sentence lists."""


def read(config: dict[str, Any], where: str) -> dict[str, Any]:
    """The study with every default filled in; `where` names its file in errors.

    Raises UserError with one sentence: the key, its value, what is allowed, and a near miss if there is one.
    """
    given = _plain(config)
    try:
        study = as_dicts(Study.model_validate(given))
    except ValidationError as error:
        raise UserError(f"{where}: {_first(error, given)}") from error
    try:
        _check(study)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    needs = {name: section_of(own.get("draws", name), "needs") for name, own in study["figures"].items()}
    drawn = {name: own for name, own in study["figures"].items() if not needs[name] or study[needs[name]]}
    return study | {"figures": drawn}


def section_of(figure: str, use: str) -> str:
    """The section of the config that a registered figure `needs` or whose `settings` it reads; empty without one."""
    entry = registry.entries("figure").get(figure)
    return entry.settings.get(use, "") if entry else ""


def load(path: Path) -> dict[str, Any]:
    """The study in a file, as `read` gives it."""
    check(path)
    return read(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))


def check(path: Path) -> None:
    """Refuse in one sentence a file that is absent, is no YAML, or gives a key twice, which YAML readers let pass."""
    try:
        # Rounds of aliases are found by looking, for a loader follows them for ever.
        loaded = yaml.load(path.read_text(encoding="utf-8"), _Strict)
        _plain(loaded)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the name of the config") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        problem = " ".join(str(error.problem or error.context).split())
        raise UserError(f"{path}{line}: {problem}; mend the YAML there") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise UserError(f"{path} refers to itself or is nested too deeply; write its values out") from error
    if not isinstance(loaded, dict):
        raise UserError(f"{path} has no keys; it has to be a mapping of keys to values such as config.yaml")


class _Strict(yaml.SafeLoader):
    """A loader to which a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                mark = key.start_mark
                raise yaml.MarkedYAMLError(problem=f"the key {name} stands twice", problem_mark=mark)
            seen |= {name} - {None, "<<"}
        return super().construct_mapping(node, deep)


def _plain(value: Any) -> Any:
    """Plain dicts, with text for keys, and plain lists."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


# What no single value shows.


def _check(study: dict[str, Any]) -> None:
    """Refuse data sets that are absent or lack an option, batches larger than the training part, figures of nothing."""
    names = list(study["datasets"])
    for name, options in study["datasets"].items():
        if wrong := source_options.problem(options):
            raise UserError(f"{_path(('datasets', name, wrong[0]))} {wrong[1]}")
    for number, axes in enumerate(study["grids"]):
        for place, name in _places(("grids", number, "dataset"), axes["dataset"]):
            if name not in names:
                raise UserError(
                    f"{_path(place)} is {shown(name)}, which is not one of the study's datasets "
                    f"({_some(names)}){registry.near_miss(name, names)}"
                )
        _check_box(number, axes)
    grid.check_count(study["grids"])
    values: dict[str, dict[Any, None]] = {axis: {} for axis in AXES}
    for axes in itertools.chain.from_iterable(map(grid.products, study["grids"])):
        for axis, found in axes.items():
            values[axis] |= dict.fromkeys(found)
        for size, batch in itertools.product(axes["train_size"], axes["batch_size"]):
            if size and batch != "full" and batch > size:
                raise UserError(
                    f"grids: batch_size {batch} is more than train_size {size}; a batch has at most all training rows"
                )
        for widths in axes["widths"] if EQUAL_WIDTHS in axes["net"] else []:
            if len(set(widths)) > 1:
                raise UserError(
                    f"grids: widths {list(widths)} are not those of a {EQUAL_WIDTHS}, whose blocks have one width; "
                    f"{len(widths)} blocks of {widths[0]} units are widths: [{[widths[0]] * len(widths)}]"
                )
    for figure, settings in study["figures"].items():
        _check_drawn(figure, settings)
        for axis, wanted in settings["where"].items():
            known = list(values[axis])
            for place, value in _places(("figures", figure, "where", axis), wanted):
                if grid.typed(AXES[axis], value) not in known:
                    texts = [str(list(one) if isinstance(one, tuple) else one) for one in known]
                    raise UserError(
                        f"{_path(place)} is {shown(value)}, which no grid has "
                        f"({_some(texts)}){registry.near_miss(value, texts)}"
                    )


def _check_drawn(figure: str, settings: dict[str, Any]) -> None:
    """Refuse a figure of a name of its own that draws nothing, and a plane where none is shown, or that is none."""
    known, drawn = list(registry.entries("figure")), settings.get("draws", figure)
    if drawn not in known:
        raise UserError(
            f"figures.{figure} is not a known key; known are {', '.join(known)}{registry.near_miss(drawn, known)}, and "
            "a figure of your own name says with `draws` which of them it is"
        )
    if "plane" in settings and drawn != PHASE:
        raise UserError(f"figures.{figure}.plane is given, but only the figure {PHASE} shows a plane; drop the key")
    if plane := settings.get("plane"):
        if plane["x"] == plane["y"]:
            raise UserError(f"figures.{figure}.plane has {plane['x']} as its x and its y; give it two different axes")
        # What columns analyses have is known where they are, above this room; those of a cell are known here.
        for place, name in _places(("figures", figure, "plane", "columns"), plane["columns"]):
            if name in CELL_COLUMNS and CELL_COLUMNS[name].type not in (WHOLE, REAL):
                raise UserError(f"{_path(place)} is {shown(name)}, which has no numbers; name a column with numbers")


def _check_box(number: int, axes: dict[str, Any]) -> None:
    """Refuse ranges without points where nothing is sampled, or beside other values; and a sample of no range."""
    open_ends = [(name, axes[name]) for name in AXES if any(ranges.of_box(one) for _, one in _places((), axes[name]))]
    for name, given in open_ends:
        what = f"{_path(('grids', number, name))} is {shown(given)}"
        if not axes["sample"]:
            raise UserError(f"{what}; a range of log or linear needs points, or its grid needs sample")
        if isinstance(given, list) and len(given) > 1:
            raise UserError(f"{what}; a range that is sampled stands alone, so give it points or drop the other values")
    if axes["sample"] and not open_ends:
        raise UserError(
            f"{_path(('grids', number, 'sample'))} has nothing to draw from; give an axis of the grid a range of log "
            "or linear without points"
        )


def _places(path: tuple[Any, ...], value: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The values of an axis, each with the way to it."""
    if isinstance(value, list):
        yield from (((*path, number), item) for number, item in enumerate(value))
    else:
        yield path, value


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:MOST_SHOWN] + ["..."] * (len(texts) > MOST_SHOWN))


# The model's errors as sentences.


@functools.cache
def schema() -> Schema:
    """The JSON schema of a study."""
    return Study.model_json_schema()


def _first(error: ValidationError, config: Any) -> str:
    """The sentence on the error that is nearest to the top; a key that is not known explains one that is missing."""
    errors = error.errors(include_url=False, include_context=True)
    return _sentence(min(errors, key=lambda one: (len(one["loc"]), one["type"] != "extra_forbidden")), config)


def _sentence(error: ErrorDetails, config: Any) -> str:
    loc, kind = error["loc"], error["type"]
    # pydantic marks an error of a key, and not of its value, thus.
    of_key = loc[-1:] == ("[key]",) and kind != "extra_forbidden"
    parts, value, inner, around = _place(loc[:-1] if of_key else loc, config)
    path = _path(parts)
    if kind == "extra_forbidden" or (of_key and "enum" in around.get("propertyNames", {})):
        known = list(around.get("properties", {})) or around["propertyNames"]["enum"]
        return f"{path} is not a known key; known are {', '.join(known)}{registry.near_miss(parts[-1], known)}"
    if of_key:
        return f"{path} is not a valid name: use lower-case letters, digits and hyphens"
    if kind == "missing":
        return f"{path} is missing; it has to be given"
    what = f"{path or 'the config'} is {shown(value)}"
    if kind == "refused":
        return f"{what}; {error['msg']}"
    if kind == "string_too_short":
        return f"{path} is empty; it has to be given"
    if kind == "too_short":
        least = error["ctx"]["min_length"]
        needed = f"{least} entries" if least > 1 else "one entry"
        return f"{what if value else f'{path} is empty'}; it needs at least {needed}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{what}; it must be a finite number"
    return f"{what}; it must be {allowed(inner)}{registry.near_miss(value, _words(inner))}"


def _place(loc: tuple[int | str, ...], config: Any) -> tuple[list[int | str], Any, Schema, Schema]:
    """Where an error is: the way to it through the config, the value there, its schema, and the schema around it.

    pydantic also names the alternatives that it tried on the way; they are left out.
    """
    parts: list[int | str] = []
    value, inner, around = config, schema(), schema()
    for part in loc:
        if isinstance(part, int):
            around = next(one for one in _alternatives(inner) if "items" in one)
            inner, value = around["items"], value[part]
        elif (objects := _objects(inner)) and isinstance(value, dict) and part != RANGE:
            [around] = objects
            inner = around.get("properties", {}).get(part) or _any_entry(around)
            value = value.get(part)
        else:
            continue
        parts.append(part)
    return parts, value, inner, around


def _alternatives(inner: Schema) -> list[Schema]:
    """The schemas one of which a value has to fit, without references."""
    if "$ref" in inner:
        return [schema()["$defs"][inner["$ref"].removeprefix("#/$defs/")]]
    several = inner.get("anyOf") or inner.get("oneOf")
    return [found for one in several for found in _alternatives(one)] if several else [inner]


def _objects(inner: Schema) -> list[Schema]:
    """The alternatives that are mappings; an axis has a mapping and other things."""
    return [one for one in _alternatives(inner) if one.get("type") == "object"]


def _any_entry(inner: Schema) -> Schema:
    """The schema of an object's entries whose keys are the user's choice."""
    entries = [*inner.get("patternProperties", {}).values(), inner.get("additionalProperties")]
    return next((entry for entry in entries if isinstance(entry, dict)), {})


_NOUNS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "object": "a mapping of keys to values",
    "null": "null",
}
_LIMITS = {
    "minimum": "of at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "of at most {}",
    "exclusiveMaximum": "below {}",
}


def allowed(inner: Schema) -> str:
    """What a value may be, in words, from its schema."""
    if "oneOf" in inner:
        one, *others = inner["oneOf"]
        words = [" or a list of such values" if "items" in other else f" or {RANGE}" for other in others]
        return allowed(one) + "".join(words)
    if "anyOf" in inner:
        return " or ".join(map(allowed, inner["anyOf"]))
    if "$ref" in inner:
        return allowed(*_alternatives(inner))
    if "enum" in inner or "const" in inner:
        words = _words(inner)
        return f"one of {', '.join(words)}" if len(words) > 1 else words[0]
    if inner["type"] == "array":
        return f"a list (each entry {allowed(inner['items'])})"
    limits = " and ".join(text.format(inner[key]) for key, text in _LIMITS.items() if key in inner)
    return f"{_NOUNS[inner['type']]} {limits}".rstrip()


def _words(inner: Schema) -> list[str]:
    """The words that a schema allows."""
    return [word for one in _alternatives(inner) for word in one.get("enum", [one["const"]] if "const" in one else [])]


def _path(parts: Any) -> str:
    """datasets.digits.clip or grids[0].seed[2]."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text if text.isprintable() else repr(text)


def shown(value: Any) -> str:
    """A value as a config has it, cut short if it is long."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# The page of keys.


def keys() -> list[tuple[str, str, str, str]]:
    """A row for each key of a config: the key, what it may be, its default, what it means; for docs/config.md.

    `NAME` stands for a name of the user's choice and `[]` for every entry of a list. A default is `required` where the
    key has to be given, and else Markdown.
    """
    return list(_rows(schema(), ""))


def _rows(inner: Schema, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, one in inner.get("properties", {}).items():
        key = prefix + name
        default = "required" if name in inner.get("required", []) else _default(one)
        # A section's description is its model's.
        meaning = one.get("description") or _alternatives(one)[0].get("description", "")
        yield key, allowed(one), default, meaning
        if key == "figures":
            for figure in registry.entries("figure").values():
                yield f"figures.{figure.name}", f"{_NOUNS['object']} or null", "", figure.summary
        for part in _alternatives(one):
            entry, mark = (part["items"], "[]") if "items" in part else (_any_entry(part), ".NAME")
            entry = next((found for found in _alternatives(entry) if "properties" in found), {})
            if name not in ("where", *AXES):
                yield from _rows(part, f"{key}.")
                yield from _rows(entry, f"{key}{mark}.")


def _default(one: Schema) -> str:
    if "default" not in one:
        return "all of them"
    value = one["default"]
    if isinstance(value, dict):
        return "`{}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{shown(value)}`"
