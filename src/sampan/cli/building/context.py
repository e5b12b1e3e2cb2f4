"""The build context: which files are meant, and the archive of them that is sent.

A directory is packed without what its .dockerignore keeps out; standard input is an archive or a Dockerfile alone;
anything that looks like an address is left for the daemon to fetch.
"""

from __future__ import annotations

import posix
import sys

from sampan.cli.building.packing import pack_directory, pack_files
from sampan.cli.building.paths import exists, is_directory, is_file, is_link, joined
from sampan.cli.grammar import Failure, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sampan.build.ignore import IgnoreRules

    Pack = Callable[[Iterable[str] | None], Iterator[bytes]]

_STEP = 1 << 18
_HEAD = 512
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
REMOTE = ("http://", "https://", "git://", "git@", "ssh://", "github.com/")
_NAMES = ("Dockerfile", "dockerfile")
IGNORE = ".dockerignore"


class Context:
    """What is sent: `body` in pieces, a directory, or nothing, and the Dockerfile's name.

    Where the daemon fetches `remote`, a body is the Dockerfile.

    `text` is the Dockerfile's content where it is known here, `shown` what messages call it. `left_out` is what no step
    is to see of all that is sent, None for what .dockerignore says of itself and the Dockerfile. `pack` packs the
    directory `root`, all of it or what is at some paths.
    """

    __slots__ = ("body", "dockerfile", "left_out", "pack", "remote", "root", "rules", "shown", "text")

    def __init__(
        self,
        body: Iterator[bytes] | None,
        remote: str,
        dockerfile: str,
        shown: str,
        text: bytes | None,
        rules: IgnoreRules | None,
        left_out: list[str] | None = None,
    ) -> None:
        self.body = body
        self.remote = remote
        self.dockerfile = dockerfile
        self.shown = shown
        self.text = text
        self.rules = rules
        self.left_out = left_out
        self.root = ""
        self.pack: Pack | None = None


def find_context(where: str, dockerfile: str, is_dockers: Callable[[], bool]) -> Context:
    """The context that a command line names. Failure when it is not there, UsageError when it makes no sense.

    `is_dockers` looks whether the daemon is Docker's, which heeds nothing but .dockerignore in the context.
    """
    if where == "-":
        if dockerfile == "-":
            raise UsageError("the context and the Dockerfile cannot both come from standard input", code=1)
        return _from_stdin(dockerfile)
    if where.startswith(REMOTE) or where.partition("#")[0].endswith(".git"):
        if dockerfile == "-":
            return _fetched_with_stdin(where, is_dockers)
        return Context(None, where, dockerfile, dockerfile or "Dockerfile", None, None)
    if not is_directory(where):
        if exists(where):
            raise Failure(f"{where} is no directory", remedy="name the directory; the Dockerfile is named with -f")
        raise Failure(f"{where} does not exist", remedy="name the directory with the files to build from, as in `.`")
    return _from_directory(where, dockerfile, is_dockers)


def _fetched_with_stdin(where: str, is_dockers: Callable[[], bool]) -> Context:
    """A context that the daemon fetches, with the Dockerfile from standard input as the body."""
    if is_dockers():
        raise UsageError(
            "with Docker's daemon a Dockerfile from standard input needs a context on this machine",
            remedy="clone it first",
            code=1,
        )
    text = _dockerfile("", "-")[1]
    name = _name_beside()
    return Context(iter((text,)), where, name, "Dockerfile", text, None, [name])


def _name_beside() -> str:
    """A name for a Dockerfile among the files of a context that it is none of."""
    return f".dockerfile.{posix.urandom(10).hex()}"


def _from_stdin(dockerfile: str) -> Context:
    if sys.stdin is not None and sys.stdin.isatty():
        raise Failure("no context comes from a terminal", remedy="redirect an archive or a Dockerfile to it")
    head = b""
    while len(head) < _HEAD and (data := posix.read(0, _STEP)):
        head += data
    if head.startswith(_COMPRESSED) or head[257:262] == b"ustar":
        return Context(_with_rest(head), "", dockerfile, dockerfile or "Dockerfile", None, None)
    if dockerfile:
        raise UsageError(
            "what comes from standard input is no archive, so -f has nothing to name",
            remedy="send a tar archive, or a Dockerfile without -f",
            code=1,
        )
    text = head + b"".join(iter(lambda: posix.read(0, _STEP), b""))
    if not text.strip():
        raise Failure("standard input is empty", remedy="send an archive or a Dockerfile")
    return Context(pack_files({"Dockerfile": text}), "", "", "Dockerfile", text, None)


def _with_rest(head: bytes) -> Iterator[bytes]:
    yield head
    while data := posix.read(0, _STEP):
        yield data


def _from_directory(where: str, dockerfile: str, is_dockers: Callable[[], bool]) -> Context:
    root = where
    path, text = _dockerfile(root, dockerfile)
    inside = _inside(root, path) if path else ""
    rules, ignore_file = _rules(root, path)
    if not inside or inside.startswith("../"):
        name, shown = _name_beside(), dockerfile if inside else "Dockerfile"
        extra = {name: text}
        if is_dockers():
            extra[IGNORE] = _hiding(name, root, rules)
        elif ignore_file != IGNORE:
            extra[name + IGNORE] = _read(path + IGNORE)
        return _packed(root, rules, extra, (IGNORE,), Context(None, "", name, shown, text, rules, [*extra]))
    if rules is None or ignore_file == IGNORE:
        kept = rules.with_kept((inside, IGNORE)) if rules else None
        return _packed(root, kept, {}, (inside, IGNORE), Context(None, "", inside, inside, text, rules))
    needed = (inside, inside + IGNORE)
    left_out = [name for name in needed if rules.excludes(name)]
    context = Context(None, "", inside, inside, text, rules, left_out)
    return _packed(root, rules.with_kept(needed), {}, needed, context)


def _packed(
    root: str, rules: IgnoreRules | None, extra: dict[str, bytes], always: tuple[str, ...], context: Context
) -> Context:
    """The context with its directory packed; the files that are `always` there are for the daemon."""

    def pack(only: Iterable[str] | None) -> Iterator[bytes]:
        return pack_directory(root, rules, extra, None if only is None else {*only, *always})

    context.root, context.pack = root, pack
    return context


def _hiding(name: str, root: str, rules: IgnoreRules | None) -> bytes:
    """An ignore file that keeps out a Dockerfile that was not in the context, and itself where it was not sent either.

    Docker's own command sends the same.
    """
    path = joined(root, IGNORE)
    is_sent = is_file(path) and (rules is None or not rules.excludes(IGNORE))
    return (_read(path) if is_sent else IGNORE.encode()) + f"\n{name}\n".encode()


def _dockerfile(root: str, dockerfile: str) -> tuple[str, bytes]:
    """Where the Dockerfile is, "" for standard input, and its content."""
    if dockerfile == "-":
        text = b"".join(iter(lambda: posix.read(0, _STEP), b""))
        if not text.strip():
            raise Failure("standard input holds no Dockerfile", remedy="name the file with -f")
        return "", text
    if not dockerfile:
        for name in _NAMES:
            path = joined(root, name)
            if is_file(path):
                return path, _read(path)
        from os.path import realpath

        raise Failure(f"there is no Dockerfile in {realpath(root)}", remedy="name it with -f, wherever it is")
    path = dockerfile
    if not exists(path) and exists(joined(root, dockerfile)):
        path = joined(root, dockerfile)
    if not is_file(path):
        raise Failure(f"there is no Dockerfile at {dockerfile}", remedy="-f is a path from here, not from the context")
    return path, _read(path)


def _inside(root: str, path: str) -> str:
    """The path of the Dockerfile in the context, by what links lead to; outside it begins with ../."""
    name = path.removeprefix(joined(root, ""))
    if "/" not in name and name != path and not is_link(path):
        return name
    from os.path import realpath, relpath

    return relpath(realpath(path), realpath(root))


def _rules(root: str, dockerfile: str) -> tuple[IgnoreRules | None, str]:
    """The ignore rules that count, None when there are none, and the name of their file.

    They stand beside the Dockerfile, wherever that is, or else in the context's .dockerignore.
    """
    own = f"{dockerfile}{IGNORE}"
    if dockerfile and is_file(own):
        return _read_rules(own), own.rpartition("/")[2]
    path = joined(root, IGNORE)
    return (_read_rules(path) if is_file(path) else None), IGNORE


def _read_rules(path: str) -> IgnoreRules:
    from sampan.cli.quickly import load

    ignore, errors = load("sampan.build.ignore"), load("sampan.errors")
    try:
        rules: IgnoreRules = ignore.read_ignore_file(_read(path))
    except errors.InvalidArgument as error:
        raise Failure(f"{path}: {error.sentence}", remedy=error.remedy) from None
    return rules


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
