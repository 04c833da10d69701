"""Which rows are drawn: the draws of `random.sample` after `random.seed`, written here once more by hand."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_eval.core.errors import UserError
from instructor_eval.tasks.prompts.files import Split
from instructor_eval.tasks.prompts.layouts import read
from instructor_eval.tasks.prompts.sampling import KINDS, REVIEWERS, REVIEWS, Drawn, draw


def split(name, n, **fields):
    return Split(name, [{"i": i, **fields} for i in range(n)])


def named(name, numbers):
    return [f"{name}/{i}" for i in numbers]


def ids(rows):
    return [id_ for id_, _ in rows]


def error(*arguments, **named_):
    with pytest.raises(UserError) as e:
        draw(*arguments, **{"pool_size": None, "test_size": None, "seed": 0} | named_)
    return str(e.value)


def test_the_kinds():
    assert list(KINDS) == ["splits", "one", "reviewers", "toxic_christian", "dialogues"]


@given(seed=st.integers(0, 10_000), n=st.integers(1, 400), m=st.integers(1, 400), data=st.data())
def test_splits(seed, n, m, data):
    sizes = [data.draw(st.none() | st.integers(1, k)) for k in (n, m)]
    pool, test = split("train", n), split("test", m)
    drawn = draw("splits", pool, test, pool_size=sizes[0], test_size=sizes[1], seed=seed)
    state = random.getstate()
    random.seed(seed)  # the authors drew rows, from the global generator
    expected = [
        rows if size is None else random.sample(rows, size)
        for size, rows in zip(sizes, (pool.rows, test.rows), strict=True)
    ]
    random.setstate(state)
    assert [row for _, row in drawn.pool] == expected[0] and [row for _, row in drawn.test] == expected[1]
    assert ids(drawn.pool) == named("train", (r["i"] for r in expected[0]))
    assert ids(drawn.test) == named("test", (r["i"] for r in expected[1]))


@given(seed=st.integers(0, 10_000), n=st.integers(2, 400), data=st.data())
def test_one_set_gives_test_rows_and_a_pool_without_them(seed, n, data):
    test_size = data.draw(st.integers(1, n - 1))
    pool_size = data.draw(st.none() | st.integers(1, n - test_size))
    rows = split("instances", n)
    drawn = draw("one", rows, rows, pool_size=pool_size, test_size=test_size, seed=seed)
    own = random.Random(seed)
    test = own.sample(list(range(n)), test_size)
    left = sorted(set(range(n)) - set(test))
    pool = left if pool_size is None else own.sample(left, pool_size)
    assert ids(drawn.test) == named("instances", test) and ids(drawn.pool) == named("instances", pool)
    assert not set(ids(drawn.test)) & set(ids(drawn.pool))
    assert all(row is rows.rows[int(id_.split("/")[1])] for id_, row in drawn.pool + drawn.test)


def reviews(reviewers, seed=3, each=REVIEWS + 7):
    """Reviews of these, mixed."""
    order = [r for r in reviewers for _ in range(each)]
    random.Random(seed).shuffle(order)
    return Split("test", [{"i": i, "meta": [r, 0], "label": 1} for i, r in enumerate(order)])


@pytest.mark.parametrize("reviewers", [
    range(30), [i * 7919 % 1_000_003 for i in range(1, 61)], [f"R{i}" for i in range(25)], [*range(30, 10, -1), "a"],
], ids=["few", "large", "texts", "mixed"])  # fmt: skip
def test_reviewers(reviewers):
    pool, test = split("train", 50), reviews(reviewers)
    drawn = draw("reviewers", pool, test, pool_size=9, test_size=None, seed=5)
    own = random.Random(5)
    expected_pool = own.sample(range(50), 9)
    seen = set()
    for row in test.rows:
        seen.add(row["meta"][0])
    groups = list(seen) if all(isinstance(r, int) for r in seen) else sorted(seen, key=str)
    expected = []
    for reviewer in own.sample(groups, REVIEWERS):
        written = [row for row in test.rows if row["meta"][0] == reviewer]
        expected += [(f"test/{r['i']}", {**r, "group": str(reviewer)}) for r in own.sample(written, REVIEWS)]
    assert drawn == Drawn([(f"train/{i}", {"i": i}) for i in expected_pool], expected)
    assert "group" not in test.rows[0] and len({row["group"] for _, row in drawn.test}) == 20
    assert draw("reviewers", pool, test, pool_size=9, test_size=3, seed=5) == drawn


def test_reviewers_are_ordered_as_a_set_that_grew_one_by_one():
    """A set made of a dict at once is larger, and its order another."""
    apart = []
    for seed in range(20):
        numbers = random.Random(seed).sample(range(10**6), 40)
        test = Split("test", [{"meta": [r]} for r in numbers for _ in range(REVIEWS)])
        drawn = draw("reviewers", split("train", 1), test, pool_size=None, test_size=None, seed=0)
        order = list({r for r in numbers})
        apart.append(order != list(set(dict.fromkeys(numbers))))
        chosen = random.Random(0).sample(order, REVIEWERS)
        assert list(dict.fromkeys(row["group"] for _, row in drawn.test)) == [str(r) for r in chosen]
    assert any(apart)


@pytest.mark.parametrize("test_size", [None, 6])
def test_toxic_christian(test_size):
    rows = [{"i": i, "label": int(i % 2 == 0), "meta": [1, 1, 1, int(i % 3 == 0), 1]} for i in range(60)]
    drawn = draw("toxic_christian", split("train", 30), Split("test", rows), pool_size=4, test_size=test_size, seed=2)
    own = random.Random(2)
    pool, toxic = own.sample(range(30), 4), [i for i in range(60) if i % 6 == 0]
    assert ids(drawn.pool) == named("train", pool)
    assert ids(drawn.test) == named("test", own.sample(toxic, test_size) if test_size else toxic)
    assert all(row is rows[int(id_.split("/")[1])] for id_, row in drawn.test)


def turns(name, dialogues, seed):
    """Turns of dialogues, which may be interleaved."""
    rows = [(d, t) for d in range(dialogues) for t in range(1 + d % 4)]
    random.Random(seed).shuffle(rows)
    return Split(name, [{"dialogue_ID": f"D{d}", "turn": t} for d, t in rows])


@given(seed=st.integers(0, 1000), n=st.integers(1, 40), m=st.integers(1, 40), data=st.data())
def test_dialogues(seed, n, m, data):
    pool, test = turns("train", n, seed), turns("test", m, seed + 1)
    pool_size = data.draw(st.none() | st.integers(1, n))
    test_size = data.draw(st.none() | st.integers(1, len(test.rows)))
    drawn = draw("dialogues", pool, test, pool_size=pool_size, test_size=test_size, seed=seed)
    own, by_dialogue = random.Random(seed), {}
    for side in (pool, test):
        for i, row in enumerate(side.rows):
            by_dialogue.setdefault(side.name, {}).setdefault(row["dialogue_ID"], []).append((f"{side.name}/{i}", row))
    wanted = list(by_dialogue["train"])
    if pool_size:
        wanted = own.sample(wanted, pool_size)
    assert drawn.pool == [turn for d in wanted for turn in by_dialogue["train"][d]]
    tested = list(by_dialogue["test"].values())
    if test_size:
        own.shuffle(tested)
    assert drawn.test == [turn for d in tested for turn in d][:test_size]


def test_the_same_seed_draws_the_same_and_another_something_else():
    pool, test = split("train", 100), split("test", 100)
    first, again, other = (
        draw("splits", pool, test, pool_size=20, test_size=20, seed=seed) for seed in (0, 0, 1)
    )  # fmt: skip
    assert first == again and first.pool != other.pool and first.test != other.test


def test_no_draw_touches_the_global_generator():
    before = random.getstate()
    draw("splits", split("train", 100), split("test", 100), pool_size=20, test_size=20, seed=0)
    assert random.getstate() == before


# Errors

TEN, NINE = split("train", 10), split("test", 9)
CHECK = "check that the folder holds the right files"
META = split("test", 3, meta=[1, 1, 1, 1], label=1)
TOXIC = "rows for the test in split 'test' with label 1 and a 1 as number 4 of 'meta'"
ERRORS = {
    "kind": ("split", TEN, NINE, {}, "sampling 'split' is not known: did you mean splits?"),
    "no kind": ("?", TEN, NINE, {}, f"sampling '?' is not known: it is one of {', '.join(KINDS)}"),
    "no pool": ("splits", TEN, NINE, {"pool_size": 0}, "pool_size is 0: it has to be 1 or more"),
    "no test": ("splits", TEN, NINE, {"test_size": -1}, "test_size is -1: it has to be 1 or more"),
    "pool": ("splits", TEN, NINE, {"pool_size": 3000},
             f"rows for the pool in split 'train': 3,000 needed, 10 found: {CHECK}"),
    "test": ("splits", TEN, NINE, {"test_size": 10}, f"rows for the test in split 'test': 10 needed, 9 found: {CHECK}"),
    "one split": ("splits", TEN, TEN, {},
                  "sampling 'splits' needs two splits, and split 'train' is both: use sampling 'one'"),
    "two splits": ("one", TEN, NINE, {"test_size": 1},
                   "sampling 'one' needs one set of rows, and there are two: 'train' and 'test'"),
    "one, test": ("one", TEN, TEN, {"test_size": 11},
                  f"rows for the test in split 'train': 11 needed, 10 found: {CHECK}"),
    "one, pool": ("one", TEN, TEN, {"test_size": 4, "pool_size": 7},
                  f"rows for the pool in split 'train', without the 4 for the test: 7 needed, 6 found: {CHECK}"),
    "one, nothing left": ("one", TEN, TEN, {"test_size": 10},
                          f"rows for the pool in split 'train', without the 10 for the test: none left: {CHECK}"),
    "one, all": ("one", TEN, TEN, {},
                 "sampling 'one' needs a test_size: the pool comes from split 'train' too"),
    "reviewers": ("reviewers", TEN, reviews(range(19)), {},
                  f"reviewers in split 'test': 20 needed, 19 found: {CHECK}"),
    "no meta": ("reviewers", TEN, NINE, {}, "split 'test', row 1: no 'meta': it has i"),
    "meta": ("reviewers", TEN, split("test", 2, meta=[]), {},
             "split 'test', row 1: 'meta' should be a list of 1 or more values"),
    "no number": ("reviewers", TEN, split("test", 2, meta=[[1]]), {},
                  "split 'test', row 1: 'meta' should begin with a reviewer's number or name"),
    "short meta": ("toxic_christian", TEN, split("test", 2, meta=[1, 1, 1]), {},
                   "split 'test', row 1: 'meta' should be a list of 4 or more values"),
    "no label": ("toxic_christian", TEN, split("test", 2, meta=[1] * 4), {},
                 "split 'test', row 1: no 'label': it has i, meta"),
    "toxic": ("toxic_christian", TEN, META, {"test_size": 4},
              f"{TOXIC}: 4 needed, 3 found: {CHECK}"),
    "none toxic": ("toxic_christian", TEN, split("test", 3, meta=[1, 1, 1, 0], label=1), {},
                   f"{TOXIC}: none found: {CHECK}"),
    "no dialogues": ("dialogues", TEN, turns("test", 4, 0), {}, "split 'train', row 1: no 'dialogue_ID': it has i"),
    "dialogues": ("dialogues", turns("train", 4, 0), turns("test", 4, 0), {"pool_size": 5},
                  f"dialogues for the pool in split 'train': 5 needed, 4 found: {CHECK}"),
    "turns": ("dialogues", turns("train", 4, 0), turns("test", 4, 0), {"test_size": 11},
              f"turns for the test in split 'test': 11 needed, 10 found: {CHECK}"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", ERRORS)
def test_an_error_is_one_line(wrong):
    kind, pool, test, sizes, message = ERRORS[wrong]
    assert error(kind, pool, test, **sizes) == message


def test_a_reviewer_drawn_needs_enough_reviews():
    test = Split("test", [{"meta": [r]} for r in range(REVIEWERS) for _ in range(REVIEWS - (r == 13))])
    assert error("reviewers", TEN, test) == f"reviews of reviewer 13 in split 'test': 50 needed, 49 found: {CHECK}"
    others = Split("test", [{"meta": [r]} for r in range(400) for _ in range(REVIEWS if r < 399 else 1)])
    assert len(draw("reviewers", TEN, others, pool_size=None, test_size=None, seed=0).test) == REVIEWERS * REVIEWS


# The authors' draws


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "layout", "splits", "kind", "pool_size", "expected"), [
    ("rte", "glue_tsv", ("train", "validation"), "splits", None, (range(2490), "eval_indices_into_glue_validation")),
    ("sst5", "sst_fasttext", ("train", "test"), "splits", 3000, ("train_indices", "eval_indices_into_test")),
    ("geoquery", "geoquery_json", ("train", "eval"), "splits", None, (range(391), "eval_indices")),
    ("multirc", "natural_instructions", ("pool", "test"), "one", 3000, ("train_indices", "eval_indices")),
])  # fmt: skip
def test_the_authors_draws(hub, reference, name, layout, splits, kind, pool_size, expected):
    known = json.loads((reference / "prompt_retrieval_seed0_indices.json").read_text())
    known = known.get(name) or known[f"{name}_answerability"]
    folder = hub / "datasets/prompt_retrieval" / name
    pool, test = read(layout, folder, subset="default", pool_split=splits[0], test_split=splits[1])
    drawn = draw(kind, pool, test, pool_size=pool_size, test_size=256, seed=0)
    for split_, rows, numbers in ((pool, drawn.pool, expected[0]), (test, drawn.test, expected[1])):
        numbers = known[numbers] if isinstance(numbers, str) else numbers
        assert ids(rows) == named(split_.name, numbers)
        assert all(row is split_.rows[i] for i, (_, row) in zip(numbers, rows, strict=True))
    assert len(drawn.test) == 256 and len(drawn.pool) == (pool_size or len(pool.rows))
