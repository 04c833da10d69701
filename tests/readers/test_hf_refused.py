"""Models that the reader `hf:` refuses, and the line that says why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
import tiny_lm
from language_models import LINES, QUESTIONS, assert_close, edit, one_line, plain_losses, read
from transformers import AutoModelForCausalLM

from instructor_eval.readers import model_files
from instructor_eval.readers.contract import Question
from instructor_eval.readers.transformers import HfReader


class TestRefused:
    def test_pickled_weights(self, gpt2: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(gpt2, tmp_path / "model")
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with one_line("only pickled weights (pytorch_model.bin)", "name a revision that has safetensors"):
            HfReader(str(folder))

    def test_pickled_weights_on_the_hub(self, gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = shutil.copytree(gpt2, tmp_path / "abc")
        (folder / "model.safetensors").unlink()
        asked = {}

        def snapshot(kind: str, repo: str, revision: str | None, **given: Any) -> Path:
            asked.update(given, kind=kind, repo=repo, revision=revision)
            return folder

        monkeypatch.setattr(model_files, "snapshot", snapshot)
        monkeypatch.setattr(
            model_files, "list_files", lambda *_: ["config.json", "original/x.pth", "pytorch_model.bin"]
        )
        with one_line("reader hf:org/gpt@v1", "only pickled weights (pytorch_model.bin)", "hf:org/name@revision"):
            HfReader("org/gpt@v1")
        assert (asked["kind"], asked["repo"], asked["revision"]) == ("model", "org/gpt", "v1")
        assert not any(pattern.endswith((".bin", ".py", ".pt", "*")) for pattern in asked["wanted"])

    def test_a_snapshot_of_the_hub(self, gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(model_files, "snapshot", lambda *_, **__: shutil.copytree(gpt2, tmp_path / "c0ffee"))
        reader = HfReader("org/gpt@v1", device="cpu")
        assert reader.describe()["revision"] == "c0ffee"
        assert reader.name == "hf:org/gpt@v1"
        assert reader.fingerprint == HfReader(str(gpt2), device="cpu").fingerprint

    def test_no_folder(self, tmp_path: Path) -> None:
        with one_line("no model folder at './missing'"):
            HfReader("./missing")
        with one_line("config.json is missing"):
            HfReader(str(tmp_path))

    def test_an_embedder(self, tmp_path: Path) -> None:
        with one_line("hf:minilm", "embedding model"):
            HfReader("minilm")

    @pytest.mark.parametrize(
        "config",
        [
            {"architectures": ["BertModel"], "model_type": "bert"},
            {"architectures": ["BertForMaskedLM"], "model_type": "bert"},
            {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True},
            {"architectures": ["T5WithLMHeadModel"], "model_type": "t5", "is_encoder_decoder": True},
            {"architectures": ["MPNetModel"], "model_type": "mpnet"},
            {"model_type": "vit"},
            {},
        ],
    )
    def test_no_causal_language_model(self, gpt2: Path, tmp_path: Path, config: dict[str, Any]) -> None:
        folder = shutil.copytree(gpt2, tmp_path / "model")
        (folder / "config.json").write_text(json.dumps(config))
        what = [*config.get("architectures", []), config.get("model_type", "unknown kind")][0]
        with one_line(f"{what} is no causal language model"):
            HfReader(str(folder))

    def test_causal_by_its_type(self, gpt2: Path, tmp_path: Path) -> None:
        """As old uploads are: their weights are those of a language model, their configuration does not say so."""
        folder = shutil.copytree(gpt2, tmp_path / "model")
        edit(folder / "config.json", lambda c: c.pop("architectures"))
        assert_close(read(HfReader(str(folder), device="cpu"), QUESTIONS[:2]), plain_losses(gpt2, QUESTIONS[:2]))

    def test_weights_that_read_backwards(self, tmp_path: Path) -> None:
        sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        folder = tiny_lm.build(tmp_path / "bert", "Bert", **sizes)
        with one_line("is not a causal language model", "with later tokens"):
            list(HfReader(str(folder), device="cpu").read(QUESTIONS))

    def test_weights_that_are_not_whole(self, gpt2: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(gpt2, tmp_path / "model")
        edit(folder / "config.json", lambda c: c.update(n_layer=3))
        with one_line("lacks transformer.h.2."):
            list(HfReader(str(folder), device="cpu").read(QUESTIONS))
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-10])
        with one_line("cut short"):
            HfReader(str(folder))

    def test_a_part_of_the_weights_is_missing(self, gpt2: Path, tmp_path: Path) -> None:
        model = AutoModelForCausalLM.from_pretrained(gpt2)
        folder = shutil.copytree(gpt2, tmp_path / "model")
        (folder / "model.safetensors").unlink()
        model.save_pretrained(folder, max_shard_size="100KB")
        shards = sorted(folder.glob("model-*.safetensors"))
        assert len(shards) > 1
        reader = HfReader(str(folder), device="cpu")
        assert_close(read(reader, QUESTIONS[:2]), plain_losses(gpt2, QUESTIONS[:2]))
        before = reader.fingerprint
        (folder / "consolidated.safetensors").write_bytes(b"a copy that nobody reads")
        assert HfReader(str(folder), device="cpu").fingerprint == before
        shards[1].unlink()
        with one_line(f"{shards[1].name} is missing"):
            HfReader(str(folder))

    def test_no_tokenizer(self, gpt2: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(gpt2, tmp_path / "model")
        (folder / "tokenizer.json").unlink()
        with one_line("no tokenizer.json and no vocabulary"):
            HfReader(str(folder))

    def test_a_tokenizer_of_another_model(self, gpt2: Path, tmp_path: Path) -> None:
        folder = shutil.copytree(gpt2, tmp_path / "model")
        shutil.copy(tiny.TOKENIZER_FILE, folder / "tokenizer.json")
        tokenizer = json.loads(tiny.TOKENIZER_FILE.read_text())
        assert len(tokenizer["model"]["vocab"]) > 420
        with one_line("do not belong together"):
            list(HfReader(str(folder), device="cpu").read([Question("zebra " + LINES, (" supply", " zone", " able"))]))

    def test_code_of_its_own(self, gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is neither run, nor is the terminal asked whether it may."""
        folder = shutil.copytree(gpt2, tmp_path / "model")
        own = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
        config = {"model_type": "own", "architectures": ["OwnForCausalLM"], "auto_map": own}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "own.py").write_text("raise SystemExit('run')")
        monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
        with one_line("code of its own"):
            list(HfReader(str(folder), device="cpu").read(QUESTIONS))

    def test_settings(self, gpt2: Path) -> None:
        with one_line("unknown dtype 'int8'", "bfloat16"):
            HfReader(str(gpt2), dtype="int8")
        with one_line("batch_tokens 0"):
            HfReader(str(gpt2), batch_tokens=0)
        with one_line("unknown device"):
            list(HfReader(str(gpt2), device="toaster").read(QUESTIONS))
