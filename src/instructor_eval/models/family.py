"""A model's family: how it takes instructions, decided from the checkpoint's own files.

instructor  prepended, and left out of pooling
prefix      prepended and pooled with the text (E5 and others)
plain       none

An INSTRUCTOR checkpoint has the same modules as GTR and Sentence-T5, which take no instruction; what tells them apart
is listed in `decide`, strongest sign first, and the sign that decided is stored with every score. `--family` overrides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instructor_eval.core.outside import read_json, read_text
from instructor_eval.models.folder.settings import FolderSettings

_E5_RULE = 'model card: "query: " and "passage: "'
_HUB_INSTRUCTOR = re.compile(r"\bhkunlp/instructor-(base|large|xl)\b", re.IGNORECASE)
TRAINED_TAG = "trained-with-instructions"
"""A tag of the model cards that `evaluate train` writes."""
_TRAINED = re.compile(rf"^\s*-\s*{TRAINED_TAG}\s*$", re.MULTILINE)
INSTRUCTOR_NAME = re.compile(r"\binstructor-(base|large|xl)\b", re.IGNORECASE)


def is_t5(config: Mapping[str, Any]) -> bool:
    """Tell whether a transformer is of INSTRUCTOR's kind: T5 or one of its relatives."""
    return str(config.get("model_type", "")).endswith("t5")


def decide(settings: FolderSettings, name: str) -> tuple[str, str]:
    """Return (family, the sign that decided): the first of these signs that the checkpoint shows."""
    folder, config = settings.folder, settings.config
    types = " ".join(m.type for m in settings.modules)
    own_prompts, prompts_rule = prompts(folder)
    t5 = is_t5(config)
    signs = (
        (re.search(r"InstructorEmbedding|INSTRUCTOR_", types), "instructor", "modules.json names InstructorEmbedding"),
        (not settings.include_prompt, "instructor", "pooling configuration: include_prompt false"),
        (_TRAINED.search(front_matter(folder)), "instructor", f"model card: tag {TRAINED_TAG}"),
        (_HUB_INSTRUCTOR.search(front_matter(folder)), "instructor", "model card: derived from INSTRUCTOR"),
        (INSTRUCTOR_NAME.search(_title(folder)), "instructor", "model card: its title names INSTRUCTOR"),
        (
            t5 and INSTRUCTOR_NAME.search(str(config.get("_name_or_path", ""))),
            "instructor",
            "config.json: _name_or_path names INSTRUCTOR",
        ),
        (own_prompts, "prefix", prompts_rule),
        # Last, and only for a transformer of INSTRUCTOR's kind: the model's name.
        (t5 and _HUB_INSTRUCTOR.fullmatch(name), "instructor", "T5 published under an INSTRUCTOR id"),
    )
    for shown, family, rule in signs:
        if shown:
            return family, rule
    if t5 and "Dense" in types:
        return "plain", "no sign of instructions in the checkpoint (if it is an INSTRUCTOR, add --family instructor)"
    return "plain", "no sign of instructions or prompts in the checkpoint"


def prompts(folder: Path) -> tuple[dict[str, str], str]:
    """Return the prompts in a prefix model's own files, by role ("*" serves all), and the file that has them.

    `config_sentence_transformers.json` may name prompts (query, document or passage, and a default); E5 models have
    none there, and say in their model card that texts start with "query: " or "passage: ".
    """
    named = _prompts_of_config(folder / "config_sentence_transformers.json")
    if named:
        return named, "prompts of config_sentence_transformers.json"
    card = _read(folder / "README.md")
    if re.search(r"[\"'`]query: ", card) and re.search(r"[\"'`]passage: ", card):
        return {"document": "passage: ", "*": "query: "}, _E5_RULE
    return {}, ""


def _prompts_of_config(path: Path) -> dict[str, str]:
    try:
        config = read_json(path)
    except (OSError, ValueError):
        return {}
    return named_prompts(config.get("prompts"), config.get("default_prompt_name")) if isinstance(config, dict) else {}


def named_prompts(raw: Any, default: Any) -> dict[str, str]:
    """Return the prompts of a sentence-transformers model by role ("*" serves all); empty where it has none.

    Args:
        raw: Its `prompts`.
        default: Its `default_prompt_name`.
    """
    if not isinstance(raw, Mapping):
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
    found["*"] = given.get(str(default), "") if default else ""
    return found


def front_matter(folder: Path) -> str:
    """Return the YAML block at the top of the model card, as text."""
    match = re.match(r"\A---\n(.*?)\n---", _read(folder / "README.md"), re.DOTALL)
    return match.group(1) if match else ""


def _title(folder: Path) -> str:
    match = re.search(r"^#\s+(.+)$", _read(folder / "README.md"), re.MULTILINE)
    return match.group(1) if match else ""


def _read(path: Path) -> str:
    try:
        return read_text(path, errors="replace")
    except OSError:
        return ""
