"""Layouts: every way in which a data set's files can lie in a folder, and the one line for each way to be broken."""

import csv
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.prompts.dialogues import change_as_sql
from instructor_eval.tasks.prompts.files import Split, columns
from instructor_eval.tasks.prompts.layouts import LAYOUTS, detect, read

FULL_RTE = 2490 + 277


def write(folder, files):
    """Files by name: text, bytes, or a value to be written as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def lines(*rows):
    return "".join(f"{row}\n" for row in rows)


def jsonl(*rows):
    return lines(*map(json.dumps, rows))


def parquet(folder, name, rows):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / name)
    return folder


def load(layout, folder, pool="train", test="test", subset="default"):
    return read(layout, folder, subset=subset, pool_split=pool, test_split=test)


def error(call, *arguments, **named):
    with pytest.raises(UserError) as e:
        call(*arguments, **named)
    assert "\n" not in str(e.value)
    return str(e.value)


def test_the_layouts():
    assert set(LAYOUTS) == {
        "rows", "hub", "glue_tsv", "sst_fasttext", "dbpedia_csv", "hellaswag_jsonl", "natural_instructions",
        "wilds_json", "wilds_csv", "geoquery_json", "multiwoz_json",
    }  # fmt: skip


# The user's own and the hub's files


@pytest.mark.parametrize(("name", "content"), [
    ("pool.jsonl", '{"text": "a\\tb", "label": "x"}\n\n{"text": "é", "label": "y"}\n'),
    ("pool.csv", '\ufefftext,label\r\n"a\tb",x\r\né,y\r\n'),
])  # fmt: skip
def test_own_rows(tmp_path, name, content):
    write(tmp_path, {name: content, "dev.tsv": 'text\tlabel\n"q"\tx\n'})
    assert load("rows", tmp_path, "anything", "dev") == (
        Split("pool", [{"text": "a\tb", "label": "x"}, {"text": "é", "label": "y"}]),
        Split("dev", [{"text": '"q"', "label": "x"}]),
    )


def test_own_rows_in_two_formats_are_refused(tmp_path):
    write(tmp_path, {"pool.jsonl": "{}", "pool.csv": "a\n1\n", "test.jsonl": "{}"})
    assert error(load, "rows", tmp_path) == f"{tmp_path}: pool.jsonl and pool.csv are both there: remove one"


ROWS = [{"i": i, "nested": [{"a": str(i)}], "text": f"é{i}"} for i in range(5)]


@pytest.mark.parametrize("place", [
    "rte/{}-{}.parquet", "data/{}-{}.parquet", "{}-{}.parquet", "rte/{}/{}.parquet",
])  # fmt: skip
@pytest.mark.parametrize("numbers", [
    ("00000-of-00002", "00001-of-00002"), ("00000-of-00002-0a1b2c3d", "00001-of-00002-4e5f6a7b"),
])  # fmt: skip
def test_hub_shards_in_order(tmp_path, place, numbers):
    for number, rows in zip(numbers[::-1], (ROWS[3:], ROWS[:3]), strict=True):
        parquet(tmp_path, place.format("train", number), rows)
    parquet(tmp_path, place.format("test", "00000-of-00001"), ROWS[1:2])
    assert load("hub", tmp_path, subset="rte") == (Split("train", ROWS), Split("test", ROWS[1:2]))


def test_the_tables_that_the_hub_makes_are_numbered_otherwise(tmp_path):
    for number, rows in (("0001", ROWS[3:]), ("0000", ROWS[:3])):
        parquet(tmp_path, f"default/train/{number}.parquet", rows)
    assert load("hub", tmp_path, test="train")[0].rows == ROWS


def test_the_first_place_that_has_a_hub_split_counts(tmp_path):
    write(tmp_path, {"train.jsonl": jsonl(ROWS[0]), "test.jsonl": jsonl(ROWS[1])})
    places = ("rte/train/0.parquet", "train-0.parquet", "data/train-0.parquet", "rte/train-0.parquet")
    found = [load("hub", tmp_path, subset="rte")]
    for i, place in enumerate(places, 1):
        parquet(tmp_path, place, [{"place": i}])
        found.append(load("hub", tmp_path, subset="rte"))
    assert [pool.rows[0] for pool, _ in found] == [ROWS[0], *({"place": i} for i in range(1, 5))]
    assert all(test.rows == [ROWS[1]] for _, test in found)
    assert load("hub", tmp_path, subset="mrpc")[0].rows == [{"place": 3}]


def test_a_folder_name_is_no_column_of_a_hub_table(tmp_path):
    parquet(tmp_path / "key=value", "train-0.parquet", ROWS)
    assert load("hub", tmp_path / "key=value", test="train")[0].rows == ROWS


@pytest.mark.parametrize("names", [
    ["00000-of-00002"], ["00001-of-00002"], ["00000-of-00002", "00000-of-00002-aa"], ["00000-of-00002", "x"],
])  # fmt: skip
def test_a_missing_shard_is_an_error(tmp_path, names):
    for name in names:
        parquet(tmp_path, f"data/train-{name}.parquet", ROWS)
    found = ", ".join(f"train-{name}.parquet" for name in sorted(names, key=lambda n: f"train-{n}.parquet"))
    assert error(load, "hub", tmp_path, test="train") == (
        f"{tmp_path}/data: split 'train' should have 2 parquet files, numbered from 00000, found {found}: "
        "copy the whole data set"
    )


def test_a_damaged_table_is_an_error(tmp_path):
    write(tmp_path, {"train-0.parquet": b"PAR1 this is none"})
    assert error(load, "hub", tmp_path, test="train").startswith(
        f"{tmp_path}/train-0.parquet: not a parquet file that can be read ("
    )


# The originals


def rte(rows):
    names = {0: "entailment", 1: "not_entailment"}
    cells = ("\t".join([str(i), r["sentence1"], r["sentence2"], names[r["label"]]]) for i, r in rows)
    return lines("index\tsentence1\tsentence2\tlabel", *cells)


def pair(i):
    return {"sentence1": f'"{i} é', "sentence2": f"said, {i}", "label": i % 2}


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


def mrpc(*rows):
    return lines("Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", *("\t".join(row) for row in rows))


MRPC = [("1", str(i), str(i + 100), f'a "{i}', f"b {i}") for i in range(6)] + [("0", "7", "8", "c", "d")]


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


SWAG = {"ind": 4, "activity_label": "Roof", "ctx_a": "A man.", "ctx_b": "he", "ctx": "A man. he",
        "endings": list("abcd"), "label": 3}  # fmt: skip


def test_hellaswag(tmp_path):
    without = {k: v for k, v in SWAG.items() if k not in ("ctx_a", "ctx_b")}
    pool, test = load(
        "hellaswag_jsonl",
        write(tmp_path, {"hellaswag_train.jsonl": jsonl(SWAG, without), "hellaswag_val.jsonl": jsonl(SWAG)}),
        test="validation",
    )
    assert pool.rows == [SWAG, {**SWAG, "ctx_a": "", "ctx_b": ""}] and test.rows == [SWAG]


def instance(text, *output):
    return {"id": "task050-1", "input": text, "output": list(output)}


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


WILDS = {"text": "a\nb", "label": 1, "meta": [4, 0]}


def test_wilds(tmp_path):
    pool, test = load("wilds_json", write(tmp_path, {"amazon_train.json": [WILDS, WILDS], "amazon_test.json": [WILDS]}))
    assert (pool.rows, test.rows) == ([WILDS, WILDS], [WILDS])


GEO = {
    "question": "what states", "query": "SELECT s", "seq_in": "what | state", "more": 1,
    "db_table_names": ["state", "city"],
    "db_column_names": [{"table_id": -1, "column_name": "*"}, {"table_id": 1, "column_name": "name"},
                        {"table_id": 0, "column_name": "area"}, {"table_id": 1, "column_name": "size"}],
    "db_column_types": ["text", "text", "number", "number"],
}  # fmt: skip


@pytest.mark.parametrize("name", ["eval", "validation", "test"])
def test_geoquery(tmp_path, name):
    write(tmp_path, {"geoquery_train.json": [GEO, GEO], "geoquery_eval.json": [GEO]})
    pool, test = load("geoquery_json", tmp_path, test=name)
    expected = {**GEO, "schema": "CREATE TABLE state (area number)\nCREATE TABLE city (name text, size number)"}
    assert (pool, test) == (Split("train", [expected] * 2), Split(name, [expected]))


def turn(dialogue="D1", number=0, **fields):
    return {
        "ID": dialogue, "turn_id": number, "domains": ["hotel"],
        "dialog": {"sys": ["none", "Where?"], "usr": ["Hi", "In the centre."]},
        "slot_values": {}, "turn_slot_values": {}, "last_slot_values": {}, **fields,
    }  # fmt: skip


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


# Which layout


def test_detect_takes_the_first_layout_that_has_both_splits(tmp_path):
    where = {"subset": "default", "pool_split": "train", "test_split": "validation"}
    names = ["hub", "glue_tsv", "sst_fasttext", "natural_instructions"]
    write(tmp_path, {"sst_train.txt": "", "train.tsv": "", "train-0.parquet": "", "x/y.json": ""})
    assert error(detect, tmp_path, names, **where) == (
        f"{tmp_path}: none of the files that are needed is in it: looked for default/validation-*.parquet or "
        "data/validation-*.parquet or validation-*.parquet or default/validation/*.parquet or validation.jsonl (hub); "
        "dev.tsv or msr_paraphrase_train.txt (glue_tsv); sst_dev.txt (sst_fasttext); "
        "task*.json or *.json (natural_instructions)"
    )
    for file, found in (("a.json", "natural_instructions"), ("sst_dev.txt", "sst_fasttext"), ("dev.tsv", "glue_tsv"),
                        ("validation.jsonl", "hub")):  # fmt: skip
        write(tmp_path, {file: ""})
        assert detect(tmp_path, names, **where) == found


def test_own_pools_are_found_under_any_split_name(tmp_path):
    where = {"subset": "default", "pool_split": "train", "test_split": "dev"}
    write(tmp_path, {"pool.tsv": "", "dev.csv": ""})
    assert detect(tmp_path, ["hub", "rows"], **where) == "rows"


def test_detect_does_not_guess_between_two_files(tmp_path):
    write(tmp_path, {"a.json": {}, "b.json": {}})
    names = {"subset": "default", "pool_split": "a", "test_split": "b"}
    for call in (lambda: detect(tmp_path, ["natural_instructions"], **names),
                 lambda: read("natural_instructions", tmp_path, **names)):  # fmt: skip
        assert error(call) == f"{tmp_path}: expected one file *.json, found a.json, b.json"


def test_one_split_for_both_sides_is_read_once(tmp_path):
    pool, test = load("sst_fasttext", write(tmp_path, {"sst_test.txt": "__label__2\ta\n"}), "test", "test")
    assert pool is test and pool.name == "test"


# Faults


@pytest.mark.parametrize(("layout", "pool", "subset", "message"), [
    ("sts_fasttext", "train", "default", "layout 'sts_fasttext' is not known: did you mean sst_fasttext?"),
    ("?", "train", "default", f"layout '?' is not known: it is one of {', '.join(LAYOUTS)}"),
    ("rows", "../a", "default", "split '../a' cannot be part of a file's name"),
    ("rows", "..", "default", "split '..' cannot be part of a file's name"),
    ("rows", "", "default", "split '' cannot be part of a file's name"),
    ("hub", "a", "/etc", "subset '/etc' cannot be part of a file's name"),
])  # fmt: skip
def test_names_are_checked(tmp_path, layout, pool, subset, message):
    assert error(load, layout, tmp_path, pool, subset=subset) == message


@pytest.mark.parametrize("layout", LAYOUTS)
def test_missing_files_are_named(tmp_path, layout):
    assert error(load, layout, tmp_path / "no") == f"{tmp_path}/no: no such folder"
    wanted = {
        "rows": "pool.jsonl or pool.tsv or pool.csv",
        "hub": "default/tr*-*.parquet or data/tr*-*.parquet or tr*-*.parquet or default/tr*/*.parquet or tr*.jsonl",
        "glue_tsv": "tr*.tsv or msr_paraphrase_train.txt", "sst_fasttext": "sst_tr*.txt", "dbpedia_csv": "tr*.csv",
        "hellaswag_jsonl": "hellaswag_tr*.jsonl", "natural_instructions": "task*.json or *.json",
        "wilds_csv": "reviews.csv or all_data_with_identities.csv",
        "wilds_json": "*_tr*.json", "geoquery_json": "geoquery_tr*.json", "multiwoz_json": "mw24_100p_tr*.json",
    }[layout]  # fmt: skip
    write(tmp_path, {"train.jsonl": "", "train-0.parquet": "", "train.csv": "", "sst_train.txt": ""})
    assert error(load, layout, tmp_path, "tr*") == f"{tmp_path}: expected {wanted} in it, found none"


@pytest.mark.parametrize(("layout", "name", "content"), [
    ("rows", "pool.jsonl", ""), ("rows", "pool.tsv", "text\n"), ("hub", "train.jsonl", "\n"),
    ("glue_tsv", "train.tsv", "index\tsentence1\tsentence2\tlabel\n"), ("sst_fasttext", "sst_train.txt", "\n"),
    ("dbpedia_csv", "train.csv", ""), ("hellaswag_jsonl", "hellaswag_train.jsonl", ""),
    ("natural_instructions", "a.json", '{"Instances": []}'), ("wilds_json", "a_train.json", "[]"),
    ("geoquery_json", "geoquery_train.json", "[]"), ("multiwoz_json", "mw24_100p_train.json", "[]"),
    ("multiwoz_json", "mw24_100p_train.json", [turn(domains=["bus"])]),
])  # fmt: skip
def test_no_rows(tmp_path, layout, name, content):
    write(tmp_path, {name: content})
    split = {"rows": "pool", "natural_instructions": "instances"}.get(layout, "train")
    assert error(load, layout, tmp_path) == f"{tmp_path}/{name}: no rows for split '{split}'"


def lacking(row, key):
    return {k: v for k, v in row.items() if k != key}


def geo_columns(*named):
    return [{**GEO, "db_column_names": list(named), "db_column_types": ["text"] * len(named)}]


RTE_HEADER = "index\tsentence1\tsentence2\tlabel\n"
FAULTS = {
    # layout, file, content, message after the file's name
    "not utf-8": ("sst_fasttext", "sst_train.txt", b"__label__1\ta\n__label__1\t\xff\n",
                  ", line 2: not UTF-8 (invalid start byte): save it as UTF-8"),
    "json, not utf-8": ("wilds_json", "a_train.json", b"[\n\"\xe9\"]",
                        ", line 2: not UTF-8 (invalid continuation byte): save it as UTF-8"),
    "not json": ("wilds_json", "a_train.json", "[\n{oops}]",
                 ", line 2: not JSON (Expecting property name enclosed in double quotes)"),
    "two json values": ("wilds_json", "a_train.json", "{}\n{}", ", line 2: not JSON (Extra data)"),
    "half a pair": ("wilds_json", "a_train.json", '[{"text": "\\ud83d"}]',
                    ": half of a surrogate pair in it ('\\ud83d'): it is not a text"),
    "no list": ("wilds_json", "a_train.json", {"a": 1}, ": expected a list of objects, found dict"),
    "no objects": ("wilds_json", "a_train.json", [WILDS, "a"], ", row 2: expected an object, found str"),
    "hub: no json": ("hub", "train.jsonl", "{}\nx\n",
                     ", line 2: not JSON (Expecting value: line 1 column 1 (char 0))"),
    "glue: empty": ("glue_tsv", "train.tsv", "\n", ": empty, expected a header line"),
    "glue: twice": ("glue_tsv", "train.tsv", "a\ta\n", ", line 1: a column is there twice"),
    "glue: other": ("glue_tsv", "train.tsv", "a\tb\n1\t2\n",
                    ", line 1: expected the columns index, sentence1, sentence2, label (RTE) or "
                    "Quality, #1 ID, #2 ID, #1 String, #2 String (MRPC), found a, b"),
    "glue: width": ("glue_tsv", "train.tsv", RTE_HEADER + "\n0\ta\tb\n",
                    ", line 3: 3 columns, but the header has 4"),
    "rte: label": ("glue_tsv", "train.tsv", RTE_HEADER + "0\ta\tb\tyes\n",
                   ", line 2: label 'yes', expected entailment or not_entailment"),
    "rte: index": ("glue_tsv", "train.tsv", RTE_HEADER + "\u0661\ta\tb\tentailment\n",
                   ", line 2: index '\u0661' is not a number"),
    "mrpc: label": ("glue_tsv", "train.tsv", mrpc(MRPC[0], ("2", *MRPC[1][1:])),
                    ", line 3: Quality '2', expected 0 or 1"),
    **{f"sst: {line}": ("sst_fasttext", "sst_train.txt", f"__label__1\ta\n{line}\n",
                        ", line 2: expected __label__N, a tab and a text, with N from 1 to 5")
       for line in ("__label__0\ta", "__label__6\ta", "__label__1 a", "3\ta", "__label__\ta")},
    "dbpedia: columns": ("dbpedia_csv", "train.csv", "1,a,b\n1,a\n",
                         ", line 2: expected class,title,content, found 2 columns"),
    "dbpedia: class": ("dbpedia_csv", "train.csv", '1,"a\n",b\n15,a,b\n', ", line 3: class '15', expected 1 to 14"),
    "dbpedia: header": ("dbpedia_csv", "train.csv", "class,title,content\n",
                        ", line 1: class 'class', expected 1 to 14"),
    "dbpedia: quotes": ("dbpedia_csv", "train.csv", '1,a,b\n1,"a"b,c\n', ", line 2: ',' expected after '\"'"),
    **{f"hellaswag: {key} {value}": ("hellaswag_jsonl", "hellaswag_train.jsonl", jsonl(SWAG, {**SWAG, key: value}),
                                     f", line 2: '{key}' should be {what}")
       for key, value, what in (("ctx_a", None, "a text"), ("ctx", 1, "a text"), ("activity_label", [], "a text"),
                                ("endings", list("abc"), "4 texts"), ("endings", "abcd", "4 texts"),
                                ("endings", [1, "b", "c", "d"], "4 texts"), ("label", 4, "a number from 0 to 3"),
                                ("label", "1", "a number from 0 to 3"), ("label", True, "a number from 0 to 3"))},
    "hellaswag: no label": ("hellaswag_jsonl", "hellaswag_train.jsonl", jsonl(lacking(SWAG, "label")),
                            ", line 1: 'label' should be a number from 0 to 3"),
    "instructions: list": ("natural_instructions", "a.json", [],
                           ": no 'Instances' in it: expected a task file of Super-NaturalInstructions"),
    "instructions: none": ("natural_instructions", "a.json", {},
                           ": no 'Instances' in it: expected a task file of Super-NaturalInstructions"),
    "instructions: object": ("natural_instructions", "a.json", {"Instances": {}},
                             ", Instances: expected a list of objects, found dict"),
    "instructions: input": ("natural_instructions", "a.json", {"Instances": [{"output": ["a"]}]},
                            ", Instances, row 1: no 'input': it has output"),
    "instructions: number": ("natural_instructions", "a.json", {"Instances": [{"input": 1}]},
                             ", Instances, row 1: 'input' should be a text, found int"),
    **{f"instructions: {out}": ("natural_instructions", "a.json",
                                {"Instances": [instance("a", "b"), {"input": "a", "output": out}]},
                                ", Instances, row 2: 'output' should be a list of one or more texts")
       for out in ([], "a", [1], None)},
    "wilds: no text": ("wilds_json", "a_train.json", [WILDS, lacking(WILDS, "text")],
                       ", row 2: no 'text': it has label, meta"),
    "wilds: label": ("wilds_json", "a_train.json", [{**WILDS, "label": "1"}],
                     ", row 1: 'label' should be a whole number"),
    "wilds: meta": ("wilds_json", "a_train.json", [{**WILDS, "meta": [1, 2.5]}],
                    ", row 1: 'meta' should be a list of whole numbers"),
    "wilds: no meta": ("wilds_json", "a_train.json", [WILDS, lacking(WILDS, "meta")],
                       ", row 2: 'meta' should be a list of whole numbers"),
    "geo: no query": ("geoquery_json", "geoquery_train.json", [GEO, {**GEO, "query": None}],
                      f", row 2: no 'query': it has {', '.join(GEO)}"),
    "geo: tables": ("geoquery_json", "geoquery_train.json", [{**GEO, "db_table_names": "a"}],
                    ", row 1: 'db_table_names' and 'db_column_types' should be lists of texts"),
    "geo: types": ("geoquery_json", "geoquery_train.json", [{**GEO, "db_column_types": ["text"]}],
                   ", row 1: 4 names of columns, but 1 types"),
    "geo: columns": ("geoquery_json", "geoquery_train.json", [{**GEO, "db_column_names": ["a"]}],
                     ", row 1, db_column_names, row 1: expected an object, found str"),
    **{f"geo: {column}": ("geoquery_json", "geoquery_train.json", geo_columns(column),
                          ", row 1: 'db_column_names' should be objects with a column_name and a table_id")
       for column in ({"table_id": 2, "column_name": "a"}, {"table_id": "0", "column_name": "a"}, {"table_id": 0})},
    "woz: no ID": ("multiwoz_json", "mw24_100p_train.json", [lacking(turn(), "ID")],
                   f", row 1: no 'ID': it has {', '.join(lacking(turn(), 'ID'))}"),
    "woz: domains": ("multiwoz_json", "mw24_100p_train.json", [turn(domains="hotel")],
                     ", row 1: 'domains' should be a list of texts"),
    "woz: twice": ("multiwoz_json", "mw24_100p_train.json", [turn(), turn(number=1), turn()],
                   ", row 3: turn 0 of dialogue 'D1' is there twice"),
    **{f"woz: {side} {said}": ("multiwoz_json", "mw24_100p_train.json",
                               [turn(dialog={"sys": ["a"], "usr": ["b"], side: said})],
                               f", row 1: 'dialog' should have a list of one or more texts as '{side}'")
       for side in ("sys", "usr") for said in (None, [], "a", [1])},
    "woz: dialog": ("multiwoz_json", "mw24_100p_train.json", [turn(dialog=["a"])],
                    ", row 1: 'dialog' should have a list of one or more texts as 'sys'"),
    **{f"woz: {name} {slots}": ("multiwoz_json", "mw24_100p_train.json", [turn(**{name: slots})],
                                f", row 1: '{name}' should be an object of texts")
       for name in ("last_slot_values", "turn_slot_values") for slots in (["a"], {"hotel-area": 1})},
    **{f"woz: {slot}": ("multiwoz_json", "mw24_100p_train.json", [turn(turn_slot_values={slot: "x"})],
                        f", row 1: slot '{slot}' in 'turn_slot_values' should be of the form table-column")
       for slot in ("area", "hotel-book-day")},
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_an_error_is_one_line_that_names_file_and_place(tmp_path, fault):
    layout, name, content, message = FAULTS[fault]
    assert error(load, layout, write(tmp_path, {name: content})) == f"{tmp_path}/{name}{message}"


@pytest.mark.parametrize("text", ["[" * 100_000, f"[{'1' * 5000}]"], ids=["deep", "long"])
def test_json_without_bounds_is_an_error_too(tmp_path, text):
    message = error(load, "wilds_json", write(tmp_path, {"a_train.json": text}))
    assert message.startswith(f"{tmp_path}/a_train.json: not JSON (") and len(message) < 400


def test_two_files_of_a_split_are_refused(tmp_path):
    write(tmp_path, {"amazon_train.json": [WILDS], "civil_train.json": [WILDS]})
    assert error(load, "wilds_json", tmp_path) == (
        f"{tmp_path}: expected one file *_train.json, found amazon_train.json, civil_train.json"
    )


def test_columns_names_the_first_row_that_lacks_a_field():
    rows = [{"a": 0, "b": ""}, {"a": 1}, {"a": None}, {}]
    columns(rows[:1], ["a", "b"], "here")
    columns(rows[:2], iter(["a"]), "here")
    assert error(columns, rows, iter(["a", "b"]), "here") == "here, row 2: no 'b': it has a"
    assert error(columns, rows[2:], ["a"], "here") == "here, row 1: no 'a': it has a"
    assert error(columns, rows[3:], ["a"], "here") == "here, row 1: no 'a': it has no fields"


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\t\x00"))


@given(rows=st.lists(st.tuples(CELL, CELL, st.integers(0, 1)), min_size=1, max_size=8))
def test_any_text_comes_back_as_it_was(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    rte_rows = [{"sentence1": a, "sentence2": b, "label": y} for a, b, y in rows]
    with (folder / "dbpedia.csv").open("w", encoding="utf-8", newline="") as f:
        csv.writer(f).writerows((y + 1, a, b) for a, b, y in rows)
    write(folder, {
        "train.tsv": rte(enumerate(rte_rows)),
        "a_train.json": [{"text": a, "label": y, "meta": []} for a, _, y in rows],
        "sst_train.txt": lines(*(f"__label__{y + 1}\t{a}" for a, _, y in rows)),
    })  # fmt: skip
    both = {"pool": "train", "test": "train"}
    assert load("glue_tsv", folder, **both)[0].rows == rte_rows
    assert [r["text"] for r in load("wilds_json", folder, **both)[0].rows] == [a for a, _, _ in rows]
    assert load("sst_fasttext", folder, **both)[0].rows == [{"text": a, "label": y} for a, _, y in rows]
    assert load("dbpedia_csv", folder, "dbpedia", "dbpedia")[0].rows == [
        {"title": a, "content": b, "label": y} for a, b, y in rows
    ]


# The real files


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "layout", "splits", "sizes", "fields"), [
    ("rte", "glue_tsv", ("train", "validation"), (2490, 277), {"sentence1", "sentence2", "label"}),
    ("sst5", "sst_fasttext", ("train", "test"), (8544, 2210), {"text", "label"}),
    ("geoquery", "geoquery_json", ("train", "eval"), (391, 344), {"question", "query", "seq_in", "schema"}),
    ("multirc", "natural_instructions", ("pool", "test"), (5912, 5912), {"text", "label", "sentence", "question"}),
])  # fmt: skip
def test_the_real_files_parse(hub, name, layout, splits, sizes, fields):
    folder = hub / "datasets/prompt_retrieval" / name
    where = {"subset": "default", "pool_split": splits[0], "test_split": splits[1]}
    assert detect(folder, ["rows", "hub", layout], **where) == layout
    found = read(layout, folder, **where)
    assert tuple(len(split.rows) for split in found) == sizes
    for split in found:
        columns(split.rows, fields, name)
    if "label" in fields:
        labels = {"rte": {0, 1}, "sst5": set(range(5)), "multirc": {"Yes.", "No."}}[name]
        assert {row["label"] for split in found for row in split.rows} == labels
