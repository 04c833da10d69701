"""WILDS' own release files: the rows and numbers that WILDS makes of them, and a line for each way to be broken."""

import csv
import hashlib
import random

import numpy as np
import pandas as pd
import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.prompts.layouts import detect, read
from instructor_eval.tasks.prompts.recipe import recipe_of

SPLITS = {"train": 0, "val": 1, "id_val": 2, "test": 3, "id_test": 4}
TEXTS = ['said "so", twice', "two\nlines, a comma", "three\r\n\r\nlines", "NA", " spaces ", "é\u2028\t", "", "plain"]
WHERE = {"subset": "default", "pool_split": "train", "test_split": "test"}


def reviews(n, seed=0):
    """Made-up reviews, and the split of each: every third or so in none."""
    draw = random.Random(seed)
    rows = [
        {
            "reviewerID": f"R{draw.randrange(9)}", "asin": f"0{draw.randrange(20)}", "overall": float(1 + i % 5),
            "reviewTime": "01 2, 2014", "unixReviewTime": 1388620800 + i, "reviewText": TEXTS[i % len(TEXTS)],
            "summary": 'a "b"\n', "verified": i % 2 == 0, "category": f"C,{draw.randrange(4)}",
            "reviewYear": 2001 + draw.randrange(12),
        }
        for i in range(n)
    ]  # fmt: skip
    return rows, [draw.choice([-1, -1, 0, 0, 1, 2, 3, 4]) for _ in rows]


def amazon(folder, rows, splits, number=float):
    """Files as WILDS' own scripts write them, the split as 0.0 or as 0."""
    (folder / "splits").mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / "reviews.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
    table = pd.DataFrame({"split": [number(s) for s in splits], "clean": True})
    table.to_csv(folder / "splits/user.csv", index=False)
    return folder


def load(folder, pool="train", test="test"):
    return tuple(s.rows for s in read("wilds_csv", folder, subset="default", pool_split=pool, test_split=test))


def error(folder, *splits):
    with pytest.raises(UserError) as e:
        load(folder, *splits)
    assert "\n" not in str(e.value)
    return str(e.value)


def as_wilds_reads(folder):
    """(split, text, [reviewer, product, category, year, label]) of every review in a split, by pandas alone."""
    kinds = dict.fromkeys(("reviewerID", "asin", "reviewText", "category"), str) | {"reviewYear": int}
    table = pd.read_csv(folder / "reviews.csv", dtype=kinds, keep_default_na=False, na_values=[],
                        quoting=csv.QUOTE_NONNUMERIC)  # fmt: skip
    table["split"] = pd.read_csv(folder / "splits/user.csv")["split"].astype(np.int8)
    table = table[table["split"] != -1]
    by_split = table.iloc[np.argsort(table["split"].to_numpy())]
    meta = pd.DataFrame({name: pd.Categorical(table[name], pd.unique(by_split[name])).codes
                         for name in ("reviewerID", "asin", "category")})  # fmt: skip
    meta["year"] = (table["reviewYear"] - table["reviewYear"].min()).to_numpy()
    meta["y"] = table["overall"].to_numpy().astype(int) - 1
    return list(zip(table["split"], table["reviewText"], meta.to_numpy().tolist(), strict=True))


# Amazon


@pytest.mark.parametrize("number", [float, int])
@pytest.mark.parametrize("n", [20, 700])
def test_amazon_is_numbered_as_wilds_does(tmp_path, n, number):
    expected = as_wilds_reads(amazon(tmp_path, *reviews(n), number))
    for names in (("train", "test"), ("val", "id_val"), ("id_test", "train")):
        for name, rows in zip(names, load(tmp_path, *names), strict=True):
            wanted = [(text, meta) for split, text, meta in expected if split == SPLITS[name]]
            assert wanted and rows == [{"text": t, "label": m[4], "meta": m} for t, m in wanted]
            assert all(type(v) is int for row in rows for v in row["meta"])


def test_amazon_by_hand(tmp_path):
    rows = [row | {"reviewerID": r, "asin": "1", "category": "b", "reviewYear": y, "overall": s}
            for row, r, y, s in zip(reviews(6)[0], "xtaaub", (1990, 2003, 2004, 2002, 2009, 2002), (1, 2, 5, 4, 3, 1),
                                    strict=True)]  # fmt: skip
    train, test = load(amazon(tmp_path, rows, [-1, 3, 0, 3, 4, 0]))
    assert train == [{"text": TEXTS[2], "label": 4, "meta": [0, 0, 0, 2, 4]},
                     {"text": TEXTS[5], "label": 0, "meta": [1, 0, 0, 0, 0]}]  # fmt: skip
    assert test == [{"text": TEXTS[1], "label": 1, "meta": [2, 0, 0, 1, 1]},
                    {"text": TEXTS[3], "label": 3, "meta": [0, 0, 0, 0, 3]}]  # fmt: skip


def test_amazon_rows_are_sorted_as_numpy_did_before_1_25(tmp_path):
    """The hash is that of np.argsort(splits) by numpy 1.23.5, where int64, float64 and int8 gave the same."""
    splits = [i * 7919 % 1009 % 5 for i in range(2000)]
    rows = [row | {"asin": str(i), "reviewText": str(i)} for i, row in enumerate(reviews(2000)[0])]
    amazon(tmp_path, rows, splits)
    place = {int(row["text"]): row["meta"][1]
             for pair in (("train", "val"), ("id_val", "test"), ("id_test", "id_test"))
             for found in load(tmp_path, *pair) for row in found}  # fmt: skip
    order = np.array(sorted(place, key=place.__getitem__), dtype="<i8")
    assert [splits[i] for i in order] == sorted(splits) and sorted(place.values()) == list(range(2000))
    assert hashlib.sha256(order.tobytes()).hexdigest() == ORDER


ORDER = "276b0477548263ed908273515792e39b260058a44131e79bc85fe4f1ed884dc0"


def test_only_the_rows_of_the_split_are_held(tmp_path):
    import tracemalloc

    rows = [row | {"reviewText": "x" * 10_000} for row in reviews(2000)[0]]
    amazon(tmp_path, rows, [0] * 10 + [1] * 1980 + [3] * 10)
    del rows
    tracemalloc.start()
    try:
        train, test = load(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(train) == len(test) == 10 and peak < 3_000_000  # the file has 20 MB


# CivilComments

MARKS = ["male", "female", "LGBTQ", "christian", "muslim", "other_religions", "black", "white", "identity_any",
         "severe_toxicity", "obscene", "threat", "insult", "identity_attack", "sexual_explicit"]  # fmt: skip


def comments(n, seed=0):
    draw = random.Random(seed)
    values = [0.0, 0.25, 0.4999999, 0.5, 0.75, 1.0]
    return [
        {"id": i, "comment_text": TEXTS[i % len(TEXTS)], "split": draw.choice(["train", "val", "test"]),
         "toxicity": draw.choice(values), "num_identities": 2.0, "more_than_one_identity": True,
         **{name: draw.choice(values) for name in draw.sample(MARKS, len(MARKS))}, "LGBTQ": i % 2}
        for i in range(n)
    ]  # fmt: skip


def civil(folder, rows):
    """As WILDS' own script writes it, with a column for the row's number that has no name."""
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / "all_data_with_identities.csv")
    return folder


def test_civil_comments(tmp_path):
    made = comments(200)
    civil(tmp_path, made)
    table = pd.read_csv(tmp_path / "all_data_with_identities.csv", index_col=0)
    found = load(tmp_path)
    for name, rows in zip(("train", "test"), found, strict=True):
        mine = table[table["split"] == name]
        meta = np.column_stack([mine[MARKS] >= 0.5, mine["toxicity"] >= 0.5]).astype(int).tolist()
        texts = [row["comment_text"] for row in made if row["split"] == name]
        assert rows == [{"text": t, "label": m[-1], "meta": m} for t, m in zip(texts, meta, strict=True)]
        assert {row["meta"][3] for row in rows} == {row["label"] for row in rows} == {0, 1}
    christian = [row["christian"] for row in made if row["split"] == "train"]
    assert [row["meta"][3] for row in found[0]] == [int(c >= 0.5) for c in christian]


def test_a_mark_without_a_value_is_none(tmp_path):
    rows = [row | {"male": None, "toxicity": 1, "split": split} for split, row in
            zip(("train", "test"), comments(2), strict=True)]  # fmt: skip
    assert [row["meta"][0] for found in load(civil(tmp_path, rows)) for row in found] == [0, 0]


# Cards and errors


@pytest.mark.parametrize("name", ["Amazon", "CivilComments"])
def test_the_cards_take_either_form(tmp_path, name):
    layout = recipe_of(shipped_cards()[name]).layout
    if name == "Amazon":
        amazon(tmp_path, *reviews(20))
    else:
        civil(tmp_path, comments(20))
    assert detect(tmp_path, layout, **WHERE) == "wilds_csv"
    for split in ("train", "test"):
        (tmp_path / f"{name}_{split}.json").write_text('[{"text": "a", "label": 1, "meta": [0]}]')
    assert detect(tmp_path, layout, **WHERE) == "wilds_json"


def change(path, old, new):
    text = path.read_bytes().decode()
    assert text.count(old) == 1
    path.write_bytes(text.replace(old, new).encode())


def small(folder):
    """Two reviews, one of two lines: the header is line 1, the rows end in lines 2 and 4."""
    rows = [row | {"reviewerID": f"R{i}", "summary": "s", "reviewText": text, "overall": 2.0 + i,
                   "reviewYear": 2001 + i}
            for i, (row, text) in enumerate(zip(reviews(2)[0], ("one", "two\nlines"), strict=True))]  # fmt: skip
    return amazon(folder, rows, [0, 3], int)


@pytest.mark.parametrize(("name", "old", "new", "message"), [
    ("reviews.csv", '"reviewText"', '"text"', ", line 1: expected one column 'reviewText', found reviewerID, asin, "
     "overall, reviewTime, unixReviewTime, text, summary, verified, category, reviewYear"),
    ("reviews.csv", '"summary"', '"category"', ", line 1: expected one column 'category', found reviewerID, asin, "
     "overall, reviewTime, unixReviewTime, reviewText, category, verified, category, reviewYear"),
    ("reviews.csv", ",3.0,", ",0.0,", ", line 4: 'overall' should be 1 to 5, found '0.0'"),
    ("reviews.csv", ",3.0,", ",6,", ", line 4: 'overall' should be 1 to 5, found '6'"),
    ("reviews.csv", ",3.0,", ",2.5,", ", line 4: 'overall' should be 1 to 5, found '2.5'"),
    ("reviews.csv", ",3.0,", ",nan,", ", line 4: 'overall' should be 1 to 5, found 'nan'"),
    ("reviews.csv", ",3.0,", ",,", ", line 4: 'overall' should be 1 to 5, found ''"),
    ("reviews.csv", ",2002\n", ",x\n", ", line 4: 'reviewYear' should be a whole number, found 'x'"),
    ("reviews.csv", ",2002\n", "\n", ", line 4: 9 columns, the header has 10"),
    ("reviews.csv", '"two\nlines"', '"two\nlines"s', ", line 4: ',' expected after '\"'"),
    ("reviews.csv", '"two\nlines"', '"two\nlines', ", line 4: ',' expected after '\"'"),
    ("splits/user.csv", "split", "part", ", line 1: expected one column 'split', found part, clean"),
    ("splits/user.csv", "3,", "5,", ", line 3: split '5', expected -1 to 4"),
    ("splits/user.csv", "3,", "-2,", ", line 3: split '-2', expected -1 to 4"),
    ("splits/user.csv", "3,", "0.5,", ", line 3: split '0.5', expected -1 to 4"),
    ("splits/user.csv", "3,", "test,", ", line 3: split 'test', expected -1 to 4"),
])  # fmt: skip
def test_an_error_in_amazon_is_one_line(tmp_path, name, old, new, message):
    change(small(tmp_path) / name, old, new)
    assert error(tmp_path) == f"{tmp_path}/{name}{message}"


def test_bytes_that_are_no_text(tmp_path):
    path = small(tmp_path) / "reviews.csv"
    path.write_bytes(path.read_bytes().replace(b"lines", b"\xff"))
    assert error(tmp_path) == f"{path}, line 4: not UTF-8 (invalid start byte): save it as UTF-8"


@pytest.mark.parametrize("rows", [1, 3])
def test_a_split_file_of_another_length(tmp_path, rows):
    path = small(tmp_path) / "splits/user.csv"
    path.write_text("split,clean\n" + "0,True\n" * rows)
    assert error(tmp_path) == {
        1: f"{tmp_path}/reviews.csv, line 4: row 2, but {path} has 1 rows",
        3: f"{path}: 3 rows, but {tmp_path}/reviews.csv has 2",
    }[rows]  # fmt: skip


def test_missing_and_mixed_up_files(tmp_path):
    path = small(tmp_path / "a") / "splits/user.csv"
    path.unlink()
    assert error(tmp_path / "a") == f"{path}: no such file"
    civil(small(tmp_path / "b"), comments(9))
    assert error(tmp_path / "b") == (
        f"{tmp_path}/b: reviews.csv and all_data_with_identities.csv are both there: give each data set a folder"
    )


def test_a_split_that_wilds_has_not_or_that_is_empty(tmp_path):
    small(tmp_path / "a")
    assert error(tmp_path / "a", "train", "dev") == (
        f"{tmp_path}/a/reviews.csv: WILDS has no split 'dev' of it: it has train, val, id_val, test, id_test"
    )
    assert error(tmp_path / "a", "val") == f"{tmp_path}/a/reviews.csv: no rows for split 'val'"
    civil(tmp_path / "b", comments(9))
    assert error(tmp_path / "b", "train", "id_val") == (
        f"{tmp_path}/b/all_data_with_identities.csv: WILDS has no split 'id_val' of it: it has train, val, test"
    )


@pytest.mark.parametrize(("name", "value", "message"), [
    ("toxicity", "high", "'toxicity' should be a number, found 'high'"),
    ("toxicity", None, "'toxicity' should be a number, found ''"),
    ("christian", "yes", "'christian' should be a number, found 'yes'"),
    ("white", float("inf"), "'white' should be a number, found 'inf'"),
    ("split", "dev", "split 'dev', expected train, val, test"),
])  # fmt: skip
def test_an_error_in_civil_comments_is_one_line(tmp_path, name, value, message):
    rows = [row | {"split": "train"} for row in comments(2)]
    rows[1][name] = value
    lines = sum(row["comment_text"].count("\n") for row in rows)
    assert error(civil(tmp_path, rows)) == f"{tmp_path}/all_data_with_identities.csv, line {3 + lines}: {message}"


def test_civil_comments_without_a_column(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "christian"} for row in comments(2)]
    assert error(civil(tmp_path, rows)).startswith(
        f"{tmp_path}/all_data_with_identities.csv, line 1: expected one column 'christian', found , id, comment_text, "
    )
