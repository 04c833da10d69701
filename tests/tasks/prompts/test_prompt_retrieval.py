"""The adapter: all eleven tasks on made-up files of their original layout, own tasks, baselines, limits, scores."""

import dataclasses
import hashlib

import by_type
import numpy as np
import pytest
from made_prompt_files import mirror, sentences
from made_up import FakeEncoder, jsonl, settings

from instructor_eval import metrics
from instructor_eval.core.errors import UserError
from instructor_eval.readers.contract import Answer
from instructor_eval.tasks.cards import read_cards, shipped_cards
from instructor_eval.tasks.encoder import NoModel
from instructor_eval.tasks.prompts import adapter
from instructor_eval.tasks.prompts.adapter import describe, rouge_l
from instructor_eval.tasks.task import Selection

ALIKE = ("SST-5", "MRPC", "DBpedia-14", "CivilComments", "MultiRC")
"""Labels as answers, as RTE and Amazon have them; each layout of files has tests of its own in `test_layout*`."""
ELEVEN = [c.name for c in shipped_cards().values() if c.benchmark == "prompt-retrieval"]


class QuickEncoder:
    """Vectors by a hash of the text: quick, and different for different texts."""

    name = "quick"

    def calibrate(self, texts, role):
        """Nothing to calibrate."""

    def encode(self, texts, role, *, bare=False):
        assert (role, bare) == ("example", False)
        self.texts = list(texts)
        rows = [np.frombuffer(hashlib.sha256(t.encode()).digest(), dtype=np.uint8) for t in texts]
        return (np.stack(rows).astype(np.float32) - 100) / 50


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in ALIKE)) for n in ELEVEN])
def test_every_task_of_the_paper_runs(name, tmp_path):
    card, hub = shipped_cards()[name], mirror(tmp_path, name)
    assert by_type.data_key(card, settings(hub)).startswith("files:sha256:")
    encoder = QuickEncoder()
    outcome = by_type.run(card, encoder, settings(hub))
    n = 1000 if name == "Amazon" else 256
    pool = {"RTE": 2490, "GeoQuery": 391, "MultiWOZ": 2000}.get(name, 3000)
    assert len(encoder.texts) == pool + n
    items = outcome.items
    assert len(items["id"]) == len(set(items["id"])) == n
    assert outcome.metric == "rougeL"
    assert outcome.score == metrics.compute("rougeL", items) == pytest.approx(np.mean(items["value"]))
    assert 0 < outcome.score < 1
    assert ("accuracy" in outcome.metrics) == (name not in ("CODA-19", "GeoQuery", "MultiWOZ"))
    for shown, similarities in zip(items["demonstrations"], items["similarities"], strict=True):
        assert len(shown) == len(similarities) == len(set(shown)) > 0
        assert similarities == sorted(similarities)
        assert name not in ("Amazon", "CivilComments") or len(shown) <= 2
        assert name != "CODA-19" or len(shown) <= 16
    assert not set(items["id"]) & {d for shown in items["demonstrations"] for d in shown}
    assert ("group" in items) == (name == "Amazon")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RTE", "SST-5", "MRPC", "DBpedia-14", "Amazon", "CivilComments", "MultiRC"])
def test_on_label_tasks_rouge_of_the_labels_is_accuracy(name, tmp_path):
    """The authors give Rouge label ids; by the library itself, on the ids that a card has."""
    card = shipped_cards()[name]
    labels = {word: label for label, word in card.options["labels"].items()}
    outcome = by_type.run(card, QuickEncoder(), settings(mirror(tmp_path, name)))
    ids = [[str(labels[word]) for word in outcome.items[column]] for column in ("prediction", "gold")]
    assert rouge_l(*ids) == outcome.items["value"] == outcome.items["correct"]
    assert outcome.metrics["accuracy"] == outcome.score


def test_on_hellaswag_rouge_compares_the_endings(tmp_path):
    outcome = by_type.run(shipped_cards()["HellaSwag"], QuickEncoder(), settings(mirror(tmp_path, "HellaSwag")))
    assert outcome.items["value"] == rouge_l(outcome.items["prediction"], outcome.items["gold"])
    assert outcome.metrics["accuracy"] < outcome.score


def test_amazon_by_its_third_worst_reviewer(tmp_path):
    hub = mirror(tmp_path, "Amazon")
    outcome = by_type.run(shipped_cards()["Amazon"], QuickEncoder(), settings(hub, amazon="third-worst"))
    assert outcome.metric == "rougeL_third_worst_group"
    groups = {}
    for group, right in zip(outcome.items["group"], outcome.items["correct"], strict=True):
        groups.setdefault(group, []).append(right)
    assert (len(groups), {len(v) for v in groups.values()}) == (20, {50})
    assert outcome.score == pytest.approx(sorted(np.mean(v) for v in groups.values())[2])
    paper = settings(hub, amazon="third-worst", rouge="bootstrap")
    both = by_type.run(shipped_cards()["Amazon"], QuickEncoder(), paper)
    assert both.metric == "rougeL_third_worst_group_bootstrap"
    assert both.score == pytest.approx(outcome.score, abs=0.03)


LETTERS = ["alpha", "beta", "gamma"]


def own(tmp_path, *, options="", test=None, pool=None):
    """An own task: texts of three kinds, and a card."""
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    rows = [{"text": f"{LETTERS[i % 3]} {s}", "label": LETTERS[i % 3]} for i, s in enumerate(sentences(60))]
    jsonl(folder / "pool.jsonl", rows if pool is None else pool)
    rows = [{"text": f"{LETTERS[i % 3]} {s}", "label": LETTERS[i % 3]} for i, s in enumerate(sentences(12, 5))]
    jsonl(folder / "test.jsonl", rows if test is None else test)
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\ntype: PromptRetrieval\ndata: data\noptions:\n"
        f"  input: 'Kind of: {{text}}'\n  embed: '{{text}}'\n  labels: [alpha, beta, gamma]\n{options or '  most: 4'}\n"
    )
    return read_cards(file)[0]


def test_an_own_task(tmp_path):
    card = own(tmp_path)
    outcome = by_type.run(card, FakeEncoder(), settings())
    assert outcome.items["id"] == [f"test/{i}" for i in range(12)]
    assert {len(d) for d in outcome.items["demonstrations"]} == {4}
    assert outcome.items["gold"] == [LETTERS[i % 3] for i in range(12)]
    for with_prompts in (True, False):
        assert describe(card, with_prompts=with_prompts) == ("60 examples in the pool, 12 test items", ())


class Untouched(FakeEncoder):
    """Fails where anything is embedded."""

    def encode(self, texts, role, *, bare=False):
        raise AssertionError("embedded before the data was looked at")


def test_data_is_looked_at_before_anything_is_embedded(tmp_path):
    rows = [{"text": "a b", "label": "alpha"}, {"text": "a b", "label": "alhpa"}]
    with pytest.raises(UserError, match="example test/1 has the unknown label 'alhpa'"):
        by_type.run(own(tmp_path, test=rows), Untouched(), settings())


def test_answers_that_rouge_cannot_see(tmp_path):
    card = own(tmp_path)
    card = dataclasses.replace(card, options={"input": "{text}", "output": "{said}", "most": 2})
    jsonl(tmp_path / "data" / "pool.jsonl", [{"text": f"x {i}", "said": "日本語"} for i in range(9)])
    jsonl(tmp_path / "data" / "test.jsonl", [{"text": f"y {i}", "said": "日本語"} for i in range(3)])
    with pytest.raises(UserError) as error:
        by_type.run(card, Untouched(), settings())
    assert str(error.value) == (
        f"{tmp_path / 'data' / 'test.jsonl'}, line 1: Rouge-L reads only letters a to z and digits, and the answer "
        "'日本語' has none: give the card labels, or leave the row out"
    )


def test_limit_keeps_the_prompts_of_the_first_items(tmp_path):
    """All test items are embedded under any limit, since their mean is subtracted."""
    card = own(tmp_path)
    whole, cut = (by_type.run(card, FakeEncoder(), settings(limit=n)) for n in (None, 1))
    for column in ("id", "demonstrations", "similarities", "prompt_hash", "value"):
        assert cut.items[column] == whole.items[column][:1]


class Listening:
    """A reader that says the second option, and keeps what it is asked."""

    name, fingerprint, is_cheap = "listening", "f" * 16, False

    def __init__(self):
        self.asked = []

    def describe(self):
        return {"name": self.name, "fingerprint": self.fingerprint}

    def read(self, questions):
        for place, question in enumerate(questions):
            self.asked.append(question)
            yield place, Answer(question.options[1], (1.0, 0.5, 2.0))

    def close(self):
        pass


def test_a_reader_answers(tmp_path):
    reader = Listening()
    outcome = by_type.run(own(tmp_path), FakeEncoder(), dataclasses.replace(settings(), reader=reader))
    assert len(reader.asked) == 12
    assert outcome.items["prediction"] == ["beta"] * 12
    assert outcome.items["losses"] == [[1.0, 0.5, 2.0]] * 12
    assert outcome.score == pytest.approx(4 / 12)
    assert outcome.metrics["asked"] == 12
    hashes = [hashlib.sha256("\0".join((q.prompt, *q.options)).encode()).hexdigest()[:16] for q in reader.asked]
    assert outcome.items["prompt_hash"] == hashes


class Writing(Listening):
    """A reader that writes the end of each query."""

    def read(self, questions):
        for place, question in enumerate(questions):
            assert not question.options
            yield place, Answer(" 7 FROM state WHERE x ;")


def test_an_answer_is_joined_to_its_start_in_the_prompt(tmp_path):
    chosen = dataclasses.replace(settings(mirror(tmp_path, "GeoQuery"), limit=3), reader=Writing())
    outcome = by_type.run(shipped_cards()["GeoQuery"], QuickEncoder(), chosen)
    assert outcome.items["prediction"] == ["SELECT 7 FROM state WHERE x ;"] * 3
    assert outcome.items["value"] == rouge_l(outcome.items["prediction"], outcome.items["gold"])


def test_an_own_field_called_group_means_nothing(tmp_path):
    rows = [{"text": f"{k} {s}", "label": k} for k, s in zip(LETTERS * 4, sentences(12, 5), strict=True)]
    card = own(tmp_path, test=[rows[0] | {"group": "x"}, *rows[1:]])
    assert "group" not in by_type.run(card, FakeEncoder(), settings()).items


def test_hellaswag_is_fetched_from_the_folder_that_the_hub_has(monkeypatch):
    asked = []

    def snapshot(kind, repo, revision, *, offline, wanted):
        asked.extend(wanted)
        raise UserError("not here")

    monkeypatch.setattr(adapter, "snapshot", snapshot)
    with pytest.raises(UserError, match="not here"):
        by_type.run(shipped_cards()["HellaSwag"], QuickEncoder(), settings())
    assert {"data/train-*.parquet", "data/validation-*.parquet"} <= set(asked)


@pytest.mark.parametrize("selection", [Selection("bm25"), Selection("random"), Selection("random", 3)])
def test_baselines_embed_nothing(selection, tmp_path):
    card, encoder = own(tmp_path), NoModel(selection.name)
    chosen = dataclasses.replace(settings(), selection=selection)
    outcome = by_type.run(card, encoder, chosen)
    again = by_type.run(card, NoModel("x"), chosen)
    assert outcome.items == again.items
    assert {len(d) for d in outcome.items["demonstrations"]} == {4}
    if selection.kind == "bm25":
        assert outcome.score == 1.0  # the kind's own word stands in the text
    other = by_type.run(card, NoModel("x"), dataclasses.replace(settings(), selection=Selection("random", 9)))
    assert other.items["demonstrations"] != outcome.items["demonstrations"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": "  budget: 3"}, "task mine: test item test/0 alone takes 13 GPT-2 tokens of a budget of 3: "),
        (
            {"options": "  most: 60\n  budget: 100000"},
            "task mine: the pool's 60 examples all fit into one prompt, so there is nothing to choose: give a larger "
            "pool, or set options.most in the card",
        ),
        ({"pool": [{"text": "a", "label": "delta"}]}, "example pool/0 has the unknown label 'delta': known"),
        ({"test": [{"text": "a"}]}, "test.jsonl, line 1: no 'label': it has text"),
        (
            {"test": [{"text": "alpha x", "label": "alpha"}]},
            "task mine: every test item is the same text, so nothing is left of it without the "
            "mean: give more test items, or set options.centre to pool in the card",
        ),
        ({"pool": [{"label": "alpha"}]}, "pool.jsonl, line 1: no 'text': it has label"),
    ],
)
def test_what_cannot_be_run_is_found_beforehand_too(change, message, tmp_path):
    card = own(tmp_path, **change)
    for use in (lambda: describe(card, with_prompts=True), lambda: by_type.run(card, FakeEncoder(), settings())):
        with pytest.raises(UserError) as error:
            use()
        assert message in str(error.value)


def test_items_over_budget_can_be_asked_without_demonstrations(tmp_path):
    card = own(tmp_path, options="  budget: 3\n  overlong: zero-shot")
    outcome = by_type.run(card, FakeEncoder(), settings())
    assert outcome.items["demonstrations"] == [[]] * 12
    assert outcome.items["prediction"] == [""] * 12
    assert (outcome.score, outcome.metrics["without_demonstrations"]) == (0.0, 12.0)


def test_data_that_is_on_no_hub(tmp_path):
    (tmp_path / "datasets").mkdir()
    with pytest.raises(UserError) as error:
        by_type.data_key(shipped_cards()["MultiRC"], settings(tmp_path))
    assert str(error.value) == (
        "data set prompt_retrieval/multirc (MultiRC) is on no public data hub: put its files (task*.json) into "
        "DIR/datasets/prompt_retrieval/multirc/ and give --hub DIR (`evaluate tasks MultiRC` names their source)"
    )


def test_data_from_the_hub_is_a_snapshot_of_the_pinned_commit(tmp_path, monkeypatch):
    """RTE in the hub's own layout, as a snapshot has it; only the files that are read are fetched."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "snapshot" / "rte"
    folder.mkdir(parents=True)
    for name, n in (("train", 2490), ("validation", 277)):
        texts = sentences(n, n)
        table = {"sentence1": texts, "sentence2": texts, "label": [i % 2 for i in range(n)], "idx": list(range(n))}
        pq.write_table(pa.table(table), folder / f"{name}-00000-of-00001.parquet")
    asked = []

    def snapshot(kind, repo, revision, *, offline, wanted):
        asked.append((kind, repo, revision, tuple(wanted)))
        return tmp_path / "snapshot"

    monkeypatch.setattr(adapter, "snapshot", snapshot)
    card = shipped_cards()["RTE"]
    assert by_type.data_key(card, settings()) == f"hub:nyu-mll/glue@{card.data_revision}"
    outcome = by_type.run(card, QuickEncoder(), settings())
    assert len(outcome.items["id"]) == 256
    assert asked[0][:3] == ("dataset", "nyu-mll/glue", "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c")
    assert "rte/train-*.parquet" in asked[0][3]
    assert not any(pattern.startswith("mrpc") for pattern in asked[0][3])


def test_the_names_of_a_hub_layout_cannot_leave_the_mirror(tmp_path):
    (tmp_path / "datasets").mkdir()
    card = dataclasses.replace(shipped_cards()["RTE"], data_mirror="../x")
    with pytest.raises(UserError, match="is no id of the form org/name"):
        by_type.data_key(card, settings(tmp_path))
