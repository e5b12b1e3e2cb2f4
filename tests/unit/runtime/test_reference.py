"""Every verb and option of the OCI command line is documented."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from sampan.runtime.commands.line import OPTIONS, VERBS
from sampan.runtime.commands.verb import Verb

PAGE = (Path(__file__).parents[3] / "docs/reference/oci-runtime.md").read_text()


def test_every_global_option_is_documented() -> None:
    section = PAGE.partition("## Global options")[2].partition("\n## ")[0]
    for option in OPTIONS:
        assert f"| {', '.join(f'`{name}`' for name in option.names)} |" in section


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_documented_with_its_options(name: str) -> None:
    module, purpose = VERBS[name]
    verb: Verb = import_module(f"sampan.runtime.commands.{module}").VERBS[name]
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert purpose.lower() in section.lower()
    assert verb.usage in section
    for option in verb.options:
        assert f"| {', '.join(f'`{word}`' for word in option.names)} |" in section
        assert option.help in section
