"""A command whose flags are wrong leaves nothing behind: no folder, no cache, no failed score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from instructor_eval.core.errors import UnknownNameError
from instructor_eval.run import plan

RUN = "--model minilm --task DemoSTS"
CHUNKS = "study chunks --model minilm --task DemoRetrieval"
STUDY = f"study instructions {RUN} --family prefix"
GATE = "gate --candidate minilm"
PROMPTS = "--model minilm --task DemoPrompts"
TRAIN = "train --model_name_or_path minilm --output_dir out --train_file rows.json"
ON_THE_WAY = f"{TRAIN} --evaluate DemoSTS --evaluate_steps 1"
COMMANDS = [
    f"{RUN} --hub gone", f"{RUN} --hub .", f"{RUN} --task Nope", f"{RUN} --benchmark nope", f"{RUN} --type Nope",
    f"{RUN} --variant int9", f"{RUN} --variant int8 --compile", f"{RUN} --embedding int3", f"{RUN} --truncate-dim 9999",
    f"{RUN} --device gpu9", f"{RUN} --device cuda:77", f"{RUN} --search nope", f"{RUN} --chunk 64",
    f"{RUN} --protocol nope", f"{RUN} --instructions gone.yaml", f"{RUN} --executor nope", f"{RUN} --limit 0",
    f"{RUN} --cache-dtype float16 --variant fp32+int8", f"{RUN} --reader nearest", f"{RUN} --nope",
    f"{RUN} --results rows.json", f"{RUN} --results rows.json/below",
    f"{PROMPTS} --selection nope", f"{PROMPTS} --reader nope", f"{PROMPTS} --reader hf:nope",
    "--model nope --task DemoSTS", "--model ./gone --task DemoSTS", "--model openai:nope --task DemoSTS",
    "--model minilm@main --task DemoSTS", "--model minilm --model ./gone --task DemoSTS",
    "--model minilm,a/b/c --task DemoSTS", "--task DemoSTS", "--model minilm",
    "demo --variant nope", "demo --device gpu9", "demo --results rows.json",
    "measure --model nope", "measure --model minilm --variant nope", "measure --model minilm --variant fp32@9999",
    "measure --model minilm --device gpu9", "measure --model minilm --results rows.json",
    "gate --candidate nope", f"{GATE} --baseline nope", f"{GATE} --thresholds gone.yaml",
    "gate --candidate minilm --report javascript:x", "gate --candidate minilm --results gone",
    "gate --candidate minilm --output out", "gate --candidate minilm --baseline minilm --gate speed --device gpu9",
    "baseline set nope", "baseline set minilm --baselines b", "baseline pin nope", "baseline show nope",
    "baseline show --baselines b", "compare a b", "compare a b --results gone",
    "leaderboard", "leaderboard --results gone", "leaderboard --task Nope", "leaderboard --metric nope",
    "report", "report --results gone", "report -o gone/report.html", "report --gate gone.json", "models --results gone",
    "plan --model nope --task DemoSTS", f"plan {RUN} --hub gone", f"plan {RUN} --variant nope",
    f"plan {RUN} --thresholds gone", f"plan {PROMPTS} --reader nope",
    f"study instructions {RUN} --candidates gone.yaml", "study instructions --model nope --task DemoSTS",
    f"{STUDY} --roles nope", f"{STUDY} --write g/x.yaml",
    f"study instructions {RUN}", f"study chunks {RUN}", "study chunks --model nope --task DemoRetrieval",
    f"{CHUNKS} --sizes 64", f"{CHUNKS} --sizes x",
    f"study domains {RUN} --hub gone", "study domains --model nope --task DemoSTS",
    f"study domains {RUN} --variant nope",
    "study latency --model nope", "study latency --model minilm --device gpu9",
    "study latency --model minilm --vectors x",
    "study nope", TRAIN.replace("rows.json", "gone.json"), TRAIN.replace("minilm", "nope"), f"{TRAIN} --nope 3",
    f"{TRAIN} --num_train_epochs nope", f"{TRAIN} --validation_file gone.json", f"{TRAIN} --evaluate Nope",
    f"{TRAIN} --resume_from_checkpoint gone", f"{ON_THE_WAY} --hub gone", f"{ON_THE_WAY} --instructions gone.yaml",
    f"{ON_THE_WAY} --thresholds gone.yaml", f"{ON_THE_WAY} --best_task Nope",
    "overlap --train gone.json --task DemoSTS --results r", "overlap --train rows.json --task Nope --results r",
    "overlap --train rows.json --task DemoSTS --results r --hub gone",
    "import gone --results r", "import . --results r", "export --format mteb --output out",
    "export nope --format trec --output out --results gone", "export --format mlflow --output out",
    "cache info", "cache verify --cache c", "cache prune --cache c --size 1M", "cache clear --cache c", "cache nope",
    "init gone", "init rows.json -o out/x.yaml", "validate gone.yaml", "validate --results gone", "tasks Nope",
    "variants nope", "nope",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_flag_leaves_nothing(command: str, cli: Any, tmp_path: Path) -> None:
    rows = [
        {"query": ["Say", f"question {n}"], "pos": ["Say", f"answer {n}"], "neg": ["Say", f"no {n}"], "task_name": "t"}
        for n in range(8)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    done = cli(*command.split())
    assert done.code == 2
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["rows.json"]


def test_a_first_gate_that_passes_leaves_nothing(cli: Any, tmp_path: Path) -> None:
    assert cli("gate", "--candidate", "minilm", "--allow-no-baseline").code == 0
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_the_hub_does_not_know_ends_all(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several models one that cannot be had just now is filed as failed; a misspelt one is not."""
    locate = plan.locate

    def found(spec: Any, **how: Any) -> Any:
        if spec.name == "org/mispelt":
            raise UnknownNameError("model org/mispelt is not on the hub, or is private: check the name")
        return locate(spec, **how)

    monkeypatch.setattr(plan, "locate", found)
    done = cli("--model", "minilm", "--model", "org/mispelt", "--task", "DemoSTS")
    assert done.code == 2
    assert "not on the hub" in done.err
    assert list(tmp_path.iterdir()) == []
