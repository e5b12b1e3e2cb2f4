"""--volume, --mount, --tmpfs, --secret and --config."""

from __future__ import annotations

import posix

from sampan.cli.grammar import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.cli.request import CreateRequest

    Mount = dict[str, Any]

_VOLUME_FORM = "write /host/path:/path, name:/path or /path, with :ro or other options behind"
_MOUNT_FORM = "write type=bind,source=/host/path,target=/path or type=volume,source=name,target=/path"
_FILE_FORM = "write NAME, or NAME,target=/path,mode=0400,uid=1000,gid=1000"
_TRUE = frozenset({"", "1", "true"})


def apply(arguments: Arguments, request: CreateRequest) -> None:
    """Fill in Binds, Volumes, Tmpfs, Mounts, Secrets and Configs."""
    binds: list[str] = []
    for text in arguments.items("volume"):
        bind, anonymous = read_volume(text)
        if anonymous:
            request.config["Volumes"][anonymous] = {}
        elif bind not in binds:
            binds.append(bind)
    request.host["Binds"] = binds or None
    if arguments.items("tmpfs"):
        pairs = (text.partition(":") for text in arguments.items("tmpfs"))
        request.host["Tmpfs"] = {path: options for path, _, options in pairs}
    for option, field in (("secret", "Secrets"), ("config", "Configs")):
        if arguments.items(option):
            request.host[field] = [read_file_mount(option, text) for text in arguments.items(option)]
    if arguments.items("mount"):
        request.host["Mounts"] = [read_mount(text) for text in arguments.items("mount")]


def read_volume(text: str) -> tuple[str, str]:
    """A bind as the API takes it, or the path of an anonymous volume; the other of the two is empty."""
    source, mark, rest = text.partition(":")
    if not mark:
        if not text:
            raise UsageError("--volume has nothing to mount", remedy=_VOLUME_FORM)
        return "", text
    if not source or not rest:
        raise UsageError(f"--volume {text!r} lacks a side", remedy=_VOLUME_FORM)
    if source.startswith((".", "~/")) or source == "~":
        source = absolute(source)
    return f"{source}:{rest}", ""


def absolute(path: str) -> str:
    """`path` below the working directory, "." and ".." taken out."""
    if path.startswith("~"):
        home = posix.environ.get(b"HOME", b"/").decode("utf-8", "surrogateescape")
        path = home + path[1:]
    parts: list[str] = []
    for part in (path if path.startswith("/") else f"{posix.getcwd()}/{path}").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/" + "/".join(parts)


def split_words(text: str) -> list[str]:
    """Words with commas between them; a word in double quotes may hold commas (RFC 4180)."""
    words: list[str] = []
    word = ""
    quoted = False
    for letter in text:
        if letter == '"':
            quoted = not quoted
        elif letter == "," and not quoted:
            words.append(word)
            word = ""
        else:
            word += letter
    if quoted:
        raise UsageError(f"{text!r} has a quote that does not end")
    return [*words, word]


def read_file_mount(option: str, text: str) -> Mount:
    """One --secret or --config of `run` as the API takes it."""
    mount: Mount = {"Source": "", "Target": "", "UID": 0, "GID": 0, "Mode": 0o444}
    for index, word in enumerate(split_words(text)):
        key, mark, value = word.partition("=")
        if not mark and index == 0:
            mount["Source"] = word
            continue
        name = {"source": "Source", "src": "Source", "target": "Target", "dst": "Target"}.get(key)
        try:
            if name:
                mount[name] = value
            elif key in {"uid", "gid"}:
                mount[key.upper()] = int(value)
            elif key == "mode":
                mount["Mode"] = int(value, 8)
            else:
                raise UsageError(f"--{option} {text!r} has no use for {word!r}", remedy=_FILE_FORM)
        except ValueError:
            raise UsageError(f"--{option} {text!r}: {key} cannot be {value!r}", remedy=_FILE_FORM) from None
    if not mount["Source"]:
        raise UsageError(f"--{option} {text!r} names no {option}", remedy=_FILE_FORM)
    return mount


def read_mount(text: str) -> Mount:
    """One --mount as the API takes it."""
    mount: Mount = {"Type": "volume"}
    for word in split_words(text):
        key, mark, value = word.partition("=")
        reader = _READERS.get(key.strip().lower())
        if reader is None:
            raise UsageError(f"--mount {text!r} has no use for {word!r}", remedy=_MOUNT_FORM)
        if not mark and reader not in _WITHOUT_VALUE:
            raise UsageError(f"--mount {text!r}: {key} needs a value", remedy=_MOUNT_FORM)
        try:
            reader(mount, value)
        except ValueError as error:
            raise UsageError(f"--mount {text!r}: {key} cannot be {value!r}: {error}") from None
    if not mount.get("Target"):
        raise UsageError(f"--mount {text!r} names no target", remedy=_MOUNT_FORM)
    if mount["Type"] == "bind" and mount.get("Source", "").startswith("."):
        mount["Source"] = absolute(mount["Source"])
    _check_kinds(mount, text)
    return {key: mount[key] for key in _ORDER if key in mount}


def _check_kinds(mount: Mount, text: str) -> None:
    for kind in ("bind", "volume", "tmpfs", "image"):
        if f"{kind.capitalize()}Options" in mount and mount["Type"] != kind:
            raise UsageError(f"--mount {text!r} has options of {kind} mounts", remedy=f"write type={kind}")


_ORDER = (
    *("Type", "Source", "Target", "ReadOnly", "Consistency", "BindOptions", "VolumeOptions", "TmpfsOptions"),
    "ImageOptions",
)


def _plain(name: str) -> Callable[[Mount, str], None]:
    def read(mount: Mount, value: str) -> None:
        mount[name] = value

    return read


def _type(mount: Mount, value: str) -> None:
    mount["Type"] = value.lower()


def _truth(value: str) -> bool:
    if value.lower() not in _TRUE | {"0", "false"}:
        raise ValueError("it is neither true nor false")
    return value.lower() in _TRUE


def _read_only(mount: Mount, value: str) -> None:
    if _truth(value):
        mount["ReadOnly"] = True


def _bind(mount: Mount) -> dict[str, Any]:
    options: dict[str, Any] = mount.setdefault("BindOptions", {})
    return options


def _propagation(mount: Mount, value: str) -> None:
    _bind(mount)["Propagation"] = value.lower()


def _non_recursive(mount: Mount, value: str) -> None:
    if _truth(value):
        _bind(mount)["NonRecursive"] = True


def _create_mountpoint(mount: Mount, value: str) -> None:
    if _truth(value):
        _bind(mount)["CreateMountpoint"] = True


def _recursive(mount: Mount, value: str) -> None:
    names = {"disabled": "NonRecursive", "writable": "ReadOnlyNonRecursive", "readonly": "ReadOnlyForceRecursive"}
    if value in names:
        _bind(mount)[names[value]] = True
    elif value != "enabled":
        raise ValueError("use enabled, disabled, writable or readonly")


def _id_map(*names: str) -> Callable[[Mount, str], None]:
    def read(mount: Mount, value: str) -> None:
        parts = value.split(":")
        if len(parts) != 3 or not all(part.isdecimal() for part in parts):
            raise ValueError("write inside:outside:count")
        inside, outside, count = (int(part) for part in parts)
        for name in names:
            ranges = _bind(mount).setdefault(name, [])
            ranges.append({"ContainerID": inside, "HostID": outside, "Size": count})

    return read


def _id_mapping(mount: Mount, value: str) -> None:
    source, _, user = (value or "match-user").partition(":")
    if source not in {"match-user", "userns"} or (user and source == "userns"):
        raise ValueError("use match-user, match-user:USER or userns")
    _bind(mount)["IDMapping"] = {"Source": source, **({"User": user} if user else {})}


def _volume(mount: Mount) -> dict[str, Any]:
    options: dict[str, Any] = mount.setdefault("VolumeOptions", {})
    return options


def _no_copy(mount: Mount, value: str) -> None:
    if _truth(value):
        _volume(mount)["NoCopy"] = True


def _label(mount: Mount, value: str) -> None:
    key, _, text = value.partition("=")
    _volume(mount).setdefault("Labels", {})[key] = text


def _subpath(mount: Mount, value: str) -> None:
    _volume(mount).setdefault("DriverConfig", {})
    _volume(mount)["Subpath"] = value


def _image_subpath(mount: Mount, value: str) -> None:
    mount["ImageOptions"] = {"Subpath": value}


def _driver(mount: Mount, value: str) -> None:
    _volume(mount).setdefault("DriverConfig", {})["Name"] = value


def _driver_option(mount: Mount, value: str) -> None:
    key, mark, text = value.partition("=")
    if not mark:
        raise ValueError("write volume-opt=key=value")
    _volume(mount).setdefault("DriverConfig", {}).setdefault("Options", {})[key] = text


def _tmpfs_size(mount: Mount, value: str) -> None:
    from sampan.cli.units import read_bytes

    mount.setdefault("TmpfsOptions", {})["SizeBytes"] = read_bytes(value)


def _tmpfs_mode(mount: Mount, value: str) -> None:
    if not value or not set(value) <= set("01234567"):
        raise ValueError("write it in octal digits, as in 1777")
    mount.setdefault("TmpfsOptions", {})["Mode"] = int(value, 8)


_READERS: dict[str, Callable[[Mount, str], None]] = {
    "type": _type,
    **dict.fromkeys(("source", "src"), _plain("Source")),
    **dict.fromkeys(("target", "dst", "destination"), _plain("Target")),
    **dict.fromkeys(("readonly", "ro"), _read_only),
    "consistency": _plain("Consistency"),
    "bind-propagation": _propagation,
    "bind-nonrecursive": _non_recursive,
    "bind-recursive": _recursive,
    "bind-create-mountpoint": _create_mountpoint,
    "bind-idmap": _id_mapping,
    "idmap": _id_map("UidMappings", "GidMappings"),
    "uidmap": _id_map("UidMappings"),
    "gidmap": _id_map("GidMappings"),
    "image-subpath": _image_subpath,
    "volume-nocopy": _no_copy,
    "volume-label": _label,
    "volume-subpath": _subpath,
    "volume-driver": _driver,
    "volume-opt": _driver_option,
    "tmpfs-size": _tmpfs_size,
    "tmpfs-mode": _tmpfs_mode,
}
_WITHOUT_VALUE = (_id_mapping, _read_only, _non_recursive, _no_copy, _create_mountpoint)
