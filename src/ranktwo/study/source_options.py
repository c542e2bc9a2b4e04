"""The options that one source takes and no other source does, above all those of a data set of one's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ranktwo.store import provenance

Kind = Literal["classification", "regression"]
SOURCE = "file"
FILES, OPTIONAL = ("path", "test_path"), ("test_path",)
OPTIONS = {"path": SOURCE, "target": SOURCE, "kind": SOURCE, "test_path": SOURCE, "modulus": "modular"}
"""The source that takes an option. It needs all of its options but those of OPTIONAL."""
LEAST_MODULUS, MOST_MODULUS = 2, 200
"""p^2 rows of 2 p columns: of p = 200, 64 MB."""
FORMATS = (".csv", ".parquet", ".npz")


def problem(options: Mapping[str, Any]) -> tuple[str, str] | None:
    """An option that should not be there, should be there, or names no such file, and what is wrong with it."""
    for key, source in OPTIONS.items():
        own, value = options["source"] == source, options.get(key)
        if not own and value is not None:
            return key, f"is given, but only `source: {source}` takes it; leave it out or change the source"
        if own and key not in OPTIONAL and value is None:
            return key, f"is missing; `source: {source}` needs it"
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
