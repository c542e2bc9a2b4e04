"""Preparing a data set: from a source's arrays to standardised tensors and the facts about them."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ranktwo.data.dataset import checksum_of, tensors_of
from ranktwo.data.options import Options
from ranktwo.data.sources import base
from ranktwo.data.sources.base import Raw
from ranktwo.errors import UserError


def prepare(
    name: str, options: Options, folder: Path, download: bool, splits: Iterable[int] = ()
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a data set in split 0 and in `splits`, as `data.dataset` describes them, and its metadata.

    Rows of the wanted classes are drawn in random order and split, then the training part scales both parts.
    Files of sources lie in `folder`; absent ones are fetched if `download`. Raises UserError if a file is absent or not
    what it should be, or if an option does not fit the source.
    """
    raw = base.read(options.source, folder, download, **options.own)
    labels = _labels(raw, options)
    tensors, facts = _tensors(raw, labels, options)
    metadata: dict[str, Any] = {
        "name": name,
        "source": options.source,
        "options": options.as_dict(),
        "task": "regression" if labels is None else "binary" if len(labels) == 2 else "multiclass",
        "inputs": tensors["train_x"].shape[1],
        "image": None if options.bias else raw.image,
        "outputs": 1 if labels is None or len(labels) == 2 else len(labels),
        "classes": labels,
        "train_size": len(tensors["train_y"]),
        "test_size": len(tensors["test_y"]),
        "official_test": raw.test_x is not None,
        "preprocessing": _sentence(options, labels),
        "source_checksum": raw.checksum,
        "verified": raw.verified,
        **facts,
        "splits": [{"split": 0, **facts}],
    }
    if labels is not None and raw.class_names is not None:
        metadata["class_names"] = [raw.class_names[label] for label in labels]
    for split in sorted({*splits} - {0}):
        own = facts
        if not metadata["official_test"]:
            more, own = _tensors(raw, labels, options.model_copy(update={"seed": options.seed + split}))
            tensors |= {f"{part}.{split}": tensor for part, tensor in more.items()}
        checksum = checksum_of(tensors_of(tensors, metadata, split))
        metadata["splits"].append({"split": split, **own, "checksum": checksum})
    return tensors, metadata


def _tensors(raw: Raw, labels: list[int] | None, options: Options) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of the split that the seed of the options makes, and the facts that other splits may not share."""
    facts: dict[str, Any] = {}
    train_x, train_y, test_x, test_y = _split(raw, labels, options)
    shift, factor = _scale(train_x, options.scaling)
    if labels is None:
        if train_y.min() == train_y.max():
            raise UserError(
                f"all training rows of {_origin(options)} have the target {float(train_y[0]):g}, which leaves nothing "
                "to learn; choose another source, another seed or a smaller test_size"
            )
        with np.errstate(over="ignore"):
            mean, std = float(train_y.mean()), float(train_y.std())
        if not 0 < std < math.inf:
            raise UserError(f"the targets of {_origin(options)} have the sd {std:g} in {train_y.dtype}; scale them")
        facts = {"target_mean": mean, "target_std": std}
        train_y, test_y = (((y - mean) / std).astype(np.float32)[:, None] for y in (train_y, test_y))
    tensors = {
        "train_x": torch.from_numpy(_features(train_x, shift, factor, options)),
        "train_y": torch.from_numpy(train_y),
        "test_x": torch.from_numpy(_features(test_x, shift, factor, options)),
        "test_y": torch.from_numpy(test_y),
    }
    return tensors, {"checksum": checksum_of(tensors), **facts}


def _labels(raw: Raw, options: Options) -> list[int] | None:
    """Classes to keep, by their numbers in the source; the i-th becomes class i. None for regression."""
    if raw.kind == "regression":
        if options.classes is not None:
            raise UserError(f"{_origin(options)} is a regression source; it has no classes to choose")
        return None
    present = np.unique(raw.train_y).tolist()
    for label in options.classes or []:
        if label not in present:
            named = [f"{one} ({raw.class_names[one]})" if raw.class_names else str(one) for one in present]
            raise UserError(f"{_origin(options)} has no class {label}; its classes are {', '.join(named)}")
    return list(options.classes or present)


def _choose(x: np.ndarray, y: np.ndarray, labels: list[int] | None) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the classes `labels`, and each row's index in `labels`. In regression, all rows and their values."""
    if labels is None:
        return x, y
    index = np.full(max(int(y.max()), *labels) + 1, -1, dtype=np.int64)
    index[labels] = np.arange(len(labels))
    return x[index[y] >= 0], index[y][index[y] >= 0]


def _split(raw: Raw, labels: list[int] | None, options: Options) -> tuple[np.ndarray, ...]:
    """train_x, train_y, test_x, test_y. The order, and the split of a source without one, depend on the seed alone."""
    random = np.random.default_rng(options.seed)
    x, y = _choose(raw.train_x, raw.train_y, labels)
    rows = random.permutation(len(y))
    if raw.test_x is None or raw.test_y is None:
        size = _test_size(options, round(len(y) / 4), len(y) - 1)
        test, train = rows[:size], rows[size:]
        return x[train], y[train], x[test], y[test]
    test_x, test_y = _choose(raw.test_x, raw.test_y, labels)
    test = random.permutation(len(test_y))[: _test_size(options, len(test_y), len(test_y))]
    return x[rows], y[rows], test_x[test], test_y[test]


def _test_size(options: Options, default: int, most: int) -> int:
    """Rows of the test part: as the option says, else `default`; UserError if there are not so many."""
    size = default if options.test_size is None else options.test_size
    if size == 0:
        raise UserError(f"{_origin(options)} has too few rows for a test part; choose other classes or another source")
    if size > most:
        raise UserError(
            f"the option test_size is {size}, but {_origin(options)} has at most {most} rows for testing; take no more"
        )
    return size


def _origin(options: Options) -> str:
    """What a sentence calls the source: by its name, or by the user's own file."""
    return options.path or options.source


def _scale(x: np.ndarray, scaling: str) -> tuple[np.ndarray | float, np.ndarray | float]:
    """(shift, factor), with which features become (x - shift) factor: one of each, or one for each feature."""
    if scaling == "none":
        return 0.0, 1.0
    if scaling == "unit":
        return 0.0, _inverse(max(abs(float(x.max())), abs(float(x.min()))))
    if scaling == "global":
        mean = x.mean(dtype=np.float64)
        return mean, _inverse(np.sqrt(_variances(x, mean).mean()))
    mean = x.mean(axis=0, dtype=np.float64)
    # The mean of a constant feature may be rounded, and then its variance is not exactly 0.
    return mean, _inverse(np.where(x.min(axis=0) == x.max(axis=0), 0.0, np.sqrt(_variances(x, mean))))


def _variances(x: np.ndarray, mean: np.ndarray | float) -> np.ndarray:
    """Mean over the rows of (x - mean)^2 for each feature, float64. Some rows are taken at a time, to save memory."""
    return sum(np.square(rows - mean).sum(axis=0) for rows in np.array_split(x, len(x) // 4096 + 1)) / len(x)


def _inverse(size: np.ndarray | float) -> np.ndarray:
    """1/size, and 0 where size is 0, so that a feature that is constant in training is 0 in the test part too."""
    return np.divide(1.0, size, out=np.zeros_like(size, dtype=np.float64), where=np.asarray(size) > 0)


def _features(x: np.ndarray, shift: np.ndarray | float, factor: np.ndarray | float, options: Options) -> np.ndarray:
    """(x - shift) factor, clipped and with a last column of ones if the options say so, float32 [N, n]."""
    ones = np.ones((len(x), int(options.bias)), dtype=np.float32)
    scaled = np.subtract(x, shift, out=np.empty(x.shape, dtype=np.float32), casting="same_kind")
    scaled *= factor
    if options.clip is not None:
        np.clip(scaled, -options.clip, options.clip, out=scaled)
    return np.hstack([scaled, ones]) if options.bias else scaled


def _sentence(options: Options, labels: list[int] | None) -> str:
    """A sentence for people that says how the tensors were made from the source."""
    scaling = {
        "feature": "each feature shifted and scaled to mean 0 and sd 1 over the training part (constant ones to 0)",
        "global": "all features shifted and scaled by one mean and sd of the training part",
        "unit": "all features divided by the training part's largest absolute value",
        "none": "features as in the source",
    }
    parts = [
        f"classes {', '.join(map(str, labels or []))}" if options.classes else "",
        scaling[options.scaling],
        f"clipped to +-{options.clip:g}" if options.clip is not None else "",
        "a column of ones appended" if options.bias else "",
        "the target shifted and scaled to mean 0 and sd 1 over the training part" if labels is None else "",
        f"rows in the random order of seed {options.seed} + split",
    ]
    sentence = "; ".join(part for part in parts if part)
    return f"{sentence[0].upper()}{sentence[1:]}."
