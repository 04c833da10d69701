"""Threads that ask: all is done, in bounds, errors last, and nothing goes on after the iterator is closed."""

import itertools
import subprocess
import sys
import threading
import time

import pytest
from waiting import LONGEST, wait_for

from instructor_eval.core.crew import Crew


def test_all_is_done_at_most_so_many_at_a_time() -> None:
    now, most, lock = 0, 0, threading.Lock()
    all_four = threading.Barrier(4)

    def work(place: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        all_four.wait(LONGEST)
        with lock:
            now -= 1
        return place * place

    assert sorted(Crew(work, range(3, 43), 4)) == [(n, n * n) for n in range(3, 43)]
    assert most == 4


def test_nothing_to_do() -> None:
    assert list(Crew(lambda place: place, [], 4)) == []


def test_a_slow_consumer_is_not_run_ahead_of() -> None:
    done: list[int] = []
    answers = iter(Crew(lambda place: done.append(place), range(100), 3))
    for taken in range(1, 4):
        next(answers)
        time.sleep(0.05)
        assert len(done) <= taken + 6
    answers.close()


def test_an_error_comes_after_the_results_that_are_there() -> None:
    gate = threading.Event()

    def work(place: int) -> int:
        if place == 0:
            gate.wait(LONGEST)
            raise ValueError("broken")
        if place == 3:
            gate.set()
            time.sleep(0.05)
        return place

    found = []
    with pytest.raises(ValueError, match="broken"):
        for place, _ in Crew(work, range(50), 2):
            found.append(place)
    assert {1, 2} <= set(found)
    assert len(found) < 10


def test_closed_early_its_threads_end() -> None:
    started = itertools.count()
    before = set(threading.enumerate())  # threads of other tests may end meanwhile
    answers = iter(Crew(lambda place: (next(started), time.sleep(0.02)), range(1000), 5))
    next(answers)
    answers.close()
    wait_for(lambda: not set(threading.enumerate()) - before, "its threads end")
    assert next(started) < 20


def test_a_process_does_not_wait_for_them() -> None:
    code = (
        "import time\nfrom instructor_eval.core.crew import Crew\n"
        "answers = iter(Crew(lambda place: place and time.sleep(3600), range(9), 3))\nnext(answers)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=LONGEST)
