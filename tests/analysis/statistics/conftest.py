from __future__ import annotations

import pytest
from simulated import FEW_DRAWS

from instructor_eval.analysis.statistics import randomise, resample


@pytest.fixture
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw a few hundred times where the module draws thousands."""
    monkeypatch.setattr(randomise, "_FIRST", 99)
    monkeypatch.setattr(resample, "resamples", lambda _: FEW_DRAWS)
