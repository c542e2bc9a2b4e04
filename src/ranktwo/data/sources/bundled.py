"""TODO data.sources.bundled."""

import argparse
import contextlib
import difflib
import gzip
import hashlib
import json
import math
import os
import socket
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args
import numpy as np
import torch
from torch import Tensor
from ranktwo.data.sources.base import Raw, source
from ranktwo.data.sources.published import PUBLISHED
from ranktwo.errors import UserError


@source("digits", "diabetes", "breast-cancer", "wine", "iris")
def _bundled(name: str, folder: Path, download: bool) -> Raw:
    """What scikit-learn brings along; no file, no network. Diabetes in its own units, not scikit-learn's."""
    import sklearn.datasets

    published = PUBLISHED[name]
    own_units = {"scaled": False} if name == "diabetes" else {}
    x, y = getattr(sklearn.datasets, published.loader)(return_X_y=True, **own_units)
    if x.shape != published.rows + published.shape:
        raise UserError(f"the {name} data of this scikit-learn are not the known ones; install another release of it")
    kind: Literal["regression", "classification"] = "regression" if name == "diabetes" else "classification"
    return Raw(kind=kind, train_x=x, train_y=y, verified="structure")
