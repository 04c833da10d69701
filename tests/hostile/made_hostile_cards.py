"""Cards and files of instructions: YAML that unfolds without end, names that are none, options nobody has."""

# a case is a line

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hostile_case import Case
from hostile_inputs import CARD, RUN, checkpoint, data

LONG = "x" * 5000
_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefghi", "bcdefghij", strict=True)
)
_YAML: dict[str, tuple[str | bytes, str]] = {
    "a text": ("x" * 1_000_000, "expected a mapping"),
    "UTF-16": (CARD.encode("utf-16"), "not readable as YAML"),
    "escapes": ("name: \x1b[31m\n", "not readable as YAML"),
    "a pickle": (b"\x80\x04\x95\n", "not readable as YAML"),
    "a billion laughs": (_LAUGHS, "more than 100,000 values"),
    "an alias in what it names": ("options: &a {columns: *a}\n", "stands in what it names"),
    "a list in itself": ("notes: &a [*a]\n", "stands in what it names"),
    "brackets without end": ("[" * 200_000, "nested too deeply"),
    "mappings without end": ("{a: " * 200_000, "nested too deeply"),
    "lists without end": ("- " * 200_000 + "x", "nested too deeply"),
    "two hundred thousand values": (f"notes: [{'x, ' * 200_000}]\n", "more than 100,000 values"),
    "code": ("name: !!python/object/apply:os.system ['touch x']\n", "not readable as YAML"),
    "a module": ("name: !!python/module:os\n", "not readable as YAML"),
    "an unknown tag": ("name: !mine x\n", "not readable as YAML"),
    "no number, empty": ('name: !!int ""\n', "not readable as YAML"),
    "a date out of range": ("name: 9999-12-31 23:59:59 -23:00\n", "card.yaml"),
    "no bytes": ("type: STS\nname: !!binary ???\n", "expected a text, found bytes"),
    "a number of 5,000 digits": (f"name: {'9' * 5000}\n", "a number of 5,000 characters"),
    "a number of 400 digits": (f"type: STS\nname: {'9' * 400}\n", "expected a text, found int"),
    "a hexadecimal number of 5,000 digits": (f"name: 0x{'f' * 5000}\n", "a number of 5,002 characters"),
    "a number of hours": (f"name: 1{':59' * 100_000}\n", "a number of 300,001 characters"),
    "a float of 5,000 digits": (f"name: 1.{'9' * 5000}\n", "a number of 5,002 characters"),
}
_KEYS: dict[str, tuple[str, str]] = {
    "name of 5,000 characters": (CARD.replace("Own", LONG), "name: expected at most 200 characters, it has 5,000"),
    "name of a megabyte": (CARD.replace("Own", "x" * 1_000_000), "name: expected at most 200 characters"),
    "name a date": (CARD.replace("Own", "2024-01-01"), "name: expected a text, found date"),
    "name with escapes": (CARD.replace("Own", r'"\x1b[31m\x9b1m"'), "name: it has line breaks or other"),
    "name with NUL": (CARD.replace("Own", r'"a\0b"'), "name: it has line breaks or other"),
    "name that turns the line round": (CARD.replace("Own", r'"\u202eabc"'), "name: it has line breaks or other"),
    "name of a lone surrogate": (CARD.replace("Own", r'"\ud800"'), "not readable as YAML"),
    "type of 5,000 characters": (CARD.replace("STS", LONG), "type: unknown value"),
    "data of 5,000 characters": (CARD.replace("data: data", f"data: {LONG}"), "data: "),
    "data of 4,000 characters": (CARD.replace("data: data", f"data: {LONG[:4000]}"), "no such folder"),
    "data with NUL": (CARD.replace("data: data", r'data: "a\0b"'), "cannot be a folder's name"),
    "data of nobody's home": (CARD.replace("data: data", "data: ~nobody-of-this-name/x"), "there is no home folder"),
    "data that is the card": (CARD.replace("data: data", "data: card.yaml"), "no such folder"),
    "data that is a device": (CARD.replace("data: data", "data: /dev/zero"), "no such folder"),
    "data id that leads away": (CARD.replace("data: data", "data: {id: ../../etc}"), "Own"),
    "split of 5,000 characters": (f"{CARD}split: {LONG}\n", "split: expected at most 200 characters, it has 5,000"),
    "split above": (f"{CARD}split: ..\n", "split: '..' cannot be part of a file's name"),
    "split elsewhere": (f"{CARD}split: ../../x\n", "split: '../../x' cannot be part of a file's name"),
    "split of Windows": (f"{CARD}split: 'a\\b'\n", "cannot be part of a file's name"),
    "split with NUL": (f'{CARD}split: "a\\0b"\n', "split: it has line breaks or other"),
    "split of pictures": (f"{CARD}split: {chr(0x1F600) * 190}\n", "found none"),
    "subset of 5,000 characters": (f"{CARD}subset: {LONG}\n", "subset: expected at most 200 characters"),
    "subset elsewhere": (f"{CARD}subset: ../x\n", "subset: '../x' cannot be part of a file's name"),
    "metric of 5,000 characters": (f"{CARD}metric: {LONG}\n", "metric: expected at most 200 characters"),
    "benchmark of a megabyte": (f"{CARD}benchmark: {'x' * 1_000_000}\n", "benchmark: expected at most 200 characters"),
    "unknown key of a megabyte": (f"{CARD}? {'x' * 1_000_000}\n: 1\n", "unknown key"),
    "unknown key, null": (f"{CARD}null: x\n", "None: a key should be a text"),
    "columns of a megabyte": (f"{CARD}options: {{columns: {{score: {'x' * 1_000_000}}}}}\n", "at most 200 characters"),
    "instructions of a megabyte": (
        f"{CARD}instructions: {{text: {'x' * 1_000_000}}}\n",
        "expected at most 100,000 char",
    ),
    "labels in themselves": (
        "type: PromptRetrieval\nname: O\ndata: x\noptions: {labels: &a [*a]}\n",
        "in what it names",
    ),
    "input of braces": (
        f"type: PromptRetrieval\nname: O\ndata: data\noptions: {{input: '{'{' * 100_000}', labels: [a, b]}}\n",
        "none of the files",
    ),
    "centre unknown": (
        "type: PromptRetrieval\nname: O\ndata: data\noptions: {input: '{x}', labels: [a, b], centre: [1]}\n",
        "options.centre: expected a text",
    ),
    "most of 10**300": (
        f"type: PromptRetrieval\nname: O\ndata: data\noptions: {{input: '{{x}}', labels: [a, b], most: {'9' * 300}}}\n",
        "none of the files",
    ),
}
_INSTRUCTIONS: dict[str, tuple[str | bytes, str]] = {
    "an unknown task of a megabyte": (f"? {'x' * 1_000_000}\n: x\n", "unknown task"),
    "a megabyte": (f"Own: {'x' * 1_000_000}\n", "expected at most 100,000 characters"),
    "a billion laughs": (_LAUGHS, "more than 100,000 values"),
    "in itself": ("Own: &a {text: *a}\n", "stands in what it names"),
    "code": ("Own: !!python/object/apply:os.system ['touch x']\n", "not readable as YAML"),
    "UTF-16": ("Own: x\n".encode("utf-16"), "not readable as YAML"),
}


def _card(text: str | bytes) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> list[str]:
        (folder / "card.yaml").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        return ["tasks", "card.yaml"]

    return make


def _run(text: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> list[str]:
        data(folder, text)
        checkpoint(folder)
        return ["--model", "m", *RUN]

    return make


def _words(text: str | bytes) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> list[str]:
        data(folder)
        checkpoint(folder)
        (folder / "words.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return ["--model", "m", "--family", "prefix", *RUN, "--instructions", "words.yaml"]

    return make


def _sparse(name: str) -> Callable[[Path], Sequence[str]]:
    def make(folder: Path) -> list[str]:
        data(folder)
        checkpoint(folder)
        with (folder / name).open("wb") as file:
            file.truncate(2**40)
        return ["--model", "m", *RUN, "--instructions", "words.yaml" if name == "words.yaml" else "none"]

    return make


CASES = [
    *(Case(f"YAML: {name}", _card(text), ("card.yaml", says)) for name, (text, says) in _YAML.items()),
    *(Case(name, _run(text), (says,)) for name, (text, says) in _KEYS.items()),
    *(
        Case(f"instructions: {name}", _words(text), ("words.yaml", says))
        for name, (text, says) in _INSTRUCTIONS.items()
    ),
    *(
        Case(f"{name} of a terabyte", _sparse(name), (name, "larger than 32 MB"))
        for name in ("card.yaml", "words.yaml")
    ),
]
