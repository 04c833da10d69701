"""A retrieval task of a million short texts, from data on disk to the filed score: time, peak memory, kill, resume.

    python benchmarks/corpus.py                  # 100,000 and 1,000,000 documents, 200 queries; 4 GB on disk
    python benchmarks/corpus.py --count 200000

The network is tiny (an INSTRUCTOR checkpoint of 32 values and random weights), so that what is measured is all the
rest: reading, instructions, tokenising, cache, exact search, scoring, filing. Each run is a process of its own:

    cold      an empty cache, at a tenth of the documents and at all of them
    killed    another empty cache; SIGKILL at half of the cold run's time
    resumed   the same command again: what the cache answers, and the same score
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import shapes  # noqa: F401 # puts tests/ on the path
import tiny

CARD = """\
name: Corpus{count}
type: Retrieval
data: {data}
instructions:
  query: "Represent the question for retrieving the passage: "
  document: "Represent the passage for retrieval: "
"""


def build(folder: Path, count: int, queries: int) -> Path:
    """Write a made task: passages of about a dozen words, a question made of words of the one it asks for."""
    random, words = np.random.default_rng(0), np.array(sorted(set(tiny.WORDS.split())))
    data = folder / f"data{count}"
    (data / "qrels").mkdir(parents=True)
    asked = set(random.choice(count, queries, replace=False).tolist())
    with (
        (data / "corpus.jsonl").open("w") as corpus,
        (data / "queries.jsonl").open("w") as questions,
        (data / "qrels" / "test.tsv").open("w") as judged,
    ):
        judged.write("query-id\tcorpus-id\tscore\n")
        for i in range(count):
            chosen = words[random.integers(0, len(words), int(random.integers(6, 18)))].tolist()
            corpus.write(json.dumps({"_id": f"d{i}", "title": "", "text": f"{' '.join(chosen)} {i}"}) + "\n")
            if i in asked:
                questions.write(json.dumps({"_id": f"q{i}", "text": f"{' '.join(chosen[:5])} {i}"}) + "\n")
                judged.write(f"q{i}\td{i}\t1\n")
    card = folder / f"corpus{count}.yaml"
    card.write_text(CARD.format(count=count, data=data.name))
    return card


def evaluate(folder: Path, card: Path, name: str, kill_after: float | None = None) -> dict[str, Any]:
    """Run the command with a cache and results of that name; return seconds, peak bytes and its score."""
    results = folder / f"results-{name}-{card.stem}"
    command = [
        sys.executable, "-m", "instructor_eval.cli.main", "--model", str(folder / "tiny"), "--task", str(card),
        "--instructions", "paper", "--results", str(results), "--offline", "--cost", "off", "--quiet",
    ]  # fmt: skip
    env = {**os.environ, "INSTRUCTOR_EVAL_CACHE": str(folder / f"cache-{name}-{card.stem}")}
    started = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if kill_after is None and status:
        sys.exit(process.stderr.read().decode() if process.stderr else "the run failed")
    scores = [json.loads(path.read_text()) for path in results.rglob("*.json")] if results.is_dir() else []
    found = [score for score in scores if "counts" in score]
    return {"seconds": seconds, "peak": usage.ru_maxrss * 1024, "score": found[0] if found else None}


def main() -> None:
    """Build, run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tiny.build_instructor(folder / "tiny", include_prompt_key=True)
        small, large = (build(folder, count, options.queries) for count in (options.count // 10, options.count))

        def show(what: str, run: dict[str, Any], more: str = "") -> None:
            print(f"{what:<26} {run['seconds']:8.1f} s  peak {run['peak'] / 2**20:7.0f} MiB  {more}", flush=True)

        def hits(run: dict[str, Any]) -> str:
            counts = run["score"]["counts"]
            return f"score {run['score']['score']:.4f}, {json.dumps(counts)}"

        tenth = evaluate(folder, small, "cold")
        show(f"cold, {options.count // 10:,}", tenth, hits(tenth))
        cold = evaluate(folder, large, "cold")
        show(f"cold, {options.count:,}", cold, hits(cold))
        show("killed", evaluate(folder, large, "killed", kill_after=cold["seconds"] / 2))
        resumed = evaluate(folder, large, "killed")
        show("resumed", resumed, hits(resumed))
        same = resumed["score"]["score"] == cold["score"]["score"]
        print(f"peak at all over peak at a tenth: {cold['peak'] / tenth['peak']:.2f}; same score after a kill: {same}")


if __name__ == "__main__":
    main()
