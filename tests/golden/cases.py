"""Awkward (instruction, text) pairs for the parity with InstructorEmbedding 1.0.1.

``CASES`` are encoded each alone and, as ``MIXED`` says, also all as one batch: 1.0.1 gives the same vectors
up to rounding. ``FAILING`` are pairs without a usable vector in 1.0.1; an encoder must raise an error there.

Instructions are of the INSTRUCTOR authors' evaluation code (xlang-ai/instructor-embedding at 9a9742c) or made
up; the texts are all made up. Token numbers named below are those of ``tiny_tokenizer.json``.
"""

MIXED = True
MAX_TOKENS = 512

DOCUMENT = "Represent the document for retrieval: "
QUESTION = "Represent the Wikipedia question for retrieving supporting documents: "
SCIFACT = "Represent a Scientific query for retrieving a supporting passage; "
POSTS = "Represent a posts,,, "
STATEMENT = "represent the statement: "

SENTENCE = "The river city market was closed after the storm."
ABSTRACT = (
    "We trained a small language model on patient records and measured how well it retrieved similar"
    " questions. The model improved recall by 3.5 percent (p < 0.01), but precision did not change; see"
    " Table 2.\n\n"
    "Conclusions: a cheap network is enough for early classification of rare diseases."
)
CODE = 'def main(argv: list[str]) -> int:\n\tprint(f"{len(argv)} files")\n    return 0  # done\n'
URL = "https://example.org/a_page?id=42&lang=en#top"


def the(count: int) -> str:
    """The word "the" count times: one token each."""
    return " ".join(["the"] * count)


def numbered(count: int) -> str:
    """Count different short sentences, to make a long text in which every position matters."""
    return " ".join(f"Line {number} of the report names patient {number * 7}." for number in range(count))


EMPTY = [
    ("", ""),
    ("", SENTENCE),
    ("", " "),
    ("", " \n\t "),
    (" ", ""),
    (" ", SENTENCE),
    ("\n\t", SENTENCE),
    (DOCUMENT, ""),
    (DOCUMENT, "   "),
    (DOCUMENT, "\n\n\t"),
    (DOCUMENT, "\u00a0\u3000"),
    (DOCUMENT, "\u200b"),
    (DOCUMENT, "\x01\x02"),
    ("\u200b", SENTENCE),
]

SHORT_INSTRUCTIONS = [
    ("the", SENTENCE),
    ("the ", SENTENCE),
    (" the ", SENTENCE),
    ("the", ""),
    ("the ", "the"),
    (":", SENTENCE),
    (": ", SENTENCE),
    ("the the", SENTENCE),
    ("the the ", SENTENCE),
    ("the:", SENTENCE),
    ("the: ", SENTENCE),
    ("the: ", ""),
    ("query: ", SENTENCE),
    ("\u3042", SENTENCE),
    ("</s>", SENTENCE),
    ("<pad> ", SENTENCE),
]

BOUNDARY = [
    ("Represent the document for retrieval:", SENTENCE),
    ("Represent the document for retrieval", SENTENCE),
    ("Represent the document for retrieval", "s of the market"),
    ("Represent the document for retriev", "al of money"),
    ("Represent the question for the pat", "ients in the garden"),
    ("Represent the sentence", ", then the answer"),
    ("Represent the sentence ", ", then the answer"),
    ("Represent the number 4", "2"),
    ("Represent the number 4", "2 and the rest"),
    ("Represent the word e", "\u0301 in a text"),
    ("Represent the ellipsis..", ". and more"),
    ("Represent a posts,,,", ",,, again"),
    (POSTS, ",,, "),
    (POSTS, "I sold my old phone yesterday,,, good price"),
    ("Represent the document for retrieval:  ", SENTENCE),
    ("Represent the document for retrieval:\n", SENTENCE),
    ("Represent the document for retrieval:\u00a0", SENTENCE),
    ("Represent the document for retrieval:\u3000", SENTENCE),
    ("Represent the document for retrieval:\u200b", SENTENCE),
    ("  Represent the document for retrieval: ", SENTENCE),
    ("\tRepresent the document\nfor retrieval: ", SENTENCE),
    ("Represent  the   document for retrieval: ", SENTENCE),
    ("Represent the document for retrieval: ", "Represent the document for retrieval: "),
]

WHITE_SPACE = [
    (DOCUMENT, f" {SENTENCE}"),
    (DOCUMENT, f"{SENTENCE} "),
    (DOCUMENT, f"\n\n{SENTENCE}\n"),
    (DOCUMENT, f"\t{SENTENCE}\r\n"),
    (DOCUMENT, f"\u00a0\u2003{SENTENCE}\u3000"),
    (DOCUMENT, f"\x1c\x85{SENTENCE}\x1f"),
    (DOCUMENT, f"\u200b{SENTENCE}\ufeff"),
    ("Represent the document for retrieval:", f" {SENTENCE}"),
    ("Represent the document for retrieval:", f"\n{SENTENCE}"),
    ("Represent the document for retrieval", f"  {SENTENCE}"),
    ("", f"  {SENTENCE}\n"),
    (DOCUMENT, "The river\ncity\tmarket   was\r\nclosed  after\u2028the storm."),
    (DOCUMENT, "\u2581The\u2581river\u2581\u2581city"),
    (DOCUMENT, "a  b   c    d"),
]

LONG = [
    (DOCUMENT, numbered(30)),
    (DOCUMENT, numbered(200)),
    ("", numbered(200)),
    ("", the(510)),
    ("", the(511)),
    ("", the(512)),
    ("the", the(510)),
    ("the", the(511)),
    (the(2), f" {the(508)}"),
    (the(2) + " ", the(509)),
    (the(2) + " ", the(510)),
    (the(400) + " ", numbered(40)),
    (the(508) + " ", "the river and the market"),
    (the(509) + " ", "the river and the market"),
    (the(510) + " ", "the river and the market"),
    (the(511) + " ", "the river and the market"),
    (the(512) + " ", "the river and the market"),
    (the(513) + " ", "the river and the market"),
    (the(510) + " ", ""),
    (the(511) + " ", ""),
    (the(513) + " ", ""),
    (the(509), "re is a text"),
    (the(511), "re is a text"),
    (the(510) + " st", "orm"),
    (the(510) + " sent", "ence"),
    (the(600) + ": ", SENTENCE),
    (numbered(200) + " ", SENTENCE),
    (DOCUMENT, "a" * 3000),
    (DOCUMENT, "Donaudampfschifffahrtsgesellschaftskapit\u00e4n" * 3),
    (DOCUMENT, f"{'ha' * 400} {SENTENCE}"),
    (DOCUMENT, f"{'x ' * 300}\u3042{' y' * 400}"),
]

UNICODE = [
    (DOCUMENT, "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3067\u3059\u3002"),
    (DOCUMENT, "\u4f60\u597d\uff0c\u4e16\u754c\uff01 Hello \u4f60\u597d"),
    (DOCUMENT, "\ud55c\uad6d\uc5b4 \ubb38\uc7a5 \u1112\u1161\u11ab"),
    (DOCUMENT, "\U0001f600\U0001f389 what a day \U0001f44d\U0001f3fd"),
    (DOCUMENT, "\U0001f468\u200d\U0001f469\u200d\U0001f467 a family"),
    (DOCUMENT, "Cafe\u0301 de\u0301ja\u0300 vu, nai\u0308ve"),
    (DOCUMENT, "Caf\u00e9 d\u00e9j\u00e0 vu, na\u00efve"),
    (DOCUMENT, "z\u0335\u0327\u0310a\u0334\u0353l\u0337g\u0338o\u0336 text"),
    (DOCUMENT, "\u0301 starts with an accent"),
    (DOCUMENT, "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd"),
    (DOCUMENT, "\u0645\u0631\u062d\u0628\u0627 \u200f\u0628\u0627\u0644\u0639\u0627\u0644\u0645\u200e 2019"),
    (DOCUMENT, "\uff34\uff48\uff45\u3000\uff52\uff49\uff56\uff45\uff52 \uff11\uff12\uff13"),
    (DOCUMENT, "\ufb01nancial \ufb02ow \u2460\u00b2 \u00bd \u2122 \u2126"),
    (DOCUMENT, "zero\u200bwidth\u200cnon\u200djoiner\u2060word\ufeffmark"),
    (DOCUMENT, "non\u00a0breaking\u202fspaces\u2009here"),
    (DOCUMENT, "a NUL\x00inside"),
    (DOCUMENT, "\x00"),
    (DOCUMENT, "controls\x07\x1b[0m\x7f and \x85 next"),
    (DOCUMENT, "lost \ufffd and private \ue000 and last \U0010ffff"),
    (DOCUMENT, "\u201cquoted\u201d \u2018text\u2019 \u2014 \u2026 \u20ac5"),
    ("Repr\u00e9sente le document\u00a0: ", "Une phrase en fran\u00e7ais."),
    ("\u8868\u793a\u6587\u6863\uff1a", "\u4f60\u597d\uff0c\u4e16\u754c"),
    ("Repre\u0301sente: ", "e\u0301te\u0301"),
    ("\U0001f50d ", SENTENCE),
]

SPECIAL = [
    (DOCUMENT, "before </s> after"),
    (DOCUMENT, "</s>"),
    (DOCUMENT, "</s></s> twice"),
    (DOCUMENT, "before <pad> after <pad>"),
    (DOCUMENT, "<pad><pad><pad>"),
    (DOCUMENT, "an <unk> token"),
    (DOCUMENT, "a <extra_id_0> sentinel <extra_id_99>"),
    (DOCUMENT, "<s> [CLS] <mask> [SEP]"),
    (DOCUMENT, "< /s> <\u200b/s> </S>"),
    ("Represent </s> the document: ", SENTENCE),
    ("Represent the document: </s>", SENTENCE),
    ("<pad> <pad> <pad> ", SENTENCE),
    (DOCUMENT, "{} <> [] ~^`|\\ $%&*"),
    (DOCUMENT, "0123456789 3.14159 1,000,000 1e-12 -7 #42"),
    (DOCUMENT, CODE),
    ("Represent the code: ", CODE),
    (DOCUMENT, URL),
    (DOCUMENT, f"See {URL} or mail user@example.com."),
    (DOCUMENT, "SELECT name FROM river WHERE length > 100 AND state = 'ohio' ;"),
    (DOCUMENT, "."),
    (DOCUMENT, "the"),
    (DOCUMENT, "q"),
    (DOCUMENT, "THE RIVER CITY MARKET WAS CLOSED"),
    (DOCUMENT, "|title| 'x' \"y\" (z) \u2014 a/b\\c"),
]

REAL = [
    (QUESTION, "Why was the market in the old city closed after the storm?"),
    (QUESTION, "who wrote the song about the river"),
    (SCIFACT, "A protein in the blood predicts early disease."),
    ("Represent the fact for retrieving supporting evidence: ", "Paris is larger than Berlin."),
    ("Represent the evidence for retrieval: ", ABSTRACT),
    ("Represent the Unix question for retrieving answers: ", "How do I list open files of a process?"),
    ("Represent the Climate question for retrieving supporting documents: ", "Sea level is not rising."),
    (
        "Represent the Coronavirus questions to retrieve a supporting document: ",
        "how does the virus spread on a surface",
    ),
    (
        "Represent an amazon review sentence for classifying emotion as positive or negative: ",
        "Broke after two days!!! Do NOT buy :(",
    ),
    (
        "Represent the sentiment comment for retrieving a duplicate sentence: ",
        "Great phone, terrible battery, would buy again.",
    ),
    (
        "Represent the question and answer for retrieving duplicate question and answers: ",
        "How to exit vim?\nPress Esc, then type :q! and Enter.",
    ),
    ("Represent the twitter post for retrieving comments: ", "omg the match last night... #unreal @friend"),
    ("Represent the news article for retrieval: ", "Government wins election in Kenya"),
    ("Represent the science passage for retrieval: ", ABSTRACT),
    ("represent the Biological statement: ", "The gene is not active in the tested cells."),
    (STATEMENT, "A man is playing a guitar."),
    (STATEMENT, "A woman is playing the guitar."),
    ("Represent a question: ", "Should students wear school uniforms?"),
    ("Represent a news sentence; Input: ", "Shares rose 2 percent.\nShares were up by 2 %."),
    (POSTS, "Has anyone else lost their keyboard layout after the update?"),
    (DOCUMENT, ABSTRACT),
]

CASES: list[tuple[str, str]] = [
    *EMPTY,
    *SHORT_INSTRUCTIONS,
    *BOUNDARY,
    *WHITE_SPACE,
    *LONG,
    *UNICODE,
    *SPECIAL,
    *REAL,
]

FAILING: list[tuple[str, str, str]] = [
    ("Represent the st", "orm", "zero"),
    ("Represent the q", "uestion", "zero"),
    ("Represent the rev", "iew\n", "zero"),
    ("te", "st", "zero"),
    ("an", "\x01swer", "zero"),
    ("the ri", "ver", "zero"),
    (the(509) + " st", "orm", "zero"),
    (the(509) + " sent", "ence", "zero"),
    ("Represent the sent", "ence", "assertion"),
    ("Represent the passwo", "rd", "assertion"),
    ("que", "stion", "assertion"),
    ("recommendati", "on", "assertion"),
    ("Represent </s", ">", "assertion"),
    ("<extra_id_", "1>", "assertion"),
]
"""(instruction, text, what 1.0.1 does): "assertion" (k > tokens) or "zero" (k = tokens, nothing pooled)."""
