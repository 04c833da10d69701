"""Layouts: every way in which a data set's files can lie in a folder, and the one line for each way to be broken."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layout_files import error, jsonl, lines, load, parquet, rte, write

from instructor_eval.tasks.prompts.files import Split, columns
from instructor_eval.tasks.prompts.layouts import LAYOUTS, detect, read


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
