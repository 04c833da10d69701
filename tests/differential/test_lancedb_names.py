"""Each of the sentence-transformers models that LanceDB lists falls into a class of checkpoints that is computed."""

import pytest
from differential.judge import Made, outcome_of
from differential.lancedb_models import FOLDERS, NAMES

pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_name_falls_into_one_class() -> None:
    names = [name for listed in NAMES.values() for name in listed.split()]
    assert len(names) == len(set(names)) == 124
    assert set(NAMES) == set(FOLDERS)


@pytest.mark.slow
@pytest.mark.parametrize("made", FOLDERS.values(), ids=lambda made: made.name)
def test_every_class_is_computed(made: Made) -> None:
    outcome = outcome_of(made)
    assert outcome.errors == []
    if made.refused:  # CLIP where Pillow is missing, without which sentence-transformers loads none
        assert "illow" in (outcome.refusal or "")
    else:
        assert outcome.refusal is None
