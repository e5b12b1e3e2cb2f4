"""Every Dockerfile of the corpus is built from local bases, and its image is run and does what the file promises."""

from __future__ import annotations

import pytest
from tests.compat.build.corpus_files import CORPUS, NAMES, expected
from tests.compat.build.yard import BASES, Yard


@pytest.mark.parametrize("name", NAMES)
def test_a_dockerfile_of_the_corpus_is_built_and_its_image_runs(yard: Yard, name: str) -> None:
    wanted = expected(name)
    yard.build(name, wanted)
    found = yard.config(name)
    assert {key: found.get(key) for key in wanted.config} == wanted.config
    assert yard.run(name) == (wanted.code, wanted.prints)


def test_the_corpus_is_of_the_promised_size_and_every_file_promises_something() -> None:
    assert len(NAMES) >= 60
    assert {path.stem for path in CORPUS.glob("bases/*")} == set(BASES)
    for name in NAMES:
        wanted = expected(name)
        assert wanted.prints or wanted.config or name == "run-failing-pipe"
