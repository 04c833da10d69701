"""The examples that hypothesis draws in the default run: the same, whatever this process imported and ran before."""

import importlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def drawn() -> list[str]:
    """Return all that one test is given: of the kinds that hypothesis also takes from imported modules."""
    found = []

    @given(st.floats(), st.integers(), st.text())
    def takes(a: float, b: int, c: str) -> None:
        found.append(ascii((a, b, c)))

    takes()
    return found


@pytest.mark.skipif(settings.get_current_profile_name() != "same", reason="a random search was asked for")
def test_a_module_imported_in_between_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = drawn()
    (tmp_path / "full_of_constants.py").write_text(f"VALUES = {[*range(1000, 2000)]}, 0.123, 'a text'\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("full_of_constants")
    assert drawn() == before
    assert len(before) >= 100
