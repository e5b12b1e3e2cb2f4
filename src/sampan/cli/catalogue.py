"""Every command with its module, for what is made from all of them: help, completion, the reference page, checks."""

from __future__ import annotations

from sampan.cli.commands import GROUPS, TOP_LEVEL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def command_names() -> Iterator[tuple[list[str], str]]:
    """(name, module) of every command: the short forms, then the groups'."""
    for name, module in sorted(TOP_LEVEL.items()):
        yield [name], module
    for group, (_, commands) in sorted(GROUPS.items()):
        for name, module in sorted(commands.items()):
            yield [group, name], module
