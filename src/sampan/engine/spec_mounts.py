"""Which mounts a container has, in the runtime specification's words: Docker's own, and the user's on top.

Pure: the mount points were resolved at create (`mount_points`), the engine's files exist when this is called.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from sampan.engine.config import HostConfig
from sampan.engine.container import ContainerRecord, MountPoint
from sampan.engine.spec_security import SecurityOptions
from sampan.engine.views import View, paths_of
from sampan.errors import InvalidArgument
from sampan.oci.runtime_spec import IdMapping, Mount

DEFAULT_SHM_BYTES = 64 * 1024 * 1024
_NOTHING_SPECIAL = ("nosuid", "noexec", "nodev")


def runtime_mounts(
    record: ContainerRecord,
    security: SecurityOptions,
    engine_files: tuple[tuple[str, str], ...],
    view: View | None = None,
) -> tuple[Mount, ...]:
    """All mounts in the order they are made: shallow targets first.

    `engine_files` are (source on the host, target): resolv.conf, hostname, hosts, read-only where the root is; `view`
    has files to lay over some of the kernel's. A user's mount takes the place of one of ours at the same target.
    """
    mounts = {mount.destination: mount for mount in _ours(record.config.host, security)}
    readonly = record.config.host.readonly_rootfs
    mounts |= {target: _engine_file(source, target, readonly=readonly) for source, target in engine_files}
    if view is not None and view.provided is not None:
        source = view.provided.directory
        mounts |= {f"/{path}": _of_view(source, path) for path in paths_of(record, view.provided)}
    mounts |= {point.destination: of_point(point) for point in record.mounts}
    return tuple(sorted(mounts.values(), key=lambda mount: mount.destination.rstrip("/").count("/")))


def _ours(host: HostConfig, security: SecurityOptions) -> Iterator[Mount]:
    yield Mount(destination="/proc", type="proc", source="proc", options=_NOTHING_SPECIAL)
    yield Mount(
        destination="/dev", type="tmpfs", source="tmpfs", options=("nosuid", "strictatime", "mode=755", "size=65536k")
    )
    yield Mount(
        destination="/dev/pts",
        type="devpts",
        source="devpts",
        options=("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    )
    access = "rw" if host.privileged else "ro"
    yield Mount(destination="/sys", type="sysfs", source="sysfs", options=(*_NOTHING_SPECIAL, access))
    cgroups = "rw" if host.privileged or security.writable_cgroups else "ro"
    yield Mount(destination="/sys/fs/cgroup", type="cgroup", source="cgroup", options=(*_NOTHING_SPECIAL, cgroups))
    if host.ipc_mode == "host" and not os.path.isdir("/dev/mqueue"):
        pass  # a host without message queues
    elif host.ipc_mode == "host":
        yield Mount(destination="/dev/mqueue", type="bind", source="/dev/mqueue", options=("rbind", *_NOTHING_SPECIAL))
    else:
        yield Mount(destination="/dev/mqueue", type="mqueue", source="mqueue", options=_NOTHING_SPECIAL)
    yield from _shared_memory(host)
    for target, options in (host.tmpfs or {}).items():
        yield Mount(destination=target, type="tmpfs", source="tmpfs", options=_tmpfs_options(options))


def _shared_memory(host: HostConfig) -> Iterator[Mount]:
    if host.ipc_mode == "none":
        return
    if host.ipc_mode == "host":
        yield Mount(destination="/dev/shm", type="bind", source="/dev/shm", options=("rbind", *_NOTHING_SPECIAL))
        return
    size = host.shm_size_bytes or DEFAULT_SHM_BYTES
    yield Mount(
        destination="/dev/shm", type="tmpfs", source="shm", options=(*_NOTHING_SPECIAL, "mode=1777", f"size={size}")
    )


def _tmpfs_options(text: str) -> tuple[str, ...]:
    """Docker's defaults first, so that what the user says wins."""
    return ("noexec", "nosuid", "nodev", *(word for word in text.split(",") if word))


def _engine_file(source: str, target: str, *, readonly: bool) -> Mount:
    options = ("rbind", "rprivate", "ro") if readonly else ("rbind", "rprivate")
    return Mount(destination=target, type="bind", source=source, options=options)


def _of_view(source: str, path: str) -> Mount:
    return Mount(destination=f"/{path}", type="bind", source=f"{source}/{path}", options=("bind",))


def of_point(point: MountPoint) -> Mount:
    """One of the user's mounts."""
    match point.kind:
        case "tmpfs":
            options = _tmpfs_options(point.options)
            if not point.writable:
                options = (*options, "ro")
            return Mount(destination=point.destination, type="tmpfs", source="tmpfs", options=options)
        case "layers":
            access = () if point.writable else ("ro",)
            words = (*point.options.split(","), *access)
            return Mount(destination=point.destination, type=point.fstype, source=point.fstype, options=words)
        case "volume" if point.fstype:
            return _of_volume_options(point)
        case "secret" | "config":
            return Mount(destination=point.destination, type="ramfs", source=point.source)
        case "image":
            return Mount(destination=point.destination, type="overlay", source=point.source, options=("ro",))
        case "bind" | "volume":
            return Mount(
                destination=point.destination,
                type="bind",
                source=point.source,
                options=tuple(_bind_options(point)),
                uid_mappings=_mappings(point.uid_maps),
                gid_mappings=_mappings(point.gid_maps),
            )
    raise InvalidArgument(f"mount type unknown: {point.kind!r}", remedy="use bind, volume, tmpfs or image")


def _of_volume_options(point: MountPoint) -> Mount:
    """What the options of the volume's driver say, in fstab(5)'s words: a bind of a path, or a file system."""
    words = tuple(word for word in point.options.split(",") if word)
    access = () if point.writable else ("ro",)
    if point.fstype == "none":
        options = ("rbind", "rprivate", *(word for word in words if word not in {"bind", "rbind"}), *access)
        return Mount(destination=point.destination, type="bind", source=point.device, options=options)
    return Mount(
        destination=point.destination, type=point.fstype, source=point.device, options=("rprivate", *words, *access)
    )


def _bind_options(point: MountPoint) -> Iterator[str]:
    yield "bind" if point.nonrecursive else "rbind"
    yield point.propagation or "rprivate"
    if not point.writable:
        yield "rro" if point.readonly_recursive and not point.nonrecursive else "ro"
    if point.uid_maps or point.gid_maps or point.id_source == "userns":
        yield "ridmap"


def _mappings(texts: tuple[str, ...]) -> tuple[IdMapping, ...]:
    ranges = (tuple(int(number) for number in text.split(":")) for text in texts)
    return tuple(IdMapping(container_id=inside, host_id=outside, size=count) for inside, outside, count in ranges)
