"""The text of prompts, both forms, and what is cut of them; recipes and what they refuse."""

import gpt2_tokens
import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.results.checksums import identity
from instructor_eval.tasks.cards import read_cards, shipped_cards
from instructor_eval.tasks.prompts.budget import budget_tokenizer
from instructor_eval.tasks.prompts.prompt import question, render, render_item
from instructor_eval.tasks.prompts.recipe import SEED, Recipe, recipe_of

TOKENIZER = budget_tokenizer()
LABELS = Recipe(task="t", input="Say: {text}\nanswer:", embed="{text}", labels={"0": "no", "1": "yes indeed"})
TITLES = Recipe(
    task="t", input="write\n{text}\ntitle:", embed="{text}", output="{title}", end="\n\n", preamble="About {topic}.\n",
    max_tokens=9, stop=("\n", ";"),
)  # fmt: skip
QUERIES = Recipe(
    task="t", input="-- {q}\n", query="-- {q}\nSELECT", embed="{q}", output="{sql}", end=";", starts="SELECT"
)


def ask(recipe: Recipe, pool: list[dict], test: dict):
    examples = render(recipe, [(f"pool/{i}", row) for i, row in enumerate(pool)], TOKENIZER)
    item = render_item(recipe, "test/0", test, TOKENIZER)
    return examples, item, question(recipe, item, examples, TOKENIZER)


def test_labels() -> None:
    pool = [{"text": "rain", "label": 0}, {"text": "sun", "label": "1"}]
    examples, item, asked = ask(LABELS, pool, {"text": "wind", "label": 1})
    assert asked.prompt == ("Say: rain\nanswer:\nno\n\n\nSay: sun\nanswer:\nyes indeed\n\n\nSay: wind\nanswer:")
    assert asked.options == ("\nno", "\nyes indeed")
    assert asked.most_similar == "yes indeed"
    assert item.gold == "yes indeed"
    assert [e.tokens for e in examples] == [
        len(gpt2_tokens.encode("Say: rain\nanswer:")) + 1,
        len(gpt2_tokens.encode("Say: sun\nanswer:")) + 2,
    ]
    assert item.tokens == len(gpt2_tokens.encode("Say: wind\nanswer:"))


def test_without_demonstrations() -> None:
    _, _, asked = ask(LABELS, [], {"text": "wind", "label": 0})
    assert (asked.prompt, asked.most_similar) == ("\n\n\nSay: wind\nanswer:", "")


def test_choices() -> None:
    recipe = Recipe(task="t", input="{a} ", embed="{a} | {ends.0} | {ends.1}", choices="ends")
    row = {"a": "He", "ends": ["runs.", "sleeps."], "label": "1"}
    _, item, asked = ask(recipe, [{"a": "She", "ends": ["x", "y", "z"], "label": 2}], row)
    assert asked.prompt == "She \nz\n\n\nHe "
    assert asked.options == ("\nruns.", "\nsleeps.")
    assert (asked.most_similar, item.gold) == ("z", "sleeps.")
    assert recipe.text(recipe.embed, row, "x") == "He | runs. | sleeps."


def test_generation() -> None:
    pool = [{"text": "bats", "title": "Of bats", "topic": "x"}]
    examples, item, asked = ask(TITLES, pool, {"text": "cats", "title": "Of cats", "topic": "animals"})
    assert asked.prompt == "About animals.\nwrite\nbats\ntitle:Of bats\n\nwrite\ncats\ntitle:"
    assert (asked.options, asked.max_tokens, asked.stop) == ((), 9, ("\n", ";"))
    assert asked.most_similar == "Of bats"
    assert examples[0].tokens == len(gpt2_tokens.encode("write\nbats\ntitle:Of bats\n\n"))
    parts = ["write\ncats\ntitle:", "About animals.\n"]
    assert item.tokens == sum(len(gpt2_tokens.encode(part)) for part in parts)


def test_an_answer_whose_beginning_is_in_the_query() -> None:
    _, item, asked = ask(QUERIES, [{"q": "how many", "sql": "SELECT count(*)"}], {"q": "who", "sql": "SELECT name"})
    assert asked.prompt == "-- how many\nSELECT count(*);-- who\nSELECT"
    assert asked.most_similar == " count(*)"
    assert item.gold == "SELECT name"


def test_long_items_lose_their_end_long_prompts_their_start() -> None:
    """256 tokens of one item, option included, less two; 1,024 of all, option included."""
    long = "word " * 400
    _, _, asked = ask(LABELS, [], {"text": long, "label": 0})
    longest = len(gpt2_tokens.encode("\nyes indeed"))
    ids = gpt2_tokens.encode(f"\n\n\nSay: {long}\nanswer:")
    assert asked.prompt == gpt2_tokens.decode(ids[: 254 - longest])
    pool = [{"text": f"sentence {i}", "label": 0} for i in range(140)]
    examples, _, asked = ask(LABELS, pool, {"text": "wind", "label": 0})
    whole = "\n\n\n".join(f"{e.input}\n{e.answer}" for e in examples) + "\n\n\nSay: wind\nanswer:"
    ids = gpt2_tokens.encode(whole)
    assert len(ids) > 1024
    assert asked.prompt == gpt2_tokens.decode(ids[-(1024 - longest) :])


def test_a_test_item_that_alone_exceeds_the_budget() -> None:
    recipe = Recipe(task="mine", input="{text}", embed="{text}", labels={"0": "a", "1": "b"}, budget=5)
    with pytest.raises(UserError) as error:
        render_item(recipe, "test/3", {"text": "one two three four five six", "label": 0}, TOKENIZER)
    assert str(error.value) == (
        "task mine: test item test/3 alone takes 6 GPT-2 tokens of a budget of 5: shorten it, raise options.budget in "
        "the card, or set options.overlong to zero-shot"
    )
    lenient = Recipe(
        task="mine", input="{text}", embed="{text}", labels={"0": "a", "1": "b"}, budget=5, overlong="zero-shot"
    )
    assert render_item(lenient, "x", {"text": "one two three four five six", "label": 0}, TOKENIZER).tokens == 6


def test_an_option_that_leaves_no_room_for_the_question() -> None:
    recipe = Recipe(task="t", input="{a}", embed="{a}", choices="ends")
    with pytest.raises(UserError) as error:
        ask(recipe, [], {"a": "why", "ends": ["x", "word " * 300], "label": 0})
    assert str(error.value) == (
        "task t: test item test/0: an option takes 302 GPT-2 tokens and leaves no room for the question "
        "(254 together): shorten it"
    )


def test_line_breaks_are_taken_out_of_one_field() -> None:
    recipe = Recipe(task="t", input="{text}\n{other}", embed="{text}", one_line="text", output="{text}")
    assert recipe.text(recipe.input, {"text": "a\nb", "other": "c\nd"}, "x") == "ab\nc\nd"


def test_templates_look_at_fields_only() -> None:
    recipe = Recipe(task="t", input="{text.__class__} {text!r} {{text}} {0x}", embed="", output="{text}")
    with pytest.raises(UserError, match="has no field '0x'"):
        recipe.text(recipe.input, {"text": "a"}, "x")
    assert recipe.text("{text.__class__} {text!r} {{text}}", {"text": "{label}"}, "x") == (
        "{text.__class__} {text!r} {{label}}"
    )


@pytest.mark.parametrize(
    ("recipe", "row", "message"),
    [
        (LABELS, {"label": 0}, "task t: example test/0 has no field 'text': it has label"),
        (LABELS, {"text": "a", "label": 2}, "task t: example test/0 has the unknown label '2': known are 0, 1"),
        (LABELS, {"text": "a"}, "task t: example test/0 has no label: it has text"),
        (LABELS, {"text": "a", "label": None}, "task t: example test/0 has no label: it has text, label"),
        (
            Recipe(task="t", input="{a}", embed="{a}", choices="ends"),
            {"a": "x", "ends": ["a", "b"], "label": 2},
            "task t: example test/0: 'label' should be 0 to 1, found '2'",
        ),
        (
            Recipe(task="t", input="{a}", embed="{a}", choices="ends"),
            {"a": "x", "ends": "ab", "label": 0},
            "task t: example test/0: 'ends' should be a list of two or more",
        ),
        (
            Recipe(task="t", input="{a.3}", embed="{a}", output="{a}"),
            {"a": ["x"]},
            "task t: example test/0: 'a' has no place 3",
        ),
        (
            Recipe(task="t", input="{a.0}", embed="{a}", output="{a}"),
            {"a": "x"},
            "task t: example test/0: 'a' has no place 0",
        ),
        (LABELS, {"text": None, "label": 0}, "task t: example test/0: null in 'text': it should be a text"),
        (LABELS, {"text": ["a"], "label": 0}, "task t: example test/0: a list (['a']) in 'text': it should be a text"),
        (LABELS, {"text": True, "label": 0}, "task t: example test/0: true in 'text': it should be a text"),
    ],
)
def test_examples_that_do_not_fit_the_card(recipe: Recipe, row: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        render_item(recipe, "test/0", row, TOKENIZER)
    assert str(error.value) == message


BAD = {
    "input is missing": ("{labels: [a, b]}", "options.input: it is missing"),
    "nought": ("{input: x, most: 0}", "options.most: 0 is not at least 1"),
    "layout": ("{input: x, layout: exel}", "options.layout: unknown value 'exel': known are rows, hub,"),
    "stop": ("{input: x, stop: []}", "options.stop: expected a list, it is empty"),
    "one label": ("{input: x, labels: [a]}", "options.labels: expected two or more, each with a word of its own"),
    "equal words": ("{input: x, labels: {0: a, 1: a}}", "options.labels: expected two or more, each with a word"),
    "two kinds": ("{input: x, labels: [a, b], output: y}", "options.output: a task has labels, choices or an output"),
    "choices and output": ("{input: x, choices: c, output: y}", "options.output: a task has labels, choices or an"),
    "idle": (
        "{input: x, labels: [a, b], stop: y}",
        "options.stop: it is for answers that are generated: this task has",
    ),
    "spaces": ("{input: x, labels: {0: a, 1: ' a'}}", "options.labels: expected two or more, each with a word of its"),
    "labels of YAML": (
        "{input: x, labels: [yes, no]}",
        "options.labels.0: expected a text, found bool True: put it in quotes",
    ),
    "labels twice": (
        "{input: x, labels: [a, a, b]}",
        "options.labels: a label is there twice: give each once, as a text",
    ),
    "keys of YAML": ("{input: x, labels: {yes: a, no: b}}", "options.labels: a label is yes, no, true or false: put"),
    "label as both": (
        "{input: x, labels: {1: a, '1': b, 2: c}}",
        "options.labels: a label is there twice: give each once, as a text",
    ),
    "label in the input": (
        "{input: '{label}', labels: [a, b]}",
        "options.input: it shows the answer: leave {label} out",
    ),
    "answer to embed": (
        "{input: x, embed: '{t} {o}', output: '{o}'}",
        "options.embed: it shows the answer: leave {o} out",
    ),
    "one number twice": (
        "{input: x, labels: {'1': a, '1.0': b, '2': c}}",
        "options.labels: a label is there twice: give each once, as a text",
    ),
    "unknown key": ("{input: x, budgets: 3}", "options.budgets: unknown key: did you mean budget?"),
}


@pytest.mark.parametrize("case", BAD)
def test_cards_that_cannot_be(case: str, tmp_path) -> None:
    options, message = BAD[case]
    file = tmp_path / "card.yaml"
    file.write_text(f"name: mine\ntype: PromptRetrieval\ndata: x\noptions: {options}\n")
    with pytest.raises(UserError) as error:
        read_cards(file)
    assert str(error.value).startswith(f"{file}, line 4: task 'mine': {message}")


def test_an_own_card_needs_no_more_than_an_input(tmp_path) -> None:
    file = tmp_path / "card.yaml"
    file.write_text("name: mine\ntype: PromptRetrieval\ndata: x\noptions: {input: 'Q: {text}', labels: [a, b]}\n")
    recipe = recipe_of(read_cards(file)[0])
    assert recipe == Recipe(task="mine", input="Q: {text}", embed="Q: {text}", labels=["a", "b"])
    assert recipe.words == {"a": "a", "b": "b"}


def test_labels_that_are_numbers_in_the_card_are_texts(tmp_path) -> None:
    """A card's options are part of a score's identity, which cannot sort numbers among texts."""
    file = tmp_path / "card.yaml"
    file.write_text("name: mine\ntype: PromptRetrieval\ndata: x\noptions: {input: x, labels: {0: a, b: c}}\n")
    [card] = read_cards(file)
    assert card.options["labels"] == {"0": "a", "b": "c"}
    assert identity({"options": dict(card.options)})


def test_the_papers_cards_say_what_the_protocol_says() -> None:
    """shared/facts/protocol.md, Prompt retrieval: who is centred, pools and tests, budgets."""
    recipes = {c.name: recipe_of(c) for c in shipped_cards().values() if c.benchmark == "prompt-retrieval"}
    assert len(recipes) == 11
    direct = {"RTE", "SST-5", "MRPC", "DBpedia-14", "HellaSwag"}
    both = direct | {"CODA-19"}
    assert {n for n, r in recipes.items() if r.centre == "both"} == both
    assert {n for n, r in recipes.items() if r.centre == "pool"} == set(recipes) - both
    for name, recipe in recipes.items():
        budget = {"CODA-19": 1900, "GeoQuery": 3800, "MultiWOZ": 3800}.get(name, 1000)
        assert (recipe.budget, SEED) == (budget, 0)
        assert recipe.test == (None if name == "Amazon" else 256)
        assert recipe.most == {"Amazon": 2, "CivilComments": 2, "CODA-19": 16}.get(name)
        assert recipe.has_options == (name not in ("CODA-19", "GeoQuery", "MultiWOZ"))
    assert all(recipes[n].example_budget == 250 for n in direct)
    assert {n: r.pool for n, r in recipes.items() if r.pool != 3000} == {
        "RTE": None,
        "GeoQuery": None,
        "MultiWOZ": 1000,
    }
    assert (recipes["CODA-19"].max_tokens, recipes["CODA-19"].stops) == (64, ("--", "\n", ";", "#"))
    assert len(recipes["DBpedia-14"].labels) == 14
