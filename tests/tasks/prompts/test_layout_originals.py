"""Layouts that data sets were published in: their rows as they are, and as they were put together."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layout_files import FULL_RTE, GEO, MRPC, SWAG, WILDS, error, instance, jsonl, load, mrpc, pair, rte, turn, write

from instructor_eval.tasks.prompts.dialogues import change_as_sql
from instructor_eval.tasks.prompts.files import Split


def test_genuine_rte(tmp_path):
    train, dev = [pair(i) for i in range(7)], [pair(i) for i in range(10, 13)]
    write(tmp_path, {"train.tsv": rte(enumerate(train)), "dev.tsv": rte(enumerate(dev)),
                     "test.tsv": "index\tsentence1\tsentence2\n0\ta\tb\n"})  # fmt: skip
    assert load("glue_tsv", tmp_path, test="validation") == (Split("train", train), Split("validation", dev))


def resplit(folder, leave_out=None):
    """GLUE's 2,767 rows in three files, in an order of their own."""
    numbered = [(i, pair(i)) for i in range(FULL_RTE) if i != leave_out]
    numbered.sort(key=lambda row: (row[0] * 7919) % 5003)
    return write(folder, {f"{name}.tsv": rte(numbered[k::3]) for k, name in enumerate(("train", "dev", "test"))})


def test_a_resplit_rte_is_put_together_again(tmp_path):
    pool, test = load("glue_tsv", resplit(tmp_path), test="validation")
    assert pool.rows == [pair(i) for i in range(2490)]
    assert test.rows == [pair(i) for i in range(2490, FULL_RTE)]
    assert error(load, "glue_tsv", tmp_path, test="test") == (
        f"{tmp_path}: GLUE's RTE has labels for train and validation only, not for 'test'"
    )


def test_a_resplit_rte_without_a_row_is_refused(tmp_path):
    resplit(tmp_path, leave_out=1234)
    second = (tmp_path / "train.tsv").read_text().splitlines()[1]
    assert second.split("\t")[0] == "0"
    third = (tmp_path / "train.tsv").read_text().splitlines()[2].split("\t")[0]
    assert error(load, "glue_tsv", tmp_path, test="validation") == (
        f"{tmp_path}/train.tsv, line 3: index {third}, expected 1: GLUE numbers the rows of a file from 0; another "
        "split of them must have each of 0 to 2766 once in train.tsv, dev.tsv and test.tsv"
    )


def as_mrpc(rows):
    return [{"sentence1": r[3], "sentence2": r[4], "label": int(r[0])} for r in rows]


def test_mrpc_as_glue_has_it(tmp_path):
    write(tmp_path, {"train.tsv": "\ufeff" + mrpc(*MRPC), "dev.tsv": mrpc(*MRPC[2:4]).replace("\n", "\r\n")})
    pool, test = load("glue_tsv", tmp_path, test="validation")
    assert (pool.rows, test.rows) == (as_mrpc(MRPC), as_mrpc(MRPC[2:4]))


@pytest.mark.parametrize("ids", ["dev_ids.tsv", "mrpc_dev_ids.tsv"])
def test_mrpc_as_it_was_published(tmp_path, ids):
    write(tmp_path, {"msr_paraphrase_train.txt": "\ufeff" + mrpc(*MRPC), "msr_paraphrase_test.txt": mrpc(*MRPC[:1])})
    assert error(load, "glue_tsv", tmp_path, test="validation") == (
        f"{tmp_path}: msr_paraphrase_train.txt holds GLUE's train and validation rows: put dev_ids.tsv beside it, "
        "which names the validation rows, or use GLUE's train.tsv and dev.tsv"
    )
    write(tmp_path, {ids: "4\t104\n2\t102\n2\t103\n"})
    pool, test = load("glue_tsv", tmp_path, test="validation")
    assert pool.rows == as_mrpc([r for i, r in enumerate(MRPC) if i not in (2, 4)])
    assert test.rows == as_mrpc([MRPC[2], MRPC[4]])
    assert load("glue_tsv", tmp_path)[1].rows == as_mrpc(MRPC[:1])


def test_sst(tmp_path):
    files = {
        "sst_train.txt": "__label__5\tGreat \tstuff \n__label__1\tBad\u2028.\r\n\n",
        "sst_dev.txt": "__label__3\tx",
    }
    pool, test = load("sst_fasttext", write(tmp_path, files), test="validation")
    assert pool.rows == [{"text": "Great \tstuff ", "label": 4}, {"text": "Bad\u2028.", "label": 0}]
    assert test.rows == [{"text": "x", "label": 2}]


def test_dbpedia(tmp_path):
    files = {"train.csv": '1,"A ""B"" Ltd"," first, \nline"\r\n\n14,"C",""\n', "test.csv": "2,a,b\n"}
    pool, test = load("dbpedia_csv", write(tmp_path, files))
    assert pool.rows == [
        {"title": 'A "B" Ltd', "content": " first, \nline", "label": 0},
        {"title": "C", "content": "", "label": 13},
    ]
    assert test.rows == [{"title": "a", "content": "b", "label": 1}]


def test_hellaswag(tmp_path):
    without = {k: v for k, v in SWAG.items() if k not in ("ctx_a", "ctx_b")}
    pool, test = load(
        "hellaswag_jsonl",
        write(tmp_path, {"hellaswag_train.jsonl": jsonl(SWAG, without), "hellaswag_val.jsonl": jsonl(SWAG)}),
        test="validation",
    )
    assert pool.rows == [SWAG, {**SWAG, "ctx_a": "", "ctx_b": ""}] and test.rows == [SWAG]


@pytest.mark.parametrize("names", [["multi.json"], ["other.json", "task050_x.json", "notes.json"]])
def test_natural_instructions(tmp_path, names):
    asked = "Sentence: A Sentence: here. \nQuestion: Who ?"
    inputs = ["An abstract.", "Sentence: a\nQuestion: b\nQuestion: c", "x Sentence: a\nQuestion: b", "Sentence: a"]
    task = {"Definition": [""], "Instances": [instance(asked, "Yes.", "No."), *(instance(i, "t") for i in inputs)]}
    write(tmp_path, {name: {} for name in names} | {names[len(names) // 2]: task})
    pool, test = load("natural_instructions", tmp_path)
    assert pool is test and pool.name == "instances"
    assert pool.rows[0] == {
        **instance(asked, "Yes.", "No."), "text": asked, "label": "Yes.", "sentence": "A  here.", "question": "Who ?",
    }  # fmt: skip
    assert pool.rows[1:] == [{**instance(i, "t"), "text": i, "label": "t"} for i in inputs]


def test_wilds(tmp_path):
    pool, test = load("wilds_json", write(tmp_path, {"amazon_train.json": [WILDS, WILDS], "amazon_test.json": [WILDS]}))
    assert (pool.rows, test.rows) == ([WILDS, WILDS], [WILDS])


@pytest.mark.parametrize("name", ["eval", "validation", "test"])
def test_geoquery(tmp_path, name):
    write(tmp_path, {"geoquery_train.json": [GEO, GEO], "geoquery_eval.json": [GEO]})
    pool, test = load("geoquery_json", tmp_path, test=name)
    expected = {**GEO, "schema": "CREATE TABLE state (area number)\nCREATE TABLE city (name text, size number)"}
    assert (pool, test) == (Split("train", [expected] * 2), Split(name, [expected]))


def test_multiwoz(tmp_path):
    turns = [
        turn("D1", 0, dialog={"sys": ["none"], "usr": ["none"]}),
        turn("D1", 1, domains=["hotel", "train"], last_slot_values={"train-leave at": "10:00|10", "hotel-area": "west"},
             turn_slot_values={"hotel-area": "centre|center", "train-leave at": "a - b", "hotel-book day": "any|x"}),
        turn("D2", 0, domains=["hospital"]),
        turn("D2", 1, domains=["hotel", "police"]),
        turn("D2", 2, domains=[], turn_slot_values={"hotel-area": "centre", "hotel-name": "x|y"}),
    ]  # fmt: skip
    pool, test = load("multiwoz_json", write(tmp_path, {f"mw24_100p_{s}.json": turns for s in ("train", "test")}))
    assert pool.rows == test.rows == [
        {**turns[0], "dialogue_ID": "D1", "sys": "", "usr": "", "history": "[system]  [user] ", "context": "",
         "sql": "SELECT * FROM  WHERE "},
        {**turns[1], "dialogue_ID": "D1", "sys": "Where?", "usr": "In the centre.",
         "history": "[system] Where? [user] In the centre.", "context": "train-leave at: 10:00, hotel-area: west",
         "sql": "SELECT * FROM hotel AS t1, train AS t2 WHERE t1.area = centre AND t1.book_day = any AND "
                "t2.leave_at = a - b"},
        {**turns[4], "dialogue_ID": "D2", "sys": "Where?", "usr": "In the centre.",
         "history": "[system] Where? [user] In the centre.", "context": "",
         "sql": "SELECT * FROM hotel WHERE area = centre AND name = x"},
    ]  # fmt: skip


@given(st.dictionaries(
    st.tuples(st.sampled_from(["hotel", "train", "taxi"]), st.sampled_from(["area", "book day", "name"])),
    st.sampled_from(["x", "any", "10:15"]),
))  # fmt: skip
def test_a_change_is_whole_in_its_sql(slots):
    sql = change_as_sql({f"{table}-{column}": value for (table, column), value in slots.items()})
    source, where = re.fullmatch("SELECT [*] FROM (.*) WHERE (.*)", sql).groups()
    tables = [part.partition(" AS ") for part in source.split(", ")] if slots else []
    named = {short: table for table, _, short in tables}
    found = {}
    for part in where.split(" AND ") if slots else []:
        column, value = part.split(" = ")
        short, _, column = column.rpartition(".")
        found[named[short], column.replace("_", " ")] = value
    assert found == slots and len(named) == len({table for table, _ in slots})
