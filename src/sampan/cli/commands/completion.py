"""`sampan completion`: scripts by which shells complete sampan's commands."""

from __future__ import annotations

import sys

from sampan.cli.grammar import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments

SUMMARY = "Print a shell's completion script"
USAGE = ("bash|zsh|fish",)
DETAILS = """
bash:  sampan completion bash > /usr/share/bash-completion/completions/sampan
zsh:   sampan completion zsh > "${fpath[1]}/_sampan"
fish:  sampan completion fish > ~/.config/fish/completions/sampan.fish"""
WORDS = (1, 1)
OPTIONS = ()
NEEDS_DAEMON = False


def run(arguments: Arguments, _: None) -> int:
    """Print it."""
    from sampan.cli import completion_scripts

    makers = {"bash": completion_scripts.bash, "zsh": completion_scripts.zsh, "fish": completion_scripts.fish}
    shell = arguments.words[0]
    if shell not in makers:
        raise UsageError(f"there is no completion for {shell!r}", remedy=f"name one of {', '.join(makers)}", code=1)
    sys.stdout.write(makers[shell]())
    return 0
