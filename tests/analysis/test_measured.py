"""Measures of any matrix and of files of weights: numpy's numbers, and one sentence on what is no file of weights."""

import collections
import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pandas
import pytest
import safetensors.torch
import torch
from support import ROOT

import ranktwo
from ranktwo.analysis import measured, spectra
from ranktwo.analysis.weight_files import read
from ranktwo.errors import UserError
from ranktwo.stages import measure as stage
from ranktwo.store import files

MATRIX = np.random.default_rng(0).normal(size=(9, 6))


def test_a_matrix_has_the_numbers_of_numpy():
    found, s = ranktwo.measure(MATRIX), np.linalg.svd(MATRIX, compute_uv=False)
    assert isinstance(found, pandas.Series) and list(found.index) == list(measured.COLUMNS)
    assert (found["shape"], found["rows"], found["columns"], found["remark"]) == ("9x6", 9, 6, None)
    np.testing.assert_allclose(found["singular_values"], s, rtol=1e-13)
    assert found["spectral_norm"] == pytest.approx(np.linalg.norm(MATRIX, 2), rel=1e-13)
    assert found["norm"] == pytest.approx(np.linalg.norm(MATRIX), rel=1e-13)
    assert found["stable_rank"] == pytest.approx((s**2).sum() / s[0] ** 2, rel=1e-13)
    p = s / s.sum()
    assert found["effective_rank"] == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-13)
    for r in (1, 2, 3):
        assert found[f"residual_{r}"] == pytest.approx(math.sqrt((s[r:] ** 2).sum() / (s**2).sum()), rel=1e-12)
    assert found["rank_numpy"] == 6 and type(found["rank_numpy"]) is int
    assert found["rank_gavish_donoho"] is None  # the noise that training began with is not known


def test_it_is_measured_by_the_code_of_the_analysis_of_trained_nets():
    shared = {name for name in spectra.schema().names if name in measured.COLUMNS}
    assert set(measured.COLUMNS) - shared == {"shape", "spectral_norm", "remark"}
    _, values = spectra.measured(torch.tensor(MATRIX)[None], np.full(1, np.nan), 1)
    found = ranktwo.measure(MATRIX)
    assert all(found[name] == values[name][0] for name in shared & set(values) if not np.isnan(values[name][0]))


@pytest.mark.parametrize(
    "kind", ["half", "bfloat16", "int64", "float8", "kernel", "transposed", "big-endian", "list", "trained"]
)
def test_any_kind_of_matrix_is_measured_in_float64(kind):
    whole = np.round(4 * MATRIX)  # every type holds these numbers as they are
    given = {
        "half": whole.astype(np.float16),
        "bfloat16": torch.tensor(whole).bfloat16(),
        "int64": whole.astype(int),
        "float8": torch.tensor(whole).to(torch.float8_e4m3fn),
        "kernel": torch.tensor(whole).reshape(9, 1, 3, 2),
        "transposed": whole.T[::-1].T,
        "big-endian": whole.astype(">f4"),
        "list": whole.tolist(),
        "trained": torch.nn.Parameter(torch.tensor(whole)),
    }[kind]
    found = ranktwo.measure(given)
    s = np.linalg.svd(whole, compute_uv=False)
    np.testing.assert_allclose(found["singular_values"], s, rtol=1e-12)
    assert found["shape"] == ("9x1x3x2" if kind == "kernel" else "9x6")


@pytest.mark.parametrize(
    ("matrix", "remark"),
    [
        (np.where(MATRIX > 1.5, np.nan, MATRIX), "nan or infinity among its entries"),
        (np.where(MATRIX > 1.5, -np.inf, MATRIX), "nan or infinity among its entries"),
        (0 * MATRIX, "all entries are zero"),
        (MATRIX + 1j, "complex numbers"),
        (MATRIX[:0], "no entries"),
        (1e200 * MATRIX, None),
    ],
)
def test_what_is_undefined_is_null_with_a_remark(matrix, remark):
    found = ranktwo.measure(matrix)
    assert found["remark"] == remark
    assert all(value is None or not isinstance(value, float) or math.isfinite(value) for value in found)
    if remark:
        assert found["stable_rank"] is found["residual_2"] is found["rank_numpy"] is None
    with pytest.raises(UserError, match="a matrix has two dimensions or more"):
        ranktwo.measure(MATRIX[0])


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (MATRIX.astype(object), "array of object"),
        ("x", "array of str.*"),
        (np.array([["a", "b"]]), "array of str.*"),
        (MATRIX.astype(np.longdouble), "array of (longdouble|float128)"),
        ([[1.0, 2.0], [3.0]], "list"),
        ([[1.0, 2.0], None], "(list|array of object)"),
    ],
)
def test_what_is_no_array_of_numbers_is_one_sentence(given, what):
    with pytest.raises(UserError, match=f"^a matrix has rows .*, which this {what} has not; convert it, say with .*$"):
        ranktwo.measure(given)


@pytest.mark.filterwarnings("ignore")
def test_weightwatcher_finds_the_same_stable_rank_and_spectral_norm():
    weightwatcher = pytest.importorskip("weightwatcher")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(80, 60), torch.nn.ReLU(), torch.nn.Linear(60, 50))
    details = weightwatcher.WeightWatcher(model=net).analyze(min_evals=1)
    for (_, row), layer in zip(details.iterrows(), (net[0], net[2]), strict=True):
        found = ranktwo.measure(layer.weight)
        assert found["stable_rank"] == pytest.approx(row["stable_rank"], rel=1e-6)
        assert found["spectral_norm"] == pytest.approx(row["spectral_norm"] ** 0.5, rel=1e-6)  # it gives the eigenvalue


def test_the_package_is_imported_without_what_takes_time():
    code = "import sys, ranktwo; print(sorted({'torch', 'numpy', 'pandas'} & set(sys.modules)), ranktwo.measure)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] <function measure")


# Files.

STATE = {"conv": torch.randn(4, 3, 2, 2), "bias": torch.randn(4), "last": torch.randn(5, 4), "scale": torch.tensor(1.0)}


def written(folder, name):
    """A file of STATE's tensors."""
    path = folder / name
    if path.suffix == ".npz":
        np.savez(path, **{key: tensor.numpy() for key, tensor in STATE.items()}, names=np.array(["a", "b"]))
    elif path.suffix == ".safetensors":
        safetensors.torch.save_file(STATE, path)
    else:
        nested = {".pt": STATE, ".pth": {"epoch": 3, "state_dict": STATE}, ".bin": {"model": {"state_dict": STATE}}}
        torch.save(collections.OrderedDict(nested[path.suffix]), path)
    return path


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.pth", "a.bin", "a.npz"])
def test_every_format_gives_the_same_matrices(name, tmp_path):
    found = read(written(tmp_path, name))
    assert set(found.matrices) == {"conv", "last"} and found.left_out == 2
    for key, tensor in found.matrices.items():
        assert torch.equal(tensor, STATE[key])


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["measure", *map(str, arguments)])
    stage.main()
    return capsys.readouterr().out


def test_the_command_prints_and_writes_what_it_measured(tmp_path, monkeypatch, capsys):
    paths = [written(tmp_path, "a.pt"), written(tmp_path, "b.npz")]
    tables = [tmp_path / "out" / "measured.parquet", tmp_path / "out" / "measured.csv"]
    figure = tmp_path / "out" / "spectrum.png"
    outputs = [f"--output={path}" for path in tables]
    printed = run(monkeypatch, capsys, *paths, *outputs, f"--figure={figure}")
    assert printed.count("matrices: 2; tensors of fewer than two dimensions, left out: 2") == 2
    assert "conv      4x3x2x2" in printed and "residual" in printed and "remark" not in printed
    table, metadata = files.read_parquet(tables[0], "measure")
    assert table.schema.equals(measured.schema())
    assert list(metadata["provenance"]["inputs"]) == list(map(str, paths))
    rows = table.to_pylist()
    assert [(row["file"], row["tensor"]) for row in rows] == [
        (str(p), name) for p in paths for name in ("conv", "last")
    ]
    for row in rows:
        expected = ranktwo.measure(STATE[row["tensor"]])
        assert {name: row[name] for name in expected.index} == expected.to_dict()
    frame = pandas.read_csv(tables[1])
    assert list(frame) == [name for name in table.schema.names if name != "singular_values"]
    assert frame["norm"].tolist() == [row["norm"] for row in rows] and frame["rank_numpy"].tolist() == [4, 4, 4, 4]
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_the_figure_shows_each_spectrum_over_its_norm(tmp_path, monkeypatch, capsys):
    path, figure = tmp_path / "a.npz", tmp_path / "a.svg"
    for count in (0, 1, 30):
        np.savez(path, zero=np.zeros((2, 2)), one=np.ones((1, 3)), **{f"w{i}": MATRIX for i in range(count)})
        printed = run(monkeypatch, capsys, path, f"--figure={figure}")
        assert "all entries are zero" in printed and "<svg" in figure.read_text()


class Code:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["torch", "beside tensors", "pickle"])
def test_code_in_a_file_is_not_run(how, tmp_path):
    path, made = tmp_path / "model.pt", tmp_path / "made"
    if how == "pickle":
        path.write_bytes(pickle.dumps(Code(made)))
    else:
        torch.save({"w": torch.ones(2, 2), "x": Code(made)} if how == "beside tensors" else Code(made), path)
    with pytest.raises(UserError, match="holds code, or may hold some, and was not loaded; save the state dict alone"):
        read(path)
    assert not made.exists()
    np.savez(tmp_path / "a.npz", w=np.array([[Code(made)]], dtype=object))
    with pytest.raises(UserError, match="damaged or is not a .npz file"):
        read(tmp_path / "a.npz")
    assert not made.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin", ".npz"])
def test_what_is_no_file_of_weights_is_one_sentence(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(UserError, match=f"cannot read {path}: No such file or directory; check"):
        read(path)
    whole = written(tmp_path, f"b{suffix}").read_bytes()
    for content in (b"", b"hello world", b"PK\x03\x04", b"\x80\x02}q\x00.", whole[: len(whole) // 2], b"\xff" * 99):
        path.write_bytes(content)
        with pytest.raises(
            UserError, match=f"^{path} (is damaged or is not|holds code, or may|holds no tensor)"
        ) as caught:
            read(path)
        assert "\n" not in str(caught.value)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=f"cannot read {path}: Is a directory; check"):
        read(path)


def test_a_file_without_a_matrix_or_with_another_name_is_one_sentence(tmp_path):
    torch.save({"bias": torch.ones(3)}, tmp_path / "a.pt")
    torch.save(torch.ones(3, 3), tmp_path / "b.pt")
    (tmp_path / "c.h5").touch()
    for name, sentence in {
        "a.pt": r"holds no tensor of two dimensions or more \(1 of fewer\); name a file with matrices",
        "b.pt": r"holds a Tensor, not a state dict; save model.state_dict\(\)",
        "c.h5": "has no name of a file of weights; it must end in .safetensors, .pt, .pth, .bin, .npz",
    }.items():
        with pytest.raises(UserError, match=f"{name} {sentence}"):
            read(tmp_path / name)


@pytest.mark.parametrize("option", ["--output=a.txt", "--figure=a.docx"])
def test_a_failing_command_says_why_and_ends_with_one(option, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "ranktwo", "measure", str(written(tmp_path, "a.pt")), option],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ranktwo: cannot write a.") and done.stderr.count("\n") == 1
