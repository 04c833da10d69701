"""Train MiniLM to take instructions, on two CPU cores, and see what that was worth.

    pip install 'instructor-eval[train,demo]'
    python examples/train_minilm.py --hub ./mirror --work ./minilm-instructor

The rows are in MEDI's format, built here from what lies in the mirror: training splits of Banking77, STSBenchmark and
RTE, and titles with abstracts of SciFact's corpus (its training claims are not in MTEB's copy). The instructions are
our own. The table at the end is of the test splits: the model before, and after under its instructions, under none,
and under those of other tasks, each with the paired 95 % interval of its difference from the model before. Times are
printed; most of them is the evaluation of SciFact's corpus, once for each column (--tasks leaves it out).
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import instructor_eval as ie

TASKS = ["Banking77Classification", "STSBenchmark", "SciFact", "RTE"]
INTENT = "Represent the banking question for finding its intent: "
MEANING = "Represent the sentence for finding a sentence of the same meaning: "
CLAIM = "Represent the scientific claim for retrieving a supporting passage: "
PASSAGE = "Represent the scientific passage for retrieval: "
PREMISE = "Represent the statement and question for finding one with the same answer: "
TRAINED = {
    "Banking77Classification": INTENT,
    "STSBenchmark": MEANING,
    "SciFact": {"query": CLAIM, "document": PASSAGE},
    "RTE": PREMISE,
}
SWAPPED = {
    "Banking77Classification": PASSAGE,
    "STSBenchmark": INTENT,
    "SciFact": {"query": PASSAGE, "document": INTENT},
    "RTE": MEANING,
}
ABSTRACT = 400
"""Characters of an abstract in training; whole ones are evaluated."""


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def other_labels(texts: list[str], labels: list[str], chosen: list[int]) -> dict[int, int]:
    """Return for each chosen text the nearest chosen one of another label, by the model as it is: a hard negative."""
    vectors = ie.load_encoder("minilm").encode([texts[i] for i in chosen])
    names = np.array([labels[i] for i in chosen])
    similar = np.where(names[:, None] == names, -2.0, vectors @ vectors.T)
    return {i: chosen[k] for i, k in zip(chosen, similar.argmax(axis=1))}


def same_label(
    task: str, instruction: str, texts: list[str], labels: list[str], count: int, draw: random.Random
) -> Iterator[dict[str, Any]]:
    """Yield rows whose positive has the label of the query, and whose negative is near and has another."""
    by_label: dict[str, list[int]] = defaultdict(list)
    for i, label in enumerate(labels):
        by_label[label].append(i)
    chosen = draw.sample(range(len(texts)), min(count, len(texts)))
    negatives = other_labels(texts, labels, chosen)
    for i in chosen:
        positive = draw.choice([k for k in by_label[labels[i]] if k != i])
        parts = {"query": texts[i], "pos": texts[positive], "neg": texts[negatives[i]]}
        yield {**{name: [instruction, text] for name, text in parts.items()}, "task_name": task}


def rows(hub: Path, count: int) -> Iterator[dict[str, Any]]:
    """Yield training rows of four tasks, at most `count` of each."""
    draw = random.Random(0)
    banking = lines_of(hub / "mteb" / "banking77" / "train.jsonl")
    texts, labels = [row["text"] for row in banking], [str(row["label"]) for row in banking]
    yield from same_label("banking77", INTENT, texts, labels, count, draw)
    pairs = lines_of(hub / "mteb" / "stsbenchmark-sts" / "train.jsonl")
    alike = [row for row in pairs if float(row["score"]) >= 4.0]
    for row in draw.sample(alike, min(count, len(alike))):
        query, positive = ([MEANING, row[name]] for name in ("sentence1", "sentence2"))
        yield {"query": query, "pos": positive, "task_name": "stsbenchmark"}
    corpus = [row for row in lines_of(hub / "mteb" / "scifact" / "corpus.jsonl") if row["title"] and row["text"]]
    for row in draw.sample(corpus, min(count, len(corpus))):
        query, positive = [CLAIM, row["title"]], [PASSAGE, row["text"][:ABSTRACT]]
        yield {"query": query, "pos": positive, "task_name": "scifact-titles"}
    with (hub / "prompt_retrieval" / "rte" / "train.tsv").open(encoding="utf-8", newline="") as file:
        examples = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts = [f"{row['sentence1']}.\nquestion: {row['sentence2']}" for row in examples]
    yield from same_label("rte", PREMISE, texts, [row["label"] for row in examples], count, draw)


def main() -> None:
    """Build rows, train, evaluate, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hub", type=Path, required=True, help="the mirror of data sets")
    parser.add_argument("--work", type=Path, required=True, help="a new folder")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--rows", type=int, default=4000, help="of a task at most")
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS, help="that are evaluated")
    parser.add_argument("--seed", type=int, default=42, help="of the order of rows")
    parser.add_argument("--limit", type=int, help="cut every task to so many items, for a quick look")
    given = parser.parse_args()
    started = time.perf_counter()
    work: Path = given.work
    work.mkdir(parents=True, exist_ok=True)
    with (work / "rows.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows(given.hub / "datasets", given.rows))
    for name, instructions in (("trained", TRAINED), ("swapped", SWAPPED)):
        (work / f"{name}.yaml").write_text(json.dumps(instructions), encoding="utf-8")  # JSON is YAML
    print(f"rows built: {time.perf_counter() - started:.0f} s", flush=True)
    trained = ie.train(
        "minilm",
        work / "rows.jsonl",
        work / "model",
        max_steps=given.steps,
        per_device_train_batch_size=32,
        learning_rate=5e-5,
        cl_temperature=0.05,
        warmup_ratio=0.1,
        save_strategy="no",
        logging_steps=20,
        overwrite_output_dir=True,
        seed=given.seed,
        say=lambda line: print(line, flush=True),
    )
    print(f"trained {trained.steps} steps: {time.perf_counter() - started:.0f} s", flush=True)
    options: dict[str, Any] = {"hub": given.hub, "limit": given.limit, "results": work / "results", "progress": False}
    before = ie.evaluate("minilm", given.tasks, **options)
    sets = [work / "trained.yaml", "none", work / "swapped.yaml"]
    after = {str(one): ie.evaluate(str(work / "model"), given.tasks, instructions=one, **options) for one in sets}
    print(f"evaluated: {time.perf_counter() - started:.0f} s\n", flush=True)
    scores = {score.task: 100 * (score.score or 0) for score in before.scores}
    print(f"{'':<26}{'before':>8}  " + "".join(f"{Path(one).stem:>34}" for one in after))
    for task in given.tasks:
        cells = []
        for results in after.values():
            value = next(100 * (score.score or 0) for score in results.scores if score.task == task)
            table = ie.compare(before, results, intersect=True).to_dataframe()
            [found] = table[table["task"] == task].to_dict("records")
            delta, low, high = (100 * found[name] for name in ("delta", "low", "high"))
            cells.append(f"{value:.2f} ({delta:+.2f} [{low:+.2f}, {high:+.2f}])")
        print(f"{task:<26}{scores[task]:>8.2f}  " + "".join(f"{cell:>34}" for cell in cells))


if __name__ == "__main__":
    main()
