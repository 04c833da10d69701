"""Folders whose first module is no transformer, and such as have several ways or code of their own."""

import importlib.util
import json
from pathlib import Path

import tiny
import torch
from differential import transformers_made
from differential import vocabularies as v
from differential.judge import Made
from differential.steps import (
    NEW,
    OLD,
    Step,
    chain,
    dense,
    drawn,
    edit,
    ending,
    inside,
    modules,
    pooling,
    remove,
    saved,
    text,
    transformer,
    usual,
    write_json,
)
from differential.transformers_made import WIDTH
from safetensors.torch import save_file
from sentence_transformers.base.modules import Router
from sentence_transformers.sentence_transformer.modules import (
    CNN,
    LSTM,
    BoW,
    WordWeights,
)

WORDS = tiny.WORDS.split()
WHITESPACE = "sentence_transformers.sentence_transformer.modules.tokenizer.whitespace.WhitespaceTokenizer"
NEW_TYPES = {
    "StaticEmbedding": "sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding",
    "WordEmbeddings": "sentence_transformers.sentence_transformer.modules.word_embeddings.WordEmbeddings",
}


def word_embeddings(
    where: str = "0_WordEmbeddings", *, most: int = 1_000_000, lower: bool = True, named: str = WHITESPACE
) -> Step:
    """Vectors of words, as the average_word_embeddings_* models have them; row 0 pads."""

    def make(folder: Path) -> None:
        config = {"tokenizer_class": named, "update_embeddings": False, "max_seq_length": most}
        write_json(folder / where / "wordembedding_config.json", config)
        vocabulary = ["PADDING_TOKEN", *dict.fromkeys(WORDS)]
        stop = ["the", "a", "of"]
        write_json(
            folder / where / "whitespacetokenizer_config.json",
            {"vocab": vocabulary, "stop_words": stop, "do_lower_case": lower},
        )
        rows = torch.randn(len(vocabulary), WIDTH, generator=torch.Generator().manual_seed(2))
        rows[0] = 0
        save_file({"emb_layer.weight": rows}, folder / where / "model.safetensors", metadata={"format": "pt"})

    return make


def _words(name: str, *kinds: str, steps: tuple[Step, ...] = (), dim: int = WIDTH, **settings: object) -> Made:
    at = len(kinds) + 1
    return Made(
        name,
        chain(
            modules("WordEmbeddings", *kinds, "Pooling", first="0_WordEmbeddings"),
            word_embeddings(**settings),
            *steps,
            pooling("mean", where=f"{at}_Pooling", dim=dim),
        ),
    )


def static(
    where: str = "0_StaticEmbedding", *, key: str = "embedding.weight", half: bool = False, truncate: int | None = None
) -> Step:
    """Vectors of tokens, in sentence-transformers' form or in model2vec's (`embeddings`)."""

    def make(folder: Path) -> None:
        pieces = v.write(folder / where, v.word_piece(v.BERT), v.BERT, "[CLS] $A [SEP]")
        (folder / where / "tokenizer_config.json").unlink()
        if truncate:
            tokenizer = json.loads((folder / where / "tokenizer.json").read_text(encoding="utf-8"))
            tokenizer["truncation"] = {
                "direction": "Right",
                "max_length": truncate,
                "strategy": "LongestFirst",
                "stride": 0,
            }
            write_json(folder / where / "tokenizer.json", tokenizer)
        rows = torch.randn(pieces, WIDTH, generator=torch.Generator().manual_seed(3))
        save_file({key: rows.half() if half else rows}, folder / where / "model.safetensors", metadata={"format": "pt"})

    return make


def model2vec_weights(folder: Path) -> None:
    """A vocabulary-quantized model2vec folder: a row for several tokens, a weight for each."""
    pieces = len(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
    random = torch.Generator().manual_seed(4)
    state = {
        "embeddings": torch.randn(30, WIDTH, generator=random),
        "mapping": torch.randint(0, 30, (pieces,), generator=random),
        "weights": torch.rand(pieces, generator=random).double(),
    }
    save_file(state, folder / "model.safetensors")


STATIC = [
    Made("static-embedding", chain(modules("StaticEmbedding", first="0_StaticEmbedding"), static())),
    Made("static-embedding-root", chain(modules("StaticEmbedding"), static(""))),
    Made(
        "static-embedding-normalize", chain(modules("StaticEmbedding", "Normalize", types=NEW_TYPES | NEW), static(""))
    ),
    Made("static-embedding-half", chain(modules("StaticEmbedding"), static("", half=True)), half=True),
    Made("static-embedding-cut", chain(modules("StaticEmbedding"), static("", truncate=5))),
    Made(
        "static-embedding-truncate-dim",
        chain(modules("StaticEmbedding"), static(""), edit("config_sentence_transformers.json", truncate_dim=6)),
    ),
    Made(
        "static-embedding-without-weights",
        chain(modules("StaticEmbedding"), static(""), remove("model.safetensors")),
        refused="model.safetensors|weights",
    ),
    Made(
        "model2vec",
        chain(
            modules("StaticEmbedding", "Normalize"),
            static("", key="embeddings"),
            edit(
                "config.json", model_type="model2vec", architectures=["StaticModel"], normalize=True, hidden_dim=WIDTH
            ),
        ),
    ),
    Made(
        "model2vec-quantized",
        chain(modules("StaticEmbedding", "Normalize"), static("", key="embeddings"), model2vec_weights),
    ),
    Made(
        "model2vec-without-modules",
        chain(static("", key="embeddings"), edit("config.json", model_type="model2vec", architectures=["StaticModel"])),
        refused="model2vec|model_type|modules.json",
    ),
    _words("word-embeddings"),
    _words("word-embeddings-cased", lower=False),
    _words("word-embeddings-cut", most=4),
    _words(
        "word-embeddings-weights",
        "WordWeights",
        steps=(
            saved(
                "1_WordWeights",
                lambda: WordWeights(
                    ["PADDING_TOKEN", *dict.fromkeys(WORDS)], {w: 0.1 * n for n, w in enumerate(WORDS[:40])}, 0.5
                ),
            ),
            remove("1_WordWeights/model.safetensors"),
        ),
    ),
    _words("word-embeddings-cnn", "CNN", steps=(saved("1_CNN", lambda: CNN(WIDTH, 5, [1, 3])),), dim=10),
    _words("word-embeddings-lstm", "LSTM", steps=(saved("1_LSTM", lambda: LSTM(WIDTH, 6)),), dim=12),
    _words(
        "word-embeddings-lstm-one-way",
        "LSTM",
        steps=(saved("1_LSTM", lambda: LSTM(WIDTH, 6, num_layers=2, bidirectional=False)),),
        dim=6,
    ),
    Made(
        "word-embeddings-dense",
        chain(
            modules("WordEmbeddings", "Pooling", "Dense", first="0_WordEmbeddings"),
            word_embeddings(),
            pooling("mean"),
            dense(activation="Tanh"),
        ),
    ),
    Made(
        "bag-of-words",
        chain(
            modules("BoW", first="0_BoW"),
            saved("0_BoW", lambda: BoW(WORDS, {w: 0.1 + n for n, w in enumerate(WORDS[:30])}, 0.7)),
        ),
    ),
    Made(
        "bag-of-words-once",
        chain(
            modules("BoW", first="0_BoW"), saved("0_BoW", lambda: BoW(WORDS, {}, 1.0, cumulative_term_frequency=False))
        ),
    ),
    Made(
        "bag-of-words-dense",
        chain(
            modules("BoW", "Dense", first="0_BoW"),
            saved("0_BoW", lambda: BoW(WORDS)),
            dense("1_Dense", len(dict.fromkeys(WORDS)), 12, activation="Tanh"),
        ),
    ),
]


def router(*, default: str | None = "document") -> Step:
    """Two static embeddings, one for queries and one for documents."""

    def make(folder: Path) -> None:
        types, structure = {}, {}
        for seed, route in enumerate(("query", "document")):
            place = f"{route}_0_StaticEmbedding"
            static(place)(folder)
            state = {"embedding.weight": drawn(torch.nn.Embedding(len(tiny.word_pieces()), WIDTH), 7 + seed)["weight"]}
            save_file(state, folder / place / "model.safetensors")
            types[place], structure[route] = OLD + "StaticEmbedding", [place]
        parameters = {"default_route": default, "allow_empty_key": True} if default else {"allow_empty_key": False}
        write_json(folder / Router.config_file_name, {"types": types, "structure": structure, "parameters": parameters})

    return make


def router_of_dense(folder: Path) -> None:
    """Asymmetric heads behind one transformer, as `Asym` had them."""
    types, structure = {}, {}
    for seed, route in enumerate(("query", "document")):
        place = f"{route}_0_Dense"
        dense(f"2_Asym/{place}", activation="Tanh")(folder)
        state = {f"linear.{k}": w for k, w in drawn(torch.nn.Linear(WIDTH, 12), 20 + seed).items()}
        save_file(state, folder / "2_Asym" / place / "model.safetensors")
        types[place], structure[route] = OLD + "Dense", [place]
    config = {"types": types, "structure": structure, "parameters": {"allow_empty_key": True}}
    write_json(folder / "2_Asym" / Router.config_file_name, config)


# Without Pillow sentence-transformers cannot load a CLIP's processor, not for its texts either.
PILLOW = "" if importlib.util.find_spec("PIL") else "[Pp]illow"
CLIPS = [
    Made(
        "clip",
        chain(inside("0_CLIPModel", transformers_made.clip), modules("CLIPModel", first="0_CLIPModel")),
        refused=PILLOW,
    ),
    Made("clip-without-modules", transformers_made.clip, refused=PILLOW),
    Made(
        "dpr-question",
        chain(transformer("dpr_question"), modules("Transformer", "Pooling"), pooling("cls")),
        refused="dpr|last_hidden_state|lacks",
    ),
    Made(
        "dpr-context",
        chain(transformer("dpr_context"), modules("Transformer", "Pooling"), pooling("cls")),
        refused="dpr|last_hidden_state|lacks",
    ),
    Made("old-module-name", chain(transformer("bert"), modules("BERT", "Pooling"), pooling("mean")), refused="BERT"),
]
ROUTERS = [
    Made("router", chain(modules("Router", "Normalize"), router())),
    Made("router-default-query", chain(modules("Router", "Normalize"), router(default="query"))),
    Made("router-without-default", chain(modules("Router", "Normalize"), router(default=None)), refused="[Rr]oute"),
    Made(
        "asym-of-dense",
        chain(transformer("bert"), modules("Transformer", "Pooling", "Asym"), pooling("mean"), router_of_dense),
    ),
    Made(
        "custom-module",  # never run without --trust-remote-code
        chain(
            usual("bert"),
            modules("Transformer", "Pooling", "twice.Twice"),
            text("twice.py", "raise SystemExit('code of the checkpoint was run')\n"),
        ),
        refused="twice|trust-remote-code|trust_remote_code",
    ),
    Made(
        "custom-transformer",
        chain(
            usual("bert"),
            edit(
                "config.json",
                model_type="acme_bert",
                auto_map={"AutoModel": "modeling_acme.AcmeModel", "AutoConfig": "modeling_acme.AcmeConfig"},
            ),
            text("modeling_acme.py", "raise SystemExit('code of the checkpoint was run')\n"),
        ),
        refused="trust-remote-code|trust_remote_code|acme_bert|auto_map",
    ),
    Made(
        "module-outside",
        chain(ending("bert", "Normalize"), modules("Transformer", "Pooling", "os.system")),
        refused="os.system|trust",
    ),
]
