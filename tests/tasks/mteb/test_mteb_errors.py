"""Errors of a mirror of data sets are one line that names the folder."""

import dataclasses
import decimal
import math

import by_type
import made_up
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_up import MIRRORS, FakeEncoder, card, jsonl, read_jsonl, rows_without, settings

from instructor_eval.core.errors import UserError

# Errors


def test_a_data_set_that_is_nowhere_names_both_ways_to_give_it(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty-cache"))
    (tmp_path / "datasets").mkdir()
    with pytest.raises(UserError) as e:
        by_type.run(card("SciFact"), FakeEncoder(), settings(tmp_path))
    text = str(e.value)
    assert "mteb/scifact" in text and "d56462d0e63a25450459c4f213e49ffdb866f7f9" in text
    assert "run once without it" in text and "--hub DIR (DIR/datasets/mteb/scifact/)" in text
    assert "\n" not in text


@pytest.mark.parametrize("call", ["data_key", "run"])
def test_a_hub_that_is_no_mirror(tmp_path, call):
    arguments = (settings(tmp_path),) if call == "data_key" else (FakeEncoder(), settings(tmp_path))
    with pytest.raises(UserError, match="no folder 'datasets' in it: a mirror holds") as e:
        getattr(by_type, call)(card("SciFact"), *arguments)
    assert f"--hub {tmp_path}" in str(e.value)


def test_an_id_cannot_lead_out_of_the_mirror(tmp_path):
    (tmp_path / "datasets").mkdir()
    for data_id in ("../secret", "/etc"):
        with pytest.raises(UserError, match="is no id of the form org/name"):
            by_type.data_key(dataclasses.replace(card("SciFact"), data_id=data_id), settings(tmp_path))


def _null(file, key, value=None):
    return lambda f: jsonl(
        f / file, [{**r, key: value if i == 3 else r[key]} for i, r in enumerate(read_jsonl(f / file))]
    )


def _changed(file, key, change):
    return lambda f: jsonl(f / file, [{**r, key: change(r[key])} for r in read_jsonl(f / file)])


def _parquet(change, at=None, value=None):
    """Turn the files of a classification task into Parquet with other labels, one of the test split another still."""

    def make(folder):
        for file in sorted(folder.glob("*.jsonl")):
            rows = [{**row, "label": change(row["label"])} for row in read_jsonl(file)]
            if at is not None and file.stem == "test":
                rows[at]["label"] = value
            file.unlink()
            pq.write_table(pa.Table.from_pylist(rows), file.with_suffix(".parquet"))

    return make


BROKEN = {
    "not JSON": ("BIOSSES", lambda f: (f / "test.jsonl").write_text("nonsense"), "test.jsonl, line 1: not JSON"),
    "cut short": (
        "BIOSSES",
        lambda f: (f / "test.jsonl").write_text('{"sentence1": "a", \n'),
        "test.jsonl, line 1: not JSON",
    ),
    "empty": ("BIOSSES", lambda f: (f / "test.jsonl").write_text(""), "a file is empty"),
    "no score": ("BIOSSES", rows_without("test.jsonl", "score"), "no column 'score' in test"),
    "no sentence1": ("BIOSSES", rows_without("test.jsonl", "sentence1"), "no column 'sentence1' in test"),
    "null score": ("BIOSSES", _null("test.jsonl", "score"), "test.jsonl, line 4: null in 'score'"),
    "null text": ("BIOSSES", _null("test.jsonl", "sentence2"), "test.jsonl, line 4: null in 'sentence2'"),
    "no test split": ("BIOSSES", lambda f: (f / "test.jsonl").rename(f / "train.jsonl"), "no split 'test'"),
    "no data": ("BIOSSES", lambda f: (f / "test.jsonl").rename(f / "README.md"), "any data files"),
    "no train split": ("EmotionClassification", lambda f: (f / "train.jsonl").unlink(), "no split 'train'"),
    "no train label": ("EmotionClassification", rows_without("train.jsonl", "label"), "label"),
    "no subset": ("MTOPDomainClassification", lambda f: (f / "README.md").unlink(), "BuilderConfig 'en' not found"),
    "no English": (
        "STS22",
        lambda f: jsonl(f / "test.jsonl", [r for r in read_jsonl(f / "test.jsonl") if r["lang"] != "en"]),
        "no split 'test'",
    ),
    "no qrels": ("SciFact", lambda f: (f / "qrels/test.jsonl").unlink(), "Unable to find"),
    "no configurations": ("SciFact", lambda f: (f / "README.md").unlink(), "BuilderConfig 'corpus' not found"),
    "no corpus-id": ("SciFact", rows_without("qrels/test.jsonl", "corpus-id"), "corpus-id"),
    "no text": ("SciFact", rows_without("corpus.jsonl", "text"), "no column 'text' in corpus"),
    "null title": ("SciFact", _null("corpus.jsonl", "title"), "corpus.jsonl, line 4: null in 'title'"),
    "no candidates": (
        "AskUbuntuDupQuestions",
        lambda f: made_up.write_retrieval(f, *made_up.reranking_rows()[:3]),
        "no configuration 'top_ranked'",
    ),
    "candidate unknown": (
        "AskUbuntuDupQuestions",
        lambda f: jsonl(f / "corpus.jsonl", read_jsonl(f / "corpus.jsonl")[1:]),
        "candidate 'q0c0' is not in the corpus",
    ),
    "NaN as label": ("EmotionClassification", _parquet(float, 3, float("nan")), "test.parquet, row 4: NaN in 'label'"),
    "infinite label": ("EmotionClassification", _parquet(float, 3, -math.inf), "row 4: -Infinity in 'label'"),
    "lists as labels": (
        "EmotionClassification",
        _parquet(lambda label: [label]),
        "train.parquet, row 1: a list ([2]) in 'label'",
    ),
    "decimals as labels": (
        "EmotionClassification",
        _parquet(decimal.Decimal),
        "row 1: Decimal (Decimal('2')) in 'label'",
    ),
    "null among labels": (
        "TwentyNewsgroupsClustering",
        _changed("test.jsonl", "labels", lambda labels: [*labels[:-1], None]),
        "test.jsonl, line 1: null in 'labels'",
    ),
    "no human summary": (
        "SummEval",
        _null("test.jsonl", "human_summaries", []),
        "test, row 4: 'human_summaries' is empty",
    ),
    "no labels": ("TwentyNewsgroupsClustering", rows_without("test.jsonl", "labels"), "no column 'labels' in test"),
    "no sent2": ("TwitterSemEval2015", rows_without("test.jsonl", "sent2"), "test.jsonl has no column"),
    "no relevance": ("SummEval", rows_without("test.jsonl", "relevance"), "no column 'relevance' in test"),
}


@pytest.mark.parametrize("error", BROKEN)
def test_a_broken_mirror_is_one_line_that_names_the_folder(tmp_path, capfd, error):
    name, break_it, why = BROKEN[error]
    folder = MIRRORS[name](tmp_path)
    break_it(folder)
    encoder = FakeEncoder()
    capfd.readouterr()
    with pytest.raises(UserError) as e:
        by_type.run(card(name), encoder, settings(tmp_path))
    assert str(e.value).startswith(f"{folder} does not hold {card(name).data_id} as mteb reads it (")
    assert why in str(e.value)
    assert not encoder.calls
    assert capfd.readouterr() == ("", "")


def test_an_error_of_the_encoder_is_not_blamed_on_the_data(evaluated):
    class Broken(FakeEncoder):
        name = "broken"

        def encode(self, texts, role, *, bare=False):
            raise UserError("model broken gives a NaN vector")

    with pytest.raises(UserError, match=r"^model broken gives a NaN vector$"):
        by_type.run(card("BIOSSES"), Broken(), settings(evaluated("BIOSSES").hub))
