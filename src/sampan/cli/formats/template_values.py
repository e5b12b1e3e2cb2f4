"""Values as Go's text/template sees them: fields of documents, truth, comparison, and how each is printed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FIELDS = "the fields here are"
SHOWN_LENGTH = 60  # letters of a value in a message


class TemplateError(Exception):
    """A template that cannot be read, or does not fit the document."""

    remedy = "write a field as in '{{.ID}}'; --format json prints all that there are"

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(sentence)
        if remedy:
            self.remedy = remedy


class NoValue:
    """What a key has that a map of Go's lacks (reflect's invalid value): false, null, and so are its own fields."""

    __slots__ = ()

    def template_field(self, name: str, arguments: Sequence[Any] = ()) -> object:  # noqa: ARG002 - a row's shape
        """Nothing again."""
        return self

    def template_document(self) -> None:
        """As {{json}} writes it."""


NO_VALUE = NoValue()


class Map(dict[str, "Any"]):
    """A map of Go's: its keys are the users' words, so one that it lacks is no mistake in the template.

    `null` says that JSON has null for it, or nothing; it is empty then.
    """

    null = False


class NullList(list["Any"]):
    """A list of Go's that JSON has null for, or nothing: empty, and null again when it is written."""


NULL_LIST = NullList()
NULL_MAP = Map()
NULL_MAP.null = True

# What Docker's typed documents hold where the daemon leaves a field out or writes null: scripts ask for these by name.
ABSENT: dict[str, object] = {
    "Annotations": NULL_MAP,
    "ArgsEscaped": False,
    "Binds": NULL_LIST,
    "CapAdd": NULL_LIST,
    "CapDrop": NULL_LIST,
    "Cmd": NULL_LIST,
    "DeviceCgroupRules": NULL_LIST,
    "DeviceRequests": NULL_LIST,
    "Devices": NULL_LIST,
    "Domainname": "",
    "Entrypoint": NULL_LIST,
    "Env": NULL_LIST,
    "ExecIDs": NULL_LIST,
    "ExposedPorts": NULL_MAP,
    "ExtraHosts": NULL_LIST,
    "GroupAdd": NULL_LIST,
    "Health": None,
    "Healthcheck": None,
    "Init": None,
    "Links": NULL_LIST,
    "MaskedPaths": NULL_LIST,
    "MemoryKills": [],
    "Mounts": NULL_LIST,
    "OnBuild": NULL_LIST,
    "ReadonlyPaths": NULL_LIST,
    "RepoDigests": NULL_LIST,
    "RepoTags": NULL_LIST,
    "Runtime": "",
    "SecurityOpt": NULL_LIST,
    "Shell": NULL_LIST,
    "SizeRootFs": None,
    "SizeRw": None,
    "StopSignal": "",
    "StopTimeout": None,
    "StorageOpt": NULL_MAP,
    "Sysctls": NULL_MAP,
    "Tmpfs": NULL_MAP,
    "Ulimits": NULL_LIST,
    "Volumes": NULL_MAP,
    "VolumesFrom": NULL_LIST,
    "Warnings": NULL_LIST,
}


# Fields of Docker's documents that are maps of Go's, not structs.
MAPS = frozenset(
    {
        "Annotations",
        "Containers",
        "Data",
        "DriverOpts",
        "Labels",
        "Networks",
        "Options",
        "StorageOpt",
        "Sysctls",
        "Tmpfs",
        "Volumes",
    }
)


def field(value: Any, name: str, arguments: Sequence[Any] = ()) -> Any:
    """`value.name`, as a key of a document or a column of a row."""
    getter = getattr(value, "template_field", None)
    if getter is not None:
        try:
            return getter(name, arguments)
        except KeyError:
            raise TemplateError(
                f"there is no field {name!r} here", f"{FIELDS} {', '.join(value.template_names())}"
            ) from None
    if arguments:
        raise TemplateError(f"{name!r} is a value and takes no arguments")
    if isinstance(value, dict):
        found = value.get(name)
        if found is None and name in ABSENT:
            found = ABSENT[name]
        elif name not in value:
            if isinstance(value, Map):
                return NO_VALUE
            names = f"{FIELDS} {', '.join(map(str, sorted(value)))}" if value else ""
            raise TemplateError(f"there is no field {name!r} here", names)
        is_map = name in MAPS or (name == "Config" and "Type" in value)  # a log's
        if is_map and (found is None or isinstance(found, dict)):
            users = Map(found or {})
            users.null = value.get(name) is None
            return users
        return found
    if value is None:
        raise TemplateError(f"there is no field {name!r} in what is empty")
    raise TemplateError(f"there is no field {name!r} in {shown(value)}")


def plain(value: Any) -> Any:
    """A document that JSON can write."""
    document = getattr(value, "template_document", None)
    return document() if document is not None else value


def truth(value: Any) -> bool:
    """Go templates' idea of true: not false, not zero, not empty."""
    return bool(plain(value)) if not isinstance(value, float) else value != 0.0


def printed(value: Any) -> str:
    """The value as %v prints it."""
    if value is NO_VALUE:
        return "<no value>"
    value = plain(value)
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{printed(value[key])}' for key in sorted(value))}]"
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(printed(item) for item in value)}]"
    return str(value)


def shown(value: Any) -> str:
    """The value as a message shows it: quoted, and not the whole of a long one."""
    text = printed(value)
    return repr(text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…")


def go_float(value: float) -> str:
    """%v of a float64: the shortest digits, an exponent from 21 places on."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


def compare(first: Any, second: Any) -> int:
    """-1, 0 or 1 for two numbers or two strings."""
    if isinstance(first, str) != isinstance(second, str) or isinstance(first, (dict, list)) or first is None:
        raise TemplateError(f"{shown(first)} and {shown(second)} cannot be compared")
    return int(first > second) - int(first < second)
