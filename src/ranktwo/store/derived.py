"""Files of what is made from code and takes long to make. Each begins with a checksum of all that it depends on."""

import contextlib
import hashlib
from pathlib import Path

from ranktwo.errors import UserError
from ranktwo.store.files import replacing


def read(path: Path, *facts: object) -> bytes | None:
    """What was written with these facts; None where it is absent, damaged or of other facts."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, made = content[:32], content[32:]
    return made if checksum == digest(*facts, made) else None


def write(path: Path, made: bytes, *facts: object) -> None:
    """Keep it, unless its folder cannot be written: then it is made again the next time."""
    with contextlib.suppress(OSError, UserError), replacing(path) as temporary:
        temporary.write_bytes(digest(*facts, made) + made)


def digest(*facts: object) -> bytes:
    """A hash of facts, 32 bytes: of bytes themselves, and of anything else by what it looks like in Python."""
    hashed = hashlib.sha256()
    for fact in facts:
        content = fact if isinstance(fact, bytes) else repr(fact).encode()
        hashed.update(b"%d:" % len(content))  # else one fact could end where the next begins
        hashed.update(content)
    return hashed.digest()
