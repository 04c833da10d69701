"""As test_real_prompts.py, for RTE, whose pairs take a minute to embed: its own file runs beside the others."""

import pytest
from by_hand import check_prompts_with_options

from instructor_eval.models.library import load_encoder


@pytest.mark.slow
@pytest.mark.realdata
def test_the_prompts_of_rte(hub, reference):
    check_prompts_with_options("RTE", hub, reference, load_encoder("minilm"))
