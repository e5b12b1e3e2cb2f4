"""`sampan builder cache`: the caches of RUN --mount=type=cache by name: list, remove, export, import."""

from __future__ import annotations

from sampan.cli.grammar import UsageError
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "List, remove, export and import the caches of RUN --mount=type=cache"
USAGE = (
    "ls [OPTIONS]",
    "rm CACHE [CACHE...]",
    "export [--output FILE] CACHE",
    "import FILE|- CACHE",
)
DETAILS = """A cache is known by its id= in the Dockerfile, or by its target where there is none.
An archive has the files of one cache; it is imported as a new one."""
WORDS = (1, -1)
OPTIONS = (
    ("format", "", "string", "", "ls: how to print: table, json, a Go template, or `table` and a template"),
    ("output", "o", "string", "", "export: write to this file instead of standard output"),
    ("quiet", "q", "bool", "", "ls: print only the ids"),
)
_WORDS = {"ls": (0, 0), "rm": (1, -1), "export": (1, 1), "import": (2, 2)}


def run(arguments: Arguments, session: Session) -> int:
    """Do what the first word says."""
    verb, *words = arguments.words
    if verb not in _WORDS:
        raise UsageError(f"there is no command `builder cache {verb}`", remedy="ls, rm, export or import", code=1)
    least, most = _WORDS[verb]
    if len(words) < least or 0 <= most < len(words):
        from sampan.cli.unknown import wrong_number

        form = next(form for form in USAGE if form.startswith(verb))
        raise wrong_number(f"builder cache {verb}", _WORDS[verb], len(words), f"sampan builder cache {form}")
    if verb in {"ls", "rm"}:
        from sampan.cli.commands import builder_ls, builder_rm

        arguments.words = words
        return builder_ls.run(arguments, session) if verb == "ls" else builder_rm.run(arguments, session)
    if verb == "export":
        from sampan.cli.archives import write_archive

        path = quote(words[0].replace("/", "%2F"))  # a mount's path is one part of the request's
        return write_archive(session, f"/build/caches/{path}/export", None, arguments.text("output"))
    from sampan.cli.commands.import_image import pieces

    source, name = words
    headers = {"Content-Type": "application/x-tar"}
    session.request("POST", "/build/caches/import", {"name": name}, pieces(source), headers).read()
    return 0
