"""On real data with a real model: pool and test rows, chosen demonstrations, their order and every prompt's text equal
those of `by_hand`."""

import json
import random

import numpy as np
import pytest
from by_hand import Recorder, check_prompts_with_options, nearest_first, tokens

from instructor_eval.models.library import load_encoder
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.prompts.adapter import prepare
from instructor_eval.tasks.prompts.recipe import recipe_of
from instructor_eval.tasks.task import RunSettings

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def minilm():
    return load_encoder("minilm")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SST-5", "MultiRC"])
def test_prompts_with_options(name, hub, reference, minilm):
    check_prompts_with_options(name, hub, reference, minilm)


@pytest.mark.slow
def test_prompts_with_queries_to_write(hub, reference, minilm):
    """GeoQuery: which demonstrations, and how they are shown. The preamble is ours; theirs is made from a database."""
    folder = hub / "datasets" / "prompt_retrieval" / "geoquery"
    drawn = json.loads((reference / "prompt_retrieval_seed0_indices.json").read_text())["geoquery"]["eval_indices"]
    pool = json.loads((folder / "geoquery_train.json").read_text())
    held_out = json.loads((folder / "geoquery_eval.json").read_text())
    test = [held_out[i] for i in drawn]
    card, encoder = shipped_cards()["GeoQuery"], Recorder(minilm)
    prepared = prepare(card, recipe_of(card), encoder, RunSettings(protocol={}, hub=hub))
    assert encoder.texts == [row["seq_in"] for row in pool + test]
    assert len(prepared) == len(test) == 256
    demonstrations = [f"-- {row['question']}\n{row['query']}\n\n" for row in pool]
    lengths = [tokens(d) for d in demonstrations]
    views = nearest_first(encoder.vectors[: len(pool)], encoder.vectors[len(pool) :], centre_test=False)
    for row, (order, cosine), got in zip(test, views, prepared, strict=True):
        query = f"-- {row['question']}\nSELECT"
        preamble = got.item.preamble
        for table in row["db_table_names"]:
            assert f"CREATE TABLE {table} (" in preamble
        total, chosen = tokens(preamble) + tokens(query), []
        for i in order:
            if np.float32(cosine[i]) == 1:
                continue
            total += lengths[i]
            if total > 3800:
                break
            chosen.insert(0, i)
        assert got.question.prompt == preamble + "".join(demonstrations[i] for i in chosen) + query
        assert got.similarities == pytest.approx([cosine[i] for i in chosen], abs=1e-12)
        assert "SELECT" + got.question.most_similar == pool[chosen[-1]]["query"]


def test_the_reference_draws_are_those_of_random_sample(reference):
    """The file itself against the words of the protocol, so that the tests above hold our draws to more than a file."""
    drawn = json.loads((reference / "prompt_retrieval_seed0_indices.json").read_text())
    lot = random.Random(0)
    assert lot.sample(range(8544), 3000) == drawn["sst5"]["train_indices"]
    assert lot.sample(range(2210), 256) == drawn["sst5"]["eval_indices_into_test"]
    assert random.Random(0).sample(range(277), 256) == drawn["rte"]["eval_indices_into_glue_validation"]
