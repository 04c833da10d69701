"""transformers' CLIP in mteb's form, written without a line of ours."""

from pathlib import Path
from typing import Any

import mteb
import torch
from mteb.models.model_meta import ModelMeta
from transformers import AutoTokenizer, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil


class MtebClip:
    """Encodes the batches that mteb makes."""

    def __init__(self, folder: Path, prompt: str) -> None:
        self.model = CLIPModel.from_pretrained(folder)
        self.processor, self.tokenizer = (
            CLIPImageProcessorPil.from_pretrained(folder),
            AutoTokenizer.from_pretrained(folder),
        )
        self.prompt = prompt
        self.mteb_model_meta = ModelMeta.create_empty({"name": "own/clip", "revision": "1"})

    def encode(self, inputs: Any, **_: Any) -> Any:
        found = []
        with torch.no_grad():
            for batch in inputs:
                if "image" in batch:
                    pixels = self.processor([image.convert("RGB") for image in batch["image"]], return_tensors="pt")
                    found.append(self.model.get_image_features(**pixels).pooler_output)
                else:
                    texts = [self.prompt.format(text) for text in batch["text"]]
                    ids = self.tokenizer(texts, padding=True, return_tensors="pt")
                    ids = {name: ids[name] for name in ("input_ids", "attention_mask")}
                    found.append(self.model.get_text_features(**ids).pooler_output)
        return torch.cat(found).numpy()

    def similarity(self, a: Any, b: Any) -> Any:
        return mteb.similarity_functions.cos_sim(a, b)

    def similarity_pairwise(self, a: Any, b: Any) -> Any:
        return mteb.similarity_functions.pairwise_cos_sim(a, b)
