"""Values as Go's text/template sees them: fields of documents, truth, comparison, and how each is printed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class TemplateError(Exception):
    """A template that cannot be read, or does not fit the document."""

    remedy = "write a field as in '{{.ID}}'; --format json prints all that there are"


# What Docker's typed documents hold where the daemon leaves a field out or writes null: scripts ask for these by name.
ABSENT: dict[str, object] = {
    "ArgsEscaped": False,
    "Binds": [],
    "CapAdd": [],
    "CapDrop": [],
    "Cmd": [],
    "DeviceCgroupRules": [],
    "DeviceRequests": [],
    "Devices": [],
    "Domainname": "",
    "Entrypoint": [],
    "Env": [],
    "ExecIDs": [],
    "ExposedPorts": {},
    "ExtraHosts": [],
    "GroupAdd": [],
    "Health": None,
    "Healthcheck": None,
    "Init": None,
    "Links": [],
    "MaskedPaths": [],
    "MemoryKills": [],
    "Mounts": [],
    "OnBuild": [],
    "ReadonlyPaths": [],
    "RepoDigests": [],
    "RepoTags": [],
    "Runtime": "",
    "SecurityOpt": [],
    "Shell": [],
    "SizeRootFs": None,
    "SizeRw": None,
    "StopSignal": "",
    "StopTimeout": None,
    "StorageOpt": {},
    "Sysctls": {},
    "Tmpfs": {},
    "Ulimits": [],
    "Volumes": {},
    "VolumesFrom": [],
}


def field(value: Any, name: str, arguments: Sequence[Any] = ()) -> Any:
    """`value.name`, as a key of a document or a column of a row."""
    getter = getattr(value, "template_field", None)
    if getter is not None:
        try:
            return getter(name, arguments)
        except KeyError:
            raise TemplateError(f"there is no field {name!r} here") from None
    if arguments:
        raise TemplateError(f"{name!r} is a value and takes no arguments")
    if isinstance(value, dict):
        found = value.get(name)
        if found is None and name in ABSENT:
            return ABSENT[name]
        if name not in value:
            raise TemplateError(f"there is no field {name!r} here")
        return found
    if value is None:
        raise TemplateError(f"there is no field {name!r} in what is empty")
    raise TemplateError(f"there is no field {name!r} in {printed(value)!r}")


def plain(value: Any) -> Any:
    """A document that JSON can write."""
    document = getattr(value, "template_document", None)
    return document() if document is not None else value


def truth(value: Any) -> bool:
    """Go templates' idea of true: not false, not zero, not empty."""
    return bool(plain(value)) if not isinstance(value, float) else value != 0.0


def printed(value: Any) -> str:
    """The value as %v prints it."""
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


def go_float(value: float) -> str:
    """%v of a float64: the shortest digits, an exponent from 21 places on."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


def compare(first: Any, second: Any) -> int:
    """-1, 0 or 1 for two numbers or two strings."""
    if isinstance(first, str) != isinstance(second, str) or isinstance(first, (dict, list)) or first is None:
        raise TemplateError(f"{printed(first)!r} and {printed(second)!r} cannot be compared")
    return int(first > second) - int(first < second)
