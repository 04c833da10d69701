"""A process that ends others: it forks children that ask a slow reader through one cache, and kills them.

    python answers_driver.py FOLDER SCENARIO ...

prints what came of each scenario as JSON.
"""

import json
import os
import random
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from instructor_eval.readers.answers import ANSWERS, AnswerCache
from instructor_eval.readers.ask import ask
from instructor_eval.readers.contract import Answer, Question

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script knows its own folder only
from forked import KILLED, drop_privileges, end_after, wait
from waiting import LONGEST

KILLS = 40
QUESTIONS = [Question(f"Überschrift {i}: {'word ' * (i * 7 % 200)}", ("yes", "no")[: i % 3]) for i in range(120)]


def right(question: Question) -> Answer:
    """The slow reader's answer: a function of the question alone."""
    n = int(question.prompt.split()[1][:-1])
    return Answer(f"answer {n} 🌊" * (n % 50), tuple((n + k) / 7 for k in range(len(question.options))))


class SlowReader:
    """Notes every question that it is really asked, and lets a test interfere.

    Args:
        log: Where to.
        during: Called while it is at its n-th question, with n from 1.
    """

    name = "slow"
    fingerprint = "5" * 16
    is_cheap = False

    def __init__(self, log: Path | None, during: Callable[[int], None] = lambda n: None) -> None:
        self.log = None if log is None else os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.during = during

    def describe(self) -> dict[str, Any]:
        return {}

    def read(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        for n, place in enumerate(reversed(range(len(questions))), 1):
            if self.log is not None:
                os.write(self.log, f"{questions[place].prompt.split()[1]}\n".encode())
            self.during(n)
            yield place, right(questions[place])

    def close(self) -> None:
        pass


def child(
    place: Path,
    *,
    name: str = "",
    logged: bool = True,
    before: Callable[[], None] = lambda: None,
    during: Callable[[int], None] = lambda n: None,
    after: Callable[[], None] = lambda: None,
) -> int:
    """Fork a child that asks all questions through the cache in `place`; its number."""
    place.mkdir(parents=True, exist_ok=True)
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        warnings: list[str] = []
        reader = SlowReader(place / "log" if logged else None, during)
        report = (place / f"{name}report.json").open("w")
        before()
        with AnswerCache(place, warn=warnings.append) as cache:
            came = ask(reader, QUESTIONS, cache)
        after()
        wrong = sum(a != right(q) for q, a in zip(QUESTIONS, came.answers, strict=True))
        json.dump({"wrong": wrong, "asked": came.asked, "hits": came.hits, "warnings": warnings}, report)
        report.close()
        code = 0
    except KeyboardInterrupt:
        code = 130
    except Exception as e:  # noqa: BLE001 # shown, since _exit shows nothing
        sys.stderr.write(f"{e!r}\n")
    finally:
        sys.stderr.flush()
        os._exit(code)


def report(place: Path, name: str = "") -> dict[str, Any]:
    """A child's report."""
    return json.loads((place / f"{name}report.json").read_text())


def logged(place: Path) -> list[str]:
    """The questions that the children in `place` were really asked."""
    log = place / "log"
    return log.read_text().splitlines() if log.exists() else []


def stored(place: Path) -> dict[int, Answer]:
    with AnswerCache(place, warn=sys.exit) as cache:
        return cache.find(SlowReader.fingerprint, QUESTIONS)


def errors(place: Path) -> list[str]:
    """Errors that SQLite finds in a database, and answers that are not right."""
    with closing(sqlite3.connect(place / ANSWERS.file)) as connection:
        found = [str(r[0]) for r in connection.execute("PRAGMA integrity_check") if r[0] != "ok"]
    return found + [f"question {i}" for i, answer in stored(place).items() if answer != right(QUESTIONS[i])]


def kills(folder: Path) -> dict[str, Any]:
    """Kill children at random moments until one ends by itself, on one new cache after another."""
    draw = random.Random(20)
    result: dict[str, Any] = {"kills": 0, "rounds": [], "lost": 0, "errors": []}
    while result["kills"] < KILLS:
        place = folder / f"round-{len(result['rounds'])}"
        killed, known, code = 0, set(), None
        while code is None:
            # Every third while it answers, the others up to two milliseconds of work later.
            last, later = draw.randint(1, 60), draw.choice([0, draw.uniform(0, 0.002), draw.uniform(0, 0.002)])

            def end(n: int, last: int = last, later: float = later) -> None:
                if n == last:
                    end_after(later)

            code = wait(child(place, during=end) if result["kills"] < KILLS else child(place))
            if code == KILLED:
                killed, result["kills"], code = killed + 1, result["kills"] + 1, None
            now = set(stored(place))
            result["lost"] += len(known - now)
            known = now
        result["errors"] += errors(place)
        result["rounds"].append({**report(place), "code": code, "killed": killed, "log": len(logged(place))})
    return result


def together(folder: Path) -> dict[str, Any]:
    """Two at once on one cache that is not there yet, and a third when all is known."""

    def meet(name: str, where: str) -> None:
        (folder / f"{where}-{name}").touch()
        while len(list(folder.glob(f"{where}-*"))) < 2:
            time.sleep(0.0005)

    def start(name: str) -> int:
        """Begin together, and be at the first question together."""

        def during(n: int) -> None:
            if n == 1:
                meet(name, "asked")

        return child(folder, name=name, before=lambda: meet(name, "ready"), during=during)

    codes = [wait(n) for n in [start(name) for name in "ab"]]
    codes.append(wait(child(folder, name="c")))
    return {"codes": codes, "reports": [report(folder, name) for name in "abc"], "errors": errors(folder)}


def interrupt(folder: Path) -> dict[str, Any]:
    """Ctrl-C in the middle, which it does not get beyond."""
    number = child(folder, during=lambda n: time.sleep(LONGEST if n == 60 else 0.002))
    while len(logged(folder)) < 50:
        time.sleep(0.001)
    os.kill(number, signal.SIGINT)
    code = wait(number)
    return {"code": code, "begun": len(logged(folder)), "stored": len(stored(folder)), "errors": errors(folder)}


def full(folder: Path) -> dict[str, Any]:
    """A disk that takes no file beyond some size."""
    results = {}
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for room in (0, 5, 40, 200):
        place = folder / str(room)

        def before(size: int = room * 1024) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

        def after() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

        code = wait(child(place, logged=False, before=before, after=after))
        results[str(room)] = {"code": code, **report(place), "stored": len(stored(place)), "errors": errors(place)}
    return results


def read_only(folder: Path) -> dict[str, Any]:
    """A folder that may not be written: with a part of the answers, and with none."""
    with AnswerCache(folder / "some", warn=sys.exit) as cache:
        for question in QUESTIONS[:50]:
            cache.keep(SlowReader.fingerprint, SlowReader.name, question, right(question))
    results = {}
    for name in ("some", "none"):
        place = folder / name
        place.mkdir(exist_ok=True)
        (place / "report.json").touch()  # may not be made later

        def before(place: Path = place) -> None:
            for file in place.glob("answers*"):
                file.chmod(0o444)
            place.chmod(0o555)
            drop_privileges()

        code = wait(child(place, logged=False, before=before))
        place.chmod(0o755)
        results[name] = {"code": code, **report(place), "files": len(list(place.glob("answers*")))}
    return results


def main() -> None:
    folder, *scenarios = sys.argv[1:]
    known = {f.__name__: f for f in (kills, together, interrupt, full, read_only)}
    results: dict[str, Any] = {"questions": len(QUESTIONS)}
    for scenario in scenarios:
        place = Path(folder) / scenario
        place.mkdir()
        results[scenario] = known[scenario](place)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
