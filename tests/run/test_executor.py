"""The values that `--executor` takes."""

import pytest

from instructor_eval.core.errors import UserError
from instructor_eval.run.executor import LOCAL, Executor


@pytest.mark.parametrize(
    ("text", "kind", "address"),
    [
        ("local", "local", ""),
        ("ray", "ray", ""),
        ("ray:auto", "ray", "auto"),
        ("ray:10.0.0.1:6379", "ray", "10.0.0.1:6379"),
        ("ray:head.example.org:6379", "ray", "head.example.org:6379"),
        ("ray:[::1]:6379", "ray", "[::1]:6379"),
    ],
)
def test_what_it_takes(text: str, kind: str, address: str) -> None:
    assert Executor.parse(text) == Executor(kind, address)


def test_the_default() -> None:
    assert Executor.parse("local") == LOCAL


def test_host_and_port() -> None:
    assert [(e.host, e.port) for e in map(Executor.parse, ("ray:head:6379", "ray:[::1]:1"))] == [
        ("head", 6379),
        ("::1", 1),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rey", "did you mean ray?"),
        ("", "give local, ray, ray:auto or ray:HOST:PORT"),
        ("dask", "give local, ray, ray:auto or ray:HOST:PORT"),
        ("local:1", "local takes no address"),
        ("ray:", "no address of a cluster"),
        ("ray:head", "no address of a cluster"),
        ("ray:head:0", "no address of a cluster"),
        ("ray:head:65536", "no address of a cluster"),
        ("ray:ray://head:10001", "no address of a cluster"),
        ("ray:head:6379;rm -r x", "no address of a cluster"),
    ],
)
def test_what_it_refuses(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words.replace("?", r"\?")):
        Executor.parse(text)
