"""Runs over pictures: scores equal mteb's, each picture is encoded once, a text model gets one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_pictures
import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from datasets import Image as ImageFeature
from differential import transformers_made
from mteb import abstasks
from mteb.abstasks.task_metadata import TaskMetadata
from mteb_clip import MtebClip

from instructor_eval.cache.vectors import keys_of
from instructor_eval.core.paths import shipped
from instructor_eval.core.pictures import Picture
from instructor_eval.results.store import Store, read_items

DEMO = shipped("tasks") / "demo" / "pictures"
TWINS = "name: Twins\ntype: ZeroShotClassification\ndata: .\ninstructions: {text: 'a {}'}\n"
RUN = ("--device", "cpu", "--cost", "off")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "clip"
    folder.mkdir()
    transformers_made.clip(folder, seed=4)  # of few that do not call every drawing the same
    return folder


def metadata(kind: str, category: str, score: str) -> TaskMetadata:
    unsaid = ("reference", "date", "domains", "task_subtypes", "license", "annotations_creators", "dialect",
              "sample_creation", "bibtex_citation")  # fmt: skip
    return TaskMetadata(
        name="Mirror", description="The same data.", dataset={"path": "own/own", "revision": "1"}, type=kind,
        category=category, modalities=["image", "text"], eval_splits=["test"], eval_langs=["eng-Latn"],
        main_score=score, **dict.fromkeys(unsaid),
    )  # fmt: skip


def evaluated(task: Any, model: Any) -> dict[str, float]:
    task.data_loaded = True
    return task.evaluate(model, split="test", subsets_to_run=["default"], encode_kwargs={"batch_size": 16})["default"]


@pytest.fixture(scope="module")
def captions() -> list[dict[str, str]]:
    return [json.loads(line) for line in (DEMO / "captions.jsonl").read_text().splitlines()]


def score_of(folder: Path, task: str) -> Any:
    [score] = [s for s in Store(folder / "results").scores() if s.task == task]
    return score


@pytest.mark.parametrize(("task", "category"), [("DemoPictures", "t2i"), ("DemoPictureCaptions", "i2t")])
def test_retrieval_scores_equal_mtebs(
    cli: Callable[..., Any], tmp_path: Path, clip: Path, captions: list[dict[str, str]], task: str, category: str
) -> None:
    done = cli("--model", f"hf-clip:{clip}", "--task", task, *RUN)
    assert done.code == 0, done.out + done.err
    score = score_of(tmp_path, task)
    names = sorted({row["image"] for row in captions})
    pictures = Dataset.from_dict({"id": names, "image": [str(DEMO / name) for name in names]})
    pictures = pictures.cast_column("image", ImageFeature())
    texts = Dataset.from_dict({"id": [f"c{i}" for i in range(len(captions))], "text": [r["caption"] for r in captions]})
    corpus, queries = (pictures, texts) if category == "t2i" else (texts, pictures)
    qrels: dict[str, dict[str, int]] = {}
    for i, row in enumerate(captions):
        pair = (f"c{i}", row["image"]) if category == "t2i" else (row["image"], f"c{i}")
        qrels.setdefault(pair[0], {})[pair[1]] = 1
    kind = type(
        "Mirror", (abstasks.AbsTaskRetrieval,), {"metadata": metadata("Any2AnyRetrieval", category, "ndcg_at_10")}
    )
    mirror = kind()
    mirror.dataset = {
        "default": {"test": {"corpus": corpus, "queries": queries, "relevant_docs": qrels, "top_ranked": None}}
    }
    wanted = evaluated(mirror, MtebClip(clip, "a drawing of {}"))
    assert score.score == pytest.approx(wanted["ndcg_at_10"], abs=1e-12)
    for figure in ("recall_at_1", "recall_at_5", "recall_at_10", "ndcg_at_10", "map_at_10"):
        assert score.metrics[figure] == pytest.approx(wanted[figure], abs=1e-12), figure
    assert 0 < wanted["recall_at_10"] < 1


@pytest.mark.filterwarnings("ignore:.*ill-defined")  # of mteb's precision: a class that nothing is taken for
def test_zero_shot_accuracy_equals_mtebs(cli: Callable[..., Any], tmp_path: Path, clip: Path) -> None:
    done = cli("--model", f"hf-clip:{clip}", "--task", "DemoShapes", *RUN)
    assert done.code == 0, done.out + done.err
    rows = [line.split(",") for line in (DEMO / "test.csv").read_text().splitlines()[1:]]
    labels = sorted({label for _, label in rows})
    data = Dataset.from_dict({"image": [str(DEMO / n) for n, _ in rows], "label": [labels.index(x) for _, x in rows]})

    class Mirror(abstasks.AbsTaskZeroShotClassification):
        metadata = metadata("ZeroShotClassification", "i2t", "accuracy")
        seen: Any = None

        def get_candidate_labels(self) -> list[str]:
            return labels

        def _calculate_scores(self, gold: Any, probs: Any) -> Any:
            Mirror.seen = probs.argmax(1)
            return super()._calculate_scores(gold, probs)

    mirror = Mirror()
    mirror.dataset = DatasetDict({"test": data.cast_column("image", ImageFeature())})
    wanted = evaluated(mirror, MtebClip(clip, "a drawing of a {}"))
    score = score_of(tmp_path, "DemoShapes")
    assert score.score == wanted["accuracy"]
    assert len(set(Mirror.seen.tolist())) > 1
    [path] = (tmp_path / "results" / "scores").rglob(f"*.{score.identity}.parquet")
    items = read_items(path, score)
    found = dict(zip(items["id"], (row[0] for row in items["predictions"]), strict=True))
    assert found == {name: labels[place] for (name, _), place in zip(rows, Mirror.seen.tolist(), strict=True)}


def test_a_text_model_gets_one_line_and_the_others_go_on(cli: Callable[..., Any], tmp_path: Path, clip: Path) -> None:
    done = cli("--model", "minilm", "--model", f"hf-clip:{clip}", "--task", "DemoShapes", "--task", "DemoSTS", *RUN)
    [line] = [line for line in done.out.splitlines() if "FAILED" in line]
    assert "DemoShapes" in line
    assert "reads texts alone, and " in line
    assert "use a model of texts and pictures" in line
    scores = Store(tmp_path / "results").scores()
    assert {(s.model.name.startswith("hf-clip:"), s.task, s.status) for s in scores} == {
        (True, "DemoShapes", "ok"), (True, "DemoSTS", "ok"), (False, "DemoSTS", "ok"), (False, "DemoShapes", "failed"),
    }  # fmt: skip


def test_prompts_limits_and_variants(cli: Callable[..., Any], tmp_path: Path, clip: Path) -> None:
    Path("photo.yaml").write_text('default: "a photo of a {}, on white"\n')
    model = ("--model", f"hf-clip:{clip}", "--task", "DemoShapes", *RUN)
    done = cli(
        *model, "--limit", "8", "--instructions", "paper", "--instructions", "photo.yaml", "--instructions", "none"
    )
    assert done.code == 0, done.out + done.err
    scores = {s.instructions.set: s for s in Store(tmp_path / "results").scores()}
    assert {name: s.instructions.roles["text"].text for name, s in scores.items()} == {
        "own": "a drawing of a {}", "photo": "a photo of a {}, on white", "none": "",
    }  # fmt: skip
    assert all(s.n_items == 8 for s in scores.values())
    planned = cli("plan", *model, "--task", "DemoPictures", "--no-calibration", "--format", "json")
    assert planned.code == 0, planned.out + planned.err
    assert [(row["task"], row["texts"]) for row in json.loads(planned.out)["tasks"]] == [
        ("DemoShapes", 204), ("DemoPictures", 600),
    ]  # fmt: skip
    done = cli(
        *model, "--task", "DemoPictures", "--variant", "bf16", "--variant", "fp32+int8", "--variant", "fp32+binary"
    )
    assert done.code == 0, done.out + done.err
    done = cli(*model, "--variant", "onnx-int8")
    assert (done.code, done.out) == (2, "")
    assert "variant onnx-int8 is not possible for " in done.err
    assert cli("validate", "--results", "results").code == 0


def test_a_picture_is_encoded_once_whatever_its_name(cli: Callable[..., Any], tmp_path: Path, clip: Path) -> None:
    for name in ("test/a/1.png", "test/a/2.png", "test/b/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        made_pictures.picture(7 if "a" in name else 8).save(tmp_path / name)
    (tmp_path / "card.yaml").write_text(TWINS)
    shutil.rmtree(tmp_path / "results", ignore_errors=True)
    run = ("--model", f"hf-clip:{clip}", "--task", "card.yaml", "--cache", "cache", *RUN)
    assert cli(*run).code == 0
    counts = score_of(tmp_path, "Twins").counts
    assert (counts.texts, counts.unique, counts.hits) == (5, 4, 0)
    shutil.rmtree(tmp_path / "results")
    (tmp_path / "test" / "b" / "1.png").rename(tmp_path / "test" / "b" / "renamed.png")
    assert cli(*run, "--instructions", "none").code == 0
    counts = score_of(tmp_path, "Twins").counts
    assert (counts.unique, counts.hits) == (4, 2)  # the pictures, under another prompt and name; not the prompts
    shutil.rmtree(tmp_path / "results")
    other = tmp_path / "other"
    shutil.copytree(clip, other)
    processor = json.loads((other / "preprocessor_config.json").read_text())
    (other / "preprocessor_config.json").write_text(json.dumps({**processor, "image_mean": [0.4, 0.5, 0.5]}))
    assert cli("--model", f"hf-clip:{other}", *run[2:]).code == 0
    assert score_of(tmp_path, "Twins").counts.hits == 0  # another preprocessing is another key


def test_keys_of_pictures_hold_no_instruction_and_are_no_texts(tmp_path: Path) -> None:
    made_pictures.picture(1).save(tmp_path / "a.png")
    picture = Picture.of(tmp_path / "a.png")
    a, b = (keys_of("print", instruction, [picture, "text"]) for instruction in ("", "a {}"))
    assert a[0] == b[0]
    assert a[1] != b[1]
    assert keys_of("other", "", [picture]) != a[:1]
    assert len({*a, *keys_of("print", "", [picture.digest.hex(), picture.name])}) == 4
    assert np.array_equal(keys_of("print", "x", ["ÿ"]), keys_of("print", "x", ["ÿ"]))


def test_one_broken_picture_fails_its_task_in_one_line(cli: Callable[..., Any], tmp_path: Path, clip: Path) -> None:
    for name in ("test/a/1.png", "test/b/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        made_pictures.picture(7).save(tmp_path / name)
    (tmp_path / "test" / "b" / "2.png").write_text("a text")
    (tmp_path / "card.yaml").write_text("name: Broken\ntype: ZeroShotClassification\ndata: .\n")
    done = cli("--model", f"hf-clip:{clip}", "--task", "card.yaml", *RUN)
    assert "FAILED: " in done.out
    assert "test/b/2.png is no picture of a known format (PNG, JPEG" in done.out
    assert "Traceback" not in done.out + done.err
