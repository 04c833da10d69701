"""The steps of users with the command line, in order: one line each, as README and docs have it.

Nothing of the package is imported here or in the tests beside it: they hold for every way in which it may be built.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """One command, what it is called in `expected/`, and the code it ends with."""

    name: str
    command: str
    code: int = 0


WRITING = [
    Step("demo", "demo --device cpu"),
    Step("demo again", "demo --device cpu --quiet"),
    Step("instructions", "--model minilm --family instructor --task DemoSTS --instructions paper "
         "--instructions template --instructions mine.yaml --device cpu"),
    Step("instructions of two roles", "--model minilm --family instructor --task DemoRetrieval --instructions paper "
         "--instructions template --instructions mine.yaml --limit 20 --device cpu --results limited"),
    Step("variants", "--model minilm --task DemoSTS --task DemoRetrieval --variant fp32,fp32@64 "
         "--embedding float32,binary --device cpu"),
    Step("searches", "--model minilm --task DemoRetrieval --search exact --search faiss:Flat --device cpu "
         "--results searched"),
    Step("selections", "--task DemoPrompts --selection bm25 --selection random --device cpu"),
    Step("own tasks", "--model minilm --task tickets.yaml --task pairs.yaml --device cpu --results own"),
    Step("limited", "--model minilm --task DemoSTS --limit 50 --device cpu --results limited"),
    Step("one task fails", "--model minilm --task broken.yaml --task DemoBillboard --device cpu --results failed", 2),
    Step("baseline set", "baseline set minilm@fp32:none --name main"),
    Step("baseline pin", "baseline pin main"),
    Step("gate passes", "gate --candidate minilm@fp32:none --baseline minilm@fp32:none --output gate/same"),
    Step("gate regressed", "gate --candidate minilm@fp32@64:none --baseline minilm@fp32:none --output gate/cut", 1),
    Step("gate against a baseline", "gate --candidate minilm@fp32+binary:none --gate quality --output gate/main", 1),
    Step("gate not comparable", "gate --candidate own --baseline minilm@fp32:none --output gate/own", 4),
    Step("report", "report -o report.html --gate gate/cut/gate.json"),
]  # fmt: skip
READING = [
    Step("tasks", "tasks"),
    Step("tasks of a benchmark", "tasks --benchmark billboard"),
    Step("one task", "tasks ArguAna --model hkunlp/instructor-large"),
    Step("one task as JSON", "tasks DemoRetrieval --format json"),
    Step("models", "models"),
    Step("numeric forms", "variants"),
    Step("leaderboard", "leaderboard"),
    Step("leaderboard beside a baseline", "leaderboard --baseline minilm@fp32:none"),
    Step("leaderboard as Markdown", "leaderboard --format md"),
    Step("leaderboard as CSV", "leaderboard --format csv"),
    Step("leaderboard as JSON", "leaderboard --format json"),
    Step("leaderboard as LaTeX", "leaderboard --format latex"),
    Step("leaderboard without intervals", "leaderboard --no-intervals --no-published"),
    Step("leaderboard of own tasks", "leaderboard --results own"),
    Step("leaderboard with a failed task", "leaderboard --results failed"),
    Step("published scores", "leaderboard --benchmark mteb --results none-yet", 2),
    Step("compare variants", "compare minilm@fp32:none minilm@fp32@64:none minilm@fp32+binary:none"),
    Step("compare two", "compare minilm@fp32:none minilm@fp32@64:none --items 3"),
    Step("compare as JSON", "compare minilm@fp32:none minilm@fp32@64:none --format json"),
    Step("compare what shares no task", "compare own failed", 4),
    Step("baselines", "baseline show"),
    Step("one baseline", "baseline show main"),
    Step("validate cards", "validate tickets.yaml pairs.yaml"),
    Step("validate a broken card", "validate broken.yaml", 2),
    Step("validate results", "validate --results results"),
    Step("plan", "plan --model minilm --task DemoSTS --task DemoRetrieval --device cpu"),
    Step("cache info", "cache info"),
    Step("cache verify", "cache verify"),
    Step("unknown task", "--model minilm --task ArguAn", 2),
    Step("unknown model", "--model no/such/model --task DemoSTS", 2),
    Step("misspelt flag", "leaderboard --fromat md", 2),
    Step("unknown command", "leaderbord", 2),
    Step("no results", "leaderboard --results nowhere", 2),
    Step("unknown side", "compare minilm@fp32:none absent", 2),
]  # fmt: skip
HELP = [Step(f"help of {name or 'evaluate'}".strip(), f"{name} --help".strip()) for name in (
    "", "tasks", "models", "measure", "variants", "leaderboard", "report", "compare", "gate", "baseline set", "plan",
    "validate", "cache prune", "demo", "export", "import", "train", "overlap", "study instructions",
    "completion",
)]  # fmt: skip
_TICKETS = {
    "tickets.yaml": """\
        name: Tickets
        type: Retrieval
        data: tickets
        instructions:
          query: "Represent the support question for retrieving the article that answers it: "
          document: "Represent the support article for retrieval: "
        """,
    "tickets/corpus.jsonl": [
        {"_id": "a1", "title": "Resetting a password", "text": "Choose Forgotten on the sign-in page."},
        {"_id": "a2", "title": "Changing the invoice address", "text": "Open Billing, then Address."},
        {"_id": "a3", "title": "Exporting data", "text": "Under Settings choose Export; it takes an hour."},
    ],
    "tickets/queries.jsonl": [
        {"_id": "q1", "text": "I can no longer log in"},
        {"_id": "q2", "text": "our company has moved, the bills must go elsewhere"},
    ],
    "tickets/qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\ta1\t1\nq2\ta2\t1\n",
    "pairs.yaml": "name: Pairs\ntype: STS\ndata: pairs\ntemplate:\n  domain: support\n",
    "pairs/test.csv": "sentence1,sentence2,score\n" + "".join(
        f"the {a} is late,the {b} has not come,{score}\n"
        for a, b, score in (("train", "train", 5), ("bus", "coach", 4), ("cat", "invoice", 0), ("boat", "ship", 4),
                            ("plane", "password", 1), ("letter", "mail", 3))
    ),
    "broken.yaml": "name: Broken\ntype: STS\ndata: broken\ntemplate:\n  domain: support\n",
    "broken/test.csv": "sentence1,sentence2,score\na,b,high\n",
    "mine.yaml": "DemoSTS: 'sentence: '\nDemoRetrieval:\n  query: 'question: '\n  document: 'passage: '\n",
}  # fmt: skip


def write_files(folder: Path, files: Mapping[str, str | list[dict[str, str]]] = _TICKETS) -> None:
    """Write what the story's commands read."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            text = "".join(json.dumps(row) + "\n" for row in content)
        else:
            text = "\n".join(line.removeprefix("        ") for line in content.split("\n"))
        path.write_text(text)
