"""Every made folder is computed as sentence-transformers computes it, or refused in one line: all of them, in minutes.

pytest -m slow tests/differential
"""

import itertools

import numpy as np
import pytest
from differential.judge import PROMPTS, TEXTS, TOLERANCE, Made, Outcome, far, outcome_of, same
from differential.kinds import FOLDERS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def _computed() -> list[tuple[Made, Outcome]]:
    outcomes = [(made, outcome_of(made)) for made in FOLDERS]
    return [(made, outcome) for made, outcome in outcomes if outcome.fingerprint is not None]


@pytest.mark.parametrize("made", FOLDERS, ids=lambda made: made.name)
def test_a_folder_equals_sentence_transformers_or_is_refused(made: Made) -> None:
    assert outcome_of(made).errors == []


@pytest.mark.parametrize("made", FOLDERS, ids=lambda made: made.name)
def test_their_vectors_depend_on_the_text_and_on_the_prompt(made: Made) -> None:
    """A folder whose vectors are all alike would show nothing."""
    theirs = outcome_of(made).theirs
    plain = [v for text in TEXTS[:5] if (v := theirs.get((PROMPTS[0], text))) is not None]
    prompted = [v for text in TEXTS[:5] if (v := theirs.get((PROMPTS[2], text))) is not None]
    if not plain:
        assert outcome_of(made).refusal is not None
        return
    assert any(far(a, b) > 100 * TOLERANCE for a, b in itertools.pairwise(plain)) or len(plain[0]) == 1
    assert len(plain) != len(prompted) or any(far(a, b) > TOLERANCE for a, b in zip(plain, prompted, strict=True))
    assert all(np.isfinite(v).all() for v in plain)


def test_what_changes_a_vector_changes_the_fingerprint() -> None:
    by_fingerprint: dict[str | None, list[tuple[Made, Outcome]]] = {}
    for made, outcome in _computed():
        if not made.loose:
            by_fingerprint.setdefault(outcome.fingerprint, []).append((made, outcome))
    for (first, one), *rest in by_fingerprint.values():
        assert [made.name for made, other in rest if not same(one, other)] == [], (
            f"have the fingerprint of {first.name}"
        )


def test_whose_vectors_padding_moves_is_known() -> None:
    """Of all others sentence-transformers gives a text the same vector alone and in a batch."""
    moved = {made.name for made in FOLDERS if outcome_of(made).padded > TOLERANCE}
    assert moved == {made.name for made in FOLDERS if "padding" in made.refused or made.refused == "attention_type"}
