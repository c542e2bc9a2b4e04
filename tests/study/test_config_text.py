"""The text of a config: what is no YAML, or no mapping of keys given once, is refused in a sentence that says where."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ranktwo.errors import UserError
from ranktwo.study import config


def check(tmp_path, content: bytes) -> str | None:
    path = tmp_path / "my.yaml"
    path.write_bytes(content)
    try:
        config.check(path)
    except UserError as error:
        assert "\n" not in str(error)
        assert str(path) in str(error)
        return str(error)
    return None


TEXTS = {
    b"a: 1\nb: 2\na: 3": "line 3: the key a stands twice",
    b"grids:\n- {seed: 0, seed: 1}": "line 2: the key seed stands twice",
    b"a: [1\nb: {": "line 2",
    b"a: b: c": "line 1",
    b"\ta: 1": "line 1",
    b"- 1\n- 2": "has no keys",
    b"": "has no keys",
    b"\xff\xfe": "is not UTF-8 text",
    b"a: \x00": "is not YAML",
    b"a: &a [*a]": "refers to itself",
    b"a: !!python/object/apply:os.system [ls]": "line 1",
    b"[" * 5000: "nested too deeply",
    b"a: 2020-13-45": "is not YAML",
    b"? [1, 2]\n: 3": "line 1",
}


@pytest.mark.parametrize("text", TEXTS)
def test_text_that_is_no_config_is_refused_in_a_sentence_that_says_where(tmp_path, text):
    assert TEXTS[text] in (check(tmp_path, text) or "accepted")


def test_yaml_that_means_one_thing_passes(tmp_path):
    assert check(tmp_path, b"base: &b {x: 1, y: 2}\na: {<<: *b, x: 3}\n1e-3: 4\n") is None
    with pytest.raises(UserError, match=r"nowhere.yaml cannot be read \(No such .*\); check the name of the config$"):
        config.check(tmp_path / "nowhere.yaml")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=40) | st.text(alphabet="ab:-[]{}&*!|>#,'\"\n\t 01?%@`", max_size=40))
def test_any_text_passes_or_is_refused_in_a_sentence(tmp_path, text):
    check(tmp_path, text.encode("utf-8", "surrogatepass"))
