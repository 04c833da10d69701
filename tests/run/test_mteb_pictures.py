"""mteb's own tasks of pictures by name: scores equal mteb's on a made mirror, and what is not run is one line."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_pictures
import made_up
import mteb
import pytest
from datasets import ClassLabel, Dataset
from datasets import Image as ImageFeature
from differential import transformers_made
from mteb_clip import MtebClip

from instructor_eval.results.repeat import command_of
from instructor_eval.results.store import Store, read_items

RUN = ("--device", "cpu", "--cost", "off", "--hub", "hub")
TEXTS = ["a photo of a cat", "two red circles", "the river and the city by night", "a wave", "three small squares"]
NAMES = ["bird", "car", "cat"]


def data(number: int) -> dict[str, Any]:
    file = io.BytesIO()
    made_pictures.picture(number).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def write(rows: dict[str, list[Any]], path: Path, **features: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Dataset.from_dict(rows)
    for name, feature in features.items():
        made = made.cast_column(name, feature)
    made.to_parquet(path)


def retrieval(folder: Path, category: str, *, filler: bool = False) -> None:
    """Write a retrieval data set; with `filler`, a column of the other kind, empty, as many on the hub have it."""
    pictures = {"id": [f"p{i}" for i in range(30)], "image": [data(i) for i in range(30)]}
    texts = {"id": [f"t{i}" for i in range(20)], "text": [f"{TEXTS[i % 5]} number {i}" for i in range(20)]}
    if filler:
        pictures["text"], pictures["modality"] = [""] * 30, ["image"] * 30
    queries, corpus = {"t2i": (texts, pictures), "i2t": (pictures, texts)}[category]
    for name, rows in (("queries", queries), ("corpus", corpus)):
        write(rows, folder / name / "test.parquet", **({"image": ImageFeature()} if "image" in rows else {}))
    pairs = [(q, corpus["id"][(3 * i + k) % len(corpus["id"])]) for i, q in enumerate(queries["id"]) for k in range(2)]
    judged = {"query-id": [q for q, _ in pairs], "corpus-id": [d for _, d in pairs], "score": [1] * len(pairs)}
    write(judged, folder / "qrels" / "test.parquet")
    places = {name: {"test": f"{name}/test.parquet"} for name in ("queries", "corpus", "qrels")}
    made_up.configs(folder, **places)


def classes(folder: Path, column: str = "image") -> None:
    rows = {column: [data(i) for i in range(24)], "label": [(i * 7) % 3 for i in range(24)]}
    write(rows, folder / "test.parquet", **{column: ImageFeature(), "label": ClassLabel(names=NAMES)})


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "clip"
    folder.mkdir()
    transformers_made.clip(folder, seed=4)
    return folder


def of_mteb(name: str, folder: Path, clip: Path) -> Any:
    """The scores that mteb itself computes on the mirror."""
    task = mteb.get_task(name)
    where = {**task.metadata.dataset, "path": str(folder.resolve()), "revision": "local"}
    task.metadata = task.metadata.model_copy(update={"dataset": where})
    task.load_data()
    return task.evaluate(
        MtebClip(clip, "{}"), split="test", subsets_to_run=["default"], encode_kwargs={"batch_size": 16}
    )["default"]


def score_of(folder: Path, task: str) -> Any:
    [score] = [s for s in Store(folder / "results").scores() if s.task == task]
    return score


@pytest.mark.parametrize(
    ("name", "category", "filler"),
    [
        ("Flickr30kT2IRetrieval", "t2i", False), ("Flickr30kT2IRetrieval", "t2i", True),
        ("Flickr30kI2TRetrieval", "i2t", False), ("ImageCoDeT2IRetrieval", "t2i", False),
    ],
)  # fmt: skip
def test_retrieval_equals_mtebs(
    cli: Callable[..., Any], tmp_path: Path, clip: Path, name: str, category: str, filler: bool
) -> None:
    folder = tmp_path / "hub" / "datasets" / mteb.get_task(name).metadata.dataset["path"]
    retrieval(folder, category, filler=filler)
    done = cli("--model", f"hf-clip:{clip}", "--task", f"mteb:{name}", *RUN)
    assert done.code == 0, done.out + done.err
    score, wanted = score_of(tmp_path, name), of_mteb(name, folder, clip)
    assert (score.type, score.benchmark, score.metric) == ("ImageTextRetrieval", "mteb-pictures", wanted_metric(name))
    for figure in (score.metric, "recall_at_1", "recall_at_5", "recall_at_10", "ndcg_at_10", "map_at_10"):
        assert score.metrics.get(figure, score.score) == pytest.approx(wanted[figure], abs=1e-12), figure
    assert score.score == pytest.approx(wanted[score.metric], abs=1e-12)
    assert 0 < wanted["recall_at_10"] < 1
    assert cli("validate", "--results", "results").code == 0
    assert command_of(score)[command_of(score).index("--task") + 1] == f"mteb:{name}"


def wanted_metric(name: str) -> str:
    main = mteb.get_task(name).metadata.main_score
    return main if main.startswith(("ndcg", "map", "recall", "precision")) else "ndcg_at_10"


@pytest.mark.filterwarnings("ignore:.*ill-defined")  # of mteb's precision: a class that nothing is taken for
@pytest.mark.parametrize(("name", "column"), [("STL10ZeroShot", "image"), ("CIFAR10ZeroShot", "img")])
def test_zero_shot_equals_mtebs(cli: Callable[..., Any], tmp_path: Path, clip: Path, name: str, column: str) -> None:
    folder = tmp_path / "hub" / "datasets" / mteb.get_task(name).metadata.dataset["path"]
    classes(folder, column)
    done = cli("--model", f"hf-clip:{clip}", "--task", f"mteb:{name}", *RUN)
    assert done.code == 0, done.out + done.err
    score, wanted = score_of(tmp_path, name), of_mteb(name, folder, clip)
    assert score.score == wanted["accuracy"]
    assert 0 < wanted["accuracy"] < 1
    [path] = (tmp_path / "results" / "scores").rglob(f"*.{score.identity}.parquet")
    items = read_items(path, score)
    assert items["gold"] == [f"a photo of a {NAMES[(i * 7) % 3]}." for i in range(24)]
    assert len({row[0] for row in items["predictions"]}) > 1
    limited = cli("--model", f"hf-clip:{clip}", "--task", f"mteb:{name}", "--limit", "5", "--results", "few", *RUN)
    assert limited.code == 0, limited.out + limited.err
    [few] = Store(tmp_path / "few").scores()
    assert few.n_items == 5


def test_a_plan_counts_and_a_text_model_is_one_line_before_any_data_is_read(
    cli: Callable[..., Any], tmp_path: Path, clip: Path
) -> None:
    classes(tmp_path / "hub" / "datasets" / "mteb" / "stl10")
    given = ("--task", "mteb:STL10ZeroShot", "--device", "cpu", "--hub", "hub", "--offline")
    planned = cli("plan", "--model", f"hf-clip:{clip}", *given)
    assert planned.code == 0, planned.out + planned.err
    assert "STL10ZeroShot" in planned.out
    assert " 27 " in planned.out  # pictures and labels
    line = "reads texts alone, and STL10ZeroShot is a task of pictures: use a model of texts and pictures"
    done = cli("--model", "minilm", *given, "--cost", "off")
    assert done.code == 2
    assert line in done.out
    assert line in cli("plan", "--model", "minilm", *given).err
    elsewhere = cli("--model", "minilm", "--task", "mteb:STL10ZeroShot", "--offline", "--cost", "off", "--results", "o")
    assert line in elsewhere.out


WORK = "types that work by name are Any2AnyRetrieval, Retrieval, DocumentUnderstanding of t2i, i2t, and Zero"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Flickr30kT2IRetrieva", "mteb has no task 'Flickr30kT2IRetrieva': did you mean Flickr30kT2IRetrieval"),
        ("zzz", f"mteb has no task 'zzz': {WORK}"),
        ("CIFAR10", f"mteb:CIFAR10 is of type ImageClassification, category i2c, of image: {WORK}"),
        ("AmazonPolarityClassification.v2", "is of type Classification, category t2c, of text: types that work"),
        ("CIRRIT2IRetrieval", f"is of type Any2AnyRetrieval, category it2i, of text, image: {WORK}"),
        ("XFlickr30kCoT2IRetrieval", f"is of type Any2AnyMultilingualRetrieval, category t2i, of text, image: {WORK}"),
        ("CUB200I2IRetrieval", f"is of type Any2AnyRetrieval, category i2i, of image: {WORK}"),
        ("STS12VisualSTS", f"is of type VisualSTS(eng), category i2i, of image: {WORK}"),
    ],
)  # fmt: skip
def test_what_is_not_run_is_one_line(cli: Callable[..., Any], clip: Path, name: str, line: str) -> None:
    done = cli("--model", f"hf-clip:{clip}", "--task", f"mteb:{name}", *RUN[:-2])
    assert done.code == 2, done.out + done.err
    assert line in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_name_without_the_prefix_has_a_hint(cli: Callable[..., Any], clip: Path) -> None:
    done = cli("--model", f"hf-clip:{clip}", "--task", "STL10ZeroShot", *RUN[:-2])
    assert done.code == 2
    assert "unknown task 'STL10ZeroShot': mteb has it, as --task mteb:STL10ZeroShot" in done.err


def test_a_shipped_task_by_mtebs_name_is_the_shipped_one(cli: Callable[..., Any], clip: Path) -> None:
    done = cli("plan", "--model", f"hf-clip:{clip}", "--task", "mteb:STSBenchmark", "--offline", "--device", "cpu")
    assert "STSBenchmark" in done.out + done.err
    assert "no task" not in done.out + done.err


def test_data_that_is_broken_is_one_line(cli: Callable[..., Any], tmp_path: Path, clip: Path) -> None:
    run = ("--model", f"hf-clip:{clip}", *RUN, "--task")
    folder = tmp_path / "hub" / "datasets" / "mteb" / "stl10"
    write({"image": ["a.png"] * 4, "label": [0, 1, 0, 1]}, folder / "test.parquet", label=ClassLabel(names=NAMES))
    done = cli(*run, "mteb:STL10ZeroShot")
    assert done.code == 2
    assert "instead of pictures in column 'image'" in done.out
    rows = {"image": [data(0), {"bytes": b"no picture", "path": None}] * 2, "label": [0, 1, 0, 1]}
    write(rows, folder / "test.parquet", image=ImageFeature(), label=ClassLabel(names=NAMES))
    done = cli(*run, "mteb:STL10ZeroShot")
    assert "image of row 2 is no picture of a known format" in done.out
    folder = tmp_path / "hub" / "datasets" / "mteb" / "flickr30kt2i"
    retrieval(folder, "i2t")  # turned round
    done = cli(*run, "mteb:Flickr30kT2IRetrieval")
    assert done.code == 2
    assert "Traceback" not in done.out + done.err
    assert "no column 'text' in queries" in done.out
