"""`sampan build`: an image out of a Dockerfile and the files beside it."""

from __future__ import annotations

import sys
import time

from sampan.cli.building.asked import headers_of, is_quiet, query_of
from sampan.cli.building.context import find_context
from sampan.cli.building.packing import compressed
from sampan.cli.building.story import Later, follow
from sampan.cli.grammar import Failure, UsageError
from sampan.client.endpoint import environment
from sampan.client.failure import ApiError
from sampan.client.session import documents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn, TextIO

    from sampan.cli.building.context import Context, Pack
    from sampan.cli.building.outputs import Output
    from sampan.cli.building.story import Outcome, View
    from sampan.cli.grammar import Arguments
    from sampan.client.session import QueryValue, Session

SUMMARY = "Build an image from a Dockerfile"
USAGE = ("[OPTIONS] PATH|URL|-",)
WORDS = (1, 1)
DETAILS = """PATH is the directory with the files that the Dockerfile may copy. The daemon fetches
a URL, of a git repository or an archive. - reads an archive, or a Dockerfile alone,
from standard input."""
OPTIONS = (
    ("add-host", "", "list", "", "Know a name by an address while building, as NAME:ADDRESS"),
    ("allow", "", "list", "", "Kept for buildx's scripts; privileges are not given to builds"),
    ("annotation", "", "list", "", "Kept for buildx's scripts; see --label"),
    ("attest", "", "list", "", "Kept for buildx's scripts; attestations are not made"),
    ("build-arg", "", "list", "", "Give an ARG its value; the name alone takes it from the environment"),
    (
        "build-context",
        "",
        "list",
        "",
        "Let a name stand for a directory, a URL, docker-image://IMAGE or oci-layout://DIRECTORY, as NAME=DIRECTORY",
    ),
    ("builder", "", "string", "", "Kept for buildx's scripts; the daemon is the builder"),
    (
        "cache-from",
        "",
        "list",
        "",
        "Take steps for done: of an image NAME, of type=registry,ref=NAME or type=local,src=DIRECTORY",
    ),
    (
        "cache-to",
        "",
        "list",
        "",
        "Give the cache away: type=registry,ref=NAME, type=local,dest=DIRECTORY (mode=min|max), type=inline",
    ),
    ("call", "", "string", "build", "What to do: build, or check"),
    ("cgroup-parent", "", "string", "", "The cgroup above those of the steps"),
    ("check", "", "bool", "", "Check the Dockerfile and build nothing"),
    ("compress", "", "bool", "", "Send the files compressed"),
    ("cpu-period", "", "int", "", "The period of the processor quota, in microseconds"),
    ("cpu-quota", "", "int", "", "The processor quota, in microseconds"),
    ("cpu-shares", "c", "int", "", "The share of the processors, against others"),
    ("cpuset-cpus", "", "string", "", "The processors to use, as in 0-3 or 0,1"),
    ("cpuset-mems", "", "string", "", "The memory nodes to use"),
    ("disable-content-trust", "", "bool", "true", "Kept for docker's scripts; signatures by notary are not looked at"),
    ("file", "f", "string", "", "The Dockerfile, wherever it is; - reads it from standard input"),
    ("force-rm", "", "bool", "true", "Remove the container of a step that failed, too"),
    ("iidfile", "", "string", "", "Write the image's id to this file"),
    ("isolation", "", "string", "", "Kept for docker's scripts; there is one kind here"),
    ("label", "", "list", "", "Give the image a label, as NAME=VALUE"),
    ("load", "", "bool", "", "Kept for buildx's scripts; the image is there anyway"),
    ("memory", "m", "bytes", "", "The most memory that a step may take"),
    ("memory-swap", "", "bytes", "", "The most memory and swap together; -1 is without limit"),
    ("metadata-file", "", "string", "", "Write what was built to this file, as JSON"),
    ("network", "", "string", "", "The network of RUN: default, none, host or a network's name"),
    ("no-cache", "", "bool", "", "Build every step anew"),
    ("no-cache-filter", "", "list", "", "Build every step of this stage anew"),
    ("output", "o", "list", "", "Write the image as files, too: type=local|tar|docker|oci,dest=PATH"),
    ("platform", "", "string", "", "The platform to build for, as in linux/arm64"),
    ("progress", "", "string", "auto", "How to show it: auto, tty, plain, rawjson or quiet"),
    ("provenance", "", "string", "", "Kept for buildx's scripts; attestations are not made"),
    ("pull", "", "bool", "", "Look for newer base images"),
    ("push", "", "bool", "", "Give the image to its registry"),
    ("quiet", "q", "bool", "", "Print the image's id alone"),
    ("rm", "", "bool", "true", "Remove the containers of steps"),
    ("sbom", "", "string", "", "Kept for buildx's scripts; attestations are not made"),
    ("secret", "", "list", "", "Give RUN --mount=type=secret its content: id=NAME[,src=FILE|,env=VARIABLE]"),
    ("security-opt", "", "list", "", "An option of security for the steps"),
    ("shm-size", "", "bytes", "", "The size of /dev/shm"),
    ("squash", "", "bool", "", "Make one layer of all new ones"),
    ("ssh", "", "list", "", "Give RUN --mount=type=ssh an agent: default, or ID=SOCKET"),
    ("tag", "t", "list", "", "Name the image, as NAME[:TAG]"),
    ("target", "", "string", "", "The stage to build"),
    ("ulimit", "", "ulimit", "", "A limit of the steps, as NAME=SOFT[:HARD]"),
)
_SMALL_BYTES = 1 << 20  # of a context: asking what is needed of it would take longer than sending it
_DUMB = frozenset({"", "dumb", "unknown"})
_PROGRESS = frozenset({"auto", "tty", "plain", "rawjson", "quiet"})


def run(arguments: Arguments, session: Session) -> int:
    """Send the context, show how it goes, and say what came out."""
    if arguments.text("progress") not in _PROGRESS:
        raise UsageError(f"there is no --progress {arguments.text('progress')}", remedy=", ".join(sorted(_PROGRESS)))
    outputs = _outputs(arguments.items("output"))
    names = list(dict.fromkeys([*arguments.items("tag"), *(name for output in outputs for name in output.names)]))
    pushes = arguments.flag("push") or any(output.pushes for output in outputs)
    if pushes and not names:
        raise UsageError("--push needs a name", remedy="add -t NAME", code=1)
    context = find_context(arguments.words[0], arguments.text("file"), lambda: _is_dockers(session))
    if arguments.flag("check") or arguments.text("call") == "check":
        return _check(arguments, session, context)
    if arguments.text("call") != "build":
        raise UsageError(f"--call {arguments.text('call')} is not there", remedy="build or check")
    if context.text is not None and b"error" in context.text.partition(b"\nFROM")[0]:
        from sampan.cli.building.checks import refuse_if_asked

        refuse_if_asked(context.text, context.shown, _findings(arguments, session, context), _given(arguments))
    _forget_former(arguments.text("iidfile"))
    _check_files(arguments)
    begun = time.monotonic()
    outcome = _build_with_caches(arguments, session, context, {"t": [*names]})
    if outcome.failure is not None:
        _fail(outcome.failure, context)
    if not outcome.image_id:
        raise Failure("the daemon ended the build without an image", remedy="look into the daemon's log")
    _finish(arguments, session, outcome, outputs, names, pushes=pushes)
    if not any(output.is_stream for output in outputs):
        _say(arguments, session, context, outcome, names, time.monotonic() - begun)
    return 0


def _forget_former(path: str) -> None:
    """Remove what an earlier build wrote there: who finds a file finds this build's image.

    A link and a device stay, above all /dev/stdout.
    """
    if path:
        import os
        import stat

        try:
            is_file = stat.S_ISREG(os.lstat(path).st_mode)
        except OSError:
            return
        if is_file:
            os.unlink(path)


def _check_files(arguments: Arguments) -> None:
    """Failure when the files that are to be written at the end cannot be."""
    for option in ("iidfile", "metadata-file"):
        if path := arguments.text(option):
            from sampan.cli.paths import check_can_be_made

            check_can_be_made(path, f"--{option}")


def _is_dockers(session: Session) -> bool:
    from sampan.cli.only_here import is_sampans

    return not is_sampans(session)


def _outputs(texts: list[str]) -> list[Output]:
    if not texts:
        return []
    from sampan.cli.building.outputs import Output

    return [Output(text) for text in texts]


def _build_with_caches(
    arguments: Arguments, session: Session, context: Context, more: dict[str, QueryValue]
) -> Outcome:
    """The build, with caches that come from elsewhere and go there."""
    sources, targets = arguments.items("cache-from"), arguments.items("cache-to")
    if not sources and not targets:
        return _build_with_contexts(arguments, session, context, more)
    from sampan.cli.building.caches import Caches
    from sampan.client.json_text import dumps

    caches = Caches(session, sources, targets)
    try:
        more = {**more, "cacheto": caches.mode or None}
        if sources:
            more["cachefrom"] = dumps(caches.names()).decode()
        outcome = _build_with_contexts(arguments, session, context, more)
        if outcome.cache_id:
            caches.give(outcome.cache_id)
        return outcome
    finally:
        caches.give_back()


def _build_with_contexts(
    arguments: Arguments, session: Session, context: Context, more: dict[str, QueryValue]
) -> Outcome:
    texts = arguments.items("build-context")
    if not texts:
        return _build(arguments, session, context, more)
    from sampan.cli.building.named import NamedContexts
    from sampan.client.json_text import dumps

    named = NamedContexts(session, texts)
    try:
        more = {**more, "buildcontexts": dumps(named.images()).decode()}
        return _build(arguments, session, context, more)
    finally:
        named.give_back()


def _build(arguments: Arguments, session: Session, context: Context, more: dict[str, QueryValue]) -> Outcome:
    query, headers = query_of(arguments, context, str(session.endpoint)) | more, headers_of(arguments)
    body = _sparing(session, query, context, context.pack) if context.pack else context.body
    if body is not None and arguments.flag("compress"):
        body = compressed(body)
    how = "quiet" if is_quiet(arguments) else arguments.text("progress")
    try:
        response = session.request("POST", "/build", query, body, headers)
    except ApiError as error:
        _fail({"message": error.sentence, "remedy": error.remedy}, context)
    try:
        if _is_drawn(how):
            from sampan.cli.building.on_terminal import TerminalView

            with TerminalView(sys.stderr) as view:
                return follow(documents(view.chunks(response)), view)
        messages = documents(response.chunks())
        return follow(messages, Later(lambda: _view("plain", sys.stderr)) if query["q"] else _view(how, sys.stderr))
    finally:
        response.close()


def _sparing(session: Session, query: dict[str, QueryValue], context: Context, pack: Pack) -> Iterator[bytes]:
    """A directory as an archive; of a large one what is needed."""
    packed = pack(None)
    held: list[bytes] = []
    size = 0
    for piece in packed:
        held.append(piece)
        size += len(piece)
        if size > _SMALL_BYTES:
            from sampan.cli.building.narrowing import needed

            only = needed(session, query, context)
            if only is not None:
                held, packed = [], pack(only)
            break
    yield from held
    yield from packed


def _is_drawn(how: str) -> bool:
    """Whether the build is shown on a terminal that can do more than lines."""
    if how not in {"auto", "tty"} or not sys.stderr.isatty():
        return False
    return environment("TERM") not in _DUMB


def _view(how: str, out: TextIO) -> View:
    if how in {"quiet", "rawjson"}:
        from sampan.cli.building.silent import RawView, SilentView

        return RawView(out) if how == "rawjson" else SilentView()
    from sampan.cli.building.plain import PlainView

    return PlainView(out)


def _fail(failure: dict[str, Any], context: Context) -> NoReturn:
    """Failure with what the daemon said, and the lines of the Dockerfile that it is about."""
    message, place = str(failure.get("message") or "the build failed"), str(failure.get("place") or "")
    name = context.dockerfile or "Dockerfile"
    if not place and message.startswith(f"{name}:"):
        place = ":".join(message.split(":", 2)[:2])
    elif place and not message.startswith(place):
        message = f"{place}: {message}"
    line = place.rpartition(":")[2]
    if context.text is not None and line.isascii() and line.isdigit():
        from sampan.cli.building.excerpts import excerpt

        sys.stderr.write(excerpt(context.text, int(line)))
    if message.startswith(name):
        message = context.shown + message[len(name) :]
    raise Failure(message, remedy=str(failure.get("remedy") or ""))


def _finish(
    arguments: Arguments, session: Session, outcome: Outcome, outputs: list[Output], tags: list[str], *, pushes: bool
) -> None:
    """Write and push what was asked for."""
    for output in outputs:
        output.write(session, outcome.image_id, tags)
    if pushes:
        from sampan.cli.pulling import push_image

        for reference in tags:
            push_image(session, reference, out=None if arguments.flag("quiet") else sys.stderr)
    if path := arguments.text("iidfile"):
        with open(path, "w", encoding="ascii") as file:
            file.write(outcome.image_id)
    if path := arguments.text("metadata-file"):
        from sampan.client.json_text import dumps

        about = {"containerimage.config.digest": outcome.image_id, "containerimage.digest": outcome.image_id}
        about["image.name"] = ",".join(tags)
        with open(path, "wb") as binary:
            binary.write(dumps(about) + b"\n")


def _say(
    arguments: Arguments, session: Session, context: Context, outcome: Outcome, tags: list[str], took_s: float
) -> None:
    if arguments.flag("quiet"):
        sys.stdout.write(outcome.image_id + "\n")
        return
    if arguments.text("progress") in {"quiet", "rawjson"}:
        return
    from sampan.cli.building.ending import summary

    _say_findings(arguments, session, context, outcome)
    sys.stderr.write(summary(session, outcome, tags, took_s))


def _say_findings(arguments: Arguments, session: Session, context: Context, outcome: Outcome) -> None:
    """What the build checks found: the daemon tells it, unless it is Docker's."""
    if context.text is None or (outcome.tells_findings and not outcome.findings):
        return
    from sampan.cli.building.excerpts import report

    found = outcome.findings if outcome.tells_findings else _told_findings(arguments, session, context)
    if found:
        sys.stderr.write(f"{len(found)} warning{'s' if len(found) > 1 else ''} of the build checks:\n")
        sys.stderr.write(report(found, context.text, context.shown))


def _given(arguments: Arguments) -> dict[str, str]:
    """The build arguments with a value."""
    given = [text.partition("=") for text in arguments.items("build-arg")]
    return {name: value for name, mark, value in given if mark}


def _findings(arguments: Arguments, session: Session, context: Context) -> Any:
    from sampan.cli.building.checks import findings

    return findings(
        session,
        context.text or b"",
        name=context.shown,
        build_args=_given(arguments),
        platform=arguments.text("platform"),
        rules=context.rules,
    )


def _told_findings(arguments: Arguments, session: Session, context: Context) -> list[dict[str, Any]]:
    from sampan.cli.building.checks import as_told

    return as_told(_findings(arguments, session, context))


def _check(arguments: Arguments, session: Session, context: Context) -> int:
    """The checks alone: 0 without findings, 1 with."""
    if context.text is None:
        raise UsageError("only a Dockerfile on this machine is checked", remedy="clone the repository first", code=1)
    from sampan.cli.building.excerpts import report

    found = _told_findings(arguments, session, context)
    if not found:
        sys.stdout.write(f"{context.shown}: nothing to complain of\n")
        return 0
    sys.stdout.write(report(found, context.text, context.shown))
    return 1
