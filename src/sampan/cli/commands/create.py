"""`sampan create`: make a container without starting it; and what `run` needs of that."""

from __future__ import annotations

import posix
import sys

from sampan.cli.container_options import SHARED
from sampan.cli.grammar import Failure, UsageError
from sampan.cli.request import CreateRequest, create_request
from sampan.cli.settings import proxy_variables
from sampan.client.failure import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Make a container without starting it"
USAGE = ("[OPTIONS] IMAGE [COMMAND] [ARG...]",)
WORDS = (1, -1)
INTERSPERSED = False
OPTIONS = SHARED
PULL = ("always", "missing", "never")
# Options that Docker's engine would drop unsaid; see `only_here`.
OF_CONTAINERS = (
    *("config", "cpu-idle", "health-on-failure", "network-class", "network-rate", "resource-view", "secret"),
    "time-offset",
)


def run(arguments: Arguments, session: Session) -> int:
    """Make it and print its id."""
    request = create_request(arguments)
    if request.config["Tty"]:
        set_console_size(request)
    sys.stdout.write(create_container(arguments, session, request) + "\n")
    return 0


def set_console_size(request: CreateRequest) -> None:
    """Tell the terminal's size with the request, so that the program starts with it."""
    if posix.isatty(1):
        from sampan.cli.terminal import window_size

        request.host["ConsoleSize"] = list(window_size(1))


def create_container(arguments: Arguments, session: Session, request: CreateRequest, code: int = 1) -> str:
    """Ask for the container, pulling its image when --pull says so, and give its id.

    Failure with the exit code `code`: the image cannot be had, or the file for the id cannot be made.
    """
    policy = arguments.text("pull")
    _check(arguments, session, policy)
    if request.host["OomKillDisable"] or request.host["Dns"]:
        _warn(request.host)
    cidfile = arguments.text("cidfile")
    file = _open_cidfile(cidfile, code) if cidfile else -1
    try:
        if policy == "always":
            _pull(arguments, session, request, code)
        try:
            answer = _ask(arguments, session, request)
        except ApiError as error:
            if policy != "missing" or not _lacks_image(error, request):
                raise
            sys.stderr.write(f"Unable to find image '{_tagged(request.config['Image'])}' locally\n")
            _pull(arguments, session, request, code)
            answer = _ask(arguments, session, request)
        for warning in answer.get("Warnings") or []:
            sys.stderr.write(f"WARNING: {warning}\n")
        container_id: str = answer["Id"]
        if cidfile:
            posix.write(file, container_id.encode())
    except BaseException:
        if cidfile:
            posix.unlink(cidfile)
        raise
    finally:
        if cidfile:
            posix.close(file)
    return container_id


def _warn(host: dict[str, Any]) -> None:
    """What docker's CLI warns of before it asks."""
    if host["OomKillDisable"] and not host["Memory"]:
        sys.stderr.write("WARNING: --oom-kill-disable without --memory lets a container take all memory of the host\n")
    for address in host["Dns"]:
        if address.startswith("127.") or address == "::1":
            sys.stderr.write(f"WARNING: --dns {address} is the container itself inside of it, not this host\n")


def _check(arguments: Arguments, session: Session, policy: str) -> None:
    if policy not in PULL:
        raise UsageError(f"--pull cannot be {policy!r}", remedy=f"use {', '.join(PULL)}")
    if any(map(arguments.given, OF_CONTAINERS)):
        from sampan.cli.only_here import refuse_elsewhere

        refuse_elsewhere(arguments, session, OF_CONTAINERS, code=125)


def _lacks_image(error: ApiError, request: CreateRequest) -> bool:
    """Whether it is the container's own image that is missing, and not one that is mounted."""
    if error.status != 404 or "o such image" not in error.sentence:
        return False
    mounts = request.host.get("Mounts") or []
    mounted = {_tagged(mount.get("Source", "")) for mount in mounts if mount.get("Type") == "image"}
    return error.sentence.rpartition(" ")[2] not in mounted - {_tagged(request.config["Image"])}


def _tagged(image: str) -> str:
    """The reference with its tag; a colon may also stand before a registry's port."""
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"


def _ask(arguments: Arguments, session: Session, request: CreateRequest) -> dict[str, Any]:
    proxies = proxy_variables(str(session.endpoint))
    if proxies:
        given = request.config["Env"] or []
        names = {variable.partition("=")[0] for variable in given}
        request.config["Env"] = [text for text in proxies if text.partition("=")[0] not in names] + given
    query = {"name": arguments.text("name") or None, "platform": arguments.text("platform") or None}
    answer: dict[str, Any] = session.call("POST", "/containers/create", query, request.body)
    return answer


def _pull(arguments: Arguments, session: Session, request: CreateRequest, code: int) -> None:
    from sampan.cli.pulling import pull_image

    pull_image(
        session,
        request.config["Image"],
        arguments.text("platform"),
        out=None if arguments.flag("quiet") else sys.stderr,
        code=code,
    )


def _open_cidfile(path: str, code: int) -> int:
    try:
        return posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise Failure(
            f"the file for the container's id, {path}, exists already", remedy="remove it, or name another", code=code
        ) from None
    except OSError as error:
        raise Failure(
            f"--cidfile {path}: {(error.strerror or '').lower()}", remedy="name a file that can be made", code=code
        ) from None
