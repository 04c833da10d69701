"""Errors in the user's own data are one line that names file and line."""

import by_type
import pytest
from made_up import FakeEncoder, settings
from own_folders import own_card, write

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.rows import find_file, read_rows

# Errors

RETRIEVAL = {
    "corpus.tsv": "_id\ttext\nd1\tone\nd2\ttwo\n",
    "queries.tsv": "_id\ttext\nq1\tone?\n",
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\n",
}
QRELS = "query-id\tcorpus-id\tscore\n"
STS = "sentence1\tsentence2\tscore\n"
PAIRS = "sentence1\tsentence2\tlabel\n"
LABELLED = "text\tlabel\na\tx\nb\ty\n"

# name: (type, files, where the message points to, what it says)
ERRORS = {
    "no file": ("STS", {"other.tsv": "a"}, "", "expected test.jsonl, test.tsv or test.csv in it, found none"),
    "two files": ("STS", {"test.tsv": "a", "test.csv": "a"}, "", "test.tsv and test.csv are both there: remove one"),
    "bad JSON": ("STS", {"test.jsonl": '{"sentence1": "a", "sentence2": "b", "score": 1}\n{oops}\n'},
                 "test.jsonl, line 2", "not JSON"),
    "JSON that is no object": ("STS", {"test.jsonl": '["a", "b", 1]\n'},
                               "test.jsonl, line 1", "expected an object, found list: write each row as an object"),
    "half a surrogate pair": ("STS", {"test.jsonl": '{"sentence1": "\\ud800", "sentence2": "b", "score": 1}\n'},
                              "test.jsonl, line 1", "surrogates not allowed"),
    "JSON too deep": ("STS", {"test.jsonl": "[" * 100_000}, "test.jsonl, line 1", "not JSON"),
    "wrong column": ("STS", {"test.tsv": "sentence1\tsentence_2\tscore\na\tb\t1\n"},
                     "test.tsv, line 2", "no 'sentence2': it has sentence1, sentence_2, score"),
    "null": ("STS", {"test.jsonl": '{"sentence1": null, "sentence2": "b", "score": 1}\n'},
             "test.jsonl, line 1", "null in 'sentence1': it should be a text"),
    "too many cells": ("STS", {"test.tsv": STS + "a\tb\t1\nc\td\te\t2\n"},
                       "test.tsv, line 3", "4 columns, the header has 3"),
    "too few cells": ("STS", {"test.tsv": STS + "a\tb\n"},
                      "test.tsv, line 2", "2 columns, the header has 3"),
    "a column twice": ("STS", {"test.tsv": "sentence1\tsentence1\tscore\na\tb\t1\n"},
                       "test.tsv, line 1", "column 'sentence1' is there twice"),
    "open quote": ("STS", {"test.csv": 'sentence1,sentence2,score\na,b,1\n"c,d,2\n'},
                   "test.csv, line 3", "unexpected end of data"),
    "not UTF-8": ("STS", {"test.tsv": (STS + "a\tb\t1\ncaf\xe9\tb\t2\n").encode("latin-1")},
                  "test.tsv, line 3", "not UTF-8"),
    "UTF-16": ("STS", {"test.tsv": (STS + "a\tb\t1\n").encode("utf-16")}, "test.tsv, line 1", "not UTF-8"),
    "empty": ("STS", {"test.tsv": ""}, "test.tsv", "no rows"),
    "header only": ("STS", {"test.tsv": STS}, "test.tsv", "no rows"),
    "score is no number": ("STS", {"test.tsv": STS + "a\tb\tgood\n"},
                           "test.tsv, line 2", "'score' should be a number, found 'good'"),
    "score is NaN": ("STS", {"test.tsv": STS + "a\tb\t1\nc\td\tnan\n"}, "test.tsv, line 3", "NaN in 'score'"),
    "score is infinite": ("STS", {"test.jsonl": '{"sentence1": "a", "sentence2": "b", "score": Infinity}\n'},
                          "test.jsonl, line 1", "Infinity in 'score'"),
    "score is empty": ("STS", {"test.tsv": STS + "a\tb\t\n"},
                       "test.tsv, line 2", "'score' is empty: it should be a number"),
    "all scores equal": ("STS", {"test.tsv": STS + "a\tb\t1\nc\td\t1.0\n"},
                         "test.tsv", "no variety: every 'score' is 1.0"),
    "text is a list": ("STS", {"test.jsonl": '{"sentence1": ["a"], "sentence2": "b", "score": 1}\n'},
                       "test.jsonl, line 1", "a list (['a']) in 'sentence1': it should be a text"),
    "text is true": ("STS", {"test.jsonl": '{"sentence1": true, "sentence2": "b", "score": 1}\n'},
                     "test.jsonl, line 1", "true in 'sentence1': it should be a text"),
    "label is 2": ("PairClassification", {"test.tsv": PAIRS + "a\tb\t1\nc\td\t2\n"},
                   "test.tsv, line 3", "'label' should be 0 or 1, found 2"),
    "label is 0.5": ("PairClassification", {"test.tsv": PAIRS + "a\tb\t0.5\n"},
                     "test.tsv, line 2", "'label' should be 0 or 1, found 0.5"),
    "label is a word": ("PairClassification", {"test.tsv": PAIRS + "a\tb\tyes\n"},
                        "test.tsv, line 2", "'label' should be a number, found 'yes'"),
    "all labels equal": ("PairClassification", {"test.tsv": PAIRS + "a\tb\t1\nc\td\t1\n"},
                         "test.tsv", "no variety: every 'labels' is 1"),
    "no train split": ("Classification", {"test.tsv": LABELLED},
                       "", "expected train.jsonl, train.tsv or train.csv in it, found none"),
    "no test split": ("Classification", {"train.tsv": LABELLED},
                      "", "expected test.jsonl, test.tsv or test.csv in it, found none"),
    "one label in train": ("Classification", {"train.tsv": "text\tlabel\na\tx\nb\tx\n", "test.tsv": LABELLED},
                           "train.tsv", "fewer than two different labels"),
    "one label in test": ("Classification", {"train.tsv": LABELLED, "test.tsv": "text\tlabel\na\tx\n"},
                          "test.tsv", "fewer than two different labels"),
    "no label": ("Classification", {"train.tsv": "text\tclass\na\tx\n", "test.tsv": LABELLED},
                 "train.tsv, line 2", "no 'label': it has text, class"),
    "one cluster": ("Clustering", {"test.tsv": "text\tlabel\na\tx\nb\tx\n"},
                    "test.tsv", "fewer than two different labels"),
    "no clusters": ("Clustering", {"test.jsonl": ""}, "test.jsonl", "fewer than two different labels"),
    "sentences without labels": ("Clustering", {"test.jsonl": '{"sentences": ["a", "b"]}\n'},
                                 "test.jsonl, line 1", "no 'labels'"),
    "lengths differ": ("Clustering", {"test.jsonl": '{"sentences": ["a", "b", "c"], "labels": ["x", "y"]}\n'},
                       "test.jsonl, line 1", "3 sentences but 2 labels"),
    "one cluster in a set": ("Clustering", {"test.jsonl": '{"sentences": ["a", "b"], "labels": ["x", "y"]}\n'
                                                          '{"sentences": ["a", "b"], "labels": [1, "1"]}\n'},
                             "test.jsonl, line 2", "fewer than two different labels"),
    "sentences are no list": ("Clustering", {"test.jsonl": '{"sentences": "a", "labels": ["x"]}\n'},
                              "test.jsonl, line 1", "'a' in 'sentences': it should be a list of texts"),
    "no positive": ("Reranking", {"test.jsonl": '{"query": "a", "positive": [], "negative": ["b"]}\n'},
                    "test.jsonl, line 1", "'positive' is empty: every query needs a relevant text"),
    "both positive and negative": (
        "Reranking", {"test.jsonl": '{"query": "a", "positive": ["b", "c"], "negative": ["d", "c"]}\n'},
        "test.jsonl, line 1", "a text is both positive and negative: 'c'"),
    "negative is a text": ("Reranking", {"test.jsonl": '{"query": "a", "positive": ["b"], "negative": "c"}\n'},
                           "test.jsonl, line 1", "'c' in 'negative': it should be a list of texts"),
    "positive of objects": ("Reranking", {"test.jsonl": '{"query": "a", "positive": [{"b": 1}], "negative": []}\n'},
                            "test.jsonl, line 1", "an object ({'b': 1}) as number 1 of 'positive'"),
    "no query": ("Reranking", {"test.jsonl": '{"positive": ["b"], "negative": []}\n'},
                 "test.jsonl, line 1", "no 'query'"),
    "nothing to rerank": ("Reranking", {"test.jsonl": "\n"}, "test.jsonl", "it is empty"),
    "no corpus": ("Retrieval", {**RETRIEVAL, "corpus.tsv": None},
                  "", "expected corpus.jsonl, corpus.tsv or corpus.csv in it, found none"),
    "no queries": ("Retrieval", {**RETRIEVAL, "queries.tsv": None}, "", "expected queries.jsonl"),
    "no qrels folder": ("Retrieval", {**RETRIEVAL, "qrels/test.tsv": None}, "qrels", "no such folder"),
    "qrels of another split": ("Retrieval", {**RETRIEVAL, "qrels/test.tsv": None, "qrels/dev.tsv": QRELS},
                               "qrels", "expected test.jsonl, test.tsv or test.csv in it, found none"),
    "empty corpus": ("Retrieval", {**RETRIEVAL, "corpus.tsv": "_id\ttext\n"}, "corpus.tsv", "it is empty"),
    "empty queries": ("Retrieval", {**RETRIEVAL, "queries.tsv": "_id\ttext\n"}, "queries.tsv", "it is empty"),
    "document twice": ("Retrieval", {**RETRIEVAL, "corpus.tsv": "_id\ttext\nd1\ta\nd2\tb\nd1\tc\n"},
                       "corpus.tsv, line 4", "id 'd1' is there twice, first in line 2"),
    "query twice": ("Retrieval", {**RETRIEVAL, "queries.tsv": "_id\ttext\nq1\ta\nq1\tb\n"},
                    "queries.tsv, line 3", "id 'q1' is there twice, first in line 2"),
    "no id": ("Retrieval", {**RETRIEVAL, "corpus.tsv": "key\ttext\nd1\ta\n"},
              "corpus.tsv, line 2", "no '_id or id': it has key, text"),
    "unknown queries": ("Retrieval", {**RETRIEVAL, "qrels/test.tsv": QRELS + "q8\td1\t1\nq9\td1\t1\n"},
                        "qrels/test.tsv", "none of 2 judgements is of a known query and document: query 'q8', line 2"),
    "unknown documents": ("Retrieval", {**RETRIEVAL, "qrels/test.tsv": QRELS + "q1\td9\t1\n"},
                          "qrels/test.tsv", "none of 1 judgement is of a known query and document: document 'd9'"),
    "judged twice": ("Retrieval", {**RETRIEVAL, "qrels/test.tsv": QRELS + "q1\td1\t1\nq1\td1\t0\n"},
                     "qrels/test.tsv, line 3", "query 'q1' and document 'd1' are judged twice"),
    "grade is a fraction": ("Retrieval", {**RETRIEVAL, "qrels/test.tsv": QRELS + "q1\td1\t0.5\n"},
                            "qrels/test.tsv, line 2", "'score' should be a whole number up to 1,000, found 0.5"),
    "grade is huge": ("Retrieval", {**RETRIEVAL, "qrels/test.tsv": QRELS + "q1\td1\t99999999999\n"},
                      "qrels/test.tsv, line 2", "'score' should be a whole number up to 1,000"),
    "nothing relevant": ("Retrieval", {**RETRIEVAL, "qrels/test.tsv": QRELS + "q1\td1\t0\nq1\td2\t-1\n"},
                         "qrels/test.tsv", "no relevant document for any query"),
    "no header": ("Retrieval", {**RETRIEVAL, "qrels/test.tsv": "q1\td9\t1\n"},
                  "qrels/test.tsv, line 1", "the header query-id, corpus-id, score is missing"),
}  # fmt: skip


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_one_line_that_names_file_and_line(tmp_path, error):
    type_, files, place, why = ERRORS[error]
    data = tmp_path / "data"
    data.mkdir()
    for name, content in files.items():
        if content is not None:
            path = data / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    card = own_card(tmp_path, f"type: {type_}")
    encoder = FakeEncoder()
    for attempt in (by_type.describe, lambda c: by_type.run(c, encoder, settings(None))):
        with pytest.raises(UserError) as e:
            attempt(card)
        assert str(e.value).startswith(f"{data / place if place else data}: ")
        assert why in str(e.value)
        assert "\n" not in str(e.value)
    assert not encoder.calls


def test_a_folder_that_is_not_there(tmp_path):
    card = own_card(tmp_path, "type: STS")
    for attempt in (by_type.describe, lambda c: by_type.data_key(c, settings(None))):
        with pytest.raises(UserError) as e:
            attempt(card)
        assert str(e.value) == f"task Own: {tmp_path / 'data'}: no such folder: correct `data` in the card"


def test_the_training_split_cannot_be_the_scored_one(tmp_path):
    write(tmp_path / "data/train", [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}], "tsv")
    with pytest.raises(UserError, match="task Own: split: 'train' is what the classifier learns from"):
        by_type.describe(own_card(tmp_path, "type: Classification\nsplit: train"))


def test_own_reranking_has_no_subqueries(tmp_path):
    write(tmp_path / "data/test", [{"query": "a", "positive": ["b"], "negative": ["c"]}], "jsonl")
    with pytest.raises(UserError, match="task Own: metric: own tasks have no sub-queries: use map_at_1000"):
        by_type.describe(own_card(tmp_path, "type: Reranking\nmetric: max_over_subqueries_map_at_1000"))


def test_a_missing_renamed_column_is_named_as_in_the_file(tmp_path):
    write(tmp_path / "data/test", [{"sentence1": "a", "sentence2": "b", "score": 1}], "tsv")
    card = own_card(tmp_path, "type: STS\noptions: {columns: {score: grade}}")
    with pytest.raises(UserError, match=r"test\.tsv, line 2: no 'grade': it has sentence1, sentence2, score"):
        by_type.describe(card)


def test_find_file_and_read_rows_name_what_is_missing(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        find_file(tmp_path / "nowhere", "test")
    with pytest.raises(UserError, match=r"gone\.csv: no such file"):
        list(read_rows(tmp_path / "gone.csv"))
