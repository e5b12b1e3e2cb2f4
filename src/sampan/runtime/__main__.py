"""`sampan-runtime`, the OCI command line: its first steps, in the order that costs least.

What the words on the line mean is in `commands`. First the program runs itself anew from a binary that no container can
write through, when it is going to launch; only then anything large is imported, with stand-ins for slow libraries.
"""

import gc
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_LAUNCHING = frozenset({"create", "exec", "run"})  # their processes run our binary inside of containers


def main() -> "NoReturn":
    """Run the command line in sys.argv and end the process with its exit code, without tearing the interpreter down."""
    if not _LAUNCHING.isdisjoint(sys.argv):
        from sampan.runtime.sealed import run_sealed

        run_sealed()
    gc.disable()  # what is imported stays; whoever stands by for long enables it again
    from sampan.runtime import quick_dataclasses, quick_modules, quick_msgspec

    quick_modules.install()
    quick_dataclasses.install()
    quick_msgspec.install()
    from sampan.runtime.commands.line import run_line

    posix._exit(run_line(sys.argv[1:]))  # noqa: SLF001 -- its documented name; what is said is written unbuffered


if __name__ == "__main__":
    main()
