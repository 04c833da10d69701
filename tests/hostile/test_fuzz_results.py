"""Results, baselines, gates and statistics changed at random: every reading command keeps the rule."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forks import Forks
from hostile_case import hold
from hostile_results import DEEP, ENDLESS, HUGE, JUST_DEEP, results
from made_hostile_gates import GATE, seal_baseline
from made_hostile_names import FORMULA, HTML, LATEX, MARKDOWN
from made_hostile_scores import ESCAPE

from instructor_eval.analysis.compare import baselines, find_side
from instructor_eval.results.checksums import sealed
from instructor_eval.tasks import protocol

pytestmark = pytest.mark.fuzz
SECONDS = float(os.environ.get("INSTRUCTOR_EVAL_FUZZ_SECONDS", "600"))
SEED = int(os.environ.get("INSTRUCTOR_EVAL_FUZZ_SEED", str(time.time_ns() % 10**9)))
COMMANDS = (
    ("leaderboard",),
    ("leaderboard", "--format", "json"),
    ("leaderboard", "--format", "md", "--baseline", "minilm"),
    ("leaderboard", "--format", "csv"),
    ("leaderboard", "--format", "latex"),
    ("report", "-o", "page.html"),
    ("models",),
    ("validate", "--results", "results"),
    ("compare", "minilm", "minilm@int8"),
    ("compare", "minilm", "minilm@int8", "--format", "json"),
    ("compare", "minilm", "minilm@int8", "--format", "md"),
    ("compare", "baseline:main", "minilm@int8", "--intersect"),
    ("gate", "--baseline", "minilm", "--candidate", "minilm@int8", "--output", "out"),
    ("gate", "--candidate", "minilm@int8", "--output", "out", "--gate", "drift", "--gate", "quality"),
    ("baseline", "show", "main"),
    ("baseline", "show", "--format", "json"),
    ("baseline", "set", "minilm@int8", "--name", "other"),
    ("compare", "results/runs/run.json#minilm@fp32", "minilm@int8"),
)
LITERALS = (HUGE, "-" + HUGE, ENDLESS, "1e400", "-1e308", "NaN", "Infinity", "5e-324", "1e17", "-0.0", DEEP, JUST_DEEP)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 0.5, -0.0, 10**17, "", "x", "ok", "failed", [], {}, [[]], [None], {"x": None},
    {"": ""}, ESCAPE, MARKDOWN, FORMULA, HTML, LATEX, "a\0b", "\ud800", "../../etc/passwd", "/dev/zero", "n" * 20_000,
    "fp32", "int8", "paper", "mean_of_parts", "accuracy", "ndcg_at_10", "v_measure", "SciFact", "CQADupstackRetrieval",
    "2026-01-01T00:00:00+00:00", ["x"] * 3, {"text": "t", "rule": "r"}, {"backend": "faiss:HNSW32", "recall": 0.5},
    {"name": "nearest", "fingerprint": "f"},
)  # fmt: skip
KEYS = ("text", "rule", "backend", "recall", "name", "fingerprint", "file_bytes", "speed_ratio", "hardware", "versions",
        "probe", "total", "texts", "hits", "bytes_per_vector", "baseline", "base_fingerprint", "revision")  # fmt: skip
_LITERAL = "@@{}@@"


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def _mutate(raw: Any, chance: random.Random) -> None:
    """Change one thing: a value for another, a key gone, added, or doubled elsewhere."""
    places = list(_places(raw))
    where, key = chance.choice(places)
    what = chance.random()
    if what < 0.55:
        where[key] = (
            chance.choice(VALUES) if chance.random() < 0.8 else _LITERAL.format(chance.randrange(len(LITERALS)))
        )
    elif what < 0.7:
        del where[key]
    elif what < 0.85 and isinstance(where[key], dict):
        where[key][chance.choice(KEYS)] = chance.choice(VALUES)
    else:
        other, at = chance.choice(places)
        where[key] = (
            json.loads(json.dumps(other[at])) if at in other or (isinstance(at, int) and at < len(other)) else None
        )


def _dumped(raw: Any) -> str:
    text = json.dumps(raw, indent=1)
    for i, literal in enumerate(LITERALS):
        text = text.replace(f'"{_LITERAL.format(i)}"', literal)
    return text


def _bytes(content: bytes, chance: random.Random) -> bytes:
    """Change some bytes, or cut, or double a part."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 30))):
        if not changed:
            break
        at = chance.randrange(len(changed))
        what = chance.random()
        if what < 0.7:
            changed[at] = chance.choice((0, 0xFF, chance.randrange(256), changed[at] ^ (1 << chance.randrange(8))))
        elif what < 0.8:
            del changed[at:]
        else:
            changed[at:at] = changed[at : at + chance.randrange(200)]
    return bytes(changed)


def _change_json(path: Path, chance: random.Random) -> None:
    raw = json.loads(path.read_bytes())
    is_sealed = chance.random() < 0.3 and "sums" in raw
    if not is_sealed:
        for name in ("checksum", "sums", "items_sha256"):
            raw.pop(name, None)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        _mutate(raw, chance)
    text = _dumped(raw)
    if is_sealed and text.count("@@") == 0 and isinstance(raw, dict):
        try:
            sums = {k: v for k, v in raw.get("sums", {}).items() if k.startswith("items.")}
            path.write_bytes(sealed({k: v for k, v in raw.items() if k != "checksum"} | {"sums": sums}))
        except (ValueError, AttributeError, TypeError):
            path.write_text(text)
        return
    path.write_text(text)
    if path.name == "last.json":
        try:
            seal_baseline(path)
        except (ValueError, RecursionError, AttributeError):
            return


def _change(folder: Path, chance: random.Random) -> str:
    """Change one or two files; which."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and "runs" not in p.parts]
    files += [p for p in files if p.suffix == ".json"] * 3 + [folder / "results/runs/run.json"]
    changed = []
    for _ in range(chance.choice((1, 1, 2))):
        path = chance.choice(files)
        if path.suffix == ".json" and chance.random() < 0.8:
            try:
                _change_json(path, chance)
            except (ValueError, RecursionError):
                continue
        else:
            content = _bytes(path.read_bytes(), chance)
            if path.name == "board.v2":  # as its writer would have sealed it
                body = content.partition(b"\n")[2]
                content = hashlib.sha256(body).hexdigest().encode() + b"\n" + body
            path.write_bytes(content)
        changed.append(str(path.relative_to(folder)))
    return ", ".join(changed)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of everything."""
    folder = tmp_path_factory.mktemp("good")
    root = results(folder)
    side = find_side.resolve("minilm@fp32", results=root, protocol=protocol.parse([]))
    baselines.set_baseline(side, folder=root / "baselines")
    (root / "gate").mkdir()
    (root / "gate" / "gate.json").write_text(json.dumps(GATE))
    entries = [{"identity": s.identity, "task": s.task, "status": "ok"} for s in side.scores.values()]
    (root / "runs").mkdir()
    (root / "runs" / "run.json").write_text(json.dumps({"command": ["evaluate"], "scores": entries}))
    forks = Forks()
    assert forks.run(("leaderboard",), folder).code == 0  # which leaves statistics
    forks.close()
    assert (root / "statistics" / "board.v2").is_file()
    return folder


def test_results_changed_at_random(good: Path, tmp_path: Path) -> None:
    forks, until, number = Forks(), time.monotonic() + SECONDS, 0
    failures: dict[str, str] = {}
    try:
        while time.monotonic() < until and len(failures) < 20:
            seed, number = SEED + number, number + 1
            folder = tmp_path / str(seed)
            shutil.copytree(good, folder)
            chance = random.Random(seed)
            changed = _change(folder, chance)
            command = chance.choice(COMMANDS)
            try:
                ended = forks.run(command, folder)
                assert ended.code in ((0, 1, 2, 4) if command[0] in ("gate", "compare") else (0, 2))
                hold(ended)
            except (AssertionError, UnicodeDecodeError) as e:
                failures[f"INSTRUCTOR_EVAL_FUZZ_SEED={seed}: {' '.join(command)}: {changed} in {folder}"] = str(e)[
                    -1500:
                ]
            else:
                shutil.rmtree(folder)
    finally:
        forks.close()
    print(f"{number} folders from seed {SEED}")
    assert not failures, "\n\n".join(f"{what}\n{error}" for what, error in failures.items())
