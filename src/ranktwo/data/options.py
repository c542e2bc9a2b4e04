"""The options of a data set: what a study's config says of it, read from JSON."""

import json
from typing import Any

from pydantic import ValidationError

from ranktwo.errors import UserError
from ranktwo.store import registry
from ranktwo.study import source_options
from ranktwo.study.schema import DataSet


class Options(DataSet):
    """What determines a prepared data set together with its source's content.

    Nothing else but the source, the classes and the seed decides on the split and on the order of its rows.
    """

    @property
    def own(self) -> dict[str, Any]:
        """The options that the source alone takes."""
        return {key: value for key, value in self.as_dict().items() if key in source_options.OPTIONS}

    def as_dict(self) -> dict[str, Any]:
        """The options as a study's config has them."""
        return source_options.trimmed(self.model_dump())


def read_options(text: str) -> Options:
    """Options from the text of a JSON object; UserError if it is none, or if a key or a value is not allowed."""
    try:
        given = json.loads(text)
    except ValueError as error:
        raise UserError(f"the options are not JSON ({error}): {text}") from error
    if not isinstance(given, dict) or "source" not in given:
        raise UserError(f'the options must be a JSON object with a "source", not {text}')
    words = [("option", key, list(Options.model_fields)) for key in given]
    for kind, word, known in [*words, ("source", given["source"], list(registry.entries("source")))]:
        if word not in known:
            raise UserError(f"unknown {kind} {word}; known are {', '.join(known)}{registry.near_miss(word, known)}")
    try:
        options = Options.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key, reason = str(first["loc"][0]), first["msg"]
        raise UserError(f"the option {key} is {json.dumps(given[key])}; {reason[0].lower()}{reason[1:]}") from error
    if wrong := source_options.problem(vars(options)):
        raise UserError(f"the option {' '.join(wrong)}")
    return options
