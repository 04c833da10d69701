"""Libraries that may be missing: what the error says."""

from __future__ import annotations

from pathlib import Path

import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.core.libraries import folder_of, missing, require


def test_what_is_missing_is_named_with_its_extra() -> None:
    require(["json", "pytest"], "run", "this")
    assert missing(["json", "no_one", "no_two"]) == ["no_one", "no_two"]
    with pytest.raises(UserError) as e:
        require(["json", "no_one", "no_two", "no_three"], "run", "this")
    assert str(e.value) == "this needs no_one, no_two and no_three: pip install 'instructor-eval[run]'"
    with pytest.raises(UserError) as e:
        require(["no_one"], "", "that", otherwise="or do without")
    assert str(e.value) == "that needs no_one: pip install no_one; or do without"


def test_the_folder_of_a_package_is_found_without_importing_it() -> None:
    folder = folder_of("pytest")
    assert folder is not None
    assert folder == Path(pytest.__file__).parent
    assert folder_of("no_such_package") is None
    assert folder_of("json.no_such_module") is None
