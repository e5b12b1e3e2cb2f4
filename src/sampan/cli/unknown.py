"""What is said of a command that there is not, or not with so many words.

What it may have been meant for, how docker's own is done here, and how many words it takes.
"""

from __future__ import annotations

from difflib import get_close_matches

from sampan.cli.grammar import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_DOCKER = "docker's own does it with this engine: DOCKER_HOST={} docker {}"
_ONE_MACHINE = "there is no swarm here, one machine is looked after"
_DOCKERS = {
    "buildx": "use `sampan build`, which takes its options",
    "compose": _DOCKER,
    "context": "`docker context` makes them, `sampan --context NAME` takes them",
    "manifest": _DOCKER,
    "node": _ONE_MACHINE,
    "plugin": "a volume plugin is used when its socket is in one of the daemon's --plugin-dir",
    "service": _ONE_MACHINE,
    "stack": "docker's own does it as a project of compose: docker compose, with DOCKER_HOST set to this engine",
    "swarm": _ONE_MACHINE,
}


def _address() -> str:
    """Where the engine is that commands would ask; the usual place where that cannot be told."""
    from sampan.client.endpoint import DEFAULT_SOCKET
    from sampan.client.failure import ClientError
    from sampan.client.lookup import find_endpoint

    try:
        return str(find_endpoint("", "")[0])
    except ClientError:
        return f"unix://{DEFAULT_SOCKET}"


def wrong_number(name: str, wanted: tuple[int, int], count: int, remedy: str) -> UsageError:
    """The error for `count` words behind the command `name`, which takes `wanted`: least and most, -1 for any."""
    least, most = wanted
    number = str(least) if least == most else f"at least {least}" if most < 0 else f"{least} to {most}"
    amount = f"{number} argument" if number in {"1", "at least 1"} else f"{number} arguments"
    return UsageError(f"`sampan {name}` takes {amount if most else 'no arguments'}, not {count}", remedy=remedy, code=1)


def unknown_command(words: tuple[str, ...], names: Iterable[str]) -> UsageError:
    """The error for these words, the last of which is none of `names`."""
    remedy = _DOCKERS.get(words[0]) if len(words) == 1 else None
    if remedy == _DOCKER:
        remedy = _DOCKER.format(_address(), words[0])
    if remedy is None:
        close = get_close_matches(words[-1], list(names), n=1)
        listing = f"`{' '.join(('sampan', *words[:-1]))} --help` lists"
        remedy = f"did you mean `{close[0]}`? {listing} all" if close else f"{listing} the commands"
    return UsageError(f"there is no command {' '.join(words)!r}", remedy=remedy, code=1)
