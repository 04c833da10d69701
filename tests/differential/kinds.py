"""All made folders, and some of them that stand for the rest."""

from differential import lancedb_models
from differential.judge import Made
from differential.made_architectures import ARCHITECTURES
from differential.made_as_published import PUBLISHED
from differential.made_embeddings import CLIPS, ROUTERS, STATIC
from differential.made_files import FILES
from differential.made_modules import DENSE, OTHERS
from differential.made_poolings import POOLINGS
from differential.made_settings import SENTENCE_TRANSFORMERS, TRANSFORMER
from differential.made_tokenizers import TOKENIZERS

LANCEDB = [made for made in lancedb_models.FOLDERS.values() if made not in CLIPS]
FOLDERS: list[Made] = [
    *(*ARCHITECTURES, *POOLINGS, *DENSE, *OTHERS, *STATIC, *CLIPS, *ROUTERS),
    *(*SENTENCE_TRANSFORMERS, *TRANSFORMER, *TOKENIZERS, *FILES, *PUBLISHED, *LANCEDB),
]
BY_NAME = {made.name: made for made in FOLDERS}
SOME = [
    BY_NAME[name]
    for name in (
        "bert-mean",
        "instructor",
        "gpt2-lasttoken",
        "llama-without-modules-llamaforcausallm",
        "truncate-dim",
        "layer-norm-normalize",
        "static-embedding",
        "truncation-left",
        "adapter-beside",
        "pickled",
    )
]
