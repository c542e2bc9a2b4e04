"""Weights of any net in a file: safetensors, a PyTorch state dict, or npz. No code in a file is ever run."""

import pickle
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from ranktwo.errors import UserError

INNER = ("state_dict", "model")
"""Keys under which a checkpoint keeps the state dict beside other things."""
NO_NUMBERS = (ValueError, LookupError, TypeError, RuntimeError, EOFError, BadZipFile, zlib.error)
"""What the libraries raise on a file that is not what its name says, besides errors of their own."""
UNREADABLE = (*NO_NUMBERS, pickle.UnpicklingError, safetensors.SafetensorError)


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """The tensors of a file."""

    path: Path
    matrices: dict[str, Tensor]
    """By name, of two dimensions or more."""
    left_out: int
    """Tensors of fewer dimensions."""


def read(path: Path) -> Weights:
    """A file's tensors; UserError where it is absent, is no file of weights, could run code, or holds no matrix."""
    if path.suffix.lower() not in READERS:
        raise UserError(f"{path} has no name of a file of weights; it must end in {', '.join(READERS)}")
    try:
        with warnings.catch_warnings(action="ignore"):
            tensors = READERS[path.suffix.lower()](path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}; check the file and its rights") from error
    except UNREADABLE as error:
        raise _refused(path, error) from error
    matrices = {name: tensor for name, tensor in tensors.items() if tensor.ndim >= 2}
    if not matrices:
        raise UserError(
            f"{path} holds no tensor of two dimensions or more ({len(tensors)} of fewer); name a file with matrices"
        )
    return Weights(path=path, matrices=matrices, left_out=len(tensors) - len(matrices))


def _refused(path: Path, error: Exception) -> UserError:
    if isinstance(error, pickle.UnpicklingError) or "TorchScript" in str(error):
        return UserError(
            f"{path} holds code, or may hold some, and was not loaded; save the state dict alone: "
            "torch.save(model.state_dict(), FILE)"
        )
    return UserError(f"{path} is damaged or is not a {path.suffix} file of weights; write it anew")


def _safetensors(path: Path) -> dict[str, Tensor]:
    with open(path, "rb"):  # of a folder safetensors says what nobody understands
        return dict(sorted(safetensors.torch.load_file(path).items()))


def _state_dict(path: Path) -> dict[str, Tensor]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    while isinstance(content, dict) and (inner := _inner(content)) is not None:
        content = inner
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, not a state dict; save model.state_dict()")
    return {str(name): value.detach() for name, value in content.items() if isinstance(value, Tensor)}


def _inner(content: dict[Any, Any]) -> dict[Any, Any] | None:
    return next((content[key] for key in INNER if isinstance(content.get(key), dict)), None)


def _npz(path: Path) -> dict[str, Tensor]:
    with open(path, "rb") as file:
        content = np.load(file, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        arrays = {name: content[name] for name in content.files}
    return {name: tensor_of(array) for name, array in arrays.items() if array.dtype.kind in "biufc"}


def tensor_of(array: np.ndarray) -> Tensor:
    """A tensor of an array's numbers; PyTorch takes no other order of bytes or of rows than the machine's."""
    return torch.from_numpy(np.array(array, array.dtype.newbyteorder("="), order="C"))


READERS = {".safetensors": _safetensors, **dict.fromkeys((".pt", ".pth", ".bin"), _state_dict), ".npz": _npz}
