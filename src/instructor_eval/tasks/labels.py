"""Labels of own data: one number is one label; warnings name labels that look alike or that training does not have.

`0`, `0.0` and `"0"` are one label, and so are `true`, `True` and `TRUE`: programs write one column in all these ways.
Other labels that differ in case or spaces stay apart: only their owner knows if they mean the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Context, Decimal

from instructor_eval.tasks.values import MISSING, RowReader, count, cut

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_TRUTH = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
_LONGEST, _PLAIN = 300, 20
_EXACT = Context(prec=_LONGEST + 10)
_NAMED, _ALIKE, _SHOWN = 5, 3, 30


def canonical(label: str) -> str:
    """Return a numeric label in its shortest form, a truth value as JSON has it, and every other label unchanged."""
    if len(label) > _LONGEST or not _NUMBER.fullmatch(label):
        return _TRUTH.get(label, label)
    number = Decimal(label).normalize(_EXACT)
    if not number:
        return "0"
    exponent = number.as_tuple().exponent
    return f"{number:f}" if isinstance(exponent, int) and abs(exponent) <= _PLAIN else str(number)


def check_numbers(reader: RowReader, name: str, labels: Iterable[tuple[int, str]]) -> None:
    """Check that labels that are numbers are finite: a word for a missing value among them is no class.

    Args:
        reader: The reader of their file.
        name: Our name of their column.
        labels: Each with its line.

    Raises:
        UserError: some are not, and all others are numbers.
    """
    odd, are_numbers = [], False
    for line, label in labels:
        if label in MISSING or _INFINITE.fullmatch(label):
            odd.append((line, label))
        elif _NUMBER.fullmatch(label):
            are_numbers = True
        else:
            return
    if odd and are_numbers:
        line, label = odd[0]
        column = reader.columns.get(name, name)
        raise reader.fail(line, f"{cut(label)} in '{column}', whose other labels are numbers: leave the row out")


class Labels:
    """The labels of a data set, split by split."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._spellings: dict[str, dict[str, None]] = defaultdict(dict)

    def add(self, split: str, written: str) -> str:
        """Count a label, and return it in its shortest form."""
        name = canonical(written)
        self._counts[split][name] += 1
        self._spellings[name][written] = None
        return name

    def warnings(self, *, train: str | None = None, test: str | None = None) -> list[str]:
        """Return warnings about labels that a reader of the score must know.

        Args:
            train: The split that a classifier learns from.
            test: The split that it is tested on.
        """
        found = []
        if train is not None and test is not None:
            found += unseen(self._counts[train], self._counts[test], train, test)
        groups: dict[str, dict[str, None]] = defaultdict(dict)
        for counts in self._counts.values():
            for name in counts:
                groups[_folded(name)][name] = None
        alike = [list(names) for names in groups.values() if len(names) > 1]
        if alike:
            found.append(f"labels that differ only in case, spaces or Unicode form are not the same: {_pairs(alike)}")
        written = [list(forms) for forms in self._spellings.values() if len(forms) > 1]
        if written:
            found.append(f"labels that are the same number or truth value are taken as one: {_pairs(written)}")
        return found


def unseen(
    train: Mapping[str, int], test: Mapping[str, int], train_name: str, test_name: str, counts: str = "counts as wrong"
) -> list[str]:
    """Return a warning about test labels that training does not have, with the number of their rows.

    Args:
        train: Label -> rows of the training split.
        test: Label -> rows of the test split.
        train_name: Name of the training split.
        test_name: Name of the test split.
        counts: How such a row counts.
    """
    strange = {name: n for name, n in test.items() if name not in train}
    if not strange:
        return []
    named = _listed(f"{cut(name, _SHOWN)} ({n:,})" for name, n in strange.items())
    rows = sum(strange.values())
    return [
        f"{rows:,} of {count(sum(test.values()), f'{test_name} row')} {'has' if rows == 1 else 'have'} a label that "
        f"never occurs in {train_name} ({counts}): {named}"
    ]


def _folded(name: str) -> str:
    """Return a label without differences in case, spaces and Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _pairs(groups: Iterable[list[str]]) -> str:
    return _listed(" / ".join(cut(name, _SHOWN) for name in names[:_ALIKE]) for names in groups)


def _listed(texts: Iterable[str]) -> str:
    every = list(texts)
    more = f" and {len(every) - _NAMED:,} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more
