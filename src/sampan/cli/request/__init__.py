"""From the options of `run` and `create` to the document that POST /containers/create takes.

Every field that docker's CLI sends is sent, so that a daemon cannot tell the two apart. Here are the plain options,
which are one field each; the others are read by the modules beside, loaded when one of their options was given.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments

CONFIG_FIELDS = {
    "domainname": "Domainname",
    "hostname": "Hostname",
    "interactive": "OpenStdin",
    "tty": "Tty",
    "user": "User",
    "workdir": "WorkingDir",
}
HOST_FIELDS = {
    "blkio-weight": "BlkioWeight",
    "cap-add": "CapAdd",
    "cap-drop": "CapDrop",
    "cgroup-parent": "CgroupParent",
    "cgroupns": "CgroupnsMode",
    "cidfile": "ContainerIDFile",
    "cpu-idle": "CpuIdle",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "cpus": "NanoCpus",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
    "dns-search": "DnsSearch",
    "group-add": "GroupAdd",
    "init": "Init",
    "ipc": "IpcMode",
    "isolation": "Isolation",
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
    "oom-kill-disable": "OomKillDisable",
    "oom-score-adj": "OomScoreAdj",
    "pids-limit": "PidsLimit",
    "privileged": "Privileged",
    "publish-all": "PublishAllPorts",
    "read-only": "ReadonlyRootfs",
    "rm": "AutoRemove",
    "runtime": "Runtime",
    "shm-size": "ShmSize",
    "volume-driver": "VolumeDriver",
    "volumes-from": "VolumesFrom",
}
MODULES = {
    "devices": (
        *("blkio-weight-device", "cpu-count", "cpu-percent", "device", "device-cgroup-rule", "device-read-bps"),
        *("device-read-iops", "device-write-bps", "device-write-iops", "gpus", "io-maxbandwidth", "io-maxiops"),
        *("memory-swappiness", "kernel-memory"),
    ),
    "environment": ("env", "env-file", "label", "label-file", "entrypoint"),
    "health": (
        *("health-cmd", "health-interval", "health-on-failure", "health-retries", "health-start-interval"),
        *("health-start-period", "health-timeout", "no-healthcheck", "stop-signal", "stop-timeout"),
    ),
    "mounts": ("config", "mount", "secret", "tmpfs", "volume"),
    "networks": (
        *("add-host", "dns", "dns-option", "ip", "ip6", "link", "link-local-ip", "mac-address", "network-alias"),
        *("network-class", "network-rate"),
    ),
    "policy": (
        *("annotation", "disable-content-trust", "log-driver", "log-opt", "pid", "resource-view", "restart"),
        *("security-opt", "storage-opt", "sysctl", "time-offset", "ulimit", "userns", "uts", "cgroupns"),
    ),
    "ports": ("expose", "publish"),
}
_MODULE_OF = {option: module for module, options in MODULES.items() for option in options}


class CreateRequest:
    """The document in the making: its three parts."""

    __slots__ = ("config", "endpoints", "host")

    def __init__(self, image: str, command: list[str]) -> None:
        self.config = _plain_config(image, command)
        self.host = _plain_host()
        self.endpoints: dict[str, dict[str, Any]] = {"default": plain_endpoint()}

    @property
    def body(self) -> dict[str, Any]:
        """The whole document."""
        return {**self.config, "HostConfig": self.host, "NetworkingConfig": {"EndpointsConfig": self.endpoints}}


def create_request(arguments: Arguments) -> CreateRequest:
    """What the command line asks for; UsageError for what cannot be."""
    request = CreateRequest(arguments.words[0], arguments.words[1:])
    modules = set()
    for name in arguments.names():
        if name in CONFIG_FIELDS:
            request.config[CONFIG_FIELDS[name]] = _value(arguments, name)
        elif name in HOST_FIELDS:
            request.host[HOST_FIELDS[name]] = _value(arguments, name)
        elif name == "network":
            modules.update(_plain_network(arguments.items(name), request))
        if name in _MODULE_OF:
            modules.add(_MODULE_OF[name])
    for module in sorted(modules):
        path = f"sampan.cli.request.{module}"
        __import__(path)
        sys.modules[path].apply(arguments, request)
    _attach(arguments, request.config)
    return request


def _plain_network(networks: list[str], request: CreateRequest) -> list[str]:
    """A single network by its name, which needs no module; any other form names the module that reads it."""
    if len(networks) != 1 or not networks[0] or "=" in networks[0]:
        return ["networks"]
    request.host["NetworkMode"] = networks[0]
    request.endpoints = {}
    return []


def _value(arguments: Arguments, name: str) -> Any:
    return arguments._values[name]  # noqa: SLF001 - of whatever type the option has


def _attach(arguments: Arguments, config: dict[str, Any]) -> None:
    streams = [stream.lower() for stream in arguments.items("attach")]
    for stream in streams:
        if stream not in {"stdin", "stdout", "stderr"}:
            from sampan.cli.grammar import UsageError

            raise UsageError(f"-a, --attach cannot be {stream!r}", remedy="name stdin, stdout or stderr")
    config["AttachStdin"] = config["OpenStdin"] or "stdin" in streams
    config["AttachStdout"] = not streams or "stdout" in streams
    config["AttachStderr"] = not streams or "stderr" in streams
    config["StdinOnce"] = bool(config["OpenStdin"] and config["AttachStdin"])


def _plain_config(image: str, command: list[str]) -> dict[str, Any]:
    return {
        "Hostname": "",
        "Domainname": "",
        "User": "",
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": None,
        "Cmd": command or None,
        "Image": image,
        "Volumes": {},
        "WorkingDir": "",
        "Entrypoint": None,
        "OnBuild": None,
        "Labels": {},
    }


def plain_endpoint() -> dict[str, Any]:
    """What a network's entry holds when nothing is asked of it."""
    texts = ("MacAddress", "NetworkID", "EndpointID", "Gateway", "IPAddress", "IPv6Gateway", "GlobalIPv6Address")
    endpoint: dict[str, Any] = dict.fromkeys(("IPAMConfig", "Links", "Aliases", "DriverOpts", "DNSNames"))
    endpoint.update(dict.fromkeys(texts, ""))
    endpoint.update(dict.fromkeys(("IPPrefixLen", "GlobalIPv6PrefixLen"), 0))
    return endpoint


_ABSENT = (
    *("Binds", "VolumesFrom", "CapAdd", "CapDrop", "ExtraHosts", "GroupAdd", "Links", "SecurityOpt"),
    *("DeviceCgroupRules", "DeviceRequests", "MaskedPaths", "ReadonlyPaths"),
)
_TEXTS = (
    *("ContainerIDFile", "VolumeDriver", "CgroupnsMode", "IpcMode", "Cgroup", "PidMode", "UTSMode", "UsernsMode"),
    *("Isolation", "CgroupParent", "CpusetCpus", "CpusetMems"),
)
_LISTS = (
    *("Dns", "DnsOptions", "DnsSearch", "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps"),
    *("BlkioDeviceReadIOps", "BlkioDeviceWriteIOps", "Devices", "Ulimits"),
)
_ZEROS = (
    *("OomScoreAdj", "ShmSize", "CpuShares", "Memory", "NanoCpus", "BlkioWeight", "CpuPeriod", "CpuQuota"),
    *("CpuRealtimePeriod", "CpuRealtimeRuntime", "MemoryReservation", "MemorySwap", "PidsLimit", "CpuCount"),
    *("CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth"),
)
_FALSE = ("AutoRemove", "Privileged", "PublishAllPorts", "ReadonlyRootfs", "OomKillDisable")


def _plain_host() -> dict[str, Any]:
    host: dict[str, Any] = dict.fromkeys(_ABSENT)
    host.update(dict.fromkeys(_TEXTS, ""))
    host.update({name: [] for name in _LISTS})
    host.update(dict.fromkeys(_ZEROS, 0))
    host.update(dict.fromkeys(_FALSE, False))
    host["LogConfig"] = {"Type": "", "Config": {}}
    host["NetworkMode"] = "default"
    host["PortBindings"] = {}
    host["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0}
    host["ConsoleSize"] = [0, 0]
    host["MemorySwappiness"] = -1
    return host
