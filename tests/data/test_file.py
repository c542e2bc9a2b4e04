"""Data sets of one's own: three formats that say the same, and one sentence on each thing that can be wrong."""

import decimal
import json
import re
import subprocess
import sys

import numpy as np
import pandas
import pytest

from ranktwo.data.options import Options
from ranktwo.data.preparation import prepare
from ranktwo.data.sources import base
from ranktwo.errors import UserError
from ranktwo.store.files import read_metadata
from ranktwo.store.provenance import file_hash

ROWS = 40
X = np.random.default_rng(0).normal(size=(ROWS, 3))
FRAME = pandas.DataFrame(X, columns=["age", "size", "rooms"]).assign(
    kind=["dear", "cheap", "fair", "cheap"] * (ROWS // 4), price=X @ [1, 2, 3], new=[True, False] * (ROWS // 2)
)


def write(path, frame):
    """A table as the file's name says."""
    if path.suffix.lower() == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


def raw(path, target="price", kind="regression", **more):
    return base.read("file", path.parent, False, path=str(path), target=target, kind=kind, **more)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_a_table_gives_its_columns_in_their_order(suffix, tmp_path):
    path = tmp_path / f"mine{suffix}"
    write(path, FRAME.drop(columns="kind"))
    found = raw(path)
    np.testing.assert_allclose(found.train_x, np.column_stack([X, FRAME["new"]]), rtol=1e-15)
    np.testing.assert_allclose(found.train_y, FRAME["price"], rtol=1e-15)
    assert found.kind == "regression" and found.class_names is None and found.test_x is None


def test_the_same_content_has_one_checksum_in_every_format(tmp_path):
    frame = FRAME.drop(columns=["kind", "new"])
    np.savez(tmp_path / "mine.npz", x=X, price=frame["price"])
    np.savez(tmp_path / "other.npz", features=X, price=frame["price"])
    paths = [write(tmp_path / "mine.csv", frame), write(tmp_path / "mine.parquet", frame)]
    paths += [tmp_path / "mine.npz", tmp_path / "other.npz"]
    assert len({raw(path).checksum for path in paths}) == 1


def test_classes_are_numbered_in_the_sorted_order_of_their_labels(tmp_path):
    frame = FRAME.drop(columns="price")
    found = raw(write(tmp_path / "mine.csv", frame), "kind", "classification")
    assert found.class_names == ("cheap", "dear", "fair")
    assert found.train_y[:4].tolist() == [1, 0, 2, 0]
    numbered = frame.assign(kind=frame["kind"].map({"dear": 10, "cheap": 9, "fair": -1}))
    for number, kind in enumerate([int, float]):
        path = write(tmp_path / f"{number}.csv", numbered.astype({"kind": kind}))
        assert raw(path, "kind", "classification").class_names == ("-1", "9", "10")
    np.savez(tmp_path / "mine.npz", x=X, y=np.array(frame["kind"], dtype=str))
    assert raw(tmp_path / "mine.npz", "y", "classification").class_names == ("cheap", "dear", "fair")
    path = write(tmp_path / "new.csv", frame.drop(columns="kind"))
    assert raw(path, "new", "classification").class_names == ("False", "True")


def test_a_test_file_may_have_its_columns_in_another_order_and_format(tmp_path):
    frame = FRAME.drop(columns="price")
    path = write(tmp_path / "mine.csv", frame[:30])
    test = write(tmp_path / "test.parquet", frame[30:][frame.columns[::-1]])
    found = raw(path, "kind", "classification", test_path=str(test))
    np.testing.assert_allclose(found.test_x[:, :3], X[30:], rtol=1e-15)
    assert [found.class_names[number] for number in found.test_y] == frame["kind"][30:].tolist()


def test_the_prepared_data_set_keeps_the_names_of_its_classes_and_a_checksum(tmp_path):
    path = write(tmp_path / "mine.csv", FRAME.drop(columns="price"))
    options = {"source": "file", "path": str(path), "target": "kind", "kind": "classification", "classes": [2, 0]}
    _, metadata = prepare("mine", Options(**options), tmp_path, False)
    assert metadata["class_names"] == ["fair", "cheap"] and metadata["classes"] == [2, 0]
    assert metadata["task"] == "binary" and metadata["options"]["path"] == str(path)
    for more, sentence in (
        ({"test_size": 41}, "the option test_size is 41, but .*mine.csv has at most 29 rows for testing; take no more"),
        ({"classes": [0, 5]}, r"mine.csv has no class 5; its classes are 0 \(cheap\), 1 \(dear\), 2 \(fair\)"),
    ):
        with pytest.raises(UserError, match=sentence):
            prepare("mine", Options(**options | more), tmp_path, False)
    FRAME.drop(columns="price").assign(age=0.0).to_csv(path, index=False)
    _, changed = prepare("mine", Options(**options), tmp_path, False)
    assert changed["source_checksum"] != metadata["source_checksum"] and changed["checksum"] != metadata["checksum"]


@pytest.mark.slow
def test_the_stage_says_which_file_it_read_and_fails_in_one_sentence(tmp_path):
    path, output = write(tmp_path / "mine.csv", FRAME.drop(columns="kind")), tmp_path / "mine.safetensors"
    options = {"source": "file", "path": str(path), "target": "price", "kind": "regression"}
    flags = ["--name=mine", f"--options={json.dumps(options)}", f"--folder={tmp_path}", f"--output={output}"]
    command = [sys.executable, "-W", "error", "-m", "ranktwo", "dataset", *flags, "--no-download"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert read_metadata(output)["provenance"]["inputs"] == {str(path): file_hash(path)}
    path.write_text("price\n1\n")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"ranktwo: data set mine: {path} has no column but the target price")


def test_decimals_and_whole_numbers_of_any_size_are_numbers(tmp_path):
    exact = pandas.DataFrame({"a": [decimal.Decimal("0.0"), decimal.Decimal("2.5")], "price": [1, 2]})
    assert raw(write(tmp_path / "mine.parquet", exact)).train_x[:, 0].tolist() == [0.0, 2.5]
    path = tmp_path / "mine.csv"
    path.write_text(f"a,price\n{10**30},1\n{10**31},2\n")
    assert raw(path).train_x[:, 0].tolist() == [1e30, 1e31]
    path.write_text(f"a,price\n{10**30},1\n,2\n")
    refused(path, "the column a holds no number in row 2")


# What is wrong with a file.

CSV = {
    "empty": ("", "is empty; its first line has to name the columns"),
    "no row": ("a,price\n", "has no rows"),
    "no target": ("a,prise\n1,2\n", "has no column price; its columns are a, prise; did you mean prise?"),
    "no feature": ("price\n1\n", "has no column but the target price"),
    "text": ("a,price\n1,2\n1e3,3\nbig,4\n", "the column a holds 'big' in row 3, which is no number"),
    "gap": ("a,price\n1,2\n,3\n", "the column a holds no number in row 2"),
    "nan": ("a,price\n1,2\n3,nan\n", "the column price holds no number in row 2"),
    "infinity": ("a,price\n1,2\n-inf,3\n", "the column a holds -inf in row 2"),
    "beyond float32": ("a,price\n1,2\n1e39,3\n", "the column a holds 1e\\+39 in row 2"),
    "constant": ("a,price\n1,2\n2,2\n", "every row of the column price holds 2, which leaves nothing to learn"),
    "text to predict": ("a,price\n1,low\n2,high\n", "the column price holds 'low' in row 1, which is no number"),
    "twice": ("a,price,price\n1,2,3\n", "has the column price twice"),
    "row numbers": (",a,price\n0,1,2\n", "column 1 has no name; name it, or leave it out if it only numbers the rows"),
    "long row": ("a,price\n1,2,3\n1,2,3\n", "is not a .csv file that can be read"),
    "longer row": ("a,price\n1,2\n1,2,3\n", "is not a .csv file that can be read"),
    "short row": ("a,b,price\n1,2,3\n1,2\n", "the column price holds no number in row 2"),
    "not text": (b"a,price\n\xff,1\n", "is not a .csv file that can be read"),
    "bytes": (b"PK\x03\x04\x00\x00", "has no column price"),
}


@pytest.mark.parametrize("case", CSV)
def test_a_csv_that_makes_no_data_set_is_one_sentence(case, tmp_path):
    content, sentence = CSV[case]
    path = tmp_path / "mine.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(path, sentence)


def refused(path, sentence, *arguments, **more):
    with pytest.raises(UserError, match=f"{re.escape(path.name)}:? {sentence}") as caught:
        raw(path, *arguments, **more)
    assert "\n" not in str(caught.value) and "; " in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (["a", "a", "a"], "every row of the column y has the class a"),
        ([1, 1, 1], "every row of the column y has the class 1"),
        (["a", None, "b"], "the column y holds no class in row 2"),
        ([1, np.nan, 2], "the column y holds no class in row 2"),
        ([1, 2, np.inf], "the column y holds no class in row 3"),
    ],
)
def test_classes_that_are_none_are_one_sentence(labels, sentence, tmp_path):
    for name in ("mine.csv", "mine.parquet"):
        path = write(tmp_path / name, pandas.DataFrame({"a": [1, 2, 3], "y": labels}))
        refused(path, sentence, "y", "classification")


LONG = "1" + "0" * 29
LABELS = {
    "numbers": (["1", "2", "1.0"], ("1", "2")),
    "codes": (["01", "02", "01"], ("1", "2")),
    "words": (["01", "1", "x"], ("01", "1", "x")),
    "truths": (["TRUE", "True", "false"], ("False", "True")),
    "beyond 64 bits": ([LONG, f"{LONG[:-1]}1", "2"], (LONG, f"{LONG[:-1]}1", "2")),
}


@pytest.mark.parametrize("case", LABELS)
def test_classes_of_a_csv_are_numbers_or_else_words(case, tmp_path):
    labels, names = LABELS[case]
    path = tmp_path / "mine.csv"
    path.write_text("a,y\n" + "".join(f"{row},{label}\n" for row, label in enumerate(labels)))
    assert raw(path, "y", "classification").class_names == names


def test_two_classes_that_are_one_number_are_refused_in_one_file_or_in_two(tmp_path):
    path, test = tmp_path / "mine.csv", tmp_path / "test.csv"
    path.write_text("a,y\n0,2\n1,01\n2,01\n3,1\n")
    refused(path, "the column y holds 1 in row 4, which is the same number as 01; write a class", "y", "classification")
    path.write_text(f"a,y\n0,2\n1,{LONG}\n2,0{LONG}\n")
    refused(path, f"the column y holds 0{LONG} in row 3, which is the same number as {LONG}", "y", "classification")
    path.write_text("a,y\n0,2\n1,1\n")
    test.write_text("a,y\n0,2\n1,01\n")
    with pytest.raises(UserError, match=r"test.csv: the column y holds 01 in row 2, which is the same number as 1;"):
        raw(path, "y", "classification", test_path=str(test))


TESTS = {
    "lacks": ("a,y\n1,u\n", "test.csv has no column b, which .*mine.csv has"),
    "adds": ("a,b,c,y\n1,1,1,u\n", "mine.csv has no column c, which .*test.csv has"),
    "new class": ("a,b,y\n1,1,u\n2,2,w\n", "test.csv: row 2 has the class w, which .*mine.csv does not have; .* u, v"),
    "number for text": ("a,b,y\n1,1,3\n", "test.csv: row 1 has the class 3, which"),
    "no target": ("a,b\n1,1\n", "test.csv has no column y"),
    "gap": ("a,b,y\n1,,u\n", "test.csv: the column b holds no number in row 1"),
}


@pytest.mark.parametrize("case", TESTS)
def test_a_test_file_that_does_not_fit_is_one_sentence(case, tmp_path):
    content, sentence = TESTS[case]
    path, test = tmp_path / "mine.csv", tmp_path / "test.csv"
    path.write_text("a,b,y\n1,2,u\n2,1,v\n")
    test.write_text(content)
    with pytest.raises(UserError, match=sentence):
        raw(path, "y", "classification", test_path=str(test))


ARRAYS = {
    "no target": ({"x": X, "y": X[:, 0]}, "has no array price; its arrays are x, y"),
    "no features": ({"price": X[:, 0]}, "has the arrays price; name that of the features x"),
    "two features": ({"a": X, "b": X, "price": X[:, 0]}, "has the arrays a, b, price; name that of the features x"),
    "images": ({"x": X[:, None], "price": X[:, 0]}, r"x has the shape \(40, 1, 3\) and price \(40,\)"),
    "fewer targets": ({"x": X, "price": X[:9, 0]}, r"x has the shape \(40, 3\) and price \(9,\)"),
    "complex": ({"x": X + 1j, "price": X[:, 0]}, r"the column x\[0\] holds .* in row 1, which is no number"),
    "objects": ({"x": X, "price": np.array([{}] * ROWS)}, "is not a .npz file that can be read"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_make_no_data_set_are_one_sentence(case, tmp_path):
    arrays, sentence = ARRAYS[case]
    np.savez(tmp_path / "mine.npz", **arrays)
    refused(tmp_path / "mine.npz", sentence)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_a_file_that_is_not_there_or_of_another_format_is_one_sentence(suffix, tmp_path):
    path = tmp_path / f"mine{suffix}"
    with pytest.raises(UserError, match=f"cannot read {path}: No such file or directory; check"):
        raw(path)
    np.save(tmp_path / "one.npy", X)
    contents = [b"", b"\x00" * 100, b"PK\x03\x04", b"PAR1", (tmp_path / "one.npy").read_bytes()]
    for content in contents:
        path.write_bytes(content)
        refused(path, "(is not a|has no column|is empty|column 1 has no name)")
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="mine"):
        raw(path)


def test_a_table_of_dates_or_lists_is_one_sentence(tmp_path):
    for values in (pandas.date_range("2020-01-01", periods=2), [[1], [2]]):
        path = write(tmp_path / "mine.parquet", pandas.DataFrame({"a": values, "price": [1, 2]}))
        refused(path, "the column a holds .* in row 1, which is no number")
