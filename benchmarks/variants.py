"""The costs and savings of every numeric form, on real weights and real tasks: the tables of docs/variants.md.

    python benchmarks/variants.py --hub DIR --write docs/variants.md     # all-MiniLM-L6-v2, three tasks: about an hour
    python benchmarks/variants.py --shape base                            # INSTRUCTOR's T5-base shape, random weights

The first runs `evaluate` twice, on the forms and on the precisions of vectors, then counts how much of each text's ten
nearest neighbours a form keeps: 1,000 texts, 400 of SciFact's documents and 300 each of STSBenchmark and Banking77,
every text against all others, by cosine. It stops and goes on as `evaluate` does. The second has speed, size and memory
only: random weights say nothing of quality.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from shapes import SHAPES, build

from instructor_eval.cache.vectors import VectorCache
from instructor_eval.cli.main import main as evaluate
from instructor_eval.core.tables import render
from instructor_eval.models.engine import Engine
from instructor_eval.models.find import ModelSpec, locate

TASKS = ("STSBenchmark", "Banking77Classification", "SciFact")
FORMS = (
    *("fp32", "bf16", "fp16", "int8", "int8-weight", "int4-weight"),
    *("int8-dynamic", "onnx-int8", "openvino-int8"),
)
PRECISIONS = (
    *("fp32+float16", "fp32+int8", "fp32+binary", "fp32+binary-rescore", "fp32@256", "fp32@128"),
    *("int8+int8", "int8+binary-rescore"),
)
SAMPLE = (("scifact/corpus.jsonl", 400), ("stsbenchmark-sts/test.jsonl", 300), ("banking77/test.jsonl", 300))
NEAREST = 10


def main() -> None:
    """Run, print, and put the tables between the document's marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hub", type=Path, help="a local mirror of the data sets")
    parser.add_argument("--shape", choices=tuple(SHAPES), help="a made-up INSTRUCTOR: cost only")
    parser.add_argument("--results", type=Path, default=Path("results-variants"))
    parser.add_argument("--cache", type=Path, default=Path("cache-variants"))
    parser.add_argument("--form", action="append", help="only these forms (default: all that run on a CPU)")
    parser.add_argument("--write", type=Path, help="the document whose tables to replace")
    options = parser.parse_args()
    forms = options.form or FORMS
    if options.shape:
        parts = {f"cost-{options.shape}": shape_costs(options.shape, forms, options.results)}
    elif options.hub is None:
        parser.error("give --hub DIR, or --shape base")
    else:
        parts = real(options, forms)
    for name, text in parts.items():
        print(f"\n## {name}\n\n{text}")
        if options.write:
            put(options.write, name, text)


def real(options: argparse.Namespace, forms: Sequence[str]) -> dict[str, str]:
    """The tables of the embedded model."""
    where = ["--hub", str(options.hub), "--results", str(options.results), "--offline"]
    tasks = [part for task in TASKS for part in ("--task", task)]
    command = ["--model", "minilm", *tasks, *where, "--cache", str(options.cache)]
    run([*command, "--variant", ",".join(forms)])
    run([*command, "--variant", ",".join(("fp32", *PRECISIONS))])
    board = ["leaderboard", "--results", str(options.results), *tasks, "--no-published"]
    return {
        "board": captured([*board, "--format", "md"]),
        "reading": f"```text\n{captured(board).rpartition(chr(10) * 2)[2]}\n```",
        "cost": captured(["measure", "--model", "minilm", "--variant", ",".join(forms), "--results",
                          str(options.results), "--offline", "--format", "md"]),
        "neighbours": neighbours(forms, options.hub, options.cache),
    }  # fmt: skip


def shape_costs(shape: str, forms: Sequence[str], results: Path) -> str:
    """Speed, size and memory of a made-up checkpoint."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / f"t5-{shape}"
        build(folder, SHAPES[shape])
        return captured(["measure", "--model", str(folder), "--family", "instructor", "--variant", ",".join(forms),
                         "--results", str(results), "--format", "md"])  # fmt: skip


def neighbours(forms: Sequence[str], hub: Path, cache: Path) -> str:
    """How near each form's vectors are to fp32's, and how much of the ten nearest they keep."""
    texts = sample(hub)
    checkpoint = locate(ModelSpec.parse("minilm"), offline=True, known=[])
    rows = []
    vectors_cache = VectorCache(cache, warn=print)
    vectors = {}
    for form in dict.fromkeys(("fp32", *forms)):
        engine = Engine(dataclasses.replace(checkpoint, variant=form), device="cpu", cache=vectors_cache)
        vectors[form] = engine.encode(texts, "")
        cosine = np.einsum("ij,ij->i", vectors[form], vectors["fp32"])
        overlap = np.mean([len(set(a) & set(b)) / NEAREST for a, b in
                           zip(nearest(vectors[form]), nearest(vectors["fp32"]), strict=True)])  # fmt: skip
        rows.append([form, f"{cosine.mean():.4f}", f"{cosine.min():.4f}", f"{overlap:.3f}"])
    vectors_cache.close()
    return render(["form", "mean cosine to fp32", "least", f"top-{NEAREST} overlap"], rows, "md", left=1)


def nearest(vectors: np.ndarray) -> np.ndarray:
    """The ten nearest other texts of each; the model's vectors have length 1."""
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    return np.argsort(-similarity, axis=1)[:, :NEAREST]


def sample(hub: Path) -> list[str]:
    """1,000 different real texts."""
    texts: dict[str, None] = {}
    for name, count in SAMPLE:
        wanted = len(texts) + count
        for line in (hub / "datasets" / "mteb" / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            text = f"{row['title']} {row['text']}" if "title" in row else row.get("sentence1") or row["text"]
            texts[text] = None
            if len(texts) == wanted:
                break
    return list(texts)


def run(command: list[str]) -> None:
    """`evaluate ...`, printed; a failed task of one form leaves the others."""
    print("evaluate", " ".join(command), flush=True)
    if evaluate(command) not in (0, 2):
        sys.exit(1)


def captured(command: list[str]) -> str:
    """The output of `evaluate ...`, without the folders of this machine."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        evaluate(command)
    return re.sub(r"; filed in \S+", "", text.getvalue().strip())


def put(document: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- end -->`."""
    whole = document.read_text(encoding="utf-8")
    found = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not found.search(whole):
        sys.exit(f"{document} has no place marked <!-- {name} -->")
    document.write_text(found.sub(lambda m: f"{m[1]}{text}\n{m[2]}", whole), encoding="utf-8")


if __name__ == "__main__":
    main()
