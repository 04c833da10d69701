"""Helpers for the adapter tests: made-up data sets in hub layout and a fake encoder.

Nothing here calls the package's adapters or scorers: it is the other side of every comparison.
"""

import functools
import hashlib
import json
import random
from pathlib import Path

import numpy as np

from instructor_eval.models.variant import Variant
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.task import Card, RunSettings

PROTOCOL = {
    "summeval": "v1",
    "summeval_machine_instruction": "on",
    "pair_ap": "max",
    "clustering_256": "off",
    "empty_text": "encode",
    "rouge": "mean",
    "amazon": "all",
}
_WORDS = {
    "garden": "rose soil spade seed worm leaf compost bloom hedge lawn trowel root",
    "harbour": "ship crane tide anchor rope dock gull cargo pilot buoy sail mast",
    "kitchen": "oven flour spoon kettle onion broth pepper knife apron dough pan salt",
    "railway": "train signal track ticket platform whistle tunnel guard carriage switch bridge fare",
}
TOPICS = {topic: words.split() for topic, words in _WORDS.items()}
COMMON = ["one", "they", "found", "near", "every", "old", "small", "morning", "later", "some", "quiet", "again"]
DIM = 48
PAIRS = (30, 13)  # here the largest of the five average precisions is not the cosine's


def settings(hub=None, *, limit=None, offline=True, seed=42, **protocol) -> RunSettings:
    """Run settings with mteb's protocol but for what is named."""
    return RunSettings(protocol={**PROTOCOL, **protocol}, seed=seed, limit=limit, hub=hub, offline=offline)


def card(name: str) -> Card:
    """A shipped card."""
    return shipped_cards()[name]


class Writer:
    """Makes sentences about a topic from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def sentence(self, topic: str) -> str:
        """Four words of the topic among three others."""
        words = self.random.sample(TOPICS[topic], 4) + self.random.sample(COMMON, 3)
        self.random.shuffle(words)
        return " ".join(words).capitalize() + self.random.choice([".", "!", "?"])

    def topic(self) -> str:
        """Any topic."""
        return self.random.choice(list(TOPICS))


@functools.cache  # seeding a generator takes far longer than drawing from it
def word_vector(word: str) -> np.ndarray:
    """A fixed random direction a word."""
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little")
    vector = np.random.RandomState(seed).standard_normal(DIM)
    vector.flags.writeable = False
    return vector


def embed(texts, instruction: str) -> np.ndarray:
    """Bag of words of instruction and text, not normalised: length and direction both depend on the text."""
    rows = [
        sum(word_vector(w) for w in (instruction + t).lower().split() or ["<empty>"]) + 0.05 * word_vector(t)
        for t in texts
    ]
    return np.asarray(rows, dtype=np.float32)


ROLE_INSTRUCTION = {"query": "ask ", "document": "tell ", "text": "say ", "example": "show "}


class FakeEncoder:
    """A `TaskEncoder` that keeps what it is asked."""

    name = "fake/encoder"
    variant = Variant()

    def __init__(self) -> None:
        self.calls: list[tuple[str, bool, list[str]]] = []

    def instruction(self, role):
        """As `encode` takes it."""
        return ROLE_INSTRUCTION[role]

    def calibrate(self, texts, role):
        """Nothing to calibrate."""

    def encode(self, texts, role, *, bare=False):
        """`embed` under the role's instruction."""
        self.calls.append((role, bare, list(texts)))
        return embed(texts, "" if bare else ROLE_INSTRUCTION[role])

    def texts_of(self, role: str) -> list[str]:
        """All texts asked for under a role, in order."""
        return [t for r, _, texts in self.calls if r == role for t in texts]


def jsonl(path: Path, rows) -> Path:
    """Write JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def read_jsonl(path: Path) -> list[dict]:
    """Read JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def configs(folder: Path, **files) -> None:
    """Write the README.md that names a data set's configurations: config -> {split: file}."""
    lines = ["---", "configs:"]
    for name, splits in files.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        for split, path in splits.items():
            lines += [f"  - split: {split}", f"    path: {path}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")


def retrieval_rows(n_queries=9, n_documents=40, seed=1):
    """Corpus (some without a title), queries (one unjudged, one judged irrelevant only), graded qrels."""
    writer = Writer(seed)
    topics = [writer.topic() for _ in range(n_documents)]
    corpus = [
        {"_id": f"d{i}", "title": "" if i % 5 == 0 else f"About {t} {i}", "text": writer.sentence(t)}
        for i, t in enumerate(topics)
    ]
    queries, qrels = [], []
    for q in range(n_queries):
        topic = writer.topic()
        queries.append({"_id": f"q{q}", "text": writer.sentence(topic)})
        own = [i for i, t in enumerate(topics) if t == topic]
        judged = writer.random.sample(own, min(3, len(own))) + writer.random.sample(range(n_documents), 2)
        if q == 0:
            continue  # not judged at all
        qrels += [
            {"query-id": f"q{q}", "corpus-id": f"d{d}", "score": 0 if q == 1 else max(0, 2 - k)}
            for k, d in enumerate(dict.fromkeys(judged))
        ]
    return corpus, queries, qrels


def write_retrieval(folder: Path, corpus, queries, qrels, top_ranked=None) -> Path:
    """A retrieval data set as `mteb/scifact` has it; with `top_ranked`, a reranking one."""
    jsonl(folder / "corpus.jsonl", corpus)
    jsonl(folder / "queries.jsonl", queries)
    jsonl(folder / "qrels" / "test.jsonl", qrels)
    files = {
        "corpus": {"corpus": "corpus.jsonl"},
        "queries": {"queries": "queries.jsonl"},
        "default": {"test": "qrels/test.jsonl"},
    }
    if top_ranked is not None:
        jsonl(folder / "top_ranked.jsonl", top_ranked)
        files["top_ranked"] = {"test": "top_ranked.jsonl"}
    configs(folder, **files)
    return folder


def reranking_rows(n_queries=7, seed=2):
    """Each query with 8 candidates of which 2 or 3 are relevant; no titles, as AskUbuntu has it."""
    writer = Writer(seed)
    corpus, queries, qrels, top = [], [], [], []
    for q in range(n_queries):
        topic = writer.topic()
        queries.append({"_id": f"q{q}", "text": writer.sentence(topic)})
        ids = []
        for k in range(8):
            good = k < 2 + q % 2
            corpus.append({"_id": f"q{q}c{k}", "text": writer.sentence(topic if good else writer.topic())})
            qrels.append({"query-id": f"q{q}", "corpus-id": f"q{q}c{k}", "score": int(good)})
            ids.append(f"q{q}c{k}")
        writer.random.shuffle(ids)
        top.append({"query-id": f"q{q}", "corpus-ids": ids})
    return corpus, queries, qrels, top


def mind_rows(n_readers=5, seed=3):
    """Readers with 2 or 3 clicked articles, each a query of its own `reader_<r>_<n>` with the reader's candidates."""
    writer = Writer(seed)
    corpus, queries, qrels, top = [], [], [], []
    for r in range(n_readers):
        topic = writer.topic()
        candidates = []
        for k in range(7):
            corpus.append({"_id": f"N{r}x{k}", "text": writer.sentence(topic if k < 2 else writer.topic())})
            candidates.append(f"N{r}x{k}")
        writer.random.shuffle(candidates)
        for n in range(2 + r % 2):
            query = f"reader_{r}_{n}"
            queries.append({"_id": query, "text": writer.sentence(topic)})
            qrels += [{"query-id": query, "corpus-id": c, "score": int(c[-1] in "01")} for c in candidates]
            top.append({"query-id": query, "corpus-ids": candidates})
    return corpus, queries, qrels, top


def labelled_rows(n: int, seed: int, labels=None) -> list[dict]:
    """Texts with an integer label and its name."""
    writer = Writer(seed)
    names = labels or list(TOPICS)
    topics = list(TOPICS)
    rows = []
    for i in range(n):
        k = i % len(names)
        text = writer.sentence(topics[k] if writer.random.random() < 0.6 else writer.topic())
        rows.append({"text": f"{text} {i}", "label": k, "label_text": names[k]})
    writer.random.shuffle(rows)
    return rows


def pair_rows(n: int, seed: int) -> list[tuple[str, str, int]]:
    """Sentence pairs, 1 where both are (mostly) about one topic."""
    writer = Writer(seed)
    rows = []
    for i in range(n):
        topic, same = writer.topic(), i % 3 == 0
        second = topic if same and writer.random.random() < 0.8 else writer.topic()
        rows.append((f"{writer.sentence(topic)} {i}", f"{i} {writer.sentence(second)}", int(same)))
    return rows


def sts_rows(n: int, seed: int, low=0.0, high=4.0, **more) -> list[dict]:
    """Sentence pairs with a grade that has to do with their likeness, ties among them."""
    writer = Writer(seed)
    rows = []
    for i in range(n):
        topic, same = writer.topic(), writer.random.random() < 0.5
        a, b = writer.sentence(topic), writer.sentence(topic if same else writer.topic())
        grade = low + (high - low) * writer.random.choice([0.0, 0.25, 0.5] if not same else [0.5, 0.75, 1.0])
        rows.append({"sentence1": f"{a} {i}", "sentence2": b, "score": grade, **more})
    return rows


def summary_rows(n: int, seed: int, equal_at: int | None = None) -> list[dict]:
    """Articles with 3 human and 6 machine summaries, graded; at `equal_at` every grade is the same."""
    writer = Writer(seed)
    rows = []
    for i in range(n):
        topic = writer.topic()
        machine = [writer.sentence(writer.random.choice([topic, writer.topic()])) + f" {k}" for k in range(6)]
        grades = [round(writer.random.uniform(1, 5), 2) for _ in machine]
        rows.append(
            {
                "text": writer.sentence(topic),
                "human_summaries": [writer.sentence(topic) for _ in range(3)],
                "machine_summaries": machine,
                "relevance": [3.0] * 6 if i == equal_at else grades,
                "id": f"article-{i}",
            }
        )
    return rows


# One made-up data set for every task: hub folder -> the task's folder.


def scifact(hub: Path) -> Path:
    return write_retrieval(hub / "datasets/mteb/scifact", *retrieval_rows())


def ask_ubuntu(hub: Path) -> Path:
    return write_retrieval(hub / "datasets/mteb/AskUbuntuDupQuestions", *reranking_rows())


def mind(hub: Path) -> Path:
    return write_retrieval(hub / "datasets/mteb/MindSmallReranking", *mind_rows())


def newsgroups(hub: Path) -> Path:
    folder = hub / "datasets/mteb/twentynewsgroups-clustering"
    rows = []
    for split, n in enumerate((40, 28, 33)):
        texts = labelled_rows(n, 50 + split)
        rows.append({"sentences": [r["text"] for r in texts], "labels": [r["label"] for r in texts]})
    jsonl(folder / "test.jsonl", rows)
    return folder


def twitter(hub: Path) -> Path:
    """One row that holds lists, as the real file of this revision."""
    folder = hub / "datasets/mteb/twittersemeval2015-pairclassification"
    first, second, labels = zip(*pair_rows(*PAIRS), strict=True)
    jsonl(folder / "test.jsonl", [{"sent1": first, "sent2": second, "labels": labels}])
    return folder


def twitter_rows(hub: Path) -> Path:
    """The same pairs, a row each."""
    folder = hub / "datasets/mteb/twittersemeval2015-pairclassification"
    jsonl(folder / "test.jsonl", [{"sent1": a, "sent2": b, "labels": y} for a, b, y in pair_rows(*PAIRS)])
    return folder


def emotion(hub: Path) -> Path:
    folder = hub / "datasets/mteb/emotion"
    jsonl(folder / "train.jsonl", labelled_rows(120, 11))
    jsonl(folder / "validation.jsonl", labelled_rows(8, 12))
    jsonl(folder / "test.jsonl", labelled_rows(26, 13))
    return folder


def _by_language(folder: Path, splits: dict[str, int]) -> Path:
    files: dict[str, dict[str, str]] = {}
    for k, language in enumerate(("en", "de")):
        files[language] = {}
        for j, (split, n) in enumerate(splits.items()):
            jsonl(folder / language / f"{split}.jsonl", labelled_rows(n, 100 + 10 * k + j, ["no", "yes"]))
            files[language][split] = f"{language}/{split}.jsonl"
    configs(folder, **files)
    return folder


def mtop(hub: Path) -> Path:
    return _by_language(hub / "datasets/mteb/MTOPDomainClassification", {"train": 40, "validation": 8, "test": 20})


def counterfactual(hub: Path) -> Path:
    folder = hub / "datasets/mteb/amazon_counterfactual"
    return _by_language(folder, {"train": 100, "validation": 8, "test": 20})


def biosses(hub: Path) -> Path:
    folder = hub / "datasets/mteb/biosses-sts"
    jsonl(folder / "test.jsonl", sts_rows(25, 17))
    return folder


def sts22(hub: Path) -> Path:
    """Several languages in one file, distinguished by the column `lang`."""
    folder = hub / "datasets/mteb/sts22-crosslingual-sts"
    english, german = sts_rows(21, 19, 1.0, 4.0, lang="en"), sts_rows(15, 23, 1.0, 4.0, lang="de")
    mixed = [row for pair in zip(english, german, strict=False) for row in pair] + english[15:]
    jsonl(folder / "test.jsonl", mixed)
    jsonl(folder / "train.jsonl", sts_rows(4, 29, 1.0, 4.0, lang="en"))
    return folder


def summeval(hub: Path) -> Path:
    folder = hub / "datasets/mteb/summeval"
    jsonl(folder / "test.jsonl", summary_rows(8, 31))
    return folder


MIRRORS = {
    "SciFact": scifact,
    "AskUbuntuDupQuestions": ask_ubuntu,
    "MindSmallReranking": mind,
    "TwentyNewsgroupsClustering": newsgroups,
    "TwitterSemEval2015": twitter,
    "EmotionClassification": emotion,
    "MTOPDomainClassification": mtop,
    "AmazonCounterfactualClassification": counterfactual,
    "BIOSSES": biosses,
    "STS22": sts22,
    "SummEval": summeval,
}


def rows_without(file, key):
    return lambda f: jsonl(f / file, [{k: v for k, v in r.items() if k != key} for r in read_jsonl(f / file)])
