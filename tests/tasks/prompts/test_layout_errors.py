"""Files that are no layout's: one line for each way to be broken, with file and place."""

import pytest
from layout_files import GEO, MRPC, SWAG, WILDS, error, instance, jsonl, load, mrpc, turn, write

from instructor_eval.tasks.prompts.files import columns
from instructor_eval.tasks.prompts.layouts import LAYOUTS


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
ERRORS = {
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
       for line in ("__label__6\ta", "__label__1 a", "3\ta")},
    "dbpedia: columns": ("dbpedia_csv", "train.csv", "1,a,b\n1,a\n",
                         ", line 2: expected class,title,content, found 2 columns"),
    "dbpedia: class": ("dbpedia_csv", "train.csv", '1,"a\n",b\n15,a,b\n', ", line 3: class '15', expected 1 to 14"),
    "dbpedia: header": ("dbpedia_csv", "train.csv", "class,title,content\n",
                        ", line 1: class 'class', expected 1 to 14"),
    "dbpedia: quotes": ("dbpedia_csv", "train.csv", '1,a,b\n1,"a"b,c\n', ", line 2: ',' expected after '\"'"),
    **{f"hellaswag: {key} {value}": ("hellaswag_jsonl", "hellaswag_train.jsonl", jsonl(SWAG, {**SWAG, key: value}),
                                     f", line 2: '{key}' should be {what}")
       for key, value, what in (("ctx", 1, "a text"), ("endings", list("abc"), "4 texts"),
                                ("endings", "abcd", "4 texts"), ("label", 4, "a number from 0 to 3"),
                                ("label", True, "a number from 0 to 3"))},
    "hellaswag: no label": ("hellaswag_jsonl", "hellaswag_train.jsonl", jsonl(lacking(SWAG, "label")),
                            ", line 1: 'label' should be a number from 0 to 3"),
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
       for out in ([], "a")},
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
       for side, said in (("sys", []), ("usr", "a"))},
    "woz: dialog": ("multiwoz_json", "mw24_100p_train.json", [turn(dialog=["a"])],
                    ", row 1: 'dialog' should have a list of one or more texts as 'sys'"),
    **{f"woz: {name} {slots}": ("multiwoz_json", "mw24_100p_train.json", [turn(**{name: slots})],
                                f", row 1: '{name}' should be an object of texts")
       for name, slots in (("last_slot_values", ["a"]), ("turn_slot_values", {"hotel-area": 1}))},
    **{f"woz: {slot}": ("multiwoz_json", "mw24_100p_train.json", [turn(turn_slot_values={slot: "x"})],
                        f", row 1: slot '{slot}' in 'turn_slot_values' should be of the form table-column")
       for slot in ("area", "hotel-book-day")},
}  # fmt: skip


@pytest.mark.parametrize("wrong", ERRORS)
def test_an_error_is_one_line_that_names_file_and_place(tmp_path, wrong):
    layout, name, content, message = ERRORS[wrong]
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
