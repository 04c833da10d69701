"""Tasks of mteb on made-up mirrors, scored by us and by mteb."""

from types import SimpleNamespace

import by_type
import pytest
from made_up import MIRRORS, FakeEncoder, card, settings
from mteb_alone import run_mteb


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory):
    """Name -> the task's mirror, our outcome on it and mteb's scores; each computed once."""
    done = {}

    def evaluate(name):
        if name not in done:
            hub = tmp_path_factory.mktemp(name)
            folder = MIRRORS[name](hub)
            encoder, c = FakeEncoder(), card(name)
            outcome = by_type.run(c, encoder, settings(hub))
            subset = None if c.subset == "default" else c.subset
            theirs = run_mteb(name, folder, tmp_path_factory.mktemp("cache"), subset=subset)
            done[name] = SimpleNamespace(
                hub=hub, folder=folder, encoder=encoder, card=c, outcome=outcome, theirs=theirs
            )
        return done[name]

    return evaluate
