"""Files of what is made from code: given back only where they are whole and of the same facts."""

import pytest

from ranktwo.store import derived


def test_what_was_written_is_read_with_the_same_facts_alone(tmp_path):
    path = tmp_path / "new" / "module.meaning"
    derived.write(path, b"made", b"ab", "c", 1)
    assert derived.read(path, b"ab", "c", 1) == b"made"
    for others in ([b"ab", "c", 2], [b"ab", "c"], [b"a", "c", 1]):
        assert derived.read(path, *others) is None
    assert derived.digest(b"ab", b"c") != derived.digest(b"a", b"bc")


@pytest.mark.parametrize("content", [b"", b"short", None])
def test_a_damaged_file_is_as_none(tmp_path, content):
    path = tmp_path / "module.meaning"
    derived.write(path, b"made", "fact")
    path.write_bytes(path.read_bytes()[:-1] + b"x" if content is None else content)
    assert derived.read(path, "fact") is None
    assert derived.read(tmp_path / "absent", "fact") is None


def test_a_folder_that_cannot_be_written_keeps_nothing_and_stops_nothing(tmp_path):
    (tmp_path / "file").touch()
    derived.write(tmp_path / "file" / "module.meaning", b"made", "fact")
    assert derived.read(tmp_path / "file" / "module.meaning", "fact") is None
