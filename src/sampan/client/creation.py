"""From docker-py's keyword arguments to the documents of create and update."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sampan.client.documents import CreateOptions, UpdateOptions
from sampan.sizes import read_size

CONFIG = {
    "domainname": "Domainname",
    "healthcheck": "Healthcheck",
    "hostname": "Hostname",
    "mac_address": "MacAddress",
    "network_disabled": "NetworkDisabled",
    "stdin_open": "OpenStdin",
    "stop_signal": "StopSignal",
    "tty": "Tty",
    "working_dir": "WorkingDir",
}
HOST = {
    "auto_remove": "AutoRemove",
    "blkio_weight": "BlkioWeight",
    "blkio_weight_device": "BlkioWeightDevice",
    "cap_add": "CapAdd",
    "cap_drop": "CapDrop",
    "cgroup_parent": "CgroupParent",
    "cgroupns": "CgroupnsMode",
    "cpu_idle": "CpuIdle",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_rt_period": "CpuRealtimePeriod",
    "cpu_rt_runtime": "CpuRealtimeRuntime",
    "cpu_shares": "CpuShares",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
    "device_cgroup_rules": "DeviceCgroupRules",
    "device_read_bps": "BlkioDeviceReadBps",
    "device_read_iops": "BlkioDeviceReadIOps",
    "device_requests": "DeviceRequests",
    "device_write_bps": "BlkioDeviceWriteBps",
    "device_write_iops": "BlkioDeviceWriteIOps",
    "configs": "Configs",
    "dns": "Dns",
    "dns_opt": "DnsOptions",
    "dns_search": "DnsSearch",
    "health_action": "HealthAction",
    "init": "Init",
    "ipc_mode": "IpcMode",
    "isolation": "Isolation",
    "log_config": "LogConfig",
    "mem_swappiness": "MemorySwappiness",
    "mounts": "Mounts",
    "network_class": "NetworkClass",
    "network_rate": "NetworkRate",
    "nano_cpus": "NanoCpus",
    "oom_kill_disable": "OomKillDisable",
    "oom_score_adj": "OomScoreAdj",
    "pid_mode": "PidMode",
    "pids_limit": "PidsLimit",
    "privileged": "Privileged",
    "publish_all_ports": "PublishAllPorts",
    "read_only": "ReadonlyRootfs",
    "resource_view": "ResourceView",
    "restart_policy": "RestartPolicy",
    "runtime": "Runtime",
    "secrets": "Secrets",
    "security_opt": "SecurityOpt",
    "storage_opt": "StorageOpt",
    "sysctls": "Sysctls",
    "time_offsets": "TimeOffsets",
    "tmpfs": "Tmpfs",
    "ulimits": "Ulimits",
    "userns_mode": "UsernsMode",
    "uts_mode": "UTSMode",
    "volume_driver": "VolumeDriver",
    "volumes_from": "VolumesFrom",
}
SIZES = {
    "mem_limit": "Memory",
    "mem_reservation": "MemoryReservation",
    "memswap_limit": "MemorySwap",
    "shm_size": "ShmSize",
}


def split_command(command: str | Iterable[str] | None) -> list[str] | None:
    """A command as a list; a text is split as a shell splits words."""
    if command is None:
        return None
    return shlex.split(command) if isinstance(command, str) else [str(word) for word in command]


def size_in_bytes(name: str, value: int | str) -> int:
    """A number, or a text such as "64m". Raises ValueError: it is neither; `name` is the argument that had it."""
    if isinstance(value, int):
        return value
    try:
        return -1 if value == "-1" else read_size(value)
    except ValueError as error:
        raise ValueError(f"{name}={value!r}: {error}") from None


def one_or_more(texts: str | Iterable[str]) -> list[str]:
    """The texts as a list; a text is one of them, not its letters."""
    return [texts] if isinstance(texts, str) else list(texts)


def environment_list(environment: Mapping[str, str | None] | Iterable[str]) -> list[str]:
    """NAME=value, or NAME alone where the value is None."""
    if not isinstance(environment, Mapping):
        return one_or_more(environment)
    return [name if value is None else f"{name}={value}" for name, value in environment.items()]


def create_document(image: str, command: str | Iterable[str] | None, options: CreateOptions) -> dict[str, Any]:
    """What POST /containers/create takes; TypeError for an argument that does not exist."""
    config: dict[str, Any] = {"Image": image, "Cmd": split_command(command)}
    host: dict[str, Any] = {}
    for name, value in options.items():
        if value is None or name in {"name", "platform"}:
            continue
        if name in CONFIG:
            config[CONFIG[name]] = value
        elif name in HOST:
            host[HOST[name]] = value
        elif name in SIZES:
            host[SIZES[name]] = size_in_bytes(name, value)  # type: ignore[arg-type] # the table names those of this type
        elif name in _SPECIAL:
            if isinstance(value, str) and name not in _TEXTS:
                raise TypeError(f"{name}={value!r} is a text, where a list or a mapping is wanted")
            _SPECIAL[name](config, host, value)
        else:
            raise TypeError(f"create() has no argument {name!r}")
    _networking(config, host, options)
    return {**config, "HostConfig": host}


def update_document(options: UpdateOptions) -> dict[str, Any]:
    """What POST /containers/ID/update takes; TypeError for an argument that does not exist."""
    document: dict[str, Any] = {}
    for name, value in options.items():
        if name in SIZES:
            document[SIZES[name]] = size_in_bytes(name, value)  # type: ignore[arg-type] # the table names those of this type
        elif name in _CHANGES:
            key, written = _CHANGES[name]
            document[key] = written(value)
        elif name in HOST and name in UpdateOptions.__annotations__:
            document[HOST[name]] = value
        else:
            raise TypeError(f"update() has no argument {name!r}")
    return document


def _networking(config: dict[str, Any], host: dict[str, Any], options: CreateOptions) -> None:
    network = options.get("network")
    if network:
        if options.get("network_mode"):
            raise TypeError("network and network_mode exclude each other")
        host["NetworkMode"] = network
        endpoint = (options.get("networking_config") or {}).get(network)
        config["NetworkingConfig"] = {"EndpointsConfig": {network: endpoint or {}}}
    elif options.get("network_mode"):
        host["NetworkMode"] = options["network_mode"]


def _entrypoint(config: dict[str, Any], _: dict[str, Any], value: Any) -> None:
    config["Entrypoint"] = split_command(value)


def _environment(config: dict[str, Any], _: dict[str, Any], value: Any) -> None:
    config["Env"] = environment_list(value)


def _labels(config: dict[str, Any], _: dict[str, Any], value: Any) -> None:
    config["Labels"] = dict(value) if isinstance(value, Mapping) else dict.fromkeys(value, "")


def _user(config: dict[str, Any], _: dict[str, Any], value: Any) -> None:
    config["User"] = str(value)


def _ports(config: dict[str, Any], host: dict[str, Any], value: Any) -> None:
    """{"80/tcp": 8080, 90: ("127.0.0.1", 9000), "70/udp": [7000, 7001], 60: None}."""
    host["PortBindings"] = _bindings(value)
    config["ExposedPorts"] = {name: {} for name in host["PortBindings"]}


def _bindings(ports: Any) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port, outside in ports.items():
        name = str(port) if "/" in str(port) else f"{port}/tcp"
        places = outside if isinstance(outside, list) else [outside]
        bindings[name] = [_binding(place) for place in places]
    return bindings


def _binding(place: Any) -> dict[str, str]:
    if isinstance(place, tuple):
        address, port = place if len(place) == 2 else (place[0], "")
        return {"HostIp": str(address), "HostPort": str(port)}
    return {"HostIp": "", "HostPort": "" if place is None else str(place)}


def _volumes(config: dict[str, Any], host: dict[str, Any], value: Any) -> None:
    """{"/host": {"bind": "/path", "mode": "ro"}}, or ["/host:/path:ro"]; a path alone is an anonymous volume."""
    if isinstance(value, Mapping):
        binds = [f"{source}:{spec['bind']}:{spec.get('mode', 'rw')}" for source, spec in value.items()]
    else:
        binds = [text for text in value if ":" in text]
        config["Volumes"] = {text: {} for text in value if ":" not in text}
    host["Binds"] = binds


def _devices(_: dict[str, Any], host: dict[str, Any], value: Any) -> None:
    host["Devices"] = [_device(text) for text in value]


def _device(text: str) -> dict[str, str]:
    outside, _, rest = text.partition(":")
    inside, _, rights = rest.partition(":")
    return {"PathOnHost": outside, "PathInContainer": inside or outside, "CgroupPermissions": rights or "rwm"}


def _extra_hosts(_: dict[str, Any], host: dict[str, Any], value: Any) -> None:
    host["ExtraHosts"] = (
        [f"{name}:{address}" for name, address in value.items()] if isinstance(value, Mapping) else value
    )


def _links(_: dict[str, Any], host: dict[str, Any], value: Any) -> None:
    pairs = value.items() if isinstance(value, Mapping) else value
    host["Links"] = [f"{name}:{alias or name}" for name, alias in pairs]


def _group_add(_: dict[str, Any], host: dict[str, Any], value: Any) -> None:
    host["GroupAdd"] = [str(group) for group in value]


def _nothing(_: dict[str, Any], __: dict[str, Any], ___: Any) -> None:
    """Read by `_networking`."""


_TEXTS = frozenset({"entrypoint", "network", "network_mode", "user"})
_SPECIAL: dict[str, Callable[[dict[str, Any], dict[str, Any], Any], None]] = {
    "devices": _devices,
    "entrypoint": _entrypoint,
    "environment": _environment,
    "extra_hosts": _extra_hosts,
    "group_add": _group_add,
    "labels": _labels,
    "links": _links,
    "network": _nothing,
    "network_mode": _nothing,
    "networking_config": _nothing,
    "ports": _ports,
    "user": _user,
    "volumes": _volumes,
}
# What an update has beyond the words of a creation, or under other names.
_CHANGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "devices": ("AddDevices", lambda devices: [_device(text) for text in devices]),
    "ports": ("PortBindings", _bindings),
    "remove_devices": ("RemoveDevices", list),
    "unmounts": ("Unmounts", list),
    "unpublish": ("UnpublishPorts", _bindings),
}
