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
        (
            '{"source": "digits", "scaling": "units"}',
            'option scaling is "units"; input should be .feature., .global., .unit. or .none.$',
        ),
        ('{"source": "digits", "classes": [3]}', r"option classes is \[3\]; list should have at least 2 items"),
        ('{"source": "digits", "classes": [3, 3]}', r"option classes is \[3, 3\]; no entry may stand twice$"),
        ('{"source": "digits", "classes": ["3", "8"]}', 'classes is ."3", "8".; input should be a valid integer'),
        ('{"source": "digits", "classes": [0, true]}', "classes is .*; input should be a valid integer"),
        ('{"source": "digits", "test_size": 0}', "test_size is 0; input should be greater"),
        ('{"source": "digits", "test_size": 44.5}', "test_size is 44.5; input should be a valid integer"),
        ('{"source": "digits", "clip": 0}', "option clip is 0; input should be greater than 0$"),
        ('{"source": "digits", "clip": NaN}', "clip is NaN; input should be a finite number"),
        ('{"source": "digits", "bias": 1}', "bias is 1; input should be a valid boolean"),
        ('{"source": "digits", "seed": -1}', "seed is -1; input should be greater"),
        ('{"source": "digits", "target": "y"}', "the option target is given, but only `source: file` takes it"),
        ('{"source": "file"}', "the option path is missing"),
        ('{"source": "file", "path": 3}', "the option path is 3; input should be a valid string"),
        (
            '{"source": "file", "path": "a.csv", "target": "y", "kind": "rank"}',
            'kind is "rank"; input should be .classif',
        ),
        ('{"source": "modular"}', "the option modulus is missing; `source: modular` needs it"),
        ('{"source": "modular", "modulus": 1}', "the option modulus is 1; input should be greater than or equal to 2$"),
        (
            '{"source": "modular", "modulus": 201}',
            "the option modulus is 201; input should be less than or equal to 200$",
        ),
        ('{"source": "modular", "modulus": 7.5}', "the option modulus is 7.5; input should be a valid integer"),
        ('{"source": "digits", "modulus": 7}', "the option modulus is given, but only `source: modular` takes it"),
        ('{"source": "file", "path": "a.txt", "target": "y", "kind": "regression"}', "path is 'a.txt'; it must be"),
    ],
)
def test_options_that_are_not_known_are_refused(text, sentence):
    with pytest.raises(UserError, match=sentence):
        read_options(text)
