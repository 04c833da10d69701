"""How large the HTML report of 50 rows x 70 tasks is, how long it takes to build, and when a browser first paints it.

    python benchmarks/report.py [--rounds 3] [--keep FILE]

A made-up results folder as runs leave it: 38 models, 7 of them in int8 too and 5 under a second instruction set, on the
70 tasks of the paper with their literal instructions; 200 items a task (clustering: 20 splits), versions, hardware,
costs and commands. Every build is a process of its own, imports and reading included: `computed` has no stored
statistics, `stored` has those of an earlier call. The page of an empty folder is measured beside it. First paint needs
chromium, chromium-driver and selenium: the median of the rounds, of a fresh browser each, from the file on disk.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from instructor_eval import metrics
from instructor_eval.analysis.statistics.filed import measure
from instructor_eval.core.environment import hardware, versions
from instructor_eval.core.values import Items
from instructor_eval.results.reading import read, record
from instructor_eval.results.score import Environment, Score
from instructor_eval.results.store import Store
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.instructions import InstructionSet, ModelRule, resolve
from instructor_eval.tasks.task import Card

MODELS, QUANTIZED, TWICE, N, SPLITS = 38, 7, 5, 200, 20
PAPER = ("mteb", "billboard", "prompt-retrieval")
METRICS = {
    "Retrieval": "ndcg_at_10", "Reranking": "map_at_1000", "Clustering": "v_measure", "PairClassification": "max_ap",
    "Classification": "accuracy", "STS": "cosine_spearman", "Summarization": "summeval_v1",
    "TextEvaluation": "pearson", "PromptRetrieval": "rougeL",
}  # fmt: skip


def main() -> None:
    """Make the folder, build the page in turns, print sizes and times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, metavar="FILE", help="leave the page here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, page = Path(name) / "results", Path(name) / "report.html"
        count = fill(Store(folder))
        empty = Path(name) / "empty"
        empty.mkdir()
        build(empty, page)
        print(f"empty folder: {page.stat().st_size / 1000:.1f} kB")
        times: dict[str, list[float]] = {"computed": [], "stored": []}
        pages = set()
        for _ in range(options.rounds):
            for file in folder.glob("statistics/*"):
                file.unlink()
            for side, seconds in times.items():
                seconds.append(build(folder, page))
                pages.add(page.read_bytes())
                print(f"  {side:9} {seconds[-1]:6.2f} s", flush=True)
        if len(pages) != 1:
            sys.exit("the same results gave two pages")
        rows = MODELS + QUANTIZED + TWICE
        print(f"{count:,} scores, {rows} rows x {count // rows} tasks: {page.stat().st_size / 1000:.1f} kB")
        for side, seconds in times.items():
            print(f"  built, {side:9} {statistics.median(seconds):6.2f} s")
        if options.keep:
            shutil.copy(page, options.keep)
        if shutil.which("chromium") and shutil.which("chromedriver"):
            painted = [first_paint(page) for _ in range(options.rounds)]
            whats = (("first contentful paint", 0), ("document parsed", 1), ("script done", 2))
            for what, place in whats:
                values = sorted(p[place] for p in painted)
                print(f"  {what:23} {statistics.median(values):6.0f} ms  (of {', '.join(f'{v:.0f}' for v in values)})")


def build(folder: Path, page: Path) -> float:
    """Seconds of one call of `evaluate report`."""
    command = [sys.executable, "-m", "instructor_eval.cli.main", "report", "--results", str(folder), "--no-published"]
    start = time.perf_counter()
    subprocess.run([*command, "-o", str(page)], capture_output=True, check=True)
    return time.perf_counter() - start


def first_paint(page: Path) -> tuple[float, float, float]:
    """Milliseconds after navigation until something is painted, the document is parsed, and the script has run."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    with tempfile.TemporaryDirectory() as profile:
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                     f"--user-data-dir={profile}"):  # fmt: skip
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            browser.get(page.as_uri())
            time.sleep(0.5)
            paint, parsed, done = browser.execute_script(
                "const n = performance.getEntriesByType('navigation')[0];"
                "const p = performance.getEntriesByName('first-contentful-paint')[0];"
                "return [p ? p.startTime : -1, n.domInteractive, n.loadEventEnd];"
            )
        finally:
            browser.quit()
    return float(paint), float(parsed), float(done)


def fill(store: Store) -> int:
    """Make scores and items; how many scores there are."""
    cards = [c for c in shipped_cards().values() if c.benchmark in PAPER and not c.part_of]
    rows = [(m, "fp32", "paper") for m in range(MODELS)]
    rows += [(m, "int8", "paper") for m in range(QUANTIZED)] + [(m, "fp32", "none") for m in range(TWICE)]
    made = {"versions": versions(), "hardware": hardware("cpu")}
    for t, card in enumerate(cards):
        hard = np.random.default_rng(t).random(N)
        for r, (model, form, instructions) in enumerate(rows):
            noise = 0.25 * np.random.default_rng((t, model)).normal(size=N) + 0.005 * model
            noise += 0.02 * (r >= MODELS) * np.random.default_rng((t, r)).normal(size=N)
            items = items_of(card.type, card.name, hard, noise)
            score = score_of(card, model, form, instructions, items)
            score = dataclasses.replace(score, environment=record(Environment, made))
            if not card.parts:
                score = dataclasses.replace(score, statistics=measure(score, items))
            store.write(score, items)
    return len(cards) * len(rows)


def items_of(kind: str, task: str, hard: np.ndarray, noise: np.ndarray) -> Items:
    """Items of one task as a run files them, but for columns that no metric asks for."""
    ids = [f"{task[:5]}-{i * 37 % 9973}" for i in range(N)]
    values = np.clip(hard + noise, 0, 1)
    near = (hard + noise).tolist()
    predictions = [["yes" if v > k / 10 else "no" for k in range(10)] for v in values]
    columns: Items = {
        "Classification": {"gold": ["yes"] * N, "predictions": predictions,
                           "value": [row.count("yes") / 10 for row in predictions]},
        "PairClassification": {"gold": (hard > 0.6).astype(int).tolist(), "similarity": near, "cosine": near,
                               "dot": near, "manhattan": [-v for v in near], "euclidean": [-v for v in near]},
        "STS": {"gold": np.round(5 * hard, 1).tolist(), "cosine": near},
        "Summarization": {"rho": values.tolist(), "p": (values**2).tolist()},
        "TextEvaluation": {"segment": [f"segment-{i // 4}" for i in range(N)], "gold": hard.tolist(), "value": near},
        "PromptRetrieval": {"value": values.tolist()},
    }.get(kind, {METRICS[kind]: values.tolist()})  # fmt: skip
    if kind == "Clustering":
        return {"id": ids[:SPLITS], "v_measure": (0.4 + 0.05 * values[:SPLITS]).tolist()}
    return {"id": ids, **columns}


def score_of(card: Card, model: int, form: str, instructions: str, items: Items) -> Score:
    """A score as a run files it."""
    name = f"organisation/embedder-{model:02d}-{('base', 'large', 'xl')[model % 3]}"
    rule = ModelRule("hkunlp/instructor-large", "instructor")
    roles = {}
    for role in () if card.parts else card.roles:
        found = resolve(card, role, InstructionSet(instructions, instructions), rule)
        roles[role] = {"text": found.text, "rule": found.rule}
    size = (140 + 60 * model) * 1_000_000
    shrunk = 4 if form == "int8" else 1
    metric = METRICS[card.type]
    return read(dict(
        identity=f"{model:04x}{form}{instructions}".ljust(16, "0")[:16],
        status="ok", task=card.name, benchmark=card.benchmark, type=card.type,
        model={"name": name, "revision": "main", "family": "instructor", "family_rule": "its modules",
               "fingerprint": f"{model:02d}-{form}".ljust(16, "f"), "base_fingerprint": f"{model:02d}".ljust(16, "f"),
               "variant": form, "dim": 768, "max_length": 512},
        instructions={"set": instructions, "roles": roles}, metric=metric, score=metrics.compute(metric, items),
        n_items=len(items["id"]), data={"id": card.data_id, "revision": card.data_revision, "hash": card.name[:12]},
        reader={"name": "nearest", "fingerprint": "nearest", "selection": "similar"}
        if card.type == "PromptRetrieval" else {},
        cost={"form": form, "baseline": "fp32", "device": "cpu", "file_bytes": size // shrunk, "size_ratio": shrunk,
              "texts_per_second": 4e10 / size * (shrunk // 2 or 1), "speed_ratio": shrunk // 2 or 1},
        protocol=protocol.relevant(protocol.parse([]), card.type, card.name),
        counts={"texts": 7000 + 13 * len(card.name), "hits": 0}, timings={"total": 20.0 + model},
        command=["evaluate", "--model", name, "--benchmark", "mteb", "--benchmark", "billboard", "--benchmark",
                 "prompt-retrieval", "--instructions", instructions, "--variant", "fp32,int8"],
        created="2026-01-01T00:00:00+00:00",
    ))  # fmt: skip


if __name__ == "__main__":
    main()
