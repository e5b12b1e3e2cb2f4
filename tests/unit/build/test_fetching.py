"""Which builds may take something from elsewhere, so that none of them is answered from what it told before."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.build.builder import plan_build
from sampan.build.request import BuildRequest


def fetches(context: Path, instruction: str) -> bool:
    (context / "Dockerfile").write_text(f"FROM scratch\n{instruction}\n")
    return plan_build(BuildRequest(), str(context)).fetches


@pytest.mark.parametrize(
    "instruction",
    [
        "ADD http://127.0.0.1/f /f",
        "ADD git://127.0.0.1/one.git /r",
        'ADD "git://127.0.0.1/one.git" /r',
        "ADD 'git://127.0.0.1/one.git' /r",
        'ADD g"i"t://127.0.0.1/one.git /r',
        r"ADD g\it://127.0.0.1/one.git /r",
        r'ADD ["\"git://127.0.0.1/one.git\"", "/r"]',
        "ARG FROM\nADD $FROM /r",
        "ADD f 'https://127.0.0.1/f' /r/",
    ],
)
def test_an_address_is_seen_however_it_is_written(tmp_path: Path, instruction: str) -> None:
    assert fetches(tmp_path, instruction)


@pytest.mark.parametrize("instruction", ["ADD f /f", "COPY f /f", 'ADD ["f g", "/"]', "COPY 'f' /f"])
def test_a_file_of_the_context_is_not_fetched(tmp_path: Path, instruction: str) -> None:
    assert not fetches(tmp_path, instruction)
