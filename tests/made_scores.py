"""Scores from mappings, as tests write them down."""

import dataclasses
from typing import Any

from instructor_eval.results.reading import plain, read
from instructor_eval.results.score import SCHEMA_VERSION, Score


def score_of(**fields: Any) -> Score:
    """A score of these fields, records as mappings; an empty one of what need not be there is none."""
    return dataclasses.replace(read(plain(fields) | {"schema_version": 1}), schema_version=SCHEMA_VERSION)


def edited(score: Score, /, **fields: Any) -> Score:
    """The score with other fields; of a record those that a mapping names."""
    raw = plain(score)
    for name, value in fields.items():
        is_record = isinstance(value, dict) and dataclasses.is_dataclass(getattr(score, name))
        raw[name] = raw[name] | value if is_record else value
    return dataclasses.replace(score_of(**raw), sums=score.sums)
