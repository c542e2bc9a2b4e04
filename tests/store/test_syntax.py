"""What a module's text comes to is kept beside it, and is used only for that text."""

import os
from pathlib import Path

import pytest

from ranktwo.store import syntax

TEXT = """'''A module.'''
from ranktwo.study import axes as names

RATE = 0.1


def rate():
    '''A rate.'''
    from ranktwo.study.grid import cell_of

    return load("source") + names.AXES + "kernel.cu"
"""


@pytest.fixture
def module(tmp_path) -> Path:
    path = tmp_path / "rates.py"
    path.write_text(TEXT)
    return path


def said(found: syntax.Module) -> tuple:
    """A module without the identity of its statements."""
    return [vars(statement) for statement in found.statements], found.imports


def test_a_module_is_its_statements_and_what_it_takes_from_the_package():
    found = syntax.parse(TEXT)
    constant, function = found.statements
    assert constant.binds == ("RATE",) and function.binds == ("rate",)
    assert {("names", "AXES"), ("load", "")} <= set(function.uses)
    assert (function.loads, function.files) == (("source",), ("kernel.cu",))
    assert "A rate" not in function.meaning
    assert found.imports == (("names", "study", "axes"), ("cell_of", "study.grid", "cell_of"))


def test_a_text_is_parsed_once(module, monkeypatch):
    first = syntax.parsed(module)
    monkeypatch.setattr(syntax, "parse", None)
    again = syntax.parsed(module)
    assert said(again) == said(first)


def test_another_text_of_the_same_length_and_date_is_parsed_anew(module):
    syntax.parsed(module)
    stamp = module.stat()
    module.write_text(TEXT.replace("0.1", "0.2"))
    os.utime(module, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert "0.2" in syntax.parsed(module).statements[0].meaning


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_file_is_made_anew(module, damage, monkeypatch):
    first = syntax.parsed(module)
    [kept] = (module.parent / "__pycache__").glob("rates.*")
    content = kept.read_bytes()
    kept.write_bytes({"cut": content[:-9], "changed": content.replace(b"0.1", b"0.3"), "empty": b""}[damage])
    assert said(syntax.parsed(module)) == said(first)
    assert kept.read_bytes() == content


def test_a_folder_that_cannot_be_written_stops_nothing(module):
    (module.parent / "__pycache__").touch()
    assert said(syntax.parsed(module)) == said(syntax.parse(TEXT))
