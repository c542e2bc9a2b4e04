"""JSON texts that are equal exactly where values are, and short hashes of them."""

import hashlib
import json
from typing import Any


def canonical(value: Any) -> str:
    """JSON that is equal exactly if the values are."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def ordered(value: Any) -> str:
    """JSON with keys in the order in which they were given, for what a person reads."""
    return json.dumps(value, ensure_ascii=False)


def short_hash(value: Any) -> str:
    """Eight hexadecimal digits that differ, in practice, where the values differ."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:8]
