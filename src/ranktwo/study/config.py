"""A study's config: checked against the closed schema, with defaults filled in; each error is one sentence."""

import difflib
import functools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from ranktwo.errors import UserError
from ranktwo.store.registry import registered
from ranktwo.study import grid

SCHEMA_FILE = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml"

# YAML 1.1 reads 1e-3 as text, since it wants 1.0e-3; nobody who writes 1e-3 in a config means text.
_EXPONENT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")


def read(config: dict[str, Any], where: str) -> dict[str, Any]:
    """The study with every default filled in; `where` names its file in errors.

    Raises UserError with one sentence: the key, its value, what is allowed, and a near miss if there is one.
    """
    known = schema()
    study = _plain(config)
    for path, number in _numbers(study):
        if not math.isfinite(number):
            raise UserError(f"{where}: {_path(path)} is {number}; it must be a finite number")
    errors = jsonschema.Draft202012Validator(known).iter_errors(study)
    error = min(errors, key=lambda error: (len(error.absolute_path), str(error.absolute_path)), default=None)
    if error is not None:
        raise UserError(f"{where}: {_sentence(error)}")
    if "figures" in study:
        study["figures"] = {name: {} if settings is None else settings for name, settings in study["figures"].items()}
    _fill(study, known, known)
    try:
        _check(study)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return study


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
        raise UserError(f"{path} cannot be read ({error.strerror}); name a config with --configfile") from error
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


@functools.cache
def schema() -> dict[str, Any]:
    """The schema of a study: its file, with the sources and figures that are registered."""
    content = yaml.safe_load(SCHEMA_FILE.read_text(encoding="utf-8"))
    content["$defs"]["dataset"]["properties"]["source"]["enum"] = list(registered("source"))
    figures = registered("figure")
    content["properties"]["figures"] |= {
        "default": {name: {} for name in figures},
        "properties": {
            name: {"$ref": "#/$defs/figure", "description": text.partition("\n")[0]} for name, text in figures.items()
        },
    }
    return content


def _numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], float]]:
    """Every floating-point number in a config, with the way to it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _numbers(item, (*path, key))
    if isinstance(value, float):
        yield path, value


def _plain(value: Any) -> Any:
    """Plain dicts and lists, with numbers such as 1e-3 as numbers."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    return value


def resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """The schema with what its `$ref` points to."""
    if "$ref" not in schema:
        return schema
    return root["$defs"][schema["$ref"].removeprefix("#/$defs/")] | {k: v for k, v in schema.items() if k != "$ref"}


def _fill(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> None:
    """Set absent keys of objects to the schema's defaults, in place."""
    schema = resolve(schema, root)
    if isinstance(value, list):
        for item in value:
            _fill(item, schema.get("items", {}), root)
    if not isinstance(value, dict):
        return
    properties = schema.get("properties", {})
    for key, inner in properties.items():
        if "default" in inner and key not in value:
            value[key] = _plain(inner["default"])
    other = schema.get("additionalProperties") or {}
    for key, item in value.items():
        _fill(item, properties.get(key, other), root)


def _check(study: dict[str, Any]) -> None:
    """What the schema cannot say."""
    for key in ("results", "data_folder"):
        if study[key] and (not study[key].isprintable() or set(study[key]) & set("{}")):
            raise UserError(f"{key} is {shown(study[key])}; a folder's name has no braces and no control characters")
    names = list(study["datasets"])
    for number, entry in enumerate(study["grids"]):
        datasets = entry["dataset"]
        for name in datasets if isinstance(datasets, list) else [datasets]:
            if name not in names:
                raise UserError(
                    f"grids[{number}].dataset is {name!r}, which is not one of the study's datasets "
                    f"({', '.join(names)}){_near(name, names)}"
                )
    for cell in grid.expand(study["grids"]):
        if cell.train_size and cell.batch_size != "full" and cell.batch_size > cell.train_size:
            raise UserError(
                f"grids: batch_size {cell.batch_size} is more than train_size {cell.train_size}; "
                "a batch has at most all training rows"
            )
    for figure, settings in study["figures"].items():
        for axis, wanted in settings["where"].items():
            asked = {value for entry in study["grids"] for value in _values(entry[axis])}
            missing = [value for value in _values(wanted) if value not in asked]
            if missing:
                raise UserError(
                    f"figures.{figure}.where.{axis} is {missing[0]!r}, which no grid has "
                    f"({', '.join(sorted(map(str, asked)))}){_near(missing[0], map(str, asked))}"
                )


def _values(value: Any) -> list[Any]:
    """The values of an axis, hashable."""
    return [tuple(item) if isinstance(item, list) else item for item in (value if isinstance(value, list) else [value])]


def _sentence(error: jsonschema.ValidationError) -> str:
    """A schema violation as a sentence."""
    path = _path(error.absolute_path)
    rule, limit, value = error.validator, error.validator_value, error.instance
    if rule == "additionalProperties" or (
        rule in ("enum", "pattern") and "propertyNames" in error.absolute_schema_path
    ):
        known = list(error.schema.get("properties", {})) or (limit if isinstance(limit, list) else [])
        unknown = next(key for key in value if key not in known) if isinstance(value, dict) else value
        key = _path([*error.absolute_path, unknown])
        if not known:
            return f"{key} is not a valid name: use lower-case letters, digits and hyphens"
        return f"{key} is not a known key; known are {', '.join(known)}{_near(unknown, known)}"
    if rule == "required":
        missing = next(key for key in limit if key not in value)
        return f"{path + '.' if path else ''}{missing} is missing; it has to be given{_near(missing, value)}"
    if rule in ("enum", "pattern"):
        known = _words(limit) if rule == "pattern" else limit
        numbers = "a whole number of at least 1 or " if "integer" in error.schema.get("type", []) else ""
        return f"{path} is {shown(value)}; it must be {numbers}one of {', '.join(map(str, known))}{_near(value, known)}"
    if rule in ("minItems", "minProperties"):
        return f"{path} is empty; it needs at least {'one entry' if limit == 1 else f'{limit} entries'}"
    if rule == "uniqueItems":
        return f"{path} is {shown(value)}; no entry may stand twice"
    return f"{path or 'the config'} is {shown(value)}; it must be {allowed(error.schema)}"


_NOUNS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of keys to values",
    "null": "null",
}
_LIMITS = {
    "minimum": "of at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "of at most {}",
    "exclusiveMaximum": "below {}",
}


def allowed(schema: dict[str, Any]) -> str:
    """What a value may be, in words, from its schema."""
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    limits = " and ".join(text.format(schema[key]) for key, text in _LIMITS.items() if key in schema)
    words = []
    for name in types:
        noun = _NOUNS[name]
        if name in ("integer", "number") and limits:
            noun += " " + limits
        if name == "string" and "pattern" in schema:
            noun = " or ".join(_words(schema["pattern"]))
        words.append(noun + (" of such values" if name == "array" and len(types) > 1 else ""))
    return " or ".join(words) or f"other than it is ({schema.get('description', 'see the schema')})"


def _words(pattern: str) -> list[str]:
    """The words that a pattern of the schema, ^(one|other)$, stands for."""
    return pattern.removeprefix("^(").removesuffix(")$").split("|")


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


def _near(word: Any, known: Any) -> str:
    """A question that offers the nearest known word, or nothing."""
    match = difflib.get_close_matches(str(word), [str(name) for name in known], n=1)
    return f"; did you mean {match[0]}?" if match else ""
