"""The costs of common commands before they do anything: CPU seconds, wall time, modules imported.

    python benchmarks/start.py [--rounds 3]

A results folder is made first (DemoSTS and DemoRetrieval with the embedded model, two variants). Each command is a
process of its own, `rounds` times, the commands in turns; the median is shown. CPU seconds bear other work on the
machine better than wall time does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = {
    "help": ["--help"],
    "tasks": ["tasks"],
    "leaderboard": ["leaderboard", "--results", "results"],
    "compare": ["compare", "minilm", "minilm@int8", "--results", "results"],
    "gate": ["gate", "--baseline", "minilm", "--candidate", "minilm@int8", "--results", "results"],
    "report": ["report", "--results", "results", "--output", "page.html"],
    "validate": ["validate", "--results", "results"],
    "no such task": ["--model", "minilm", "--task", "NoSuchTask"],
    "no such folder": ["--model", "./nowhere", "--task", "DemoSTS"],
    "no such baseline": ["gate", "--baseline", "nothing", "--candidate", "minilm", "--results", "results"],
    "all filed": ["--model", "minilm", "--task", "DemoSTS", "--results", "results"],
    "all cached": ["--model", "minilm", "--task", "DemoSTS", "--results", "fresh", "--cost", "off"],
}
_COUNT = (
    "import sys, atexit; atexit.register(lambda: print(len(sys.modules), 'torch' in sys.modules, file=sys.stderr));"
)
_RUN = "import runpy; sys.argv[0] = 'evaluate'; from instructor_eval.cli.main import entry; entry()"


def call(arguments: list[str], folder: Path) -> tuple[float, float, str]:
    """Run a command; return its CPU seconds, wall seconds, and number of modules."""
    if "fresh" in arguments:
        subprocess.run(["rm", "-rf", str(folder / "fresh")], check=True)
    environment = os.environ | {"INSTRUCTOR_EVAL_CACHE": str(folder / "cache")}
    before, start = os.times(), time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", _COUNT + _RUN, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    wall, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used, wall, ended.stderr.strip().rsplit("\n", 1)[-1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        tasks = ["--task", "DemoSTS", "--task", "DemoRetrieval"]
        call(["--model", "minilm", *tasks, "--variant", "fp32,int8", "--results", "results", "--cost", "off"], folder)
        found: dict[str, list[tuple[float, float, str]]] = {name: [] for name in COMMANDS}
        for _ in range(rounds):
            for name, arguments in COMMANDS.items():
                found[name].append(call(arguments, folder))
    print(f"{'command':18} {'CPU s':>7} {'wall s':>7} {'modules':>8}  torch")
    for name, calls in found.items():
        cpu, wall = (statistics.median(c[i] for c in calls) for i in (0, 1))
        modules, torch = ([*calls[0][2].split(), "?"])[:2]
        print(f"{name:18} {cpu:7.2f} {wall:7.2f} {modules:>8}  {'yes' if torch == 'True' else 'no'}")


if __name__ == "__main__":
    main()
