"""A process that ends others: it loads a model once, then forks children that encode, and kills them.

    python crash_driver.py MODEL FOLDER SCENARIO ...

prints what came of each scenario as JSON. Importing torch takes seconds and forking a moment: only so can a test
afford a hundred kills. Nothing is computed before a fork, which would leave threads behind.
"""

import hashlib
import json
import math
import os
import random
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from instructor_eval.cache.blocks import is_whole
from instructor_eval.cache.database import FILE_NAME
from instructor_eval.cache.vectors import VectorCache, keys_of
from instructor_eval.models import batches
from instructor_eval.models.checkpoint import read_checkpoint
from instructor_eval.models.engine import Engine

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script knows its own folder only
from forked import KILLED, drop_privileges, end_after, wait
from waiting import LONGEST

INSTRUCTION = "Represent the river: "
COMMIT = 16
TEXTS = [f"{'the city ' * (i % 7)}river {hashlib.md5(str(i).encode()).hexdigest()[: i % 5]} {i}" for i in range(1500)]
KILLS = 100
OUT = "vectors.npy"


class Driver:
    """The loaded model, and a folder to work in."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.folder = folder
        batches.COMMIT_TEXTS = COMMIT
        batches.WINDOW = 400
        checkpoint = read_checkpoint(model, name="acme/tiny", revision="local", family="instructor")
        self.engine = Engine(checkpoint, device="cpu")
        self.start = self.engine.network.start
        self.keys = keys_of(self.engine.fingerprint, INSTRUCTION, TEXTS)
        assert wait(self.child(folder / "alone", cached=False)) == 0
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.seconds = used.ru_utime + used.ru_stime
        """Of the processor, for all texts."""
        self.expected = np.load(folder / "alone" / OUT)

    def child(
        self,
        place: Path,
        *,
        cached: bool = True,
        name: str = "",
        before: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
        most: float = math.inf,
    ) -> int:
        """Fork a child that encodes all texts with the cache in `place`, or halts after about `most`; its number."""
        place.mkdir(parents=True, exist_ok=True)
        number = os.fork()
        if number:
            return number
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            warnings: list[str] = []
            log = os.open(place / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

            def start(rows: list, skip: int) -> Any:
                os.write(log, f"{len(rows)}\n".encode())
                if computed(place) > most:
                    time.sleep(LONGEST)
                return self.start(rows, skip)

            self.engine.network.start = start  # type: ignore[method-assign]  # counts calls
            out = (place / f"{name}{OUT}").open("wb")
            report = (place / f"{name}report.json").open("w")
            before()
            if cached:
                self.engine.cache = VectorCache(place, warn=warnings.append)
            vectors = self.engine.encode(TEXTS, INSTRUCTION)
            after()
            np.save(out, vectors)
            out.close()
            json.dump({"hits": self.engine.totals.hits, "warnings": warnings}, report)
            report.close()
            code = 0
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)

    def read(self, place: Path) -> tuple[np.ndarray, np.ndarray]:
        """The content of the cache of `place`: which texts it has, and their vectors."""
        out = np.zeros_like(self.expected)
        cache = VectorCache(place, warn=sys.exit)
        hit = cache.read(self.engine.space, self.keys, out)
        cache.close()
        return hit, out

    def off(self, vectors: np.ndarray, hit: Any = slice(None)) -> float:
        """The largest difference from the undisturbed run."""
        return float(np.abs(vectors[hit] - self.expected[hit]).max(initial=0.0))

    def report(self, place: Path, name: str = "") -> dict[str, Any]:
        """A child's report."""
        left = json.loads((place / f"{name}report.json").read_text())
        return {**left, "off": self.off(np.load(place / f"{name}{OUT}"))}


def computed(place: Path) -> int:
    """Texts that the children in `place` have begun to compute."""
    log = place / "log"
    return sum(map(int, log.read_text().split())) if log.exists() else 0


def errors(place: Path) -> list[str]:
    """Errors of a database: pages, checksums, entries that lead nowhere."""
    with closing(sqlite3.connect(place / FILE_NAME)) as connection:
        found = [str(r[0]) for r in connection.execute("PRAGMA integrity_check") if r[0] != "ok"]
        keys = {}
        for number, joined, checksum, data in connection.execute("SELECT id, keys, checksum, vectors FROM blocks"):
            if not is_whole(joined, checksum, data):
                found.append(f"block {number}")
            keys |= {joined[i : i + 16]: number for i in range(0, len(joined), 16)}
        if dict(connection.execute("SELECT key, block FROM entries").fetchall()) != keys:
            found.append("entries")
        if connection.execute("SELECT sum(texts) FROM uses").fetchone()[0] not in (len(keys), None):
            found.append("uses")
    return found


def kills(driver: Driver) -> dict[str, Any]:
    """Kill children at random moments until one ends by itself, on one new cache after another."""
    draw = random.Random(20)
    done = rounds = worst_loss = 0
    off, reach = 0.0, 0.25 * driver.seconds
    result: dict[str, Any] = {"errors": [], "changed": 0, "lost": 0, "excess": []}
    while done < KILLS:
        place = driver.folder / f"round-{rounds}"
        rounds += 1
        seen, seen_vectors = np.zeros(len(TEXTS), dtype=bool), np.zeros_like(driver.expected)
        killed = begun = 0
        code = None
        while code is None:
            moment = partial(end_after, draw.uniform(0, reach))
            code = wait(driver.child(place, before=moment) if done < KILLS else driver.child(place))
            if code == KILLED:
                killed, done, code = killed + 1, done + 1, None
            hit, vectors = driver.read(place)
            off = max(off, driver.off(vectors, hit))
            result["changed"] += int((vectors[seen] != seen_vectors[seen]).sum())
            result["lost"] += int((seen & ~hit).sum())
            worst_loss = max(worst_loss, computed(place) - begun - int(hit.sum() - seen.sum()))
            # Whatever the machine is busy with: later where a child was killed before its first batch, else earlier.
            reach *= 1.5 if computed(place) == begun else 0.95
            begun, seen, seen_vectors = computed(place), hit, vectors
        left = driver.report(place)
        off = max(off, left["off"])
        result["errors"] += [*errors(place), *left["warnings"], *([f"exit {code}"] if code else [])]
        result["excess"].append(computed(place) - len(TEXTS) - killed * batches.chunk())
        result["lost"] += int((~seen).sum())
    return {**result, "kills": done, "rounds": rounds, "off": off, "worst_loss": worst_loss}


def together(driver: Driver) -> dict[str, Any]:
    """Three at once on one cache that is not there yet."""
    place = driver.folder / "together"
    names = ["a", "b", "c"]
    codes = [wait(n) for n in [driver.child(place, name=name) for name in names]]
    hit, vectors = driver.read(place)
    reports = [driver.report(place, name) for name in names]
    return {
        "codes": codes,
        "reports": reports,
        "errors": errors(place),
        "stored": int(hit.sum()),
        "off": driver.off(vectors),
    }


def interrupt(driver: Driver) -> dict[str, Any]:
    """Ctrl-C in the middle, which it does not get beyond."""
    place = driver.folder / "interrupt"
    number = driver.child(place, most=1000)
    while computed(place) < 500:
        time.sleep(0.001)
    os.kill(number, signal.SIGINT)
    code = wait(number)
    hit, vectors = driver.read(place)
    begun = computed(place)
    assert wait(driver.child(place)) == 0
    return {
        "code": code,
        "begun": begun,
        "stored": int(hit.sum()),
        "off": driver.off(vectors, hit),
        "errors": errors(place),
        "resumed": driver.report(place),
    }


def full(driver: Driver) -> dict[str, Any]:
    """A disk that takes no file beyond some size."""
    results = {}
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for room in (0, 100, 300, 2000, 6000):
        place = driver.folder / f"full-{room}"

        def before(size: int = room * 1024) -> None:
            # The log of texts would not fit either.
            driver.engine.network.start = driver.start  # type: ignore[method-assign]  # counts calls
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

        def after() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

        code = wait(driver.child(place, before=before, after=after))
        hit, vectors = driver.read(place)
        results[str(room)] = {
            "code": code,
            **driver.report(place),
            "stored": int(hit.sum()),
            "stored_off": driver.off(vectors, hit),
            "errors": errors(place),
        }
    return results


def read_only(driver: Driver) -> dict[str, Any]:
    """A cache that may not be written, with a part of the texts."""
    place = driver.folder / "read-only"
    place.mkdir()
    cache = VectorCache(place, warn=sys.exit)
    cache.write(driver.engine.space, driver.keys[:600], driver.expected[:600])
    cache.close()

    def before() -> None:
        driver.engine.network.start = driver.start  # type: ignore[method-assign]  # counts calls
        (place / FILE_NAME).chmod(0o444)
        place.chmod(0o555)
        drop_privileges()

    code = wait(driver.child(place, before=before))
    place.chmod(0o755)
    return {"code": code, **driver.report(place), "errors": errors(place)}


def main() -> None:
    model, folder, *scenarios = sys.argv[1:]
    import torch

    torch.set_num_threads(1)
    driver = Driver(Path(model), Path(folder))
    known = {f.__name__: f for f in (kills, together, interrupt, full, read_only)}
    results: dict[str, Any] = {"texts": len(TEXTS), "chunk": batches.chunk()}
    results |= {scenario: known[scenario](driver) for scenario in scenarios}
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
