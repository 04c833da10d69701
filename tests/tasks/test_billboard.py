"""Billboard: the loader's checks, the maximum over references, one Pearson r over pooled rows."""

import json

import by_type
import made_up
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import FakeEncoder, Writer, card, embed, jsonl, settings
from scipy.stats import pearsonr

from instructor_eval import metrics
from instructor_eval.core.errors import UserError
from instructor_eval.tasks.billboard import Segment, max_over_references, read_segments, unit
from instructor_eval.tasks.cards import read_cards


def segments(n=7, seed=1):
    """Rows of the two files: references (1 to 3 a segment), and 3 systems a segment."""
    writer = Writer(seed)
    references, hypotheses = [], []
    for i in range(n):
        topic = writer.topic()
        refs = [writer.sentence(topic) for _ in range(1 + i % 3)]
        references.append({"seg_id": f"s{i}", "set_id": 1, "refs": refs})
        for system in ("Alpha", "Beta", "Human"):
            hyp = writer.sentence(topic if system == "Human" else writer.topic())
            grade = round(writer.random.uniform(1, 5), 1)
            hypotheses.append({"SYS": system, "seg_id": f"s{i}", "set_id": 1, "hyp": hyp, "human_score": grade})
    return references, hypotheses


def write(folder, references, hypotheses):
    """The folder of a set."""
    jsonl(folder / "mscoco_references.jsonl", references)
    jsonl(folder / "mscoco_THumB-1.0.jsonl", hypotheses)
    return folder


def by_hand(references, hypotheses):
    """(segment, system), human score and maximum cosine of every row, one at a time in float64."""
    refs = {r["seg_id"]: r["refs"] for r in references}
    rows = []
    for row in hypotheses:
        h = embed([row["hyp"]], "say ")[0].astype(np.float64)
        best = max(
            float(r @ h / np.linalg.norm(r) / np.linalg.norm(h))
            for r in embed(refs[row["seg_id"]], "say ").astype(np.float64)
        )
        rows.append((f"{row['seg_id']}/{row['SYS']}", row["human_score"], best))
    return rows


def test_one_pearson_over_the_pooled_rows(tmp_path):
    references, hypotheses = segments()
    write(tmp_path / "datasets/billboard/mscoco", references, hypotheses)
    encoder = FakeEncoder()
    outcome = by_type.run(card("mscoco"), encoder, settings(tmp_path))
    ids, gold, values = zip(*by_hand(references, hypotheses), strict=True)
    assert outcome.metric == "pearson"
    assert outcome.score == pytest.approx(pearsonr(values, gold)[0], abs=1e-6)
    assert outcome.items["id"] == list(ids) and outcome.items["gold"] == list(gold)
    assert outcome.items["value"] == pytest.approx(values, abs=1e-6)
    assert outcome.items["segment"] == [r["seg_id"] for r in hypotheses]
    assert outcome.items["system"] == ["Alpha", "Beta", "Human"] * 7
    assert metrics.compute("pearson", json.loads(json.dumps(outcome.items))) == outcome.score
    a_segment_each = [pearsonr(values[i : i + 3], gold[i : i + 3])[0] for i in range(0, 21, 3)]
    assert outcome.score != pytest.approx(np.mean(a_segment_each), abs=1e-3)  # pooled, not a mean of segments


def test_both_sides_are_embedded_under_the_one_role(tmp_path):
    references, hypotheses = segments()
    write(tmp_path / "datasets/billboard/mscoco", references, hypotheses)
    encoder = FakeEncoder()
    by_type.run(card("mscoco"), encoder, settings(tmp_path))
    refs = [t for r in references for t in r["refs"]]
    assert encoder.calls == [("text", False, refs), ("text", False, [r["hyp"] for r in hypotheses])]


class LongVectors(FakeEncoder):
    """The same directions at very different lengths."""

    def encode(self, texts, role, *, bare=False):
        vectors = super().encode(texts, role, bare=bare)
        return vectors * np.linspace(0.01, 90, len(texts), dtype=np.float32)[:, None]


def test_the_length_of_the_vectors_does_not_matter(tmp_path):
    write(tmp_path / "datasets/billboard/mscoco", *segments())
    plain = by_type.run(card("mscoco"), FakeEncoder(), settings(tmp_path))
    scaled = by_type.run(card("mscoco"), LongVectors(), settings(tmp_path))
    assert scaled.items["value"] == pytest.approx(plain.items["value"], abs=1e-5)
    assert scaled.score == pytest.approx(plain.score, abs=1e-5)


@pytest.mark.parametrize("limit", [2, 5, 100])
def test_a_limit_counts_segments(tmp_path, limit):
    references, hypotheses = segments()
    write(tmp_path / "datasets/billboard/mscoco", references, hypotheses)
    encoder = FakeEncoder()
    outcome = by_type.run(card("mscoco"), encoder, settings(tmp_path, limit=limit))
    _, gold, values = zip(*by_hand(references, hypotheses[: 3 * limit]), strict=True)
    assert len(outcome.items["id"]) == 3 * min(limit, 7)
    assert outcome.score == pytest.approx(pearsonr(values, gold)[0], abs=1e-6)
    assert len(encoder.calls[0][2]) == sum(len(r["refs"]) for r in references[:limit])


def test_hypotheses_may_stand_system_by_system(tmp_path):
    references, hypotheses = segments()
    write(tmp_path / "a/datasets/billboard/mscoco", references, hypotheses)
    by_system = sorted(hypotheses, key=lambda r: r["SYS"])
    write(tmp_path / "b/datasets/billboard/mscoco", references[::-1], by_system)
    first, second = (by_type.run(card("mscoco"), FakeEncoder(), settings(tmp_path / k)) for k in "ab")
    assert first.items == second.items
    assert first.gold_hash == second.gold_hash
    assert by_type.data_key(card("mscoco"), settings(tmp_path / "a")) != by_type.data_key(
        card("mscoco"), settings(tmp_path / "b")
    )


def test_human_scores_change_gold_hash_and_data_key(tmp_path):
    references, hypotheses = segments()
    folder = write(tmp_path / "datasets/billboard/mscoco", references, hypotheses)
    key = by_type.data_key(card("mscoco"), settings(tmp_path))
    before = by_type.run(card("mscoco"), FakeEncoder(), settings(tmp_path))
    hypotheses[4]["human_score"] += 0.25
    write(folder, references, hypotheses)
    assert by_type.data_key(card("mscoco"), settings(tmp_path)) != key
    assert by_type.run(card("mscoco"), FakeEncoder(), settings(tmp_path)).gold_hash != before.gold_hash


@given(st.data())
def test_max_over_references_is_the_brute_force_maximum(data):
    sizes = data.draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=5))
    random = np.random.RandomState(data.draw(st.integers(0, 10_000)))
    nh, nr = [h for h, _ in sizes], [r for _, r in sizes]
    hypotheses = unit(random.standard_normal((sum(nh), 6)).astype(np.float32))
    references = unit(random.standard_normal((sum(nr), 6)).astype(np.float32))
    assert np.linalg.norm(hypotheses, axis=1) == pytest.approx(np.ones(sum(nh)), abs=1e-6)
    expected = []
    for k in range(len(sizes)):
        for h in hypotheses[sum(nh[:k]) : sum(nh[: k + 1])]:
            expected.append(max(float(np.sum(h * r)) for r in references[sum(nr[:k]) : sum(nr[: k + 1])]))
    assert max_over_references(hypotheses, references, nh, nr) == pytest.approx(expected, abs=1e-6)


def test_read_segments(tmp_path):
    refs = [
        {"seg_id": 12, "refs": ["a", 'b "é"']},
        {"seg_id": "13", "refs": ["c"]},
        {"seg_id": "unused", "refs": ["d"]},
    ]
    rows = [
        {"SYS": "x", "seg_id": "13", "hyp": "h1", "human_score": 4, "image": "i.jpg"},
        {"SYS": "x", "seg_id": 12, "hyp": "h2", "human_score": "3.5"},
        {"SYS": "y", "seg_id": "13", "hyp": "", "human_score": 0},
    ]
    assert read_segments(write(tmp_path, refs, rows))[0] == [
        Segment("13", ["c"], ["x", "y"], ["h1", ""], [4.0, 0.0]),
        Segment("12", ["a", 'b "é"'], ["x"], ["h2"], [3.5]),
    ]


# Errors

REF = {"seg_id": "1", "refs": ["a"]}
HYP = {"SYS": "x", "seg_id": "1", "hyp": "b", "human_score": 1}
R, H = "mscoco_references.jsonl", "mscoco_THumB-1.0.jsonl"


def lacking(row, key):
    return {k: v for k, v in row.items() if k != key}


ERRORS = {
    "segment twice": ([REF, REF], [HYP], f"{R}, line 2: segment '1' is there twice"),
    "no references": ([{**REF, "refs": []}], [HYP], f"{R}, line 1: segment '1' has no references"),
    "references are a text": ([{**REF, "refs": "a"}], [HYP],
                              f"{R}, line 1: 'a' in 'refs': it should be a list of texts"),
    "references are objects": ([{**REF, "refs": [{}]}], [HYP],
                               f"{R}, line 1: an object ({{}}) as number 1 of 'refs': it should be a text"),
    "no refs": ([lacking(REF, "refs")], [HYP], f"{R}, line 1: no 'refs': it has seg_id"),
    "no seg_id": ([lacking(REF, "seg_id")], [HYP], f"{R}, line 1: no 'seg_id': it has refs"),
    "unknown segment": ([REF], [HYP, {**HYP, "seg_id": "2"}],
                        f"{H}, line 2: segment '2' has no references in the other file"),
    "system twice": ([REF], [HYP, {**HYP, "SYS": "y"}, HYP], f"{H}, line 3: system 'x' is there twice for segment '1'"),
    "no system": ([REF], [lacking(HYP, "SYS")], f"{H}, line 1: no 'SYS': it has seg_id, hyp, human_score"),
    "no hypothesis": ([REF], [lacking(HYP, "hyp")], f"{H}, line 1: no 'hyp'"),
    "hypothesis is a list": ([REF], [{**HYP, "hyp": ["b"]}],
                             f"{H}, line 1: a list (['b']) in 'hyp': it should be a text"),
    "no human score": ([REF], [lacking(HYP, "human_score")], f"{H}, line 1: no 'human_score'"),
    "human score is null": ([REF], [{**HYP, "human_score": None}], f"{H}, line 1: null in 'human_score'"),
    "human score is a word": ([REF], [{**HYP, "human_score": "good"}],
                              f"{H}, line 1: 'human_score' should be a number, found 'good'"),
    "human score is NaN": ([REF], [{**HYP, "human_score": float("nan")}],
                           f"{H}, line 1: NaN in 'human_score': it should be a finite number"),
    "no rows": ([REF], [], f"{H}: no rows"),
}  # fmt: skip


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_one_line_that_names_file_and_line(tmp_path, error):
    references, hypotheses, message = ERRORS[error]
    folder = write(tmp_path / "datasets/billboard/mscoco", references, hypotheses)
    encoder = FakeEncoder()
    for attempt in (
        lambda: read_segments(folder),
        lambda: by_type.run(card("mscoco"), encoder, settings(tmp_path)),
    ):
        with pytest.raises(UserError) as e:
            attempt()
        assert str(e.value).startswith(f"{folder}/{message}")
        assert "\n" not in str(e.value)
    assert not encoder.calls


@pytest.mark.parametrize(("names", "ending", "found"), [
    ([H], "_references.jsonl", 0), ([R], "_THumB-1.0.jsonl", 0),
    ([R, "b_references.jsonl", H], "_references.jsonl", 2), ([R, H, "b_THumB-1.0.jsonl"], "_THumB-1.0.jsonl", 2),
])  # fmt: skip
def test_there_is_one_file_of_each_kind(tmp_path, names, ending, found):
    for name in names:
        jsonl(tmp_path / name, [REF if name.endswith("_references.jsonl") else HYP])
    with pytest.raises(UserError) as e:
        read_segments(tmp_path)
    assert str(e.value) == f"{tmp_path}: expected one file *{ending}, found {found}"


def test_broken_json_names_the_line(tmp_path):
    write(tmp_path, [REF], [HYP])
    (tmp_path / H).write_text(json.dumps(HYP) + "\n{oops\n")
    with pytest.raises(UserError, match=r"mscoco_THumB-1.0.jsonl, line 2: not JSON"):
        read_segments(tmp_path)


def test_a_set_that_is_nowhere_names_both_ways_to_give_it(tmp_path):
    (tmp_path / "datasets").mkdir()
    for hub in (None, tmp_path):
        with pytest.raises(UserError) as e:
            by_type.data_key(card("cnndm"), settings(hub))
        assert str(e.value) == (
            "data set billboard/cnndm (cnndm) is on no public data hub: give a folder with its two THumB files "
            "with --hub DIR (DIR/datasets/billboard/cnndm/) or write a card of your own with `data: FOLDER`"
        )
    with pytest.raises(UserError, match="no folder 'datasets' in it"):
        by_type.run(card("cnndm"), FakeEncoder(), settings(tmp_path / "datasets"))


def test_a_card_of_ones_own(tmp_path):
    (tmp_path / "own.yaml").write_text("name: Mine\ntype: TextEvaluation\ndata: mine\n")
    (own,) = read_cards(tmp_path / "own.yaml")
    with pytest.raises(UserError) as e:
        by_type.run(own, FakeEncoder(), settings(None))
    assert str(e.value) == f"task Mine: {tmp_path / 'mine'}: no such folder: correct `data` in the card"
    references, hypotheses = segments(4, 3)
    write(tmp_path / "mine", references, hypotheses)
    _, gold, values = zip(*by_hand(references, hypotheses), strict=True)
    outcome = by_type.run(own, FakeEncoder(), settings(None))
    assert outcome.score == pytest.approx(pearsonr(values, gold)[0], abs=1e-6)


@pytest.mark.parametrize("what", ["human scores", "hypotheses"])
def test_no_correlation_without_variety(tmp_path, what):
    references, hypotheses = segments(3)
    references = [{**r, "refs": ["the same"]} for r in references]
    if what == "human scores":
        hypotheses = [{**row, "human_score": 3} for row in hypotheses]
    else:
        hypotheses = [{**row, "hyp": "the same"} for row in hypotheses]
    write(tmp_path / "datasets/billboard/mscoco", references, hypotheses)
    with pytest.raises(UserError) as e:
        by_type.run(card("mscoco"), FakeEncoder(), settings(tmp_path))
    why = "every 'human_score' is 3" if what == "human scores" else "every 'hyp' is one of its own references"
    assert str(e.value).endswith(f"mscoco_THumB-1.0.jsonl: no variety: {why}")


def test_the_made_up_encoder_gives_vectors_of_many_lengths():
    lengths = np.linalg.norm(embed([t for r in segments()[0] for t in r["refs"]], "say "), axis=1)
    assert lengths.std() > 0.1 and made_up.DIM == 48
