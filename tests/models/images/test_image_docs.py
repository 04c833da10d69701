"""The examples of docs/images.md run as they stand there."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_pictures
import pytest

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "images.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
CARDS = dict(re.findall(r"^```yaml file=(\S+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))


def test_there_are_examples() -> None:
    assert (len(PYTHON), sorted(CARDS)) == (2, ["drawings.yaml", "shapes.yaml"])


@pytest.mark.parametrize("code", PYTHON, ids=["encoder", "lancedb"])
def test_the_python_examples_run(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(models / "clip", tmp_path / "models" / "clip-vit-base-patch32")
    for number, name in enumerate(("cat.jpg", "dog.jpg")):
        made_pictures.picture(number).save(name)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "images.md", "exec", dont_inherit=True), names)
    if "pictures" in names:
        assert names["pictures"].shape == names["texts"].shape == (2, 12)
    else:
        assert len(names["table"].search("a dog on a lawn").limit(1).to_list()) == 1


def test_the_cards_run(cli: Callable[..., Any], models: Path, tmp_path: Path) -> None:
    for name, text in CARDS.items():
        Path(name).write_text(text)
    for number, name in enumerate(("drawings/a.png", "shapes/test/n02084071/1.png", "shapes/test/n02121808/1.png")):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        made_pictures.picture(number).save(name)
    Path("drawings/captions.jsonl").write_text('{"image": "a.png", "caption": "a wave"}\n')
    done = cli(
        "--model", f"hf-clip:{models / 'clip'}", *(f for name in CARDS for f in ("--task", name)), "--cost", "off"
    )
    assert done.code == 0, done.out + done.err
    assert "text: 'a photo of a {}.' (card: default)" in done.out
