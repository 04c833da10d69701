"""Findings of a check in words, whatever it meets."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np

from instructor_eval.core.errors import UserError, one_line

LONGEST = 300
"""Characters of a finding."""


def guarded(what: str, check: Callable[..., Iterator[str] | None], *arguments: object) -> list[str]:
    """Return a check's findings; values of a kind that it cannot compute with are one."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of constant inputs: what comes of them is compared
            return [one_line(text)[:LONGEST] for text in check(*arguments) or ()]
    except KeyError as e:
        return [one_line(f"{what}: there is no {e}")[:LONGEST]]
    except UserError as e:
        return [str(e)[:LONGEST]]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as e:
        return [one_line(f"{what}: cannot be checked ({type(e).__name__}: {e})")[:LONGEST]]
