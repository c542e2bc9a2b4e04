"""Compiles functions by numba, and keeps what was compiled in files that no crash and no other process can spoil.

numba itself keeps an index and numbered files. A cut index stops every later process. Of two processes that compile
for different types or processors at once, one may later be given the other's code, and then its numbers are wrong.
"""

import contextlib
import functools
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from ranktwo.store import derived

# numba reads these once, at its first import. Some of them stop it, and others change the code and so the last bits of
# a net. They are for the user's own functions; only the folder that keeps compiled code is the user's choice here too.
for _name in [name for name in os.environ if name.startswith("NUMBA_") and name != "NUMBA_CACHE_DIR"]:
    del os.environ[_name]

import numba  # noqa: E402
from numba.core import caching, config  # noqa: E402
from numba.core.serialize import dumps  # noqa: E402

# A file of this name in the working folder would change the code as numba's variables would.
config._config_fname = os.devnull
config.reload_config()


class _Files:
    """What was compiled of one function: for every key a file."""

    def __init__(self, folder: str, name: str, source: object) -> None:
        self._folder, self._name, self._facts = Path(folder), name, (numba.__version__, source)

    def _path(self, key: tuple[Any, ...]) -> Path:
        """The file for the types and the processor in a key; code that is out of date is replaced there."""
        types, processor, _ = key
        return self._folder / f"{self._name}.{derived.digest(types, processor).hex()[:16]}.nbc"

    def load(self, key: tuple[Any, ...]) -> Any:
        """What was saved under the key; None where it is absent, damaged or out of date."""
        code = derived.read(self._path(key), *self._facts, key)
        return None if code is None else pickle.loads(code)

    def save(self, key: tuple[Any, ...], compiled: Any) -> None:
        derived.write(self._path(key), dumps(compiled), *self._facts, key)


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    """What changes with the modules of a folder, whose functions and numbers may be part of each other's code."""
    found = ((path.name, path.stat()) for path in sorted(folder.glob("*.py")))
    return [(name, stat.st_mtime_ns, stat.st_size) for name, stat in found]


class _Cache(caching.FunctionCache):
    """numba's cache, with files of ours. What cannot be kept is compiled by every process, for some seconds."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        source = _stamps(Path(function.__code__.co_filename).parent)
        self._cache_file = _Files(self.cache_path, self._impl.filename_base, source)

    def save_overload(self, types: Any, compiled: Any) -> None:
        with contextlib.suppress(OSError):
            super().save_overload(types, compiled)


def compiled(
    function: Callable[..., Any], inline: Literal["never", "always"] = "never", any_order: bool = False
) -> Callable[..., Any]:
    """The function, compiled when it is first called with arguments of some types.

    A product and the sum that it is added to may be rounded once, and a division by zero gives inf or nan. Sums are
    taken in `any_order` only where rounding may change with the processor's vectors.
    """
    fast = {"contract", "reassoc"} if any_order else {"contract"}
    made = numba.njit(function, fastmath=fast, error_model="numpy", inline=inline)
    with contextlib.suppress(RuntimeError):  # no folder can keep what is compiled
        made._cache = _Cache(function)
    return made


# A function with a sum of two products, a x + b y, is compiled as a part of its caller only. Either product may be the
# one that is rounded together with the sum, and a second copy of the function might choose the other. A process that
# compiles the functions would run one copy, and a process that finds them compiled the other.
part_of_caller = functools.partial(compiled, inline="always")
