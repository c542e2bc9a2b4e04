"""A data set of one's own, in a CSV, Parquet or npz file."""

import csv
import re
import warnings
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet

from ranktwo.data.sources.base import Raw, source
from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.study.source_options import FORMATS, Kind

LARGEST = float(np.finfo(np.float32).max)
"""The tensors of a data set are float32."""
UNREADABLE = (
    ValueError,
    EOFError,
    BadZipFile,
    zlib.error,
    csv.Error,
    pyarrow.ArrowException,
    pandas.errors.ParserWarning,
)
"""What the libraries raise on a file that is not what its name says."""
SHOWN = 8
"""Names that a sentence lists."""
CODE = re.compile(r"[+-]?0[0-9]")
"""How a text begins that may be a code, such as 01, and is a number all the same."""


@source("file")
def file(
    name: str, folder: Path, download: bool, *, path: str, target: str, kind: Kind, test_path: str | None = None
) -> Raw:
    """Your own file: `path`, its column `target`, its `kind`, and a file of test rows, `test_path`, if there is one.

    Every other column is a feature and holds numbers. Classes are numbered in the sorted order of their labels.
    """
    frame = _read(Path(path), target)
    test = None if test_path is None else _same_columns(_read(Path(test_path), target), test_path, frame, path)
    parts: dict[str, Any] = {"train_x": _features(frame, target, path), "verified": "structure"}
    if test is not None:
        parts["test_x"] = _features(test, target, str(test_path))
    if kind == "regression":
        parts["train_y"] = _targets(frame[target], path)
        if test is not None:
            parts["test_y"] = _numbers(test[target], str(test_path))
        return Raw(kind=kind, **parts)
    _check_codes({path: frame[target]} | ({} if test is None else {str(test_path): test[target]}))
    labels = _labels(frame[target], path)
    classes = pandas.Index(sorted(set(labels)))
    if len(classes) < 2:
        raise UserError(f"{path}: every row of the column {target} has the class {classes[0]}; two are the fewest")
    parts["train_y"] = classes.get_indexer(pandas.Index(labels))
    if test is not None:
        parts["test_y"] = _known(_labels(test[target], str(test_path)), classes, str(test_path), path)
    return Raw(kind=kind, class_names=tuple(map(_text, classes)), **parts)


# Files.


def _read(path: Path, target: str) -> pandas.DataFrame:
    """The columns of a file; UserError where there is none, or no row, no target or no feature in it."""
    try:
        frame = READERS[path.suffix.lower()](path, target)
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise UserError(f"cannot read {path}: {reason}; check the file and its rights") from error
    except UNREADABLE as error:
        kind = path.suffix.lower()
        reason = (" ".join(str(error).split()) or type(error).__name__).rstrip(".")
        raise UserError(f"{path} is not a {kind} file that can be read ({reason}); write it anew") from error
    columns = list(map(str, frame.columns))
    if target not in columns:
        near = registry.near_miss(target, columns)
        raise UserError(f"{path} has no column {target}; its columns are {_some(columns)}{near}")
    if twice := sorted({column for column in columns if columns.count(column) > 1}):
        raise UserError(f"{path} has the column {twice[0]} twice; give each its own name")
    if len(columns) == 1:
        raise UserError(f"{path} has no column but the target {target}; give it a column for each feature")
    if not len(frame):
        raise UserError(f"{path} has no rows; fill it or name another file")
    return frame.set_axis(columns, axis=1)


def _heading(path: Path) -> list[str]:
    """The words of a CSV file's first line."""
    with open(path, encoding="utf-8-sig", newline="") as text:
        return next(csv.reader(text), [])


def _csv(path: Path, target: str) -> pandas.DataFrame:
    heading = _heading(path)
    if not heading:
        raise UserError(f"{path} is empty; its first line has to name the columns")
    if "" in heading:
        raise UserError(
            f"{path}: column {heading.index('') + 1} has no name; name it, or leave it out if it only numbers the rows"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error", pandas.errors.ParserWarning)  # a row that is longer than the first line
        frame = pandas.read_csv(path, **AS_CSV)
    return frame.set_axis(heading, axis=1)  # pandas renames a column that stands twice


def _parquet(path: Path, target: str) -> pandas.DataFrame:
    with open(path, "rb") as content:
        return pyarrow.parquet.ParquetFile(content).read(use_threads=False).to_pandas()


def _npz(path: Path, target: str) -> pandas.DataFrame:
    """The features are the array `x`, or the only one beside the target; their columns are named x[0], x[1], ..."""
    with open(path, "rb") as content:
        arrays = np.load(content, allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        others = [name for name in arrays.files if name != target]
        if target not in arrays.files:
            near = registry.near_miss(target, others)
            raise UserError(f"{path} has no array {target}; its arrays are {_some(others)}{near}")
        features = "x" if "x" in others else others[0] if len(others) == 1 else None
        if features is None:
            raise UserError(f"{path} has the arrays {_some(arrays.files)}; name that of the features x")
        x, y = arrays[features], arrays[target]
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise UserError(
            f"{path}: {features} has the shape {x.shape} and {target} {y.shape}; they must be (rows, features) "
            "and (rows,)"
        )
    frame = pandas.DataFrame(x, columns=[f"{features}[{number}]" for number in range(x.shape[1])])
    frame[target] = y
    return frame


AS_CSV: dict[str, Any] = {"encoding": "utf-8-sig", "index_col": False, "low_memory": False}
READERS = dict(zip(FORMATS, (_csv, _parquet, _npz), strict=True))


def _same_columns(test: pandas.DataFrame, test_path: str, train: pandas.DataFrame, path: str) -> pandas.DataFrame:
    """The test file's columns in the order of the other file's."""
    for wanted, there, where, other in ((train, test, test_path, path), (test, train, path, test_path)):
        if lacking := [column for column in wanted.columns if column not in there.columns]:
            raise UserError(f"{where} has no column {lacking[0]}, which {other} has; both must have the same columns")
    return test[list(train.columns)]


# Columns.


def _features(frame: pandas.DataFrame, target: str, path: str) -> np.ndarray:
    """[N, n]."""
    columns = frame.drop(columns=target)
    return np.stack([_numbers(columns[name], path) for name in columns], axis=1)


def _numbers(column: pandas.Series, path: str) -> np.ndarray:
    """A column as float64 numbers that float32 can hold."""
    numbers = column
    if not pandas.api.types.is_numeric_dtype(column) or pandas.api.types.is_complex_dtype(column):
        # Decimal numbers of Parquet files and whole numbers of more than 64 bits are objects, whose texts are numbers.
        numbers = pandas.to_numeric(column.astype(str).where(column.notna()), errors="coerce")
        bad = np.asarray(numbers.isna() & column.notna())
        if bad.any():
            row = int(bad.argmax())
            raise UserError(
                f"{path}: the column {column.name} holds {_text(column.iloc[row])!r} in row {row + 1}, which is no "
                "number; write numbers there, or leave the column out"
            )
    values = numbers.to_numpy(np.float64, na_value=np.nan)
    bad = ~(np.abs(values) <= LARGEST)
    if bad.any():
        row = int(bad.argmax())
        what = "no number" if np.isnan(values[row]) else f"{values[row]:g}"
        raise UserError(
            f"{path}: the column {column.name} holds {what} in row {row + 1}; every value has to be a finite number of "
            f"at most {LARGEST:.1e}: fill it in, or leave out its row or column"
        )
    return values


def _targets(column: pandas.Series, path: str) -> np.ndarray:
    values = _numbers(column, path)
    if values.min() == values.max():
        raise UserError(
            f"{path}: every row of the column {column.name} holds {values[0]:g}, which leaves nothing to learn; name "
            "another target"
        )
    return values


def _labels(column: pandas.Series, path: str) -> list[Any]:
    """The classes of the rows: numbers, or else texts."""
    bad = np.asarray(column.isna())
    if pandas.api.types.is_float_dtype(column):
        bad = bad | np.isinf(column.to_numpy(np.float64, na_value=np.nan))
    if bad.any():
        raise UserError(
            f"{path}: the column {column.name} holds no class in row {bad.argmax() + 1} (nothing, an infinite "
            "number, or a word such as NA that stands for nothing); name the class, or leave out the row"
        )
    return column.tolist() if pandas.api.types.is_numeric_dtype(column) else list(map(str, column))


def _check_codes(columns: dict[str, pandas.Series]) -> None:
    """Refuse classes of CSV files that were read as numbers though two of them, such as 01 and 1, are one number.

    columns: the target's column of each file, by path.
    """
    first: dict[Any, str] = {}
    for path, column in columns.items():
        if Path(path).suffix.lower() != ".csv":
            continue
        place = _heading(Path(path)).index(column.name)
        texts = pandas.read_csv(path, usecols=[place], dtype=str, **AS_CSV).iloc[:, 0].dropna().drop_duplicates()
        for row, text in texts.str.strip().items():
            other = first.setdefault(column[row], text)
            if text != other and (CODE.match(text) or CODE.match(other)):
                raise UserError(
                    f"{path}: the column {column.name} holds {text} in row {row + 1}, which is the same number as "
                    f"{other}; write a class in one way, and two classes as words such as c01 and c1"
                )


def _known(labels: list[Any], classes: pandas.Index, test_path: str, path: str) -> np.ndarray:
    """The numbers of the classes of the test rows."""
    numbers = classes.get_indexer(pandas.Index(labels))
    if (numbers < 0).any():
        row = int((numbers < 0).argmax())
        raise UserError(
            f"{test_path}: row {row + 1} has the class {_text(labels[row])}, which {path} does not have; its classes "
            f"are {_some(list(map(_text, classes)))}"
        )
    return numbers


def _text(label: Any) -> str:
    """A label as a person writes it: 1.0 is 1."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN] + ["..."] * (len(names) > SHOWN)) or "none"
