"""Prints the tables of docs/columns.md and docs/config.md: what every column and every key of a config means."""

from collections.abc import Iterator
from typing import Any

from ranktwo.analysis import ranks
from ranktwo.analysis.bounds import table
from ranktwo.store.columns import COLUMNS
from ranktwo.study import config


def of_columns() -> Iterator[str]:
    """A line for each column of any Parquet file."""
    yield "| column | type | meaning |\n|---|---|---|"
    for name, (kind, text) in (COLUMNS | ranks.described() | table.described()).items():
        yield f"| `{name}` | {kind} | {_cell(text)} |"


def of_config() -> Iterator[str]:
    """A line for each key of a config, from the schema and what is registered."""
    schema = config.schema()
    yield "| key | values | default | meaning |\n|---|---|---|---|"
    for key, inner in _keys(schema, schema, ""):
        required = key.rpartition(".")[2] in inner.get("needed", [])
        default = "required" if required else f"`{config.shown(inner['default'])}`" if "default" in inner else ""
        yield f"| `{key}` | {_cell(config.allowed(inner))} | {default} | {_cell(inner.get('description', ''))} |"


def _keys(schema: dict[str, Any], root: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key below `path`, with its schema and, under `needed`, the keys that have to be given beside it."""
    for name, inner in schema.get("properties", {}).items():
        key = f"{path}.{name}".removeprefix(".")
        inner = config.resolve(inner, root)
        yield key, inner | {"needed": schema.get("required", [])}
        if inner is not schema and name != "where":
            open_ended = inner.get("additionalProperties") or inner.get("items") or {}
            if path != "figures":
                yield from _keys(inner, root, key)
            if isinstance(open_ended, dict) and "$ref" in open_ended:
                mark = "[]" if "items" in inner else ".NAME"
                yield from _keys(config.resolve(open_ended, root), root, key + mark)
    if path == "figures":
        yield from _keys(root["$defs"]["figure"], root, "figures.NAME")


def _cell(text: str) -> str:
    return text.strip().replace("|", "\\|")


PAGES = {"columns": of_columns, "config": of_config}
