"""Checkpoints: what their files say, what is refused, and what changes the fingerprint."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
from checkpoints import NAME, copy, edit_json, edit_weights, engine, one_line, read
from safetensors.numpy import load_file, save_file

from instructor_eval.models.checkpoint import read_checkpoint

MODULES = tiny.MODULES


def test_what_is_read(instructor_folder: Path, plain_folder: Path) -> None:
    t5, bert = read(instructor_folder), read(plain_folder)
    assert (t5.dim, t5.max_length, t5.pooling, t5.normalize) == (24, 512, "mean", True)
    assert (bert.dim, bert.max_length, bert.pooling, bert.normalize) == (32, 128, "mean", True)
    assert [(d.dim_in, d.dim_out, d.bias, d.activation) for d in t5.dense] == [(32, 24, False, "Identity")]
    described = bert.describe()
    assert (described["name"], described["revision"], described["dim"]) == (NAME, "local", 32)
    assert len(described["fingerprint"]) == 16


def modules(*kinds: str, path: str | None = None) -> list[dict[str, object]]:
    """modules.json; `path` stands in for the second one's."""
    made = [
        {
            "idx": i,
            "name": str(i),
            "path": f"{i}_{k.rpartition('.')[2]}" if i else "",
            "type": k if "." in k else MODULES + k,
        }
        for i, k in enumerate(kinds)
    ]
    if path is not None:
        made[1]["path"] = path
    return made


def cut(path: Path, by: int) -> None:
    path.write_bytes(path.read_bytes()[:-by])


def shard(folder: Path) -> None:
    """Two shards of which the second is lost."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    one, two = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    first = dict(list(tensors.items())[:3])
    save_file(first, folder / one, metadata={"format": "pt"})
    weight_map = {name: one if name in first else two for name in tensors}
    tiny.write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def text(path: str, content: str | bytes):
    def write(folder: Path) -> None:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def changed(path: str, *drop: str, **changes: object):
    return lambda folder: edit_json(folder / path, *drop, **changes)


def set_modules(*kinds: str, path: str | None = None):
    return lambda folder: tiny.write_json(folder / "modules.json", modules(*kinds, path=path))


def gone(path: str):
    return lambda folder: (folder / path).unlink()


DAMAGE = {
    "empty folder": (lambda f: [p.unlink() for p in f.rglob("*") if p.is_file()], "config.json is missing"),
    "config.json missing": (gone("config.json"), "config.json is missing"),
    "config.json cut": (lambda f: cut(f / "config.json", 20), "config.json cannot be read"),
    "config.json is a list": (text("config.json", "[]"), "config.json"),
    "config.json is nested too deep": (text("config.json", "[" * 200_000), "config.json"),
    "config.json in another encoding": (text("config.json", b'{"a": "\xff"}'), "config.json"),
    "no width": (changed("config.json", "d_model"), "hidden_size"),
    "modules.json cut": (lambda f: cut(f / "modules.json", 20), "modules.json"),
    "modules.json is a mapping": (text("modules.json", '{"idx": 0}'), "modules.json"),
    "modules.json is a number": (text("modules.json", "3"), "modules.json"),
    "modules.json without type": (text("modules.json", '[{"idx": 0, "path": ""}]'), "modules.json"),
    "modules.json without path": (text("modules.json", '[{"idx": 0, "type": "a.Transformer"}]'), "modules.json"),
    "modules.json is empty": (text("modules.json", "[]"), "(none)"),
    "module without weights": (set_modules("Transformer", "Pooling", "LayerNorm"), "2_LayerNorm"),
    "module of someone's own": (set_modules("evil.Code", "Pooling"), "Code"),
    "path out of the folder": (set_modules("Transformer", "Pooling", path="../1_Pooling"), "outside"),
    "path out and in": (set_modules("Transformer", "Pooling", path="1_Pooling/../../x"), "outside"),
    "absolute path": (set_modules("Transformer", "Pooling", path="/etc"), "outside"),
    "pooling missing": (gone("1_Pooling/config.json"), "1_Pooling"),
    "activation of someone's own": (changed("2_Dense/config.json", activation_function="evil.Tanh"), "evil.Tanh"),
    "Dense without sizes": (changed("2_Dense/config.json", "in_features"), "in_features"),
    "Dense of another width": (changed("2_Dense/config.json", in_features=48), "2_Dense"),
    "Dense without weights": (gone("2_Dense/model.safetensors"), "2_Dense"),
    "Dense cut short": (lambda f: cut(f / "2_Dense" / "model.safetensors", 4), "cut short"),
    "weights missing": (gone("model.safetensors"), "no model.safetensors"),
    "weights cut short": (lambda f: cut(f / "model.safetensors", 1), "cut short"),
    "weights cut within the header": (lambda f: cut(f / "model.safetensors", 200_000), "cut short"),
    "weights empty": (text("model.safetensors", b""), "cut short"),
    "weights are a pointer of git-lfs": (
        text("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 90868376\n"),
        "cut short",
    ),
    "weights' header is no mapping": (text("model.safetensors", (2).to_bytes(8, "little") + b"[]"), "cut short"),
    "pickled weights only": (pickle_only, "pytorch_model.bin"),
    "a shard missing": (shard, "model-00002-of-00002.safetensors"),
    "an index without a map": (text("model.safetensors.index.json", "{}"), "weight_map"),
    "an index of lists": (text("model.safetensors.index.json", '{"weight_map": []}'), "weight_map"),
    "an index out of the folder": (
        text("model.safetensors.index.json", '{"weight_map": {"a": "../model.safetensors"}}'),
        "../model.safetensors",
    ),
    "sentence_bert_config.json cut": (lambda f: cut(f / "sentence_bert_config.json", 9), "sentence_bert_config.json"),
}


@pytest.mark.parametrize(("damage", "word"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_one_line_that_names_the_model(tmp_path: Path, instructor_folder: Path, damage, word: str) -> None:
    folder = copy(instructor_folder, tmp_path / "model")
    damage(folder)
    with one_line(f"model {NAME}", word):
        read(folder)


@pytest.mark.parametrize("content", ["", "{", "{}", '{"model": {"type": "Nonsense"}}'])
def test_a_damaged_tokenizer(tmp_path: Path, instructor_folder: Path, content: str) -> None:
    folder = copy(instructor_folder, tmp_path / "model")
    (folder / "tokenizer.json").write_text(content)
    with one_line(f"model {NAME}", "tokenizer"):
        engine(folder)


def test_no_tokenizer_at_all(tmp_path: Path, instructor_folder: Path) -> None:
    folder = copy(instructor_folder, tmp_path / "model")
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / file).unlink()
    with one_line(f"model {NAME}", "tokenizer"):
        engine(folder)


def test_a_vocabulary_is_a_tokenizer(tmp_path: Path, plain_folder: Path) -> None:
    """Old BERT uploads have vocab.txt alone."""
    folder = copy(plain_folder, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    texts = ["the river, and the city", "Unrelated: 42 WORDS", ""]
    ids = [[e.ids for e in read(f).tokenizer.encode_batch(texts)] for f in (folder, plain_folder)]
    assert ids[0] == ids[1]
    assert len(ids[0][1]) > 5


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with one_line(f"model {NAME}", "config.json is missing"):
        read(tmp_path / "absent")


def test_a_folder_without_modules_is_pooled_by_mean(tmp_path: Path, plain_folder: Path) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    (folder / "modules.json").unlink()
    checkpoint = read(folder)
    assert (checkpoint.pooling, checkpoint.normalize, checkpoint.dense) == ("mean", False, ())


BERT_POSITIONS = 512


@pytest.mark.parametrize(
    ("st_config", "tokenizer", "config", "expected"),
    [
        ({"max_seq_length": 77}, {"model_max_length": 100}, {}, 77),
        ({}, {"model_max_length": 100}, {}, 100),
        ({"max_seq_length": None}, {"model_max_length": 100}, {}, 100),
        ({"max_seq_length": 9000}, {}, {}, BERT_POSITIONS),
        ({}, {"model_max_length": 10**30}, {}, BERT_POSITIONS),
        ({}, {"model_max_length": 10**30}, {"max_position_embeddings": 8192}, 8192),
        ({}, {}, {"max_position_embeddings": 8192}, 8192),
        (
            {},
            {"model_max_length": 512},
            {"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1},
            512,
        ),
        ({}, {}, {"max_position_embeddings": 514, "model_type": "xlm-roberta", "pad_token_id": 1}, 512),
        ({}, {}, {"max_position_embeddings": None}, 512),
    ],
)
def test_maximum_length(tmp_path: Path, plain_folder: Path, st_config, tokenizer, config, expected: int) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    edit_json(folder / "sentence_bert_config.json", "max_seq_length", **st_config)
    edit_json(folder / "tokenizer_config.json", "model_max_length")
    edit_json(folder / "tokenizer_config.json", **tokenizer)
    edit_json(folder / "config.json", **config)
    if "max_seq_length" in st_config:
        tiny.write_json(folder / "sentence_bert_config.json", st_config)
    assert read(folder).max_length == expected


def test_the_old_name_of_the_configuration(tmp_path: Path, plain_folder: Path) -> None:
    folder = copy(plain_folder, tmp_path / "model")
    (folder / "sentence_bert_config.json").unlink()
    tiny.write_json(folder / "sentence_roberta_config.json", {"max_seq_length": 33, "do_lower_case": True})
    checkpoint = read(folder)
    assert (checkpoint.max_length, checkpoint.lowercase) == (33, True)


def nudge(name: str, file: str = "model.safetensors"):
    """One value of one tensor by one unit in the last place."""

    def change(folder: Path) -> None:
        def touch(tensors: dict[str, np.ndarray]) -> None:
            tensors[name].flat[0] = np.nextafter(tensors[name].flat[0], np.float32(9), dtype=np.float32)

        edit_weights(folder / file, touch)

    return change


def swap_pieces(folder: Path) -> None:
    """The same pieces with other ids."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocab = tokenizer["model"]["vocab"]
    vocab[100], vocab[101] = vocab[101], vocab[100]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")


def reformat_tokenizer(folder: Path) -> None:
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")), indent=1), encoding="utf-8")


def other_form(folder: Path) -> None:
    tiny.write_t5_tokenizer(folder, hub_tokenizer=True)


CHANGES = {
    "one weight": nudge("encoder.block.1.layer.0.SelfAttention.q.weight"),
    "the Dense weight": nudge("linear.weight", "2_Dense/model.safetensors"),
    "pooling": changed("1_Pooling/config.json", pooling_mode_mean_tokens=False, pooling_mode_cls_token=True),
    "include_prompt": changed("1_Pooling/config.json", include_prompt=False),
    "maximum length": changed("sentence_bert_config.json", max_seq_length=256),
    "lower case": changed("sentence_bert_config.json", do_lower_case=True),
    "no normalisation": set_modules("Transformer", "Pooling", "Dense"),
    "no Dense": set_modules("Transformer", "Pooling", "Normalize"),
    "activation": changed("2_Dense/config.json", activation_function="torch.nn.modules.activation.Tanh"),
    "configuration of the transformer": changed("config.json", layer_norm_epsilon=1e-5),
    "tokenizer file": reformat_tokenizer,
    "ids of two pieces": swap_pieces,
    "tokenizer of 2022": other_form,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_a_vector_changes_the_fingerprint(tmp_path: Path, instructor_folder: Path, change) -> None:
    folder = copy(instructor_folder, tmp_path / "model")
    before = read(folder).fingerprint
    change(folder)
    assert read(folder).fingerprint != before


def test_the_fingerprints_of_all_changes_differ(tmp_path: Path, instructor_folder: Path) -> None:
    prints = {read(instructor_folder).fingerprint}
    for i, change in enumerate(CHANGES.values()):
        folder = copy(instructor_folder, tmp_path / str(i))
        change(folder)
        prints.add(read(folder).fingerprint)
    assert len(prints) == len(CHANGES) + 1


def test_pooling_of_the_family_changes_the_fingerprint(instructor_folder: Path) -> None:
    prints = {f: read(instructor_folder, family=f).fingerprint for f in ("instructor", "prefix", "plain")}
    assert prints["instructor"] != prints["prefix"]
    assert prints["prefix"] == prints["plain"], "the same function of instruction and text"


def test_behaviour_without_a_file(tmp_path: Path, instructor_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that reads the same tokenizer.json otherwise is another model."""
    from tokenizers import Tokenizer, normalizers

    before = read(instructor_folder).fingerprint
    as_it_is = Tokenizer.from_file

    class Newer:
        @staticmethod
        def from_file(path: str) -> Tokenizer:
            tokenizer = as_it_is(path)
            tokenizer.normalizer = normalizers.Lowercase()
            return tokenizer

    monkeypatch.setattr("tokenizers.Tokenizer", Newer)
    assert read(instructor_folder).fingerprint != before


def test_what_changes_no_vector_leaves_the_fingerprint(tmp_path: Path, instructor_folder: Path) -> None:
    before = read(instructor_folder).fingerprint
    folder = copy(instructor_folder, tmp_path / "elsewhere")
    assert read(folder).fingerprint == before
    assert read_checkpoint(folder, name="other", revision="0123").fingerprint == before
    (folder / "README.md").write_text("# A model\n")
    (folder / "training.log").write_text("loss 0.1\n")
    assert read(folder).fingerprint == before


def test_using_an_engine_leaves_the_fingerprint(instructor_folder: Path) -> None:
    checkpoint = read(instructor_folder)
    used = engine(instructor_folder)
    used.encode(["a text"], "")
    assert used.checkpoint.fingerprint == used.fingerprint == checkpoint.fingerprint
