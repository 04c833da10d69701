"""Options read by `hf:` against a plain loop, on a language model of GPT-2's shape with random weights.

Ours: one pass over a question's shared prefix, one small batch for its options. The other side is the way of the
authors' code (MetaICL's `do_inference`): prompt and option as one row, every option by itself. Theirs also pads each
row to 1,024 tokens; the loop here does not, so the ratio is a lower bound.

    python benchmarks/reader.py [--count 12] [--repeats 3] [--layers 12] [--width 768]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

OPTIONS = ("\nvery negative", "\nnegative", "\nneutral", "\npositive", "\nvery positive")
WORDS = "river stone bridge lamp cloud paper violin garden winter copper signal harbour meadow quiet later"


def build(folder: Path, layers: int, width: int) -> None:
    """GPT-2's shape and tokenizer, random weights."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from instructor_eval.tasks.prompts.budget import merges, vocabulary

    tokenizer = ByteLevelBPETokenizer(vocabulary(), merges())
    PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(n_layer=layers, n_embd=width, n_head=max(1, width // 64), n_positions=1024)
    GPT2LMHeadModel(config).save_pretrained(folder)


def prompts(count: int) -> list[str]:
    """Prompts as SST-5's are: 24 short demonstrations, about 840 tokens."""
    lot = random.Random(0)

    def sentence() -> str:
        text = " ".join(lot.choices(WORDS.split(), k=lot.randint(8, 24)))
        return f"How do you feel about the following sentence?\n{text}\nanswer:"

    def prompt() -> str:
        shown = [f"{sentence()}{lot.choice(OPTIONS)}" for _ in range(24)]
        return "\n\n\n".join([*shown, sentence()])

    return [prompt() for _ in range(count)]


def loop(folder: Path, asked: list[str]) -> tuple[list[list[float]], float]:
    """Every option by itself: losses, and seconds without loading."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    found = []
    started = time.perf_counter()
    with torch.inference_mode():
        for prompt in asked:
            start = len(tokenizer(prompt)["input_ids"])
            losses = []
            for option in OPTIONS:
                ids = torch.tensor([tokenizer(prompt + option)["input_ids"]])
                logits = model(ids).logits[0, start - 1 : -1]
                losses.append(float(torch.nn.functional.cross_entropy(logits, ids[0, start:])))
            found.append(losses)
    return found, time.perf_counter() - started


def ours(folder: Path, asked: list[str]) -> tuple[list[list[float]], float]:
    """The reader: losses, and seconds without loading."""
    from instructor_eval.readers.contract import Question
    from instructor_eval.readers.transformers import HfReader

    reader = HfReader(str(folder))
    questions = [Question(prompt, OPTIONS) for prompt in asked]
    list(reader.read(questions[:1]))  # loaded
    started = time.perf_counter()
    answers = dict(reader.read(questions))
    seconds = time.perf_counter() - started
    return [list(answers[i].losses) for i in range(len(asked))], seconds


def main() -> None:
    """Both sides in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    options = parser.parse_args()
    asked = prompts(options.count)
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder, options.layers, options.width)
        for _ in range(options.repeats):
            (theirs, a), (mine, b) = loop(folder, asked), ours(folder, asked)
            off = max(abs(x - y) for t, m in zip(theirs, mine, strict=True) for x, y in zip(t, m, strict=True))
            ratios.append(a / b)
            print(
                f"loop {len(asked) / a:.2f} questions/s, ours {len(asked) / b:.2f}; ratio {a / b:.2f}; "
                f"largest difference of a loss {off:.1e}"
            )
    print(f"ratio, median of {len(ratios)}: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
