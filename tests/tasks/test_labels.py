"""Which labels are the same: exactly those that are the same number."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.tasks.labels import Labels, canonical


@pytest.mark.parametrize(
    ("written", "name"),
    [("0.0", "0"), ("-0", "0"), ("1.", "1"), ("+1", "1"), ("1e0", "1"), ("01", "1"), (".50", "0.5"), ("1e+3", "1000")],
)  # fmt: skip
def test_a_number_has_one_form(written: str, name: str) -> None:
    assert canonical(written) == name


@pytest.mark.parametrize("label", ["a", "1a", "1_0", "1,0", " 1", "", "nan", "inf", "0x1", "१", "1e9999", "true"])
def test_what_is_no_plain_number_stays_as_it_is(label: str) -> None:
    assert canonical(label) == label


NUMBERS = st.one_of(st.integers().map(str), st.floats(allow_nan=False, allow_infinity=False).map(repr),
                    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str))  # fmt: skip


@given(NUMBERS, NUMBERS)
def test_two_numbers_are_one_label_if_and_only_if_they_are_equal(a: str, b: str) -> None:
    assert (canonical(a) == canonical(b)) == (Fraction(a) == Fraction(b))
    assert Fraction(canonical(a)) == Fraction(a)
    assert canonical(canonical(a)) == canonical(a)


def test_large_integers_that_equal_one_float_stay_apart() -> None:
    assert canonical("12345678901234567890") != canonical("12345678901234567891")


def test_warnings_name_five_labels_and_count_the_rest() -> None:
    labels = Labels()
    for i in range(9):
        labels.add("train", f"a{i}")
        labels.add("test", f"A{i}")
    strange, alike = labels.warnings(train="train", test="test")
    assert strange.endswith("'A0' (1), 'A1' (1), 'A2' (1), 'A3' (1), 'A4' (1) and 4 more")
    assert alike.endswith("'a4' / 'A4' and 4 more")
