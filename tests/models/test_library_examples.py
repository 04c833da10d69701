"""Examples of INSTRUCTOR's users, done with `load_encoder`."""

from pathlib import Path

import golden
import numpy as np
import pytest
from checkpoints import TOLERANCE, largest
from golden.cases import CASES, SENTENCE, STATEMENT
from sklearn.cluster import MiniBatchKMeans
from sklearn.metrics.pairwise import cosine_similarity

from instructor_eval import load_encoder
from instructor_eval.models.library import LibraryEncoder

GOLDEN = Path(golden.__path__[0]) / "instructor_1_0_1.npz"


@pytest.fixture(scope="module")
def model(instructor_folder: Path) -> LibraryEncoder:
    return load_encoder(instructor_folder, family="instructor", device="cpu")


@pytest.fixture(scope="module")
def minilm() -> LibraryEncoder:
    return load_encoder("minilm", device="cpu")


def test_vectors_of_instructor_embedding(model: LibraryEncoder) -> None:
    with np.load(GOLDEN, allow_pickle=False) as stored:
        expected = stored["alone"]
    at = range(0, len(CASES), 6)
    ours = model.encode([list(CASES[i]) for i in at])
    assert len(ours) > 20
    assert largest(ours, expected[list(at)]) < TOLERANCE


def test_examples_of_the_model_card(model: LibraryEncoder) -> None:
    """Similarity, retrieval and clustering, as INSTRUCTOR's users do them with scikit-learn."""
    left = model.encode([[STATEMENT, "The patient takes a vaccine."], [STATEMENT, "The bank lends money."]])
    right = model.encode([[STATEMENT, "A vaccine is given."], [STATEMENT, "The bank lends money."]])
    similar = cosine_similarity(left, right)
    assert similar[1, 1] == pytest.approx(1, abs=1e-5)

    texts = [SENTENCE, "the river", "How do I list open files?"]
    query = model.encode([["Represent the city question for retrieving documents: ", "where is the market"]])
    corpus = model.encode([["Represent the city document for retrieval: ", text] for text in texts])
    assert cosine_similarity(query, corpus) == pytest.approx(query @ corpus.T, abs=1e-5)

    titles = ["the river", "the river city", "data model", "a model of data", "the film", "a book"]
    vectors = model.encode([["Represent the title for clustering: ", title] for title in titles])
    labels = MiniBatchKMeans(n_clusters=2, n_init=3, random_state=0).fit(vectors).labels_
    assert set(labels[:6]) == {0, 1}


CORPUS = [
    "Bread dough rises because yeast turns sugar into gas.",
    "The Danube flows through ten countries before it reaches the Black Sea.",
    "A violin has four strings and is played with a bow.",
    "Vaccines train the immune system to recognise a virus.",
]


def test_the_right_document_wins(minilm: LibraryEncoder) -> None:
    questions = [
        "Why does my loaf of bread get bigger before baking?",
        "Which European river crosses many borders?",
        "How do musicians make a sound on a fiddle?",
        "What protects people against infection?",
    ]
    similar = cosine_similarity(minilm.encode(questions), minilm.encode(CORPUS))
    assert similar.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert largest(minilm.encode([["", q] for q in questions]), minilm.encode(questions)) < TOLERANCE


def test_groups_are_found(minilm: LibraryEncoder) -> None:
    texts = [
        "Simmer the soup for twenty minutes.",
        "Chop the onions and fry them in butter.",
        "Season the sauce with salt and pepper.",
        "The goalkeeper saved the penalty.",
        "Their striker scored twice in the second half.",
        "The referee ended the football match.",
    ]
    labels = MiniBatchKMeans(n_clusters=2, n_init=10, random_state=0).fit(minilm.encode(texts)).labels_
    assert len(set(labels[:3])) == len(set(labels[3:])) == 1
    assert labels[0] != labels[3]
