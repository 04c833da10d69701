"""How a model takes instructions, decided from the checkpoint's own files.

instructor  prepended, and left out of pooling
prefix      prepended and pooled with the text (E5 and others)
plain       none

An INSTRUCTOR checkpoint has the same modules as GTR and Sentence-T5, which take no instruction; what tells them apart
is listed in `decide`, strongest sign first, and the sign that decided is stored with every score. `--family` overrides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_E5_RULE = 'model card: "query: " and "passage: "'
_HUB_INSTRUCTOR = re.compile(r"\bhkunlp/instructor-(base|large|xl)\b", re.IGNORECASE)


def decide(
    folder: Path, modules: list[dict[str, Any]], config: Mapping[str, Any], include_prompt: bool, name: str
) -> tuple[str, str]:
    """(family, the sign that decided)."""
    if any("instructorembedding" in str(m["type"]).lower() or "INSTRUCTOR_" in str(m["type"]) for m in modules):
        return "instructor", "modules.json names InstructorEmbedding"
    if not include_prompt:
        return "instructor", "pooling configuration: include_prompt false"
    front = front_matter(folder)
    if _HUB_INSTRUCTOR.search(front):
        return "instructor", "model card: derived from INSTRUCTOR"
    title = _title(folder)
    if re.search(r"hkunlp/instructor|\binstructor-(base|large|xl)\b", title, re.IGNORECASE):
        return "instructor", "model card: its title names INSTRUCTOR"
    if re.search(r"(^|[/_-])instructor([/_-]|$)", str(config.get("_name_or_path", "")), re.IGNORECASE):
        return "instructor", "config.json: _name_or_path names INSTRUCTOR"
    if prompts(folder)[0]:
        return "prefix", prompts(folder)[1]
    # Last, and only for a transformer with the modules of INSTRUCTOR: what the model is called.
    if str(config.get("model_type", "")).endswith("t5") and _HUB_INSTRUCTOR.fullmatch(name):
        return "instructor", "T5 published under an INSTRUCTOR id"
    return "plain", "no sign of instructions or prompts in the checkpoint"


def prompts(folder: Path) -> tuple[dict[str, str], str]:
    """The prompts that a prefix model's own files give, by role ("*" serves all), and where they stand.

    `config_sentence_transformers.json` may name prompts (query, document or passage, and a default); E5 models have
    none there, and say in their model card that texts start with "query: " or "passage: ".
    """
    named = _named_prompts(folder / "config_sentence_transformers.json")
    if named:
        return named, "prompts of config_sentence_transformers.json"
    card = _read(folder / "README.md")
    if re.search(r"[\"'`]query: ", card) and re.search(r"[\"'`]passage: ", card):
        return {"document": "passage: ", "*": "query: "}, _E5_RULE
    return {}, ""


def _named_prompts(path: Path) -> dict[str, str]:
    try:
        config = json.loads(_read(path) or "{}")
    except ValueError:
        return {}
    raw = config.get("prompts") if isinstance(config, dict) else None
    if not isinstance(raw, dict):
        return {}
    given = {str(k): v for k, v in raw.items() if isinstance(v, str)}
    if not any(given.values()):
        return {}
    found: dict[str, str] = {}
    for role, names in (("query", ("query",)), ("document", ("document", "passage", "corpus"))):
        for key in names:
            if key in given:
                found[role] = given[key]
                break
    default = config.get("default_prompt_name")
    found["*"] = given.get(str(default), "") if default else ""
    return found


def front_matter(folder: Path) -> str:
    """The YAML block at the top of the model card, as text."""
    match = re.match(r"\A---\n(.*?)\n---", _read(folder / "README.md"), re.DOTALL)
    return match.group(1) if match else ""


def _title(folder: Path) -> str:
    match = re.search(r"^#\s+(.+)$", _read(folder / "README.md"), re.MULTILINE)
    return match.group(1) if match else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
