"""Result files: written whole under a temporary name and renamed, and checked when read."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from ranktwo.errors import UserError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; renamed to `path` if the block succeeds, removed if it does not.

    A reader sees the old file or the new one, never a part. Raises UserError where the folder cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".tmp{path.suffix}", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The process's file-creation mask, which mkstemp ignores and a user's other files follow."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_parquet(path: Path, table: pyarrow.Table, metadata: dict[str, Any]) -> None:
    """Write `table` with `metadata` (JSON under the key `ranktwo`)."""
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"ranktwo": json.dumps(metadata).encode()})
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(table, temporary, compression="zstd")


def read_parquet(path: Path) -> tuple[pyarrow.Table, dict[str, Any]]:
    """A table and its metadata; UserError where the file is absent, damaged or not one of ours."""
    try:
        table = pyarrow.parquet.read_table(path, partitioning=None)
        return table, json.loads((table.schema.metadata or {})[b"ranktwo"])
    except (OSError, pyarrow.ArrowException, KeyError, ValueError) as error:
        raise _unreadable(path, error) from error


def write_tensors(path: Path, tensors: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Write torch tensors as safetensors with `metadata` (JSON under the key `ranktwo`)."""
    import safetensors.torch

    with replacing(path) as temporary:
        safetensors.torch.save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            temporary,
            {"ranktwo": json.dumps(metadata)},
        )


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors by name and the metadata; UserError where the file is absent, damaged or not one of ours."""
    import safetensors

    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})["ranktwo"])
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except (OSError, safetensors.SafetensorError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    if not path.exists():
        return UserError(f"{path} does not exist; run snakemake to make it")
    return UserError(
        f"{path} is damaged or was not written by ranktwo ({type(error).__name__}); delete it and run snakemake again"
    )
