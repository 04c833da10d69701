"""Made-up files of the eleven prompt-retrieval tasks, in their original layouts."""

import csv
import json
import random

from made_up import jsonl


def sentences(n, seed=0):
    lot = random.Random(seed)
    words = "river stone bridge lamp cloud paper violin garden winter copper signal harbour meadow"
    return [f"{' '.join(lot.choices(words.split(), k=6))} {seed} {i}" for i in range(n)]


def tsv(path, header, rows):
    path.write_text("\n".join("\t".join(map(str, row)) for row in [header, *rows]) + "\n", encoding="utf-8")


def write_json(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")


def rte(folder):
    texts = sentences(2767)
    rows = [(i, t, f"so {t}", ("entailment", "not_entailment")[i % 2]) for i, t in enumerate(texts)]
    tsv(folder / "train.tsv", ("index", "sentence1", "sentence2", "label"), rows[::2])
    tsv(folder / "test.tsv", ("index", "sentence1", "sentence2", "label"), rows[1::4])
    tsv(folder / "dev.tsv", ("index", "sentence1", "sentence2", "label"), rows[3::4])


def sst5(folder):
    for name, n in (("train", 3005), ("test", 260)):
        lines = [f"__label__{1 + i % 5}\t{t}" for i, t in enumerate(sentences(n, n))]
        (folder / f"sst_{name}.txt").write_text("\n".join(lines) + "\n")


def mrpc(folder):
    header = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
    for name, n in (("train", 3005), ("dev", 260)):
        rows = [(i % 2, i, i + 1, t, f"or {t}") for i, t in enumerate(sentences(n, n))]
        tsv(folder / f"{name}.tsv", header, rows)


def dbpedia(folder):
    for name, n in (("train", 3005), ("test", 260)):
        with (folder / f"{name}.csv").open("w", newline="") as f:
            csv.writer(f).writerows((1 + i % 14, f"Title {i}", t) for i, t in enumerate(sentences(n, n)))


def hellaswag(folder):
    for name, n in (("train", 3005), ("val", 260)):
        jsonl(
            folder / f"hellaswag_{name}.jsonl",
            [
                {"ctx_a": t, "ctx_b": "he", "ctx": f"{t} he", "activity_label": "Walking", "label": i % 4,
                 "endings": [f"goes {w} {i}." for w in ("home", "away", "out", "in")]}
                for i, t in enumerate(sentences(n, n))
            ],
        )  # fmt: skip


def wilds(folder, test):
    rows = [{"text": t, "label": i % 2, "meta": [i, 0, 0, 0]} for i, t in enumerate(sentences(3005))]
    write_json(folder / "x_train.json", rows)
    write_json(folder / "x_test.json", test)


def amazon(folder):
    wilds(folder, [{"text": t, "label": i % 5, "meta": [i % 22]} for i, t in enumerate(sentences(22 * 52, 9))])


def civil(folder):
    wilds(folder, [{"text": t, "label": 1, "meta": [0, 0, 0, i % 2]} for i, t in enumerate(sentences(600, 9))])


def natural(folder, make):
    instances = [make(i, t) for i, t in enumerate(sentences(3300))]
    write_json(folder / "task.json", {"Definition": ["x"], "Instances": instances})


def multirc(folder):
    natural(folder, lambda i, t: {
        "input": f"Sentence: {t} \nQuestion: what is {i}?", "output": [("Yes.", "No.")[i % 2]]})  # fmt: skip


def coda(folder):
    natural(folder, lambda i, t: {"input": t, "output": [f"On {' '.join(t.split()[:3])}"]})


def geoquery(folder):
    for name, n in (("train", 391), ("eval", 344)):
        write_json(folder / f"geoquery_{name}.json", [
            {"question": t, "query": f"SELECT {i} FROM state WHERE {' AND '.join(t.split())} ;", "seq_in": f"{t} | s",
             "db_table_names": ["state"], "db_column_names": [{"table_id": 0, "column_name": "name"}],
             "db_column_types": ["text"]}
            for i, t in enumerate(sentences(n, n))
        ])  # fmt: skip


def mwoz(folder):
    for name, n in (("train", 1003), ("test", 150)):
        turns = [
            {"ID": f"d{i}", "turn_id": turn, "domains": ["hotel"],
             "dialog": {"sys": ["none"] if not turn else ["sure"], "usr": [f"{t} {turn}"]},
             "slot_values": {}, "last_slot_values": {"hotel-area": "north"} if turn else {},
             "turn_slot_values": {"hotel-name": t.split()[0]}}
            for i, t in enumerate(sentences(n, n)) for turn in range(2)
        ]  # fmt: skip
        write_json(folder / f"mw24_100p_{name}.json", turns)


FILES = {
    "RTE": ("rte", rte), "SST-5": ("sst5", sst5), "MRPC": ("mrpc", mrpc), "DBpedia-14": ("dbpedia_14", dbpedia),
    "HellaSwag": ("hellaswag", hellaswag), "Amazon": ("amazon", amazon), "CivilComments": ("civil", civil),
    "MultiRC": ("multirc", multirc), "CODA-19": ("coda19", coda), "GeoQuery": ("geoquery", geoquery),
    "MultiWOZ": ("mwoz", mwoz),
}  # fmt: skip


def mirror(tmp_path, name):
    folder, write = FILES[name]
    target = tmp_path / "datasets" / "prompt_retrieval" / folder
    target.mkdir(parents=True)
    write(target)
    return tmp_path
