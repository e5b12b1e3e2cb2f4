"""Which mounts a container will have: `-v`, `--mount`, `--volumes-from` and the image's VOLUMEs, resolved at create.

Parsing refuses; `resolve` asks the volumes for what is named. How a mount is made is the runtime's matter.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator

from sampan.engine.config import ContainerConfig, MountRequest
from sampan.engine.container import ContainerRecord, MountPoint
from sampan.engine.parts import Secrets, Trees, Volumes
from sampan.errors import InvalidArgument, NotImplementedHere

_LONGEST_NAME = 255  # NAME_MAX
_PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_MODES = (  # of each at most one
    frozenset({"ro", "rw"}),
    frozenset({"z", "Z"}),
    frozenset({"nocopy"}),
    frozenset({"consistent", "cached", "delegated", "default", ""}),
    _PROPAGATIONS,
)
_MODE_WORDS = frozenset().union(*_MODES)
_MODES_FROM_OTHERS = frozenset({"nocopy", *_PROPAGATIONS})  # what stays as the other container has it


@dataclasses.dataclass(frozen=True, slots=True)
class Origins:
    """Where that comes from which is mounted."""

    volumes: Volumes
    secrets: Secrets
    trees: Trees
    find_container: Callable[[str], ContainerRecord]


async def resolve(config: ContainerConfig, origins: Origins) -> tuple[MountPoint, ...]:
    """Every mount point, a target once: what is asked for explicitly wins over --volumes-from and the image.

    Raises InvalidArgument or NotImplementedHere; volumes that were made until then stay, as Docker's do.
    """
    points = {point.destination: point for point in _from_others(config, origins.find_container)}
    tmpfs = {clean_target(target) for target in config.host.tmpfs or {}}
    explicit: set[str] = set()
    binds = tuple(_from_binds(config))
    for point in (
        *binds,
        *_from_mounts(config, origins.trees),
        *_from_secrets(config, origins.secrets),
    ):
        if point.destination in explicit or (point.destination in tmpfs and point in binds):
            raise InvalidArgument(f"Duplicate mount point: {point.destination}", remedy="mount one thing at a target")
        explicit.add(point.destination)
        points[point.destination] = point
    for target in config.process.volumes or ():
        if clean_target(target) not in points and clean_target(target) not in tmpfs:
            points[clean_target(target)] = MountPoint("volume", clean_target(target), anonymous=True, copy_up=True)
    return tuple([await _with_volume(point, config, origins.volumes) for point in points.values()])


async def _with_volume(point: MountPoint, config: ContainerConfig, volumes: Volumes) -> MountPoint:
    if point.kind != "volume" or point.source:
        return point
    request = next(
        (entry for entry in config.host.mounts or () if clean_target(entry.target) == point.destination), None
    )
    options = (request and request.volume_driver_options) or {}
    labels = (request and request.volume_labels) or {}
    facts = await volumes.ensure(point.name, point.driver or config.host.volume_driver, options, labels)
    if facts.fstype and point.subpath:
        raise NotImplementedHere(
            f"subpath {point.subpath!r}: volume {facts.name} is a mount of its own, not a directory",
            remedy="mount the volume whole, or give the directory as its device",
        )
    return dataclasses.replace(
        point,
        name=facts.name,
        driver=facts.driver,
        source=facts.path,
        fstype=facts.fstype,
        device=facts.device,
        options=facts.options,
    )


def clean_target(target: str) -> str:
    """A path of the container, absolute and without "." and ".."."""
    return os.path.normpath("/" + target.lstrip("/"))


def _check_target(target: str, where: str, kind: str) -> str:
    if not target.startswith("/"):
        raise InvalidArgument(
            f'{where}invalid mount config for type "{kind}": '
            f"invalid mount path: '{target}' mount path must be absolute",
            remedy="begin the path inside the container with /",
        )
    config = "" if where else f'invalid mount config for type "{kind}": '
    if max(len(os.fsencode(name)) for name in target.split("/")) > _LONGEST_NAME:
        raise InvalidArgument(
            f"{where}{config}invalid mount path: '{target}' has a name that is too long",
            remedy=f"a name has at most {_LONGEST_NAME} bytes",
        )
    if clean_target(target) == "/":
        raise InvalidArgument(
            f"{where}{config}invalid specification: destination can't be '/'",
            remedy="mount at a directory below /",
        )
    return clean_target(target)


def _from_binds(config: ContainerConfig) -> Iterator[MountPoint]:
    for text in config.host.binds or ():
        yield parse_bind(text)


def parse_bind(text: str) -> MountPoint:
    """A `-v` of Docker: SOURCE:TARGET[:MODE] or TARGET alone, the source a path or a volume's name."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts[:2]):
        raise InvalidArgument(f"invalid volume specification: '{text}'", remedy="as in /host:/container:ro")
    where = f"invalid volume specification: '{text}': "
    if len(parts) == 1:
        return MountPoint("volume", _check_target(parts[0], where, "volume"), anonymous=True, copy_up=True)
    kind = "bind" if parts[0].startswith("/") else "volume"
    source, target = parts[0], _check_target(parts[1], where, kind)
    mode = parts[2] if len(parts) == 3 else ""
    words = _mode_words(mode)
    propagation = next((word for word in words if word in _PROPAGATIONS), "")
    writable = "ro" not in words
    if kind == "bind" and "nocopy" in words:
        raise _strange_field(where, kind, "VolumeOptions", "nocopy is for volumes")
    if kind == "volume" and propagation:
        raise _strange_field(where, kind, "BindOptions", "a propagation is for binds")
    if kind == "bind":
        return MountPoint(
            "bind",
            target,
            source=os.path.normpath(source),
            mode=mode,
            writable=writable,
            propagation=propagation or "rprivate",
            create_source=True,
        )
    return MountPoint("volume", target, name=source, mode=mode or "z", writable=writable, copy_up="nocopy" not in words)


def _strange_field(where: str, kind: str, field: str, remedy: str) -> InvalidArgument:
    return InvalidArgument(
        f'{where}invalid mount config for type "{kind}": field {field} must not be specified', remedy=remedy
    )


def _mode_words(mode: str) -> list[str]:
    words = mode.split(",") if mode else []
    if not _MODE_WORDS.issuperset(words) or any(sum(word in kind for word in words) > 1 for kind in _MODES):
        raise InvalidArgument(
            f"invalid mode: {mode}", remedy="use ro or rw, nocopy of a volume or a propagation such as rslave of a bind"
        )
    return words


def _from_mounts(config: ContainerConfig, trees: Trees) -> Iterator[MountPoint]:
    for request in config.host.mounts or ():
        target = _check_target(request.target, "", request.kind)
        match request.kind:
            case "bind":
                yield _bind(request, target)
            case "volume":
                yield MountPoint(
                    "volume",
                    target,
                    name=request.source,
                    writable=not request.readonly,
                    mode="z",
                    subpath=request.subpath,
                    anonymous=not request.source,
                    copy_up=not request.volume_nocopy,
                    driver=request.volume_driver,
                )
            case "tmpfs":
                if request.source:
                    raise _strange_field("", "tmpfs", "Source", "leave source away: a tmpfs is new and empty")
                yield MountPoint("tmpfs", target, writable=not request.readonly, options=_tmpfs_options(request))
            case "image":
                yield _image(request, target, trees)
            case "cluster" | "npipe":
                why = "there is no swarm" if request.kind == "cluster" else "named pipes are Windows' own"
                raise NotImplementedHere(
                    f"mount type {request.kind!r}: {why}", remedy="use a bind, a volume, a tmpfs or an image"
                )
            case _:
                raise InvalidArgument(
                    f'invalid mount config for type "{request.kind}": mount type unknown',
                    remedy="use bind, volume or tmpfs",
                )


def _from_secrets(config: ContainerConfig, secrets: Secrets) -> Iterator[MountPoint]:
    for kind, before, requests in (
        ("secret", "/run/secrets/", config.host.secrets),
        ("config", "/", config.host.configs),
    ):
        for request in requests or ():
            name, path = secrets.locate(kind, request.source)
            target = request.target or name
            if not (0 <= request.mode <= 0o7777 and min(request.uid, request.gid) >= 0):
                raise InvalidArgument(f"invalid mode or owner of {kind} {name}", remedy="as in mode=0400,uid=1000")
            yield MountPoint(
                kind,
                _check_target(target if target.startswith("/") else before + target, "", kind),
                source=path,
                name=name,
                writable=False,
                options=f"mode={request.mode:o},uid={request.uid},gid={request.gid}",
            )


def _bind(request: MountRequest, target: str) -> MountPoint:
    if not request.source.startswith("/"):
        raise InvalidArgument(
            f'invalid mount config for type "bind": invalid mount path: {request.source!r} mount path must be absolute',
            remedy="give the source as an absolute path",
        )
    if request.bind_propagation and request.bind_propagation not in _PROPAGATIONS:
        raise InvalidArgument(
            f'invalid mount config for type "bind": invalid propagation: {request.bind_propagation}',
            remedy="use one of " + ", ".join(sorted(_PROPAGATIONS)),
        )
    if not os.path.lexists(request.source) and not request.bind_create_mountpoint:
        raise InvalidArgument(
            f'invalid mount config for type "bind": bind source path does not exist: {request.source}',
            remedy="make it first, or use -v, which makes a directory",
        )
    if request.bind_id_source not in {"", "match-user", "userns"}:
        raise InvalidArgument(
            f'invalid mount config for type "bind": invalid id mapping: {request.bind_id_source!r}',
            remedy="use match-user or userns",
        )
    return MountPoint(
        "bind",
        target,
        source=os.path.normpath(request.source),
        writable=not request.readonly,
        id_source=request.bind_id_source,
        id_user=request.bind_id_user,
        propagation=request.bind_propagation or "rprivate",
        create_source=request.bind_create_mountpoint,
        nonrecursive=request.bind_nonrecursive,
        readonly_recursive=not request.bind_readonly_nonrecursive,
        readonly_force_recursive=request.bind_readonly_force_recursive,
        uid_maps=request.bind_uid_maps or (),
        gid_maps=request.bind_gid_maps or (),
    )


def _image(request: MountRequest, target: str, trees: Trees) -> MountPoint:
    if not request.source:
        raise InvalidArgument(
            'invalid mount config for type "image": field Source must not be empty',
            remedy="name the image: source=NAME",
        )
    return MountPoint(
        "image",
        target,
        source=request.source,
        name=trees.mountable(request.source),
        writable=False,
        subpath=request.subpath,
    )


def _tmpfs_options(request: MountRequest) -> str:
    words = []
    if request.tmpfs_size_bytes:
        words.append(f"size={request.tmpfs_size_bytes}")
    if request.tmpfs_mode:
        words.append(f"mode={request.tmpfs_mode:o}")
    return ",".join(words)


def _from_others(config: ContainerConfig, find_container: Callable[[str], ContainerRecord]) -> Iterator[MountPoint]:
    for text in config.host.volumes_from or ():
        reference, _, mode = text.partition(":")
        words = _mode_words(mode)
        if not _MODES_FROM_OTHERS.isdisjoint(words):
            raise InvalidArgument(f"invalid mode: {mode}", remedy="use ro or rw")
        for point in find_container(reference).mounts:
            if point.kind in {"bind", "volume"}:
                writable = point.writable and "ro" not in words
                yield dataclasses.replace(point, writable=writable, anonymous=False, mode="")
