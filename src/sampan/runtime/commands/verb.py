"""What a verb of the command line is: its function, its options, its help; and what every verb is handed.

No verb's own doing is here.
"""

from __future__ import annotations

from dataclasses import dataclass

from sampan.errors import InvalidArgument
from sampan.runtime.commands.options import SWITCH, Option, Words
from sampan.runtime.commands.report import Report
from sampan.runtime.state import Containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Command:
    """One call of the program: the containers below --root, and where messages go."""

    containers: Containers
    report: Report


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: `run` returns the exit code; `usage` is what follows the verb's name on a command line.

    With `mixed` options may stand after positional words. `failure` is the exit code after an error.
    """

    run: Callable[[Command, Words], int]
    usage: str
    options: tuple[Option, ...] = ()
    mixed: bool = True
    failure: int = 1


REGEX = Option("--regex -r", SWITCH, "the id is a regular expression: all containers that it matches are meant")


def container_ids(command: Command, pattern: str, *, is_regex: bool) -> list[str]:
    """The id itself, or those of all containers that the regular expression matches from the start on."""
    if not is_regex:
        return [pattern]
    import re

    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise InvalidArgument(f"invalid regular expression {pattern!r}: {error}") from None
    return [name for name in command.containers.ids() if wanted.match(name)]


def container_id(words: Words) -> str:
    """The one positional word. InvalidArgument when there are none or several."""
    if not words.positional:
        raise InvalidArgument("a container id is missing", remedy="name the container")
    if len(words.positional) > 1:
        raise InvalidArgument(f"one container id is wanted, there is more: {words.positional[1]!r}")
    return words.positional[0]
