"""The benchmark command measures and writes what it says; how fast anything is, no test asks."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from support import ROOT, a_cell, patience
from torch.nn.functional import cross_entropy, mse_loss

from ranktwo.analysis.inputs import Inputs
from ranktwo.data import dataset, preparation
from ranktwo.data.options import Options
from ranktwo.store import files, registry
from ranktwo.store.records import read_records
from ranktwo.study import jobs
from ranktwo.study.jobs import Job
from ranktwo.training import divergence, recording
from ranktwo.training.job import train_stack

sys.path.insert(0, str(ROOT / "benchmarks"))


@pytest.mark.parametrize("sizes", [(6, 5, 3), (4, 7, 5, 1)])
def test_the_rivals_take_the_steps_that_torch_optim_takes(sizes):
    import rivals
    from training import DECAY, RATE, SEEDS, Net, random_data

    net, cells, steps = Net(sizes=sizes, rows=50), 10, 20
    x, y = random_data(sizes[0], sizes[-1], net.task, net.rows)
    rows = torch.randint(0, 50, (steps, SEEDS, 8), generator=torch.Generator().manual_seed(2))
    found = {
        name: make(net, x, y, cells)([one.clone() for one in rivals.weights_of(net, cells)], rows)
        for name, make in rivals.available()
    }
    assert {"torch.func", "bmm"} <= found.keys()
    for cell in (0, 9):
        own = [one[cell].clone().requires_grad_() for one in rivals.weights_of(net, cells)]
        updates = torch.optim.SGD(own, lr=RATE, weight_decay=DECAY * cell / cells)
        for batch in rows[:, cell % SEEDS]:
            h = x[batch]
            for weight in own[:-1]:
                h = (h @ weight).relu()
            loss = mse_loss if sizes[-1] == 1 else cross_entropy
            updates.zero_grad()
            loss(h @ own[-1], y[batch]).backward()
            updates.step()
        for name, weights in found.items():
            if cell == 0 or name != "bmm":  # which knows one weight decay alone
                for one, other in zip(own, weights, strict=True):
                    assert_allclose(np.asarray(other[cell].tolist()), one.tolist(), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_command_prints_and_writes_its_tables(tmp_path):
    command = [sys.executable, "benchmarks/run.py", "steps", "start", "--rounds", "1", "--batch", "16"]
    command += ["--optimizers", "sgd", "--output", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=patience(30))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "benchmarks.json").read_text())
    assert [row["net"] for row in found["results"]["steps"]] == ["784-256-10", "784-256-256-10", "64-128-10", "8-256-1"]
    for row in found["results"]["steps"]:
        assert all(float(row[name].split()[0]) > 0 for name in ("(a), µs", "(b), µs", "(c), µs", "(a)/(c)"))
    assert {"date", "device", "torch"} <= found["machine"].keys()
    page = (tmp_path / "benchmarks.md").read_text()
    assert page.count("\n## ") == 2
    assert all(line in page for line in done.stdout.splitlines() if line.startswith("|"))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_the_textbook_loop_of_any_net_takes_the_steps_that_the_engine_takes(optimizer):
    """From the same weights, on one batch of all rows again and again."""
    import any_net
    from any_net import Kind
    from training import DECAY, random_data

    kind = Kind(name="resnet", side=6, widths=(3, 4), axes={"normalisation": "layer"})
    net, (x, y) = kind.net(), random_data(36, any_net.CLASSES, "multiclass", 20)
    module = any_net.module_of(kind, optimizer)
    own = dict(module.named_parameters())
    with torch.no_grad():
        for key, values in zip(net._shapes, net.initial(0), strict=True):
            own[key].copy_(values.view(own[key].shape))
    cell = replace(kind.cell(optimizer), batch_size="full", weight_decay=DECAY, steps=10)
    stack = divergence.begin([cell], x, y, "multiclass", any_net.CLASSES, kind.shape)
    stack.advance_to(10)
    updates = any_net.updates(module, optimizer)
    for _ in range(10):
        updates.zero_grad()
        cross_entropy(module(x.view(-1, 1, 6, 6)), y).backward()
        updates.step()
    for key, values in zip(net._shapes, stack.stack.weights, strict=True):
        assert_allclose(values[0].flatten().numpy(), own[key].detach().flatten().numpy(), rtol=1e-4, atol=1e-5)


@pytest.fixture
def results(tmp_path) -> Path:
    """Of a study of one stack: nets with biases in two splits, of whose four snapshots two have their weights kept."""
    options, folder = {"source": "iris"}, tmp_path / "results"
    places = [{"split": 1}, {"split": 0, "label_noise": 0.2}, {"split": 1, "learning_rate": 1e4}]
    cells = [a_cell(train_size=80, bias=True, **place) for place in places]
    job = Job(stack="stack", options=options, snapshots=3, keep="last", cells=cells)
    jobs.write(folder, job)
    jobs.write_stacks(folder, [job.stack])
    data, run = folder / "datasets" / "toy.safetensors", folder / "runs" / job.stack
    tensors, metadata = preparation.prepare("toy", Options(**options), tmp_path, False, [1])
    files.write_tensors(data, tensors, metadata | {"critical_decay": 1.0, "provenance": {}})
    train_stack(job, data=data, weights=run / "weights.safetensors", history=run / "history.parquet", device="cpu")
    return folder


def test_the_analysis_section_does_again_what_the_jobs_of_a_study_do(results, tmp_path, monkeypatch):
    """Nets are trained to the same numbers, and analyses read each cell's kept weights with the data of its split."""
    import analysis
    import run

    trained, inputs, train = {}, [], recording.train

    def seen_train(*arguments, **more):
        found = train(*arguments, **more)
        trained.update(found)
        return found

    def seen_inputs(**fields):
        inputs.append(Inputs(**fields))
        return inputs[-1]

    monkeypatch.setattr(recording, "train", seen_train)
    monkeypatch.setattr(analysis, "Inputs", seen_inputs)
    monkeypatch.setattr(sys, "argv", ["run.py", "analysis", "--results", str(results), "--output", str(tmp_path)])
    run.main()

    [row, total] = json.loads((tmp_path / "benchmarks.json").read_text())["results"]["analysis"]
    assert row["stack"] == "stack" and total["stack"] == "all"
    stages = ["training", "evaluation", *registry.entries("analysis")]
    assert list(row) == ["stack", "cells", *stages, "analysed", "evaluated"]
    assert row["cells"] == "3" and all(float(row[stage]) > 0 for stage in stages)
    assert float(row["evaluation"]) < float(row["training"])

    folder, prepared = results / "runs" / "stack", dataset.load(results / "datasets" / "toy.safetensors")
    kept = read_records(folder / "weights.safetensors", folder / "history.parquet")
    assert trained.keys() == kept.keys()
    for name, record in kept.items():
        assert trained[name].history == record.history
        for key, values in trained[name].with_weights(record.kept).parameters().items():
            assert torch.equal(values.nan_to_num(), record.parameters()[key].nan_to_num())
    assert {name for given in inputs for name in given.records} == kept.keys()
    for given in inputs:
        for name, record in given.records.items():
            assert given.data.checksum == prepared.checksum(record.cell["split"])
            assert record.steps == kept[name].kept


def test_a_section_that_fails_leaves_those_before_it_written(tmp_path, monkeypatch):
    import run

    def fails(arguments):
        """What went wrong."""
        raise RuntimeError("no more")

    def works(arguments):
        """What went well."""
        return [{"seconds": "1"}]

    monkeypatch.setattr(run, "SECTIONS", {"works": works, "fails": fails})
    monkeypatch.setattr(sys, "argv", ["run.py", "--output", str(tmp_path / "new")])
    with pytest.raises(RuntimeError, match="no more"):
        run.main()
    assert json.loads((tmp_path / "new" / "benchmarks.json").read_text())["results"] == {"works": [{"seconds": "1"}]}
    assert "## works" in (tmp_path / "new" / "benchmarks.md").read_text()
