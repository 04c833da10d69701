"""Four people with one purpose each: what they type, in order, and the lines that tell them they got there.

They come after the story (`story.py`), in its folder: nothing is embedded that is not cached.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Typed:
    """One command, what must stand in its output, and the code it ends with."""

    command: str
    lines: tuple[str, ...]
    code: int = 0


PERSONAS = {
    "choosing a model": [
        Typed("tasks --domain medical --type STS", ("BIOSSES", "1 mteb")),
        Typed("run --model all-MiniLM-L6-v2 --task DemoSTS,DemoRetrieval --variant fp32,fp32@64 --device cpu",
              ("DemoRetrieval [none, fp32@64] ndcg_at_10 65.79", "4 reused", "└ fp32@64",
               "fp32@64: 6.0x smaller index, -10.57 points")),
        Typed("compare minilm@fp32:none minilm@fp32@64:none", ("all tasks (2)", "▼", "won/tied/lost")),
        Typed("report --baseline minilm@fp32:none -o chosen.html", ("chosen.html: ",)),
    ],
    "a gate in CI": [
        Typed("gate --candidate minilm@fp32:none --baseline baseline:none-yet --allow-no-baseline --json",
              ('"verdict": "UNTESTED"', '"exit_code": 0')),
        Typed("baseline set minilm@fp32:none --name release --note first", ("baseline release is now ",)),
        Typed("gate --candidate minilm@fp32:none --baseline baseline:release", ("OK: macro mean +0.00 points",)),
        Typed("gate --candidate minilm@fp32@64:none --baseline baseline:release --intersect --json",
              ('"verdict": "REGRESSED"', '"exit_code": 1'), 1),
        Typed("gate --candidate minilm@fp32:none --baseline baseline:release --self-test", ("self-test passed",), 1),
    ],
    "a researcher": [
        Typed("tasks ArguAna", ("'Represent a Counter-argument: ' (instructor-large)", "mteb/arguana at ")),
        Typed("leaderboard --format latex --no-published", ("\\begin{tabular}", "\\bottomrule")),
        Typed("leaderboard --json --no-published --no-intervals", ('"instructions": "paper"', '"DemoSTS": 0.7')),
        Typed("validate --results results", (" good, 0 failed runs, 0 with errors",)),
        Typed("export minilm@fp32:none --format model-index", ("model-index:", "- name: all-MiniLM-L6-v2")),
    ],
    "own data": [
        Typed("init tickets -o mine-too.yaml", ("mine-too.yaml",)),
        Typed("validate mine-too.yaml", ("1 good, 0 with errors",)),
        Typed("run --model minilm --task mine-too.yaml,pairs.yaml --device cpu --results own-too",
              ("tickets", "2 run, 0 reused, 0 failed; results in own-too")),
        Typed("leaderboard --results own-too --task mine-too.yaml", ("all-MiniLM-L6-v2", "of every row: none.")),
        Typed("run --model minilm --task pears.yaml --results own-too", ("pears.yaml: no such card",), 2),
    ],
}  # fmt: skip
