"""--env, --env-file, --label, --label-file and --entrypoint."""

from __future__ import annotations

import posix

from sampan.cli.grammar import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.cli.request import CreateRequest


def apply(arguments: Arguments, request: CreateRequest) -> None:
    """Fill in Env, Labels and Entrypoint."""
    environment = environment_of(arguments)
    if environment:
        request.config["Env"] = environment
    labels = [line for path in arguments.items("label-file") for line in _lines(path, "--label-file")]
    request.config["Labels"] = key_values(labels) | read_labels(arguments.items("label"))
    if arguments.given("entrypoint"):
        request.config["Entrypoint"] = [arguments.text("entrypoint")]


def environment_of(arguments: Arguments) -> list[str]:
    """The variables of --env-file and --env, in this order."""
    found = []
    for path in arguments.items("env-file"):
        for line in _lines(path, "--env-file"):
            name, mark, _ = line.partition("=")
            if mark:
                found.append(line)
            elif (value := posix.environ.get(name.encode())) is not None:
                found.append(f"{name}={value.decode('utf-8', 'surrogateescape')}")
    for text in arguments.items("env"):
        name, mark, _ = text.partition("=")
        if not name:
            raise UsageError(
                f"--env {text!r} has no name", remedy="write NAME=value, or NAME to take the value from here"
            )
        value = None if mark else posix.environ.get(name.encode())
        found.append(text if value is None else f"{name}={value.decode('utf-8', 'surrogateescape')}")
    return found


def read_labels(items: list[str]) -> dict[str, str]:
    """What --label says, as a dictionary; UsageError for one without a name."""
    for text in items:
        if not text.partition("=")[0].strip():
            raise UsageError(f"--label {text!r} has no name", remedy="write key=value")
    return key_values(items)


def key_values(items: list[str]) -> dict[str, str]:
    """Texts "key=value" as a dictionary; a key alone has an empty value, and the last one counts."""
    pairs = (item.partition("=") for item in items)
    return {key: value for key, _, value in pairs}


def _lines(path: str, option: str) -> list[str]:
    """The lines of a file that say something."""
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError as error:
        from sampan.cli.paths import remedy_for_path

        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{option} {path}: {reason}", remedy=remedy_for_path(error)) from None
    found = []
    for number, line in enumerate(lines, 1):
        text = line.lstrip()
        if not text or text.startswith("#"):
            continue
        name = text.partition("=")[0]
        if not name or any(letter.isspace() for letter in name):
            raise UsageError(
                f"{option} {path}, line {number}: {name!r} is no name", remedy="write NAME=value on lines of their own"
            )
        if option == "--label-file" and "=" not in text:
            continue  # as docker does: a label without a value would be read from the environment, which has none
        found.append(text)
    return found
