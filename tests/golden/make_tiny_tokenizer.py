"""Make ``tiny_tokenizer.json``: a small T5-style SentencePiece tokenizer, converted as transformers 4.x does.

Run in the parity environment (``requirements-parity.txt``) with ``protobuf`` added, which only this needs::

    python make_tiny_tokenizer.py --instructions INSTRUCTIONS_CSV

Sources: the ids and piece names of T5 (pad 0, ``</s>`` 1, unknown 2, 100 sentinels at the end), the
normalisation ``nmt_nfkc`` of SentencePiece, and the ``T5Converter`` of transformers 4.48.3. Only the rules of
``nmt_nfkc`` for Latin letters, punctuation, white space, symbols, half- and full-width forms are in it (asked
of SentencePiece itself, rule by rule): the whole table is 240 kB, most of it Hangul syllables.
"""

# ruff: noqa: RUF001 - letters that look like others are what it is about

import argparse
import csv
import json
import random
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import sentencepiece
from transformers import T5TokenizerFast

HERE = Path(__file__).resolve().parent
VOCAB_SIZE = 1400

RULE_BLOCKS = [
    (0x0001, 0x024F),
    (0x02B0, 0x02FF),
    (0x0300, 0x036F),
    (0x1680, 0x1680),
    (0x1E00, 0x1EFF),
    (0x2000, 0x209F),
    (0x2100, 0x218F),
    (0x2460, 0x24FF),
    (0x2581, 0x2581),
    (0x3000, 0x3000),
    (0xFB00, 0xFB06),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFFFD),
]
COMPOSED_BLOCKS = [(0x00C0, 0x024F), (0x1E00, 0x1EFF)]

PEOPLE = """
researchers doctors students customers writers engineers teachers voters lawyers players
"""
VERBS = """
found described reviewed compared measured explained reported questioned answered sold bought wrote
trained tested cancelled retrieved classified summarised translated improved
"""
ADJECTIVES = """
new old small large scientific medical financial legal political beautiful terrible excellent cheap broken
similar relevant duplicate negative positive early recent statistical biological chemical
"""
NOUNS = """
vaccine protein patient cell gene virus experiment paper abstract citation question answer passage
document sentence headline article review product phone battery camera book film recipe garden river
mountain city government election market bank account transfer card payment model network language dataset
algorithm program function server database password keyboard guitar song match team season weather storm
planet galaxy particle energy temperature argument claim evidence statement opinion comment tweet thread
forum
"""
MORE = """
able about above across action active actual address advice afraid again against agree allow almost alone
also always amount animal another anyone apply around arrive article asleep aware awful baby back balance
base basic beach bear because become before begin behind believe below beside better between beyond birth
black blood board body border bottom brain branch bread break breath bridge bright bring brother brown
build burn business busy call calm care carry catch cause centre century certain chain chair chance change
charge check child choice church circle claim class clean clear climb close cloud coast coffee collect
colour common compete complete concern condition connect contain control cook corner correct cotton
council count country couple course cover create credit crime cross crowd current customer daily damage
danger daughter dead deal death debt decide deep degree deliver demand depend describe desert design
desire despite detail develop difficult dinner direct disease distance divide doubt dream dress drink
drive during earth easy economy education effect effort eight either electric employ empty enemy enjoy
enough enter equal error escape even event every exact example except exercise exist expect expensive
express extra factor fail fair faith false family famous farm fast father fear feature feel field fight
figure final finger finish fire first fish five floor flower food foot force foreign forget form forward
free fresh friend front fruit full future gather general gentle glass gold good grand grass great green
ground group grow guess guide habit half hand happen hard health hear heart heat heavy help high history
hold home hope horse hospital hotel hour house however human hundred husband idea image imagine important
include increase indeed industry inform inside instead interest island issue join journey judge jump
justice keep kind king kitchen knife know labour lady lake land language large laugh lead learn leave left
level liberty light limit line list listen little local lonely look lose loud love lower lunch machine
main major manage many mark matter mean meat medicine member memory mental message metal method middle
might milk million mind mineral minute mirror mistake modern moment money month moral morning mother
motion mouth move much museum music must narrow nation nature near necessary neck need neither nerve never
night noise normal north nothing notice number object observe ocean offer office often open operate orange
order organ origin other outside owner page pain paint pair parent park part party past path pattern peace
people perfect perhaps period person picture piece plane plant plate play please plenty point poison
police polite poor popular position possible potato power practice prepare present press pretty prevent
price print prison private problem process produce profit promise proper protect proud provide public pull
punish pure push quality quarter queen quick quiet quite radio rain raise range rapid rather reach read
ready real reason receive record reduce refuse regular relation religion remain remember remove rent
repair repeat reply represent request rescue respect result return reward rhythm rice rich right ring rise
road rock roll roof room root rough round royal rule safe sail salt same sand save scale school science
search second secret seem self sell send sense separate serious serve settle several shade shake shape
share sharp shelf shine ship shirt shoe shop short shoulder show sick side sign silver simple since sing
sister skill skin sleep slow small smell smile smoke smooth snow social society soft soldier solid some
soon sort sound soup south space speak special speed spell spend spirit spoon sport spread spring square
stage stand star start state station steam steel step stick still stomach stone stop store story strange
street strong structure struggle study subject success such sudden sugar suggest summer supply support
suppose sure surface surprise sweet swim system table tail talk tall taste teach tear tell tend tenth test
than thank theory thick thin thing think third thought thousand thread threat through throw thumb ticket
tight time title today together tomorrow tongue tonight tool tooth total touch toward town trade train
travel tree trick trouble true trust truth turn twice under unit until usual valley value various very
view village visit voice walk wall want warm wash waste watch water wave weak wealth weight welcome west
what wheel when where which while whisper white whole wide wife wild will wind window wine winter wire
wise wish within without woman wonder wood wool word work world worry worth wrong yellow yesterday young
zero
"""
SYLLABLES = """
ka ri lo vi ta ne mo su ber den gra phi tor zon lex qui jan fa ry ch an er in on st le ti ism ology
"""
PLACES = """
London Paris Berlin Tokyo Chicago Kenya Brazil India Wikipedia Amazon Twitter Reddit Quora Ubuntu
"""
ENDINGS = [
    "last year.",
    "in 2019.",
    "by 3.5 percent!",
    "after the storm?",
    "for $20 (about 18 EUR).",
    "within 24 hours; really.",
    "at https://example.org/a_page?id=42&lang=en.",
    "with def main(x): return x + 1.",
    "on Monday, too.",
    "as user@example.com said.",
]
OTHER_LINES = [
    "Café déjà vu, naïve façade, über große Straße, señor niño, Ångström, œuvre.",
    "日本語の文章です。 你好，世界！ 한국어 문장 Привет, мир Γειά σου Κόσμε שלום עולם مرحبا بالعالم नमस्ते",
    "😀 🎉 👍 — “quoted” ‘text’ … € £ ± × ° § • → ≤ ≥ ≠ ∑ ∞ α β μ",
    "{ } [ ] < > | \\ / ~ ^ ` # @ % & * _ = + - \" ' : ; , . ! ?",
    "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z 0 1 2 3 4 5 6 7 8 9",
]


def sentences(count: int = 4000, seed: int = 0) -> Iterator[str]:
    """English sentences put together by chance, for the words and the merges of the vocabulary."""
    rng = random.Random(seed)
    people, verbs, adjectives, nouns = PEOPLE.split(), VERBS.split(), ADJECTIVES.split(), NOUNS.split()
    more, syllables, places = MORE.split(), SYLLABLES.split(), PLACES.split()
    for _ in range(count):
        start = rng.choice(["The", "Some", "Many", "Why have", "How did the", "When the"])
        yield (
            f"{start} {rng.choice(people)} in {rng.choice(places)} {rng.choice(verbs)} the"
            f" {rng.choice(adjectives)} {rng.choice(nouns)} and {rng.choice(verbs)}"
            f" {rng.choice(['a', 'its', 'this', 'their', 'no'])} {rng.choice(adjectives)}"
            f" {rng.choice(nouns)}s {rng.choice(ENDINGS)}"
        )
        yield " ".join(rng.choices(more, k=9)).capitalize() + rng.choice([".", "?", "!", ":", ",,,"])
        made = "".join(rng.choices(syllables, k=rng.randint(2, 4)))
        yield f"{made.capitalize()} {rng.choice(more)}ed {rng.choice(more)}ing {rng.randint(0, 9999)}"


def nmt_nfkc_rules() -> dict[str, str]:
    """The rules of SentencePiece's ``nmt_nfkc`` for the blocks above, asked of SentencePiece one by one."""
    whole = sentencepiece.SentencePieceNormalizer(
        rule_name="nmt_nfkc", add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=False
    )
    keys = [chr(code) for low, high in RULE_BLOCKS for code in range(low, high + 1)]
    for low, high in COMPOSED_BLOCKS:
        for code in range(low, high + 1):
            keys += {unicodedata.normalize(form, chr(code)) for form in ("NFD", "NFKD")}
            step = unicodedata.decomposition(chr(code))
            if step and not step.startswith("<"):
                keys.append("".join(chr(int(part, 16)) for part in step.split()))
    found = {key: whole.Normalize(key) for key in keys}
    return {key: value for key, value in found.items() if key != value}


def write_rules(path: Path) -> None:
    """Write the rules in SentencePiece's TSV form (hexadecimal code points, source and target)."""
    lines = []
    for key, value in sorted(nmt_nfkc_rules().items()):
        source, target = (" ".join(f"{ord(char):X}" for char in text) for text in (key, value))
        lines.append(f"{source}\t{target}\n")
    path.write_text("".join(lines), encoding="ascii")


def train(instructions: list[str], folder: Path) -> Path:
    """Train the SentencePiece model in folder and give its path."""
    rules = folder / "rules.tsv"
    write_rules(rules)
    lines = [*sentences(), *instructions * 3, *OTHER_LINES * 3]
    prefix = folder / "spiece"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(prefix),
        model_type="unigram",
        vocab_size=VOCAB_SIZE,
        character_coverage=1.0,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        normalization_rule_tsv=str(rules),
        num_threads=1,
        minloglevel=2,
    )
    return prefix.with_suffix(".model")


def main() -> None:
    """Train, convert with transformers' own converter and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instructions", type=Path, required=True, help="CSV with a column 'instruction'")
    parser.add_argument("--out", type=Path, default=HERE / "tiny_tokenizer.json")
    arguments = parser.parse_args()
    with arguments.instructions.open(encoding="utf-8", newline="") as file:
        found = {row["instruction"] for row in csv.DictReader(file)}
    instructions = sorted(text for text in found if text and len(text) < 500)
    with tempfile.TemporaryDirectory() as name:
        # Without add_prefix_space=True 4.48.3 writes Metaspace "never": other ids than SentencePiece's own.
        tokenizer = T5TokenizerFast(str(train(instructions, Path(name))), extra_ids=100, add_prefix_space=True)
        fast = json.loads(tokenizer.backend_tokenizer.to_str())
    text = json.dumps(fast, ensure_ascii=False, separators=(",", ":"))
    arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
