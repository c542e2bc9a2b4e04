"""The stage that prepares a data set: one file, with where it comes from, or one sentence."""

import json
import re
import subprocess
import sys

import pytest

from ranktwo.analysis.critical import critical_decay
from ranktwo.data.dataset import load
from ranktwo.data.labels import targets
from ranktwo.data.options import Options
from ranktwo.stages import dataset
from ranktwo.store import files, fingerprints
from ranktwo.store.files import read_metadata

STEMS = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def command(folder, output, source, *more):
    """Exit status and error output of the real command."""
    options = source if source.startswith(("{", "[")) else json.dumps({"source": source})
    flags = ["--name", "it", "--options", options, "--folder", folder, "--output", output, "--no-download", *more]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "ranktwo", "dataset", *map(str, flags)], capture_output=True, text=True
    )
    assert result.stdout == ""
    return result.returncode, result.stderr


@pytest.mark.slow
def test_the_command_writes_one_file(tmp_path):
    output = tmp_path / "results" / "it.safetensors"
    status, error = command(tmp_path, output, '{"source": "digits", "classes": [3, 8]}', "--splits", "0", "2")
    assert (status, error) == (0, "")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [output]
    for split in (0, 2):
        assert load(output).split(split).metadata["classes"] == [3, 8]


@pytest.mark.parametrize(
    ("source", "files", "sentence"),
    [
        ("california", {}, "needs .*cal_housing_py3.pkz.*`data_folder`.*RANKTWO_DATA.*`download: true`"),
        ("california", {"cal_housing_py3.pkz": b"x\x9cnonsense"}, "does not hold"),
        ("mnist", {f"MNIST/raw/{stem}": b"" for stem in STEMS}, r"train-images-idx3-ubyte is truncated \(0 bytes\)"),
    ],
)
def test_the_command_refuses_bad_data_in_one_sentence(source, files, sentence, tmp_path):
    folder, output = tmp_path / "data", tmp_path / "it.safetensors"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    status, error = command(folder, output, source)
    assert status == 1 and error.startswith("ranktwo: data set it: ") and error.count("\n") == 1
    assert re.search(sentence, error)
    assert {path.relative_to(folder).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == set(files)


def test_the_file_says_where_it_comes_from(tmp_path):
    output = tmp_path / "it.safetensors"
    assert command(tmp_path, output, "iris") == (0, "")
    metadata = read_metadata(output)
    origin = metadata["provenance"]
    assert origin["stage"] == "dataset" and origin["datasets"] == {"it": metadata["checksum"]}
    assert origin["code"] == {"dataset": [fingerprints.fingerprint("dataset", source="iris")]}
    assert origin["command"][:4] == ["python", "-m", "ranktwo", "dataset"] and origin["inputs"] == {}


@pytest.mark.parametrize("source", ["iris", "breast-cancer", "diabetes"])
def test_the_critical_decay_is_that_of_the_training_part(source, tmp_path):
    tensors, metadata = dataset.prepare_with_critical_decay("it", Options(source=source), tmp_path, False, [0, 1])
    files.write_tensors(tmp_path / "it", tensors, metadata)
    found = [load(tmp_path / "it").split(split) for split in (0, 1)]
    for data in found:
        y = targets(data.train_y, data.task, data.outputs)
        assert data.metadata["critical_decay"] == critical_decay(data.train_x, y, data.task)[0] > 0
    assert metadata["critical_decay"] == found[0].metadata["critical_decay"] != found[1].metadata["critical_decay"]


def test_the_fingerprint_covers_what_makes_the_file():
    reached = fingerprints.reached("dataset", source="digits")
    assert {module for module in reached if module.startswith(("stages.", "data.", "nets.", "analysis."))} == {
        *("stages.dataset", "analysis.critical", "nets.losses", "data.labels", "data.preparation", "data.options"),
        *("data.dataset", "data.sources.base", "data.sources.digits", "data.sources.scikit_learn"),
        *("analysis.optimum.search", "analysis.optimum.climb"),
    }
    assert reached["stages.dataset"] == ["prepare_with_critical_decay"]
