"""Result files: written whole under a temporary name and renamed, and checked when read."""

import contextlib
import errno
import fcntl
import json
import os
import platform
import re
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from ranktwo.errors import SIGN, UserError

# A temporary file of another machine, which may be at work on it, is left alone for a day.
PATIENCE = 86_400
LONGEST = 255
"""Most bytes of a file's name."""

SPACE = "free some space there or choose another folder"
REMEDIES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EACCES: "change its rights or choose another folder",
    errno.EPERM: "change its rights or choose another folder",
    errno.ENAMETOOLONG: "choose a folder with a shorter name",
}
"""What to do about an error of the system; about all others, to choose another folder."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; renamed to `path` if the block succeeds, removed if it does not.

    A reader sees the old file or the new one, never a part; of two writers, the last one's file stays. What a killed
    writer of `path` left is removed. Raises UserError where the folder cannot be written or is full, or where the block
    meets such a folder elsewhere.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in leftovers(path.parent, path):
            leftover.unlink(missing_ok=True)
        prefix = f".{path.stem}.{platform.node()}-{os.getpid()}."
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=f".tmp{path.suffix}", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        named = Path(os.fsdecode(error.filename)) if error.filename else path
        raise _unwritable(path if named in (temporary, path, *path.parents) else named, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> UserError:
    reason = os.strerror(error.errno) if error.errno else error
    return UserError(f"cannot write {path}: {reason}; {REMEDIES.get(error.errno or 0, 'choose another folder')}")


def check_folder(folder: Path) -> None:
    """UserError where a folder of results cannot be written, or cannot be made where it should be."""
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    inside = sorted(folder.glob("*")) if there == folder else []
    broken = [path for path in (there, *inside) if path.is_symlink() and not os.path.exists(path)]
    wrong = None
    if str(folder).startswith("-"):
        wrong = "every command would take that for an option; choose another name"
    elif any(len(os.fsencode(part)) > LONGEST for part in folder.parts):
        wrong = "no folder can have so long a name; choose a shorter one"
    elif broken:
        target = os.readlink(broken[0])
        wrong = f"{broken[0]} is a link to {target}, which does not exist; make that folder or remove the link"
    elif not os.path.isdir(there):
        wrong = f"{there} is a file; choose another folder"
    elif os.statvfs(there).f_flag & os.ST_RDONLY:
        wrong = f"{there} lies on a file system that is read-only; choose another folder"
    elif not os.access(there, os.W_OK | os.X_OK):
        wrong = f"{there} cannot be written; choose another folder or change its rights"
    if wrong:
        raise UserError(f"results is {folder}, but {wrong}")


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process is in this block for `folder`; keep others waiting. A lock dies with its process.

    Where the file system has no locks, nobody waits. Files stay whole there too, since each is replaced by a rename.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "lock", "a")  # noqa: SIM115, closed below
    except OSError as error:
        raise _unwritable(folder / "lock", error) from error
    with lock:
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                print(f"{folder.name}: waiting for another process that is at work on it", file=sys.stderr, flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            print(
                f"{SIGN}locks do not work in {folder} ({error.strerror}): two runs at once may train the same cells "
                "twice or stop each other; start one at a time, or use a file system that is mounted with flock",
                file=sys.stderr,
                flush=True,
            )
        yield


def leftovers(folder: Path, path: Path | None = None) -> list[Path]:
    """Temporary files of writers that are no more, of `path` or of any file in the folder."""
    pattern = f".{path.stem}.*.tmp{path.suffix}" if path else ".*.tmp*"
    return [found for found in folder.glob(pattern) if not _writer_lives(found)]


def _writer_lives(temporary: Path) -> bool:
    host, _, pid = temporary.name.split(".tmp")[0].rpartition(".")[0].rpartition("-")
    try:
        if not host.endswith(f".{platform.node()}"):
            return time.time() - temporary.stat().st_mtime < PATIENCE
        os.kill(int(pid), 0)
    except (ProcessLookupError, FileNotFoundError):
        return False
    except (PermissionError, ValueError):
        pass
    return True


def _umask() -> int:
    """The process's file-creation mask, which mkstemp ignores and a user's other files follow."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_parquet(path: Path, table: pyarrow.Table, metadata: dict[str, Any]) -> None:
    """Write `table` with `metadata` (JSON under the key `ranktwo`) and a checksum of both.

    Undefined is null: all other numbers have to be finite.
    """
    if not _all_finite(table):
        raise AssertionError(f"{path} would hold numbers that are not finite")
    text = json.dumps(metadata)
    own = {b"ranktwo": text.encode(), b"crc32": _table_checksum(table, text).encode()}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **own})
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(table, temporary, compression="zstd")


def read_parquet(path: Path, stage: str) -> tuple[pyarrow.Table, dict[str, Any]]:
    """A table that `stage` made, and its metadata; UserError where the file is absent, damaged or another's.

    A file that is damaged is put aside, so that the next run makes it anew. A good one that is another's is left alone.
    """
    try:
        table = pyarrow.parquet.ParquetFile(path).read(use_threads=False)  # read_table plans a dataset: slower
        own = table.schema.metadata or {}
        if not {b"ranktwo", b"crc32"} & set(own):
            raise _another(path, "was not written by ranktwo")
        text = own[b"ranktwo"].decode()
        if own[b"crc32"].decode() != _table_checksum(table, text):
            raise ValueError("another checksum")
        metadata = json.loads(text)
        made_by = metadata["provenance"]["stage"]
        if made_by != stage:
            raise _another(path, f"was made by the stage {made_by}, not by {stage}")
        if not _all_finite(table):
            raise ValueError("numbers that are not finite")
        return table, metadata
    except (OSError, pyarrow.ArrowException, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error


def _all_finite(table: pyarrow.Table) -> bool:
    import pyarrow.compute  # a tenth of a second that a start of Snakemake need not spend

    for column in table.columns:
        values = column.combine_chunks()
        if pyarrow.types.is_list(values.type):
            values = values.flatten()
        if (
            pyarrow.types.is_floating(values.type)
            and not pyarrow.compute.all(pyarrow.compute.is_finite(values), min_count=0).as_py()
        ):
            return False
    return True


def _table_checksum(table: pyarrow.Table, text: str) -> str:
    """CRC-32 over a text and a table's names, types, nulls and values."""
    value = zlib.crc32(text.encode())
    for name, column in zip(table.column_names, table.columns, strict=True):
        value = zlib.crc32(f"{name}:{len(column)}".encode(), value)
        for part in _bytes(column.combine_chunks()):
            value = zlib.crc32(part, value)
    return f"{value:08x}"


def _bytes(array: pyarrow.Array) -> Iterator[bytes]:
    yield array.is_valid().to_numpy(zero_copy_only=False).tobytes()
    if pyarrow.types.is_null(array.type):
        return
    if pyarrow.types.is_list(array.type):
        yield from _bytes(array.value_lengths())
        yield from _bytes(array.flatten())
    elif pyarrow.types.is_integer(array.type) or pyarrow.types.is_floating(array.type):
        yield str(array.type).encode()
        yield array.fill_null(0).to_numpy(zero_copy_only=False).tobytes()
    else:
        yield json.dumps(array.to_pylist()).encode()


def write_tensors(path: Path, tensors: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Write torch tensors as safetensors with `metadata` (JSON under the key `ranktwo`) and a checksum of both."""
    import safetensors.torch

    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    text = json.dumps(metadata)
    with replacing(path) as temporary:
        try:
            # One key: safetensors writes several in an order that changes from run to run.
            safetensors.torch.save_file(tensors, temporary, {"ranktwo": f"{_tensor_checksum(tensors, text)} {text}"})
        except safetensors.SafetensorError as error:  # for want of space, say
            number = re.search(r"(?:os error|code:) (\d+)", str(error))
            raise OSError(int(number[1]) if number else 0, str(error)) from error


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors by name and the metadata; UserError where the file is absent, damaged or not one of ours.

    A file that is damaged is put aside, so that the next run makes it anew. A good file of others is left alone.
    """
    import safetensors.torch

    try:
        # At once and not by name: between two looks at a name, another writer may replace the file.
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        own = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        tensors = dict(sorted(safetensors.torch.load(content).items()))  # it gives them in a random order
        if "ranktwo" not in own:
            raise _another(path, "was not written by ranktwo")
        checksum, _, text = own["ranktwo"].partition(" ")
        if checksum != _tensor_checksum(tensors, text):
            raise ValueError("another checksum")
        return tensors, json.loads(text)
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(path, error) from error


def _tensor_checksum(tensors: dict[str, Any], text: str) -> str:
    """CRC-32 over a text and the names, types, shapes and bytes of tensors, in the order of their names."""
    value = zlib.crc32(text.encode())
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode(), value)
        if tensor.numel():
            value = zlib.crc32(tensor.numpy().reshape(-1).view("uint8"), value)
    return f"{value:08x}"


def read_metadata(path: Path) -> dict[str, Any]:
    """A result file's metadata, without its content and without moving it; UserError where there is none to be had."""
    import safetensors

    try:
        with open(path, "rb") as file:
            parquet = file.read(4) == b"PAR1"
        if parquet:
            return json.loads((pyarrow.parquet.read_schema(path).metadata or {})[b"ranktwo"])
        with safetensors.safe_open(path, framework="np") as tensors:
            return json.loads((tensors.metadata() or {})["ranktwo"].partition(" ")[2])
    except FileNotFoundError as error:
        raise _unreadable(path, error) from error
    except (OSError, pyarrow.ArrowException, safetensors.SafetensorError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} is damaged or was not written by ranktwo; name a .parquet or .safetensors file of a results folder"
        ) from error


def put_aside(path: Path) -> bool:
    """Rename a file that cannot be used to NAME.damaged, so that the next run makes it anew; False if it cannot be."""
    try:
        os.replace(path, path.with_name(f"{path.name}.damaged"))
    except OSError:
        return False
    return True


def _another(path: Path, what: str) -> UserError:
    return UserError(f"{path} {what}; name another file, or delete this one and run snakemake again")


def _unreadable(path: Path, error: Exception) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path} does not exist; run snakemake to make it")
    if isinstance(error, OSError) and error.errno is not None:
        return UserError(f"{path} cannot be read: {error.strerror or error}; check the folder and run snakemake again")
    kind = type(error).__name__ if not isinstance(error, ValueError) else str(error).splitlines()[0][:60]
    remedy = (
        f"it was put aside as {path.name}.damaged, run snakemake again to make it anew"
        if put_aside(path)
        else "delete it and run snakemake again"
    )
    return UserError(f"{path} is damaged or was not written by ranktwo ({kind}); {remedy}")
