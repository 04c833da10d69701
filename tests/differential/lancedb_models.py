"""The classes that LanceDB's public list of 124 sentence-transformers models falls into, with a made folder of each.

What a name's class is comes from its model card (architecture, pooling and modules stand there); the checkpoints
themselves are not here.
"""

from differential import vocabularies as v
from differential.judge import Made
from differential.made_embeddings import CLIPS, word_embeddings
from differential.steps import Step, chain, dense, edit, ending, modules, pooling, saved, tokenizer, transformer, usual
from differential.transformers_made import WIDTH

BERT = edit("tokenizer_config.json", tokenizer_class="BertTokenizer", do_lower_case=True)
DISTILBERT = edit("tokenizer_config.json", tokenizer_class="DistilBertTokenizer", do_lower_case=True)
ROBERTA = edit("tokenizer_config.json", tokenizer_class="RobertaTokenizer", add_prefix_space=False)
XLM_ROBERTA = edit("tokenizer_config.json", tokenizer_class="XLMRobertaTokenizer")
T5 = edit("tokenizer_config.json", tokenizer_class="T5Tokenizer")
MPNET = tokenizer(
    "word_piece",
    v.MPNET,
    "<s> $A </s>",
    tokenizer_class="MPNetTokenizer",
    cls_token="<s>",
    sep_token="</s>",
    unk_token="[UNK]",
)


def _mpnet(mode: str, *more: Step) -> Step:
    return chain(transformer("mpnet", vocabulary=400), modules("Transformer", "Pooling"), pooling(mode), MPNET, *more)


def _settings(name: str) -> list[Step]:
    return (
        [] if name.startswith("word") else [edit("sentence_bert_config.json", max_seq_length=40, do_lower_case=False)]
    )


def _layer_norm() -> object:
    from sentence_transformers.sentence_transformer.modules import LayerNorm

    return LayerNorm(WIDTH)


NORMALIZED = modules("Transformer", "Pooling", "Normalize")
STEPS: dict[str, Step] = {
    "bert, mean": chain(usual("bert"), BERT),
    "bert, mean, Normalize": chain(ending("bert", "Normalize"), BERT),
    "bert, cls": chain(usual("bert", "cls"), BERT),
    "bert, max": chain(usual("bert", "max"), BERT),
    "bert, cls, Dense Tanh, Normalize": chain(
        ending("bert", "Dense", "Normalize"), pooling("cls"), dense(out=WIDTH, activation="Tanh"), BERT
    ),
    "bert of unigrams, mean": chain(
        transformer("bert", vocabulary=400),
        tokenizer("unigram", v.ROBERTA, "<s> $A </s>", tokenizer_class="XLMRobertaTokenizer"),
        modules("Transformer", "Pooling"),
        pooling("mean"),
    ),
    "distilbert, mean": chain(usual("distilbert"), DISTILBERT),
    "distilbert, max": chain(usual("distilbert", "max"), DISTILBERT),
    "distilbert, cls": chain(usual("distilbert", "cls"), DISTILBERT),
    "distilbert, mean, Normalize": chain(ending("distilbert", "Normalize"), DISTILBERT),
    "distilbert, mean, Dense Tanh": chain(
        ending("distilbert", "Dense"), dense(activation="Tanh", pickled=True), DISTILBERT
    ),
    "distilbert, mean, Dense": chain(ending("distilbert", "Dense"), dense(bias=False), DISTILBERT),
    "roberta, mean": chain(usual("roberta"), ROBERTA),
    "roberta, mean, Normalize": chain(ending("roberta", "Normalize"), ROBERTA),
    "roberta, cls, Dense, LayerNorm": chain(
        ending("roberta", "Dense", "LayerNorm"),
        pooling("cls"),
        dense(out=WIDTH),
        saved("3_LayerNorm", _layer_norm),
        ROBERTA,
    ),
    "xlm-roberta, mean": chain(usual("xlm-roberta"), XLM_ROBERTA),
    "mpnet, mean": _mpnet("mean"),
    "mpnet, mean, Normalize": _mpnet("mean", NORMALIZED),
    "mpnet, cls": _mpnet("cls"),
    "albert, mean": usual("albert"),
    "t5, mean, Dense, Normalize": chain(ending("t5", "Dense", "Normalize"), dense(bias=False), T5),
    "word vectors, mean": chain(
        modules("WordEmbeddings", "Pooling", first="0_WordEmbeddings"),
        word_embeddings(named="sentence_transformers.models.tokenizer.WhitespaceTokenizer.WhitespaceTokenizer"),
        pooling("mean"),
    ),
}
FOLDERS = {
    name: Made("lancedb-" + name.lower().replace(",", "").replace(" ", "-"), chain(steps, *_settings(name)))
    for name, steps in STEPS.items()
}
FOLDERS["CLIP, text side"] = CLIPS[0]
NAMES = {
    "bert, mean": """
        bert-base-nli-mean-tokens bert-base-nli-stsb-mean-tokens bert-base-wikipedia-sections-mean-tokens
        bert-large-nli-mean-tokens bert-large-nli-stsb-mean-tokens nli-bert-base nli-bert-large stsb-bert-base
        stsb-bert-large msmarco-MiniLM-L-12-v3 msmarco-MiniLM-L-6-v3 msmarco-bert-base-dot-v5 paraphrase-MiniLM-L12-v2
        paraphrase-MiniLM-L3-v2 paraphrase-MiniLM-L6-v2 paraphrase-TinyBERT-L6-v2""",
    "bert, mean, Normalize": """
        all-MiniLM-L12-v2 all-MiniLM-L6-v2 all-MiniLM-L6-v1 all-MiniLM-L12-v1 multi-qa-MiniLM-L6-cos-v1
        msmarco-MiniLM-L12-cos-v5 msmarco-MiniLM-L6-cos-v5 use-cmlm-multilingual""",
    "bert, cls": """
        bert-large-nli-cls-token nli-bert-base-cls-pooling nli-bert-large-cls-pooling bert-base-nli-cls-token
        allenai-specter facebook-dpr-ctx_encoder-multiset-base facebook-dpr-ctx_encoder-single-nq-base
        facebook-dpr-question_encoder-multiset-base facebook-dpr-question_encoder-single-nq-base
        msmarco-bert-co-condensor multi-qa-MiniLM-L6-dot-v1""",
    "bert, max": """
        bert-base-nli-max-tokens bert-large-nli-max-tokens nli-bert-base-max-pooling nli-bert-large-max-pooling""",
    "bert, cls, Dense Tanh, Normalize": "LaBSE",
    "bert of unigrams, mean": "paraphrase-multilingual-MiniLM-L12-v2",
    "distilbert, mean": """
        distilbert-base-nli-mean-tokens distilbert-base-nli-stsb-mean-tokens nli-distilbert-base stsb-distilbert-base
        distilbert-base-nli-stsb-quora-ranking distilbert-multilingual-nli-stsb-quora-ranking
        msmarco-distilbert-base-v2 msmarco-distilbert-base-v3 msmarco-distilbert-base-v4 msmarco-distilbert-dot-v5
        msmarco-distilbert-multilingual-en-de-v2-tmp-lng-aligned
        msmarco-distilbert-multilingual-en-de-v2-tmp-trained-scratch nq-distilbert-base-v1 quora-distilbert-base
        quora-distilbert-multilingual""",
    "distilbert, max": "distilbert-base-nli-max-tokens nli-distilbert-base-max-pooling",
    "distilbert, cls": "multi-qa-distilbert-dot-v1 msmarco-distilbert-base-tas-b",
    "distilbert, mean, Normalize": "multi-qa-distilbert-cos-v1 msmarco-distilbert-cos-v5",
    "distilbert, mean, Dense Tanh": """
        distiluse-base-multilingual-cased-v1 distiluse-base-multilingual-cased-v2 distiluse-base-multilingual-cased""",
    "distilbert, mean, Dense": "clip-ViT-B-32-multilingual-v1 msmarco-distilbert-base-dot-prod-v3",
    "roberta, mean": """
        distilroberta-base-msmarco-v1 distilroberta-base-msmarco-v2 nli-roberta-base nli-roberta-large
        roberta-base-nli-mean-tokens roberta-base-nli-stsb-mean-tokens roberta-large-nli-mean-tokens
        roberta-large-nli-stsb-mean-tokens stsb-roberta-base stsb-roberta-large nli-distilroberta-base-v2
        distilroberta-base-paraphrase-v1 msmarco-distilroberta-base-v2 msmarco-roberta-base-v2 msmarco-roberta-base-v3
        nli-roberta-base-v2 paraphrase-distilroberta-base-v1 paraphrase-distilroberta-base-v2
        stsb-distilroberta-base-v2 stsb-roberta-base-v2""",
    "roberta, mean, Normalize": "all-distilroberta-v1 all-roberta-large-v1",
    "roberta, cls, Dense, LayerNorm": "msmarco-roberta-base-ance-firstp",
    "xlm-roberta, mean": """
        xlm-r-100langs-bert-base-nli-mean-tokens xlm-r-100langs-bert-base-nli-stsb-mean-tokens
        xlm-r-base-en-ko-nli-ststb xlm-r-bert-base-nli-mean-tokens xlm-r-bert-base-nli-stsb-mean-tokens
        xlm-r-large-en-ko-nli-ststb paraphrase-multilingual-mpnet-base-v2 paraphrase-xlm-r-multilingual-v1
        stsb-xlm-r-multilingual xlm-r-distilroberta-base-paraphrase-v1""",
    "mpnet, mean": "paraphrase-mpnet-base-v2 nli-mpnet-base-v2 stsb-mpnet-base-v2",
    "mpnet, mean, Normalize": "all-mpnet-base-v1 all-mpnet-base-v2 multi-qa-mpnet-base-cos-v1",
    "mpnet, cls": "multi-qa-mpnet-base-dot-v1",
    "albert, mean": "paraphrase-albert-base-v2 paraphrase-albert-small-v2",
    "t5, mean, Dense, Normalize": """
        gtr-t5-base gtr-t5-large gtr-t5-xl gtr-t5-xxl sentence-t5-base sentence-t5-large sentence-t5-xl
        sentence-t5-xxl""",
    "word vectors, mean": """
        average_word_embeddings_glove.6B.300d average_word_embeddings_glove.840B.300d
        average_word_embeddings_komninos average_word_embeddings_levy_dependency""",
    "CLIP, text side": "clip-ViT-B-32 clip-ViT-B-16 clip-ViT-L-14",
}
