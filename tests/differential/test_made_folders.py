"""Every made folder is computed as sentence-transformers computes it, or refused in one line: some of 390 here."""

import pytest
from differential.judge import TEXTS, Made, outcome_of
from differential.kinds import BY_NAME, FOLDERS, SOME

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_folders_are_many_and_each_has_its_name() -> None:
    assert len(FOLDERS) == len(BY_NAME) >= 300
    assert len(TEXTS) >= 20


@pytest.mark.parametrize("made", SOME, ids=lambda made: made.name)
def test_some_folders_equal_sentence_transformers_or_are_refused(made: Made) -> None:
    assert outcome_of(made).errors == []
