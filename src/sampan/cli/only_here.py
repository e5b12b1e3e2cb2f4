"""What Docker's own engine does not have: options that it would drop unsaid, and commands whose paths it lacks."""

from __future__ import annotations

from sampan.cli.grammar import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

COMMANDS = frozenset(
    {
        *("builder ls", "builder rm", "builder cache", "doctor", "image bootstrap", "image diet", "limits"),
        *("volume clone", "volume export", "volume forget", "volume import", "volume rename", "volume restore"),
        *("volume snapshot", "volume snapshots"),
    }
)


def is_sampans(session: Session) -> bool:
    """Whether the daemon is one of sampan's."""
    version = session.call("GET", "/version") or {}
    return any(part.get("Name") == "sampan" for part in version.get("Components") or ())


def refuse_elsewhere(arguments: Arguments, session: Session, options: Iterable[str], *, code: int = 1) -> None:
    """Failure with `code` when one of the options is given and the daemon, not being sampan's, would drop it unsaid."""
    given = [f"--{name}" for name in options if arguments.given(name)]
    if given and not is_sampans(session):
        raise Failure(
            f"the daemon at {session.endpoint} is not sampan's and would not heed {', '.join(given)}",
            remedy="name one of sampan's with -H, or leave that out",
            code=code,
        )


def remedy_for(name: Sequence[str]) -> str:
    """What is to be done when the paths of the command `name` are not there; "" when Docker's engine has them."""
    if " ".join(name[:2]) not in COMMANDS:
        return ""
    return f"`sampan {' '.join(name)}` is for engines of sampan's: name one with -H"
