"""Fixtures of the tests of evidence."""

import pytest

from ranktwo.store import registry


@pytest.fixture
def known_analyses(monkeypatch):
    """Makes the registry list these analyses, as it would if their files were in the package."""

    known = registry.entries

    def register(*names):
        entries = {name: registry.Entry(name, f"ranktwo.analysis.{name}", name, "") for name in names}
        monkeypatch.setattr(registry, "entries", lambda mark: entries if mark == "analysis" else known(mark))

    register("bounds", "certificates", "spectra")
    return register
