"""The arrows between the package's rooms go down only; evidence and report need neither torch nor what trains nets."""

import ast
from pathlib import Path

import pytest
from support import ROOT

PACKAGE = ROOT / "src" / "ranktwo"
MAY_IMPORT = {
    "store": [],
    "study": ["store"],
    "nets": ["study", "store"],
    "data": ["nets", "study", "store"],
    "training": ["data", "nets", "study", "store"],
    "analysis": ["data", "nets", "study", "store"],
    "evidence": ["study", "store"],
    "report": ["evidence", "study", "store"],
    "stages": ["report", "evidence", "training", "analysis", "data", "nets", "study", "store"],
}
"""Rooms that a room may import besides itself."""
WITHOUT_TORCH = ("store", "study", "evidence", "report")


def imports(path: Path) -> list[str]:
    """Modules that a file imports, wherever in it; imports for types alone do not count."""
    tree = ast.parse(path.read_text())
    types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    skipped = {id(inner) for node in types for inner in ast.walk(node)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in skipped:
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and id(node) not in skipped:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def faults(room: str) -> list[str]:
    """Imports of a room that point upwards, each with its file."""
    allowed = {room, *MAY_IMPORT[room]}
    found = []
    for path in sorted((PACKAGE / room).rglob("*.py")):
        for name in imports(path):
            parts = name.split(".")
            upward = parts[0] == "ranktwo" and parts[1] in MAY_IMPORT and parts[1] not in allowed
            # Tensors in files are the one thing for which the store loads torch, and only then.
            torch = parts[0] == "torch" and room in WITHOUT_TORCH
            if upward or torch:
                found.append(f"{path.relative_to(PACKAGE)} imports {name}")
    return found


def test_every_folder_of_the_package_is_a_room_of_the_house():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_arrows_go_down(room):
    assert faults(room) == []


def test_no_file_is_longer_than_a_person_reads_at_once():
    long = {
        str(path.relative_to(PACKAGE)): count
        for path in PACKAGE.rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 420
    }
    assert long == {}
