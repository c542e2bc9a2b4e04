"""Data sets, prepared once: standardised tensors and the facts about them in one safetensors file.

Shapes: N samples, n inputs, C classes, c outputs (c = 1 for regression and for two classes, else C).
The file holds train_x, test_x float32 [N, n] and train_y, test_y: float32 [N, 1] in regression, shifted and scaled to
mean 0 and sd 1 over the training part (a mean squared error of 1 is trivial), else int64 [N], class index 0..C-1.
The training rows lie in random order, so that the first N of them are a random subset, nested in N.

A new data set is one function that returns its `Raw` arrays, marked with `@source("its-name")`.
"""

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

from ranktwo.critical import critical_decay
from ranktwo.errors import UserError, run
from ranktwo.files import read_tensors, write_tensors
from ranktwo.labels import targets
from ranktwo.nets import Task
from ranktwo.provenance import circumstances

Scaling = Literal["feature", "global", "unit", "none"]


# The prepared data set: what training reads.


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A prepared data set; shapes, dtypes and units as in the module's docstring, `metadata` as in `prepare`."""

    name: str
    task: Task
    inputs: int
    outputs: int
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    checksum: str
    metadata: dict[str, Any]


def load(path: Path) -> Dataset:
    """The data set in a file written by this module; UserError if it is absent or anything in it is not as written."""
    tensors, metadata = read_tensors(path)
    try:
        dataset = Dataset(**{key: metadata[key] for key in _DESCRIPTION}, **tensors, metadata=metadata)
        problem = _problem(dataset)
    except (KeyError, TypeError, RuntimeError):
        problem = "is not a prepared data set"
    if problem:
        raise UserError(f"{path} {problem}; delete it and run snakemake again")
    return dataset


_DESCRIPTION = ("name", "task", "inputs", "outputs", "checksum")


def _problem(dataset: Dataset) -> str | None:
    """What is wrong with a data set read from a file, cheap checks first."""
    regression = dataset.task == "regression"
    for part in ("train", "test"):
        x, y = getattr(dataset, f"{part}_x"), getattr(dataset, f"{part}_y")
        size = dataset.metadata[f"{part}_size"]
        if x.shape != (size, dataset.inputs) or y.shape != ((size, 1) if regression else (size,)):
            return f"holds {part} tensors of other shapes than it says"
        if x.dtype != torch.float32 or y.dtype != (torch.float32 if regression else torch.int64):
            return f"holds {part} tensors of other types than it says"
        if not (x.isfinite().all() and y.isfinite().all()):
            return f"holds {part} numbers that are not finite"
        if not regression and not (y.min() >= 0 and y.max() < max(2, dataset.outputs)):
            return f"holds {part} labels that are no class"
    tensors = {key: getattr(dataset, key) for key in ("train_x", "train_y", "test_x", "test_y")}
    return None if fingerprint(tensors) == dataset.checksum else "is damaged (its checksum differs)"


def fingerprint(arrays: Mapping[str, Tensor | np.ndarray]) -> str:
    """SHA-256 over names, shapes, dtypes and bytes (little-endian, row by row), the same on every machine."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        array = np.asarray(array)
        dtype = array.dtype.newbyteorder("<")
        digest.update(f"{name} {array.shape} {dtype.str};".encode())
        digest.update(np.ascontiguousarray(array, dtype).data.cast("B") if array.size else b"")
    return digest.hexdigest()


# Options: what a user chooses.


@dataclass(frozen=True, kw_only=True)
class Options:
    """What determines a prepared data set, beside its source's content; UserError where a value is out of range."""

    source: str
    """One of SOURCES."""
    classes: Sequence[int] | None = None
    """Classes to keep, as the source numbers them, two or more; the i-th becomes class i. None keeps all."""
    test_size: int | None = None
    """Rows of the test part. None: all of the source's own test part, or a quarter of a source that has none."""
    scaling: Scaling = "feature"
    """By the training part: each feature to mean 0 and sd 1 (a constant one to 0), all by one global mean and sd, the
    unit interval by the largest absolute value, or none."""
    clip: float | None = None
    """Scaled features are clipped to +-clip (in sd where the scaling is by sd). None clips nothing."""
    bias: bool = False
    """Whether a column of ones is appended, after scaling and clipping."""
    seed: int = 0
    """Determines the split and the order of the rows, together with the source and its classes alone."""

    def __post_init__(self) -> None:
        if self.source not in list(SOURCES):  # a list, because JSON can hold what no dict looks up
            raise _unknown("source", self.source, SOURCES)
        number = type(self.clip) in (int, float)
        labels = self.classes if isinstance(self.classes, (list, tuple)) else []
        distinct = len(labels) == len(set(map(repr, labels))) >= 2 and all(type(label) is int for label in labels)
        for key, valid, wanted in (
            ("classes", self.classes is None or distinct, "null or a list of at least two different class numbers"),
            ("test_size", self.test_size is None or _whole(self.test_size, 1), "null or a whole number from 1"),
            ("scaling", self.scaling in get_args(Scaling), "one of " + ", ".join(get_args(Scaling))),
            ("clip", self.clip is None or number and 0 < self.clip < math.inf, "null or a positive number"),
            ("bias", type(self.bias) is bool, "true or false"),
            ("seed", _whole(self.seed, 0), "a whole number from 0"),
        ):
            if not valid:
                raise UserError(f"the option {key} must be {wanted}, not {json.dumps(getattr(self, key))}")


def read_options(text: str) -> Options:
    """Options from a JSON object; UserError if it is not one, or a key or a value in it is not known."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise UserError(f"the options are not JSON ({error}): {text}") from error
    if not isinstance(given, dict) or "source" not in given:
        raise UserError(f'the options must be a JSON object with a "source", not {text}')
    known = [option.name for option in fields(Options)]
    for key in given:
        if key not in known:
            raise _unknown("option", key, known)
    return Options(**given)


def _whole(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _unknown(kind: str, name: Any, known: Iterable[str]) -> UserError:
    near = difflib.get_close_matches(str(name), known, n=1)
    guess = f", did you mean {near[0]}?" if near else ";"
    return UserError(f"unknown {kind} {name}{guess} known are {', '.join(known)}")


# Preparing: source -> classes -> split -> scaling -> tensors.


def prepare(name: str, options: Options, folder: Path, download: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The four tensors of the data set `name` and its metadata.

    `folder` is where files of sources that scikit-learn does not bundle lie; absent ones are fetched if `download`.
    Raises UserError where a file is absent or not what it should be, or an option does not fit the source.
    """
    raw = SOURCES[options.source](options.source, folder, download)
    labels = _labels(raw, options)
    train_x, train_y, test_x, test_y = _split(raw, labels, options)
    shift, factor = _scale(train_x, options.scaling)
    if labels is None:
        mean, std = float(train_y.mean()), float(train_y.std())
        train_y, test_y = (((y - mean) / std).astype(np.float32)[:, None] for y in (train_y, test_y))
    tensors = {
        "train_x": torch.from_numpy(_features(train_x, shift, factor, options)),
        "train_y": torch.from_numpy(train_y),
        "test_x": torch.from_numpy(_features(test_x, shift, factor, options)),
        "test_y": torch.from_numpy(test_y),
    }
    metadata: dict[str, Any] = {
        "name": name,
        "source": options.source,
        "options": asdict(options),
        "task": "regression" if labels is None else "binary" if len(labels) == 2 else "multiclass",
        "inputs": tensors["train_x"].shape[1],
        "outputs": 1 if labels is None or len(labels) == 2 else len(labels),
        "classes": labels,
        "train_size": len(train_y),
        "test_size": len(test_y),
        "preprocessing": _sentence(options, labels),
        "source_checksum": raw.checksum,
        "verified": raw.verified,
        "checksum": fingerprint(tensors),
    }
    wanted = targets(tensors["train_y"], metadata["task"], metadata["outputs"])
    metadata["critical_decay"] = critical_decay(tensors["train_x"], wanted, metadata["task"])[0]
    if labels is None:
        metadata |= {"target_mean": mean, "target_std": std}
    return tensors, metadata


@dataclass(frozen=True, kw_only=True, eq=False)
class Raw:
    """A source as read, before any choice: x [N, n] of any real dtype, y [N] values or the classes 0..C-1."""

    kind: Literal["classification", "regression"]
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray | None = None  # None: the source has no test part of its own
    test_y: np.ndarray | None = None
    verified: Literal["checksum", "structure"]  # how the content was compared with what was published

    @property
    def checksum(self) -> str:
        """SHA-256 of the content, whatever container it came in."""
        arrays = {key: getattr(self, key) for key in ("train_x", "train_y", "test_x", "test_y")}
        return fingerprint({key: array for key, array in arrays.items() if array is not None})


def _labels(raw: Raw, options: Options) -> list[int] | None:
    """The source's class numbers to keep, in index order; None for regression."""
    if raw.kind == "regression":
        if options.classes is not None:
            raise UserError(f"{options.source} is a regression source; it has no classes to choose")
        return None
    present = np.unique(raw.train_y).tolist()
    for label in options.classes or []:
        if label not in present:
            raise UserError(f"{options.source} has no class {label}; its classes are {', '.join(map(str, present))}")
    return list(options.classes or present)


def _choose(x: np.ndarray, y: np.ndarray, labels: list[int] | None) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the classes `labels`, and each row's index in `labels`; all rows and their values for regression."""
    if labels is None:
        return x, y
    index = np.full(int(y.max()) + 1, -1, dtype=np.int64)
    index[labels] = np.arange(len(labels))
    return x[index[y] >= 0], index[y][index[y] >= 0]


def _split(raw: Raw, labels: list[int] | None, options: Options) -> tuple[np.ndarray, ...]:
    """train_x, train_y, test_x, test_y: order, and split where the source has none, depend on the seed alone."""
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
    size = default if options.test_size is None else options.test_size
    if size > most:
        raise UserError(f"the option test_size is {size}, but {options.source} has at most {most} rows for testing")
    return size


def _scale(x: np.ndarray, scaling: Scaling) -> tuple[np.ndarray | float, np.ndarray | float]:
    """(shift, factor), one each or one per feature, with which the training features become (x - shift) factor."""
    if scaling == "none":
        return 0.0, 1.0
    if scaling == "unit":
        return 0.0, _inverse(max(abs(float(x.max())), abs(float(x.min()))))
    if scaling == "global":
        mean = x.mean(dtype=np.float64)
        return mean, _inverse(np.sqrt(_variances(x, mean).mean()))
    mean = x.mean(axis=0, dtype=np.float64)
    # A constant feature's variance is not exactly 0 where its mean is rounded.
    return mean, _inverse(np.where(x.min(axis=0) == x.max(axis=0), 0.0, np.sqrt(_variances(x, mean))))


def _variances(x: np.ndarray, mean: np.ndarray | float) -> np.ndarray:
    """Mean over the rows of (x - mean)^2, per feature, in float64 and some rows at a time to save memory."""
    return sum(np.square(rows - mean).sum(axis=0) for rows in np.array_split(x, len(x) // 4096 + 1)) / len(x)


def _inverse(size: np.ndarray | float) -> np.ndarray:
    """1 / size, and 0 where size is 0: what did not vary in training stays 0 in the test part too."""
    return np.divide(1.0, size, out=np.zeros_like(size, dtype=np.float64), where=np.asarray(size) > 0)


def _features(x: np.ndarray, shift: np.ndarray | float, factor: np.ndarray | float, options: Options) -> np.ndarray:
    """Scaled, clipped, with a last column of ones if asked, float32 [N, n]."""
    ones = np.ones((len(x), int(options.bias)), dtype=np.float32)
    scaled = np.subtract(x, shift, out=np.empty(x.shape, dtype=np.float32), casting="same_kind")
    scaled *= factor
    if options.clip is not None:
        np.clip(scaled, -options.clip, options.clip, out=scaled)
    return np.hstack([scaled, ones]) if options.bias else scaled


def _sentence(options: Options, labels: list[int] | None) -> str:
    """How the tensors came from the source, for a person."""
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
        f"rows in the random order of seed {options.seed}",
    ]
    sentence = "; ".join(part for part in parts if part)
    return f"{sentence[0].upper()}{sentence[1:]}."


# Sources.


Loader = Callable[[str, Path, bool], Raw]
SOURCES: dict[str, Loader] = {}


def source(*names: str) -> Callable[[Loader], Loader]:
    """Register `loader(name, folder, download) -> Raw` for these sources; bad data are its UserError."""

    def register(loader: Loader) -> Loader:
        SOURCES.update(dict.fromkeys(names, loader))
        return loader

    return register


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is known of a source before it is read."""

    rows: tuple[int, ...]
    """Rows of its parts: all, or training and test."""
    shape: tuple[int, ...]
    """Of one row."""
    loader: str = ""
    """Its name in sklearn.datasets or torchvision.datasets."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Of its files' content, by file name."""


PUBLISHED = {
    "digits": Published(rows=(1_797,), shape=(64,), loader="load_digits"),
    "diabetes": Published(rows=(442,), shape=(10,), loader="load_diabetes"),
    "breast-cancer": Published(rows=(569,), shape=(30,), loader="load_breast_cancer"),
    "wine": Published(rows=(178,), shape=(13,), loader="load_wine"),
    "iris": Published(rows=(150,), shape=(4,), loader="load_iris"),
    "california": Published(
        rows=(20_640,),
        shape=(9,),
        loader="fetch_california_housing",
        sha256={"cal_housing_py3.pkz": "5a6e1850914c2dc94eba36c5f025d01a90c49c13269281ea222a3c38a957ab60"},
    ),
    "mnist": Published(
        rows=(60_000, 10_000),
        shape=(28, 28),
        loader="MNIST",
        sha256={
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": Published(rows=(60_000, 10_000), shape=(28, 28), loader="FashionMNIST"),
    "kmnist": Published(rows=(60_000, 10_000), shape=(28, 28), loader="KMNIST"),
}


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


@source("california")
def _california(name: str, folder: Path, download: bool) -> Raw:
    """scikit-learn's California Housing: eight features of 20,640 districts, the median price in 100,000 dollars.

    The cache file is a zlib-compressed pickle, and a pickle can run anything, so it is never unpickled. The array's
    nine columns are the last bytes but one (the pickle's STOP), and their checksum says that they are as published.
    """
    published = PUBLISHED[name]
    [(file, checksum)] = published.sha256.items()
    path = folder / file

    def fetch(temporary: Path) -> None:
        import sklearn.datasets

        sklearn.datasets.fetch_california_housing(data_home=temporary, n_retries=1)

    _ensure(name, folder, [path], download, fetch)
    shape = published.shape + published.rows
    size = 8 * math.prod(shape)
    header = 1 << 16  # far more than any header; what expands to more than this and the array is something else
    with contextlib.suppress(zlib.error):
        content = zlib.decompressobj().decompress(_content(path), size + header)[-1 - size : -1]
        if hashlib.sha256(content).hexdigest() == checksum:
            columns = np.frombuffer(content, "<f8").reshape(shape)
            price, income, age, rooms, bedrooms, people, households, latitude, longitude = columns
            rooms, bedrooms, occupants = (total / households for total in (rooms, bedrooms, people))
            x = np.stack([income, age, rooms, bedrooms, people, occupants, latitude, longitude], axis=1)
            return Raw(kind="regression", train_x=x, train_y=price / 100_000, verified="checksum")
    raise _damaged(path, "does not hold the published California Housing data")


@source("mnist", "fashion-mnist", "kmnist")
def _idx(name: str, folder: Path, download: bool) -> Raw:
    """MNIST and the sets in its format: pixels 0..255 of 28 x 28 images, row by row, and labels 0..9."""
    published = PUBLISHED[name]
    stems = [f"{part}-{what}" for part in ("train", "t10k") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    paths = [folder / published.loader / "raw" / stem for stem in stems]

    def fetch(temporary: Path) -> None:
        getattr(_torchvision_datasets(), published.loader)(temporary, download=True)

    _ensure(name, folder, paths, download, fetch)
    arrays, verified = [], []
    for path, rows in zip(paths, np.repeat(published.rows, 2).tolist(), strict=True):
        content = _content(path)
        images = "images" in path.name
        arrays.append(_read_idx(path, content, (rows, *published.shape) if images else (rows,)))
        if not images and arrays[-1].max() > 9:
            raise _damaged(path, f"holds the label {arrays[-1].max()} where 0 to 9 are possible")
        verified.append(_is_published(path, content, published))
        # Fashion-MNIST and KMNIST, for which a checksum may be missing, are exactly balanced.
        if not images and not verified[-1] and len(set(np.bincount(arrays[-1], minlength=10))) > 1:
            raise _damaged(path, "does not hold equally many labels of each class, as the published file does")
    train_x, train_y, test_x, test_y = arrays
    return Raw(
        kind="classification",
        train_x=train_x.reshape(len(train_x), -1),
        train_y=train_y,
        test_x=test_x.reshape(len(test_x), -1),
        test_y=test_y,
        verified="checksum" if all(verified) else "structure",
    )


@source("cifar10")
def _cifar10(name: str, folder: Path, download: bool) -> Raw:
    """CIFAR-10: bytes 0..255 of 32 x 32 images, flattened row by row, pixel by pixel, red, green, blue; labels 0..9."""
    cifar = _torchvision_datasets().CIFAR10
    published = [*cifar.train_list, *cifar.test_list, (cifar.meta["filename"], cifar.meta["md5"])]
    paths = {folder / cifar.base_folder / file: md5 for file, md5 in published}
    _ensure(name, folder, paths, download, lambda temporary: cifar(temporary, download=True))
    # The batches are pickles. torchvision compares every checksum before it unpickles one; so do we, to name the file.
    for path, md5 in paths.items():
        if _md5(_content(path)) != md5:
            raise _damaged(path, "is not the published file (its checksum differs)")
    with warnings.catch_warnings(action="ignore"):  # some numpy 2 on how Python 2 pickled dtypes
        train, test = (cifar(folder, train=part) for part in (True, False))
    return Raw(
        kind="classification",
        train_x=train.data.reshape(len(train.data), -1),
        train_y=np.asarray(train.targets),
        test_x=test.data.reshape(len(test.data), -1),
        test_y=np.asarray(test.targets),
        verified="checksum",
    )


# Files of sources: fetched whole or not at all, never believed.


def _ensure(name: str, folder: Path, paths: Iterable[Path], download: bool, fetch: Callable[[Path], object]) -> None:
    """Have the files `paths` in `folder`: if one is absent, `fetch(temporary)` gets them, laid out as in `folder`.

    A file that is there is never replaced, and a failed download leaves none. UserError where a file stays absent.
    """
    absent = next((path for path in paths if not os.path.exists(path)), None)
    if absent is None:
        return
    if not download:
        raise UserError(
            f"{name} needs {absent}, which does not exist; put the file there, or name another folder with "
            "`data_folder` in the config or with the environment variable RANKTWO_DATA, or set `download: true` in the "
            "config"
        )
    patience = socket.getdefaulttimeout()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as temporary:
            socket.setdefaulttimeout(30)  # a firewall that drops packets must not hang a job
            with warnings.catch_warnings(action="ignore"):
                fetch(Path(temporary))
            for path in filter(Path.is_file, Path(temporary).rglob("*")):
                target = folder / path.relative_to(temporary)
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    os.replace(path, target)
    except Exception as error:  # whatever a server, a proxy or an archive can do
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{name} could not be downloaded into {folder} ({reason}); get it on a machine with a network and put "
            f"{absent} and the files that belong to it there"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _damaged(path: Path, what: str) -> UserError:
    return UserError(f"{path} {what}; delete it and get it again")


def _read_idx(path: Path, content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """The bytes of an IDX file as an array of the expected shape: a magic number, the sizes, then exactly the bytes."""
    start = 4 * (1 + len(shape))
    if len(content) < start:
        raise _damaged(path, f"is truncated ({len(content)} bytes)")
    magic, *sizes = np.frombuffer(content[:start], ">u4").tolist()
    if magic != 0x0800 + len(shape):
        raise _damaged(path, f"is not an IDX file of {len(shape)}-dimensional bytes (magic number {magic:#010x})")
    if tuple(sizes) != shape:
        expected, found = (" x ".join(map(str, some)) for some in (shape, sizes))
        raise _damaged(path, f"says it holds {found} bytes where {expected} are expected")
    if len(content) - start != math.prod(shape):
        raise _damaged(path, f"has {len(content) - start} bytes of content where it says {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _is_published(path: Path, content: bytes, published: Published) -> bool:
    """Whether a checksum, the file's own or that of the archive it came in, says that it is the published one.

    False where neither is at hand; UserError where one differs.
    """
    if path.name in published.sha256:
        if hashlib.sha256(content).hexdigest() != published.sha256[path.name]:
            raise _damaged(path, "is not the published file (its checksum differs)")
        return True
    archive = path.with_name(f"{path.name}.gz")
    if not archive.exists():
        return False
    packed = _content(archive)
    if _md5(packed) != dict(getattr(_torchvision_datasets(), published.loader).resources)[archive.name]:
        raise _damaged(archive, "is not the published archive (its checksum differs)")
    if gzip.decompress(packed) != content:
        raise _damaged(path, f"is not what the archive {archive.name} beside it holds")
    return True


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _torchvision_datasets() -> Any:
    """The module torchvision.datasets, also where torchvision was built for another torch than is installed.

    torchvision's compiled operators do not load then, as the CUDA build's beside a CPU torch, and its import stops at
    the first operator that it wants to annotate. The data sets need none, so declaring the names suffices. A proper
    build never gets that far, and must not: declaring an operator twice is an error.
    """
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.suppress(RuntimeError):
            import torchvision.datasets

            return torchvision.datasets
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        import torchvision.datasets

        return torchvision.datasets
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"torchvision cannot be imported ({' '.join(str(error).split())}); "
            f"install the release made for torch {torch.__version__}"
        ) from error


# The command.


def main() -> None:
    """Prepare one data set and write it."""
    parser = argparse.ArgumentParser(description="Prepare one data set as standardised tensors in a safetensors file.")
    parser.add_argument("--name", required=True, help="what the study calls it")
    parser.add_argument("--options", required=True, help="a JSON object with a source and, if not as by default, more")
    parser.add_argument("--folder", required=True, type=Path, help="where files of data sets lie or are downloaded to")
    parser.add_argument("--download", required=True, action=argparse.BooleanOptionalAction, help="may it download?")
    parser.add_argument("--output", required=True, type=Path, help="the safetensors file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        prepared = prepare(arguments.name, read_options(arguments.options), arguments.folder, arguments.download)
    except UserError as error:
        raise UserError(f"data set {arguments.name}: {error}") from error
    tensors, metadata = prepared
    origin = circumstances("datasets") | {"datasets": {metadata["name"]: metadata["checksum"]}}
    write_tensors(arguments.output, tensors, {**metadata, "provenance": origin})


if __name__ == "__main__":
    run(main)
