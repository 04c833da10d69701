"""The plan of a run: models x instruction sets x tasks, and the baselines that use no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import tiny

from instructor_eval.core.errors import UserError
from instructor_eval.results.store import Store
from instructor_eval.run.plan import Planned, Request, plan_run, without_model
from instructor_eval.search.spec import EXACT_SEARCH, SearchSpec
from instructor_eval.tasks import protocol
from instructor_eval.tasks.cards import select, shipped_cards
from instructor_eval.tasks.instructions import parse_set
from instructor_eval.tasks.task import SIMILAR, RunSettings, Selection

BM25, RANDOM, RANDOM_7 = Selection("bm25"), Selection("random"), Selection("random", 7)
PROMPTED = ["RTE", "DemoPrompts"]
MIXED = ["DemoSTS", *PROMPTED]

Plan = Callable[..., tuple[list[Planned], list[str]]]


@pytest.fixture(scope="module")
def instructor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.build_instructor(tmp_path_factory.mktemp("instructor") / "tiny-instructor")
    (folder / "README.md").write_text("# hkunlp/instructor-large\n")
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_plain(tmp_path_factory.mktemp("plain") / "tiny-plain")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    def go(
        models: list[Path],
        tasks: list[str],
        *selections: Selection,
        sets: tuple[str, ...] = ("paper",),
        searches: Sequence[SearchSpec] = (EXACT_SEARCH,),
    ) -> tuple[list[Planned], list[str]]:
        lines: list[str] = []
        request = Request(
            models=[str(m) for m in models],
            cards=select(tasks),
            instruction_sets=[parse_set(s, set(shipped_cards())) for s in sets],
            settings=RunSettings(protocol=protocol.parse([]), offline=True),
            store=Store(tmp_path / "results"),
            device="cpu",
            selections=selections or (SIMILAR,),
            searches=searches,
        )
        return plan_run(request, lines.append), lines

    return go


def rows(planned: list[Planned]) -> list[tuple[str, str, str, list[str]]]:
    return [(Path(p.model.name).name, p.set_name, p.selection.name, [c.name for c in p.cards]) for p in planned]


def test_models_by_sets_by_tasks(plan: Plan, instructor: Path, plain: Path) -> None:
    planned, lines = plan([instructor, plain], MIXED, sets=("paper", "template", "none"))
    # A plain model takes no instructions: its three sets are one.
    assert rows(planned) == [
        ("tiny-instructor", "paper", "similar", MIXED),
        ("tiny-instructor", "template", "similar", MIXED),
        ("tiny-instructor", "none", "similar", MIXED),
        ("tiny-plain", "none", "similar", MIXED),
    ]
    texts = [p.instructions["RTE"]["example"].text for p in planned]
    assert texts == [
        "Represent a Wikipedia sentence; Input: ",
        "Represent the Wikipedia sentence pair for retrieving examples: ",
        "",
        "",
    ]
    assert all(set(p.instructions) == set(MIXED) for p in planned)
    named = [line.partition(" (")[0] for line in lines if not line.startswith("  ")]
    assert named == [f"model {instructor}", f"model {plain}"]


def test_sets_that_come_to_the_same_are_named(plan: Plan, instructor: Path, plain: Path) -> None:
    _, lines = plan([instructor, plain], MIXED, sets=("paper", "paper:hkunlp/instructor-base", "none"))
    [line] = [line for line in lines if "are the same here" in line]
    assert "paper, paper:hkunlp/instructor-base, none" in line
    assert "family plain takes none" in line
    assert lines.index(line) > next(i for i, given in enumerate(lines) if "tiny-plain" in given)


def test_the_model_line_has_pooling_dim_maximum_and_library(plan: Plan, plain: Path) -> None:
    _, lines = plan([plain], MIXED)
    assert lines[0].endswith("; pooling mean, 32 values, at most 128 tokens, computed here")


def test_one_model_has_one_checkpoint_whatever_its_rows(plan: Plan, instructor: Path) -> None:
    planned, lines = plan([instructor, instructor], MIXED, sets=("paper", "none"))
    assert len(planned) == 2
    assert planned[0].checkpoint is planned[1].checkpoint is not None
    assert len(lines) == 1


def test_selections_without_a_model_come_last_and_once(plan: Plan, instructor: Path, plain: Path) -> None:
    planned, lines = plan([instructor, plain], MIXED, BM25, SIMILAR, RANDOM_7, sets=("paper", "none"))
    assert rows(planned) == [
        ("tiny-instructor", "paper", "similar", MIXED),
        ("tiny-instructor", "none", "similar", MIXED),
        ("tiny-plain", "none", "similar", MIXED),
        ("bm25 demonstrations", "none", "bm25", PROMPTED),
        ("random:7 demonstrations", "none", "random:7", PROMPTED),
    ]
    for planned_one in planned[3:]:
        assert planned_one.checkpoint is None
        assert {name: list(roles) for name, roles in planned_one.instructions.items()} == {
            "RTE": ["example"],
            "DemoPrompts": ["example"],
        }
        assert all(r["example"].text == "" for r in planned_one.instructions.values())
    assert [line.startswith("model ") for line in lines] == [True, True, False]


def test_baselines_alone_need_no_model(plan: Plan) -> None:
    planned, lines = plan([], PROMPTED, BM25, RANDOM)
    assert rows(planned) == [
        ("bm25 demonstrations", "none", "bm25", PROMPTED),
        ("random demonstrations", "none", "random", PROMPTED),
    ]
    assert lines == []


def test_without_similar_a_model_runs_the_other_tasks_only(plan: Plan, instructor: Path) -> None:
    planned, _ = plan([instructor], MIXED, BM25, sets=("paper", "none"))
    assert rows(planned) == [
        ("tiny-instructor", "paper", "similar", ["DemoSTS"]),
        ("tiny-instructor", "none", "similar", ["DemoSTS"]),
        ("bm25 demonstrations", "none", "bm25", PROMPTED),
    ]
    assert all(set(p.instructions) == {"DemoSTS"} for p in planned[:2])


def test_a_baseline_without_prompt_retrieval_tasks_is_no_row(plan: Plan, plain: Path) -> None:
    planned, _ = plan([plain], ["DemoSTS"], SIMILAR, BM25)
    assert rows(planned) == [("tiny-plain", "none", "similar", ["DemoSTS"])]


def test_a_whole_has_no_instructions_of_its_own(plan: Plan, plain: Path) -> None:
    [planned], _ = plan([plain], ["CQADupstackRetrieval", "RTE"])
    assert len(planned.cards) == 14
    assert set(planned.instructions) == {c.name for c in planned.cards} - {"CQADupstackRetrieval"}


@pytest.mark.parametrize(
    ("searches", "expected"),
    [
        (["exact"], [("fp32", [*MIXED, "DemoRetrieval"])]),
        (["faiss:Flat"], [("fp32", MIXED), ("fp32/faiss:Flat", ["DemoRetrieval"])]),
        (
            ["milvus", "exact", "faiss:Flat"],
            [("fp32", [*MIXED, "DemoRetrieval"]), ("fp32/milvus", ["DemoRetrieval"]),
             ("fp32/faiss:Flat", ["DemoRetrieval"])],
        ),
    ],
)  # fmt: skip
def test_each_search_is_a_row_of_the_retrieval_tasks(
    plan: Plan, plain: Path, searches: list[str], expected: list[tuple[str, list[str]]]
) -> None:
    planned, _ = plan([plain], [*MIXED, "DemoRetrieval"], searches=[SearchSpec.parse(text) for text in searches])
    assert [(p.label, sorted(c.name for c in p.cards)) for p in planned] == [(v, sorted(t)) for v, t in expected]
    assert [str(p.settings["search"] or "exact") for p in planned] == [
        v.partition("/")[2] or "exact" for v, _ in expected
    ]


def test_a_store_alone_with_retrieval_alone_is_one_row(plan: Plan, plain: Path) -> None:
    [planned], _ = plan([plain], ["DemoRetrieval"], searches=[SearchSpec.parse("lancedb")])
    assert planned.label == "fp32/lancedb"


def test_a_model_alone_that_cannot_be_had_ends_the_plan(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no-such-model"):
        plan([tmp_path / "no-such-model"], MIXED)


def test_what_stands_in_a_models_place(plan: Plan) -> None:
    found = [without_model(s) for s in (BM25, RANDOM, RANDOM_7)]
    assert [b.name for b in found] == ["bm25 demonstrations", "random demonstrations", "random:7 demonstrations"]
    assert len({b.fingerprint for b in found}) == 3
    for one in found:
        assert (one.variant, one.family, one.revision, one.dim) == ("fp32", "plain", "", 0)
    [planned], _ = plan([], PROMPTED, RANDOM_7)
    assert planned.model == found[2]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_models_row_says_its_numeric_form(dtype: str, plain: Path, tmp_path: Path) -> None:
    request = Request(
        models=[str(plain)],
        cards=select(["DemoPrompts"]),
        instruction_sets=[parse_set("none", set())],
        settings=RunSettings(protocol=protocol.parse([]), offline=True),
        store=Store(tmp_path),
        device="cpu",
        stored=dtype,
        selections=(SIMILAR, BM25),
    )
    model, without = plan_run(request, print)
    assert model.model.variant == {"float32": "fp32", "float16": "fp32+float16"}[dtype]
    assert without.model.variant == "fp32"
