"""Training, against sentence-transformers' own trainer; and reading training rows, against `json.load`.

    python benchmarks/train.py                      # steps a second of both on the same rows, in turns
    python benchmarks/train.py --stream 2500        # a file of so many MB in MEDI's form: memory and time of both

Training: MiniLM (`minilm`) in float32 on this CPU, batches of 32 made-up pairs of mixed lengths, AdamW, the loss of
both directions (`MultipleNegativesRankingLoss` with `query_to_doc` and `doc_to_query`, each by itself: half of ours on
pairs, which tests/training/test_loss.py asserts). Each side in a process of its own; the first steps are not counted.
Theirs draws rows at random and pads queries and positives to the longest of the batch; ours sorts by length within 64
batches and computes texts of like length together.

Streaming: the peak memory of a process that parses the file into Arrow, opens it and makes a batch, and of one that
calls `json.load` and nothing else (`ru_maxrss`; "beyond" is what it grew by after imports).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fresh import middle, serve, worker

WORDS = ["time", "data", "river", "model", "city", "protein", "question", "storm", "the", "of", "in", "a", "good"]
ASK, SAY = "Represent the question for retrieving a passage: ", "Represent the passage for retrieval: "
BATCH, WARM = 32, 3


def text(draw: random.Random, words: float) -> str:
    """A text of about so many words, log-normal."""
    return " ".join(draw.choices(WORDS, k=max(2, int(draw.lognormvariate(0, 0.8) * words))))


def write_rows(path: Path, *, count: int = 10**9, size: float = float("inf"), negatives: bool = False) -> int:
    """Write rows as one array, until there are so many or the file has so many bytes; return how many."""
    draw = random.Random(0)
    number = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        while number < count and file.tell() < size:
            row: dict[str, Any] = {"query": [ASK, text(draw, 12)], "pos": [SAY, text(draw, 60)]}
            if negatives:
                row |= {"neg": [SAY, text(draw, 60)], "task_id": number // 5000}
            file.write((", " if number else "") + json.dumps({"task_id": 0, **row}))
            number += 1
        file.write("]")
    return number


def ours(order: dict[str, Any]) -> dict[str, Any]:
    """Time our steps."""
    import instructor_eval as ie

    times: list[float] = []

    def say(line: str) -> None:
        if line.startswith("step "):
            times.append(time.perf_counter())

    folder = Path(order["folder"])
    with tempfile.TemporaryDirectory() as out:
        done = ie.train(
            "minilm", folder / "rows.json", Path(out, "model"), say=say, max_steps=order["steps"], logging_steps=1,
            per_device_train_batch_size=BATCH, cl_temperature=0.05, learning_rate=2e-5, save_strategy="no",
            use_cpu=True,
        )  # fmt: skip
    return {"seconds": times[-1] - times[WARM - 1], "loss": sum(done.losses.values()) / len(done.losses)}


def theirs(order: dict[str, Any]) -> dict[str, Any]:
    """Time the steps of sentence-transformers' trainer."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from transformers import TrainerCallback

    from instructor_eval.models.find import ModelSpec, locate

    class Clock(TrainerCallback):
        """Notes when steps end."""

        times: list[float] = []  # noqa: RUF012 # one process, one run

        def on_step_end(self, *_: Any, **__: Any) -> None:
            """Note the time."""
            self.times.append(time.perf_counter())

    rows = json.loads((Path(order["folder"]) / "rows.json").read_text(encoding="utf-8"))
    columns = {name: ["".join(row[part]) for row in rows] for name, part in (("anchor", "query"), ("positive", "pos"))}
    model = SentenceTransformer(str(locate(ModelSpec.parse("minilm"), offline=True, known=[]).folder), device="cpu")
    loss = MultipleNegativesRankingLoss(
        model, scale=20.0, directions=("query_to_doc", "doc_to_query"), partition_mode="per_direction"
    )
    with tempfile.TemporaryDirectory() as out:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=out, max_steps=order["steps"], per_device_train_batch_size=BATCH, learning_rate=2e-5,
            save_strategy="no", logging_steps=1, report_to="none", use_cpu=True, disable_tqdm=True,
        )  # fmt: skip
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_dict(columns), loss=loss, callbacks=[Clock()]
        )
        trainer.train()
    losses = [2 * one["loss"] for one in trainer.state.log_history if "loss" in one]
    return {"seconds": Clock.times[-1] - Clock.times[WARM - 1], "loss": sum(losses) / len(losses)}


def peak() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stream(order: dict[str, Any]) -> dict[str, Any]:
    """Parse the file into Arrow, and make a batch."""
    from instructor_eval.training.batches import Batches
    from instructor_eval.training.data import load_rows

    before, started = peak(), time.perf_counter()
    folder = Path(order["folder"])
    rows = load_rows(folder / "rows.json", folder / "arrow")
    batch = Batches(rows, list, size=BATCH)[0]  # type: ignore[arg-type] # rows as they are
    return {"seconds": time.perf_counter() - started, "beyond": peak() - before, "peak": peak(), "batch": len(batch)}


def load(order: dict[str, Any]) -> dict[str, Any]:
    """Read the file as the authors' script does."""
    before, started = peak(), time.perf_counter()
    with (Path(order["folder"]) / "rows.json").open(encoding="utf-8") as file:
        rows = json.load(file)
    return {"seconds": time.perf_counter() - started, "beyond": peak() - before, "peak": peak(), "rows": len(rows)}


def part(order: dict[str, Any]) -> dict[str, Any]:
    """Carry out an order."""
    return {"ours": ours, "theirs": theirs, "stream": stream, "load": load}[order["what"]](order)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stream", type=float, metavar="MB")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        order = {"folder": name, "steps": given.steps}
        environment = {"INSTRUCTOR_EVAL_CACHE": f"{name}/cache"}
        path = Path(name, "rows.json")
        if given.stream:
            count = write_rows(path, size=given.stream * 1e6, negatives=True)
            print(f"{count:,} rows, {path.stat().st_size / 1e6:,.0f} MB")
            for what, label in (("stream", "into Arrow"), ("load", "json.load")):
                found = worker(sys.argv[0], {**order, "what": what}, environment)
                print(
                    f"{label:<11}{found['seconds']:8.1f} s, {found['beyond']:8,.0f} MB beyond, {found['peak']:8,.0f} MB"
                )
            return
        write_rows(path, count=BATCH * (given.steps + WARM))
        runs: dict[str, list[dict[str, Any]]] = {"theirs": [], "ours": []}
        for _ in range(given.rounds):
            for what, found_so_far in runs.items():
                found_so_far.append(worker(sys.argv[0], {**order, "what": what}, environment))
        counted = given.steps - WARM
        for what, label in (("theirs", "sentence-transformers"), ("ours", "evaluate train")):
            rate = counted / middle(runs[what], "seconds")
            loss = middle(runs[what], "loss")
            print(f"{label:<22}{rate:6.2f} steps/s, {BATCH * rate:7.1f} pairs/s, mean loss {loss:.4f}")
        ratios = sorted(t["seconds"] / o["seconds"] for t, o in zip(runs["theirs"], runs["ours"], strict=True))
        print(f"ratio {ratios[len(ratios) // 2]:.2f} (of each round: {', '.join(f'{r:.2f}' for r in ratios)})")


if __name__ == "__main__" and not serve(part):
    main()
