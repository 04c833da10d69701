"""The eleven tasks' texts to the letter, with a row each: facts of the protocol, and the authors' code at 9a9742c."""

import pytest

from instructor_eval.tasks.cards import shipped_cards
from instructor_eval.tasks.prompts.budget import budget_tokenizer
from instructor_eval.tasks.prompts.prompt import question, render, render_item
from instructor_eval.tasks.prompts.recipe import recipe_of

FEEL = "How do you feel about the following sentence?\n"
MOODS = ["very negative", "negative", "neutral", "positive", "very positive"]
CLASSES = [
    "company", "educational institution", "artist", "athlete", "office holder", "mean of transportation", "building",
    "natural place", "village", "animal", "plant", "album", "film", "written work",
]  # fmt: skip
SAME = "Are the following two sentences 'equivalent' or 'not equivalent'?\n"
SIGN = "Is the following sentence 'positive' or 'negative'?\n"
PAIR = {"sentence1": "A b", "sentence2": "C d"}
SWAG = {"activity_label": "Golf", "ctx_a": "A man stands.", "ctx_b": "he", "endings": ["w", "x", "y", "z"]}
# Row, embedded text, what is shown before the answer, the answers by label.
CHOSEN = {
    "RTE": (PAIR, "A b.\nquestion: C d", "A b.\nquestion: C d. True or False?\nanswer:", ["True", "False"]),
    "SST-5": ({"text": "a b"}, "a b", f"{FEEL}a b\nanswer:", MOODS),
    "MRPC": (PAIR, "A b.\nC d", f"{SAME}A b.\nC d.\nanswer:", ["not equivalent", "equivalent"]),
    "DBpedia-14": ({"title": "T", "content": " c d"}, "title: T ; content:  c d", "title: T; content:  c d", CLASSES),
    "HellaSwag": (
        SWAG, "The topic is Golf. A man stands. he | w | x | y | z", "The topic is Golf. A man stands. he ",
        ["w", "x", "y", "z"],
    ),
    "Amazon": ({"text": "a\nb"}, "ab", f"{FEEL}ab.\nanswer:", MOODS),
    "CivilComments": ({"text": "a\nb"}, "a\nb", f"{SIGN}a\nb.\nanswer:", ["positive", "negative"]),
    "MultiRC": (
        {"sentence": "S t.", "question": "Q?"}, "S t.\nQ?",
        "S t.\n. Based on that information, can we know Q?\nanswer:", ["True", "False"],
    ),
}  # fmt: skip
RAW = {"MultiRC": ["Yes.", "No."]}
TOKENIZER = budget_tokenizer()


@pytest.mark.parametrize("name", CHOSEN)
def test_tasks_with_options(name: str) -> None:
    row, embedded, shown, answers = CHOSEN[name]
    recipe = recipe_of(shipped_cards()[name])
    assert recipe.text(recipe.embed, row, "x") == embedded
    labels = RAW.get(name, range(len(answers)))
    for label, answer in zip(labels, answers, strict=True):
        [example] = render(recipe, [("p", row | {"label": label})], TOKENIZER)
        assert (example.input, example.answer) == (shown, answer)
        item = render_item(recipe, "t", row | {"label": label}, TOKENIZER)
        asked = question(recipe, item, [example, example], TOKENIZER)
        assert asked.options == tuple(f"\n{a}" for a in answers)
        assert asked.prompt == f"{shown}\n{answer}\n\n\n{shown}\n{answer}\n\n\n{shown}"
    assert (recipe.example_budget, recipe.overlong) == (None if name == "MultiRC" else 250, "zero-shot")


TURN = {
    "context": "hotel-area: north", "sys": "Which?", "usr": "Any.", "history": "[system] Which? [user] Any.",
    "sql": "SELECT * FROM hotel WHERE name = x",
}  # fmt: skip
QUESTION = {
    "question": "how big",
    "query": "SELECT a ;",
    "seq_in": "how big | geo",
    "schema": "CREATE TABLE t (a text)",
}
TABLES = "-- Each question about these tables is followed by its SQLite query.\n\n"
TURNS = "[context] hotel-area: north\n[system] Which?\nQ: [user] Any.\nSQL: "
# Row, embedded text, preamble, demonstration, query, answer, tokens generated, stops.
WRITTEN = {
    "CODA-19": (
        {"text": "We study.", "label": "On us"}, "We study.", "", "write a title\nWe study.\ntitle:On us\n\n",
        "write a title\nWe study.\ntitle:", "On us", 64, ("--", "\n", ";", "#"),
    ),
    "GeoQuery": (
        QUESTION, "how big | geo", f"CREATE TABLE t (a text)\n{TABLES}", "-- how big\nSELECT a ;\n\n",
        "-- how big\nSELECT", " a ;", 50, ("--", "\n\n", ";", "#"),
    ),
    "MultiWOZ": (
        TURN, "[system] Which? [user] Any.", None, f"{TURNS}SELECT * FROM hotel WHERE name = x;\n\n\n",
        f"{TURNS}SELECT * FROM", " hotel WHERE name = x", 200, ("--", "\n", ";", "#"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_tasks_with_answers_to_be_written(name: str) -> None:
    row, embedded, preamble, demonstration, query, answer, tokens, stops = WRITTEN[name]
    recipe = recipe_of(shipped_cards()[name])
    assert recipe.text(recipe.embed, row, "x") == embedded
    [example] = render(recipe, [("p", row)], TOKENIZER)
    item = render_item(recipe, "t", row, TOKENIZER)
    asked = question(recipe, item, [example, example], TOKENIZER)
    if preamble is None:  # five tables, an empty line at the end
        preamble = item.preamble
        assert preamble.count("CREATE TABLE ") == 5
        assert preamble.endswith("as a query.\n\n")
    assert asked.prompt == preamble + demonstration * 2 + query
    assert asked.most_similar == answer
    assert (asked.options, asked.max_tokens, asked.stop) == ((), tokens, stops)
    assert recipe.overlong == "zero-shot"
