"""A data set of one's own: the options that the source `file` takes and no other source does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ranktwo.store import provenance

Kind = Literal["classification", "regression"]
SOURCE = "file"
FILES, NEEDED = ("path", "test_path"), ("path", "target", "kind")
OPTIONS = (*NEEDED, "test_path")
FORMATS = (".csv", ".parquet", ".npz")


def problem(options: Mapping[str, Any]) -> tuple[str, str] | None:
    """An option that should not be there, should be there, or names no such file, and what is wrong with it."""
    own = options["source"] == SOURCE
    for key, value in ((key, options.get(key)) for key in OPTIONS):
        if not own and value is not None:
            return key, f"is given, but only `source: {SOURCE}` takes it; leave it out or change the source"
        if own and key in NEEDED and value is None:
            return key, f"is missing; `source: {SOURCE}` needs it"
        if key in FILES and value is not None and Path(value).suffix.lower() not in FORMATS:
            return key, f"is {value!r}; it must be the name of a file that ends in {', '.join(FORMATS)}"
    return None


def trimmed(options: dict[str, Any]) -> dict[str, Any]:
    """The options without those of this page that are not given, so that other data sets keep their names."""
    return {key: value for key, value in options.items() if key not in OPTIONS or value is not None}


def paths(options: Mapping[str, Any]) -> list[str]:
    """The files of a data set of one's own; none of another."""
    return [options[key] for key in FILES if options.get(key) is not None]


def hashes(options: Mapping[str, Any]) -> dict[str, str]:
    """The files with the first digits of the SHA-256 of each, `absent` where it cannot be read."""
    return {path: content(Path(path)) for path in paths(options)}


def content(path: Path) -> str:
    """The first digits of a file's SHA-256, `absent` where it cannot be read."""
    try:
        return provenance.file_hash(path)
    except OSError:
        return "absent"
