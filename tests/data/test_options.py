"""Options of data sets: what is not allowed is refused in one sentence."""

import pytest

from ranktwo.data.options import Options, read_options
from ranktwo.errors import UserError


def test_options_are_read_from_json_with_their_defaults():
    assert read_options('{"source": "digits", "classes": [8, 3], "clip": 5}') == Options(
        source="digits", classes=[8, 3], test_size=None, scaling="feature", clip=5, bias=False, seed=0
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not JSON"),
        ("[]", 'must be a JSON object with a "source"'),
        ('{"scaling": "unit"}', 'must be a JSON object with a "source"'),
        ('{"source": "digit"}', "unknown source digit; known are breast-cancer, .*, wine; did you mean digits[?]$"),
        ('{"source": ["digits"]}', "unknown source"),
        (
            '{"source": "digits", "scalling": "unit"}',
            "unknown option scalling; known are source, .*; did you mean scaling[?]$",
        ),
        ('{"source": "digits", "scaling": "units"}', 'scaling must be one of feature, global, unit, none, not "units"'),
        ('{"source": "digits", "classes": [3]}', "classes must be null or a list of at least two different"),
        ('{"source": "digits", "classes": [3, 3]}', "classes must be"),
        ('{"source": "digits", "classes": ["3", "8"]}', "classes must be"),
        ('{"source": "digits", "classes": [0, true]}', "classes must be"),
        ('{"source": "digits", "test_size": 0}', "test_size must be"),
        ('{"source": "digits", "test_size": 44.5}', "test_size must be"),
        ('{"source": "digits", "clip": 0}', "clip must be null or a positive number, not 0"),
        ('{"source": "digits", "clip": NaN}', "clip must be"),
        ('{"source": "digits", "bias": 1}', "bias must be true or false, not 1"),
        ('{"source": "digits", "seed": -1}', "seed must be"),
        ('{"source": "digits", "target": "y"}', "the option target is given, but only `source: file` takes it"),
        ('{"source": "file"}', "the option path is missing"),
        ('{"source": "file", "path": 3}', "the option path must be text, not 3"),
        (
            '{"source": "file", "path": "a.csv", "target": "y", "kind": "rank"}',
            "kind must be one of classif",
        ),
        ('{"source": "modular"}', "the option modulus is missing; `source: modular` needs it"),
        ('{"source": "modular", "modulus": 1}', "the option modulus must be a whole number from 2 to 200, not 1$"),
        ('{"source": "modular", "modulus": 201}', "the option modulus must be a whole number from 2 to 200, not 201$"),
        ('{"source": "modular", "modulus": 7.0}', "the option modulus must be a whole number from 2 to 200"),
        ('{"source": "digits", "modulus": 7}', "the option modulus is given, but only `source: modular` takes it"),
        ('{"source": "file", "path": "a.txt", "target": "y", "kind": "regression"}', "path is 'a.txt'; it must be"),
    ],
)
def test_options_that_are_not_known_are_refused(text, sentence):
    with pytest.raises(UserError, match=sentence):
        read_options(text)
