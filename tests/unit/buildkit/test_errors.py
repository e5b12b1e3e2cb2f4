"""Errors in the words of BuildKit."""

from __future__ import annotations

import pytest

from sampan.build.commands import StepFailed
from sampan.buildkit.errors import in_buildkits_words
from sampan.buildkit.solving import refuse_unknown
from sampan.errors import NotFound, NotImplementedHere


def test_a_step_that_fails_is_told_as_buildkit_tells_it_and_all_else_as_it_is() -> None:
    failed = StepFailed("/bin/sh -c false", 7, remedy="look above")
    assert failed.sentence == "The command '/bin/sh -c false' returned a non-zero code: 7"
    in_buildkits_words(failed)
    assert failed.sentence == 'process "/bin/sh -c false" did not complete successfully: exit code: 7'
    script = StepFailed('/bin/sh -c echo "a"\nfalse\n', 1, remedy="look above")
    assert script.sentence == "The command '/bin/sh -c echo \"a\"\\nfalse\\n' returned a non-zero code: 1"
    in_buildkits_words(script)
    assert script.sentence.startswith(r'process "/bin/sh -c echo \"a\"\nfalse\n" did not')
    assert len(StepFailed("x" * 100_000, 1, remedy="").sentence) < 2000
    other = NotFound("no such file")
    in_buildkits_words(other)
    assert other.sentence == "no such file"


def test_an_exporter_that_is_none_is_refused_before_anything_is_built() -> None:
    refuse_unknown(["moby", "image", "local", "tar"])
    with pytest.raises(NotImplementedHere, match="the exporter oci is not served"):
        refuse_unknown(["moby", "oci"])
