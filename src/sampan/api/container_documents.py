"""A container as the API shows it: the inspect document and the line of a list, made from its record."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET

from sampan.api.call import timestamp
from sampan.api.container_config import process_to
from sampan.api.host_config import host_to
from sampan.api.versions import NO_ALIAS_OF_ID, Version, has
from sampan.engine import links
from sampan.engine.config import EndpointRequest
from sampan.engine.container import (
    ContainerRecord,
    Created,
    Dead,
    Endpoint,
    Exited,
    MountPoint,
    Paused,
    Removing,
    Restarting,
    Running,
)
from sampan.engine.control import exit_code
from sampan.engine.exposed_ports import name_of
from sampan.engine.health import Health
from sampan.engine.layout import Layout
from sampan.engine.networks import NOWHERE
from sampan.engine.sizes import ContainerSize
from sampan.wire.container import AddressRequest, EndpointSettings

DRIVER = "overlay2"


def inspect(
    record: ContainerRecord, layout: Layout, exec_ids: list[str], version: Version, health: Health | None
) -> dict[str, Any]:
    """The document of GET /containers/{id}/json."""
    directory = layout.container(record.id)
    return {
        "Id": record.id,
        "Created": timestamp(record.created_at_ns),
        "Path": record.path,
        "Args": record.arguments,
        "State": state(record) | ({"Health": health_document(health)} if health else {}),
        "Image": record.image_id,
        "ResolvConfPath": f"{directory}/resolv.conf",
        "HostnamePath": f"{directory}/hostname",
        "HostsPath": f"{directory}/hosts",
        "LogPath": layout.log(record.id) if record.config.host.log.driver in {"", "json-file"} else "",
        "Name": f"/{record.name}",
        "RestartCount": record.restart_count,
        "Driver": DRIVER,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": exec_ids or None,
        "HostConfig": msgspec.structs.replace(host_to(record.config.host), links=links.shown(record)),
        "GraphDriver": {
            "Data": {"UpperDir": f"{directory}/upper", "WorkDir": f"{directory}/work"},
            "Name": DRIVER,
        },
        "Mounts": [mount_point(point) for point in record.mounts if point.kind not in {"secret", "config"}],
        "Config": msgspec.structs.replace(process_to(record.config.process), mac_address=mac_address(record) or UNSET),
        "NetworkSettings": network_settings(record, of_id=not has(version, NO_ALIAS_OF_ID)),
    }


def state(record: ContainerRecord) -> dict[str, Any]:
    """The State object."""
    now = record.state
    running = record.running
    ended = now.exited if isinstance(now, Restarting) else now
    started_at = running.started_at_ns if running else getattr(ended, "started_at_ns", 0)
    error = now.error if isinstance(now, Created | Exited | Dead) else ""
    return {
        "Status": status_word(record),
        "Running": running is not None or isinstance(now, Restarting),
        "Paused": isinstance(now, Paused),
        "Restarting": isinstance(now, Restarting),
        "OOMKilled": isinstance(ended, Exited) and ended.oom_killed,
        "Dead": isinstance(now, Dead),
        "Pid": record.pid,
        "ExitCode": exit_code(record),
        "Error": error,
        "StartedAt": timestamp(started_at),
        "FinishedAt": timestamp(getattr(ended, "finished_at_ns", 0)),
        **memory_kills(record),
    }


def memory_kills(record: ContainerRecord) -> dict[str, Any]:
    """Beyond Docker: whom the kernel killed for want of memory in the present run or the last; nothing for nobody."""
    shown = [
        {
            "Pid": kill.pid,
            "Program": kill.program,
            "Size": kill.size_bytes,
            "Usage": kill.usage_bytes,
            "Limit": kill.limit_bytes,
            "At": timestamp(kill.at_ns),
        }
        for kill in record.memory_kills
    ]
    return {"MemoryKills": shown} if shown else {}


def health_document(health: Health) -> dict[str, Any]:
    """State.Health."""
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {
                "Start": timestamp(probe.started_ns),
                "End": timestamp(probe.ended_ns),
                "ExitCode": probe.code,
                "Output": probe.output,
            }
            for probe in health.probes
        ],
    }


def status_word(record: ContainerRecord) -> str:
    """One of Docker's seven words."""
    match record.state:
        case Created():
            return "created"
        case Running():
            return "running"
        case Paused():
            return "paused"
        case Restarting():
            return "restarting"
        case Removing():
            return "removing"
        case Exited():
            return "exited"
        case Dead():
            return "dead"


def status_text(record: ContainerRecord, health: Health | None) -> str:
    """The words of a list: "Up 3 minutes (healthy)", "Exited (137) 2 hours ago"."""
    match record.state:
        case Created():
            return "Created"
        case Running(started_at_ns=started):
            shown = {"starting": "health: starting"}.get(health.status, health.status) if health else ""
            return f"Up {_ago(started)}" + (f" ({shown})" if shown else "")
        case Paused(running=running):
            return f"Up {_ago(running.started_at_ns)} (Paused)"
        case Restarting(exited=ended):
            return f"Restarting ({ended.code}) {_ago(ended.finished_at_ns)} ago"
        case Exited(code=code, finished_at_ns=finished):
            return f"Exited ({code}) {_ago(finished)} ago"
        case Removing():
            return "Removal In Progress"
        case Dead():
            return "Dead"


_STEPS = (
    (1, "Less than a second"),
    (2, "1 second"),
    (60, "{s} seconds"),
    (120, "About a minute"),
    (3600, "{m} minutes"),
    (7200, "About an hour"),
    (48 * 3600, "{h} hours"),
    (14 * 86400, "{d} days"),
    (60 * 86400, "{w} weeks"),
    (730 * 86400, "{mo} months"),
)


def _ago(moment_ns: int) -> str:
    """A duration in words, as docker/go-units' HumanDuration says it."""
    seconds = max(0, time.time_ns() - moment_ns) // 10**9
    days = seconds // 86400
    for limit, words in _STEPS:
        if seconds < limit:
            hours = (seconds + 1800) // 3600
            return words.format(s=seconds, m=seconds // 60, h=hours, d=days, w=days // 7, mo=days // 30)
    return f"{days // 365} years"


def mount_point(point: MountPoint) -> dict[str, Any]:
    """One entry of Mounts."""
    shown: dict[str, Any] = {"Type": point.kind}
    if point.name:
        shown["Name"] = point.name
    shown |= {"Source": "" if point.kind == "tmpfs" else point.source, "Destination": point.destination}
    if point.driver:
        shown["Driver"] = point.driver
    return {**shown, "Mode": point.mode, "RW": point.writable, "Propagation": point.propagation}


def ports(record: ContainerRecord) -> dict[str, Any]:
    """NetworkSettings.Ports: published ones with their places, exposed ones null.

    Nothing when it does not run, or no network of its leads out.
    """
    if record.running is None or not any(one.gateway or one.ipv6_gateway for one in record.endpoints.values()):
        return {}
    shown: dict[str, Any] = dict.fromkeys(map(name_of, record.config.process.exposed_ports or ()))
    for port, places in record.ports.items():
        shown[port] = [{"HostIp": address, "HostPort": number} for address, number in places] or None
    return shown


def mac_address(record: ContainerRecord) -> str:
    """The MAC address that was asked of the network of the container's mode, for Config."""
    config, mode = record.config, record.config.host.network_mode
    asked = config.networks.get("bridge" if mode in {"", "default"} else mode, EndpointRequest())
    return config.process.mac_address or asked.mac_address


def network_settings(record: ContainerRecord, *, of_id: bool) -> dict[str, Any]:
    """NetworkSettings, the default bridge's addresses also at its top.

    With `of_id` the short id and the host name are aliases in users' networks.
    """
    bridge = record.endpoints.get("bridge", Endpoint(network_id=""))
    return {
        "Bridge": "",
        "SandboxID": record.id if record.running else "",
        "SandboxKey": f"/proc/{record.pid}/ns/net" if record.pid else "",
        "Ports": ports(record),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": bridge.endpoint_id,
        "Gateway": bridge.gateway,
        "GlobalIPv6Address": bridge.global_ipv6_address,
        "GlobalIPv6PrefixLen": bridge.global_ipv6_prefix_length,
        "IPAddress": bridge.ip_address,
        "IPPrefixLen": bridge.ip_prefix_length,
        "IPv6Gateway": bridge.ipv6_gateway,
        "MacAddress": bridge.mac_address,
        "Networks": {
            name: endpoint_settings(endpoint, asked_of(record, name, of_id=of_id))
            for name, endpoint in sorted(record.endpoints.items())
        },
    }


def asked_of(record: ContainerRecord, name: str, *, of_id: bool = False) -> EndpointRequest:
    """What a container asked of a network; `of_id` as for `network_settings`."""
    asked = record.config.networks.get(name, EndpointRequest())
    if not of_id or name in {"bridge", *NOWHERE}:
        return asked
    names = (*(asked.aliases or ()), record.id[:12], record.config.process.hostname)
    return replace(asked, aliases=tuple(dict.fromkeys(names)))


def endpoint_settings(endpoint: Endpoint, asked: EndpointRequest) -> EndpointSettings:
    """A place in a network: what was asked for and what was given."""
    addresses = AddressRequest(
        ipv4_address=asked.ipv4_address or UNSET,
        ipv6_address=asked.ipv6_address or UNSET,
        link_local_ips=asked.link_local_addresses or UNSET,
    )
    return EndpointSettings(
        ipam_config=addresses if asked.has_address_request else None,
        links=asked.links,
        aliases=asked.aliases,
        mac_address=endpoint.mac_address or asked.mac_address,
        network_id=endpoint.network_id,
        endpoint_id=endpoint.endpoint_id,
        gateway=endpoint.gateway,
        ip_address=endpoint.ip_address,
        ip_prefix_len=endpoint.ip_prefix_length,
        ipv6_gateway=endpoint.ipv6_gateway,
        global_ipv6_address=endpoint.global_ipv6_address,
        global_ipv6_prefix_len=endpoint.global_ipv6_prefix_length,
        driver_opts=asked.driver_options,
        dns_names=endpoint.dns_names or None,
        gw_priority=asked.gateway_priority or UNSET,
    )


def summary(record: ContainerRecord, health: Health | None, linked: list[str], image_id: str | None) -> dict[str, Any]:
    """One entry of GET /containers/json; `linked` are its names by links of others.

    `image_id` is what the name of its image means now: when that is another one, its own is shown by its id.
    """
    process, host = record.config.process, record.config.host
    return {
        "Id": record.id,
        "Names": [*linked, f"/{record.name}"],
        "Image": process.image if image_id == record.image_id else record.image_id,
        "ImageID": record.image_id,
        "Command": " ".join((record.path, *map(_quoted, record.arguments))),
        "Created": record.created_at_ns // 10**9,
        "Ports": list(port_list(record)),
        "Labels": process.labels or {},
        "State": status_word(record),
        "Status": status_text(record, health),
        "HostConfig": {"NetworkMode": host.network_mode or "default"},
        "NetworkSettings": {
            "Networks": {
                name: endpoint_settings(endpoint, asked_of(record, name)) for name, endpoint in record.endpoints.items()
            }
        },
        "Mounts": [mount_point(point) for point in record.mounts if point.kind not in {"secret", "config"}],
        **memory_kills(record),
    }


def _quoted(word: str) -> str:
    """A word of a command line in a list, as moby shows it."""
    return f"'{word}'" if " " in word else word


def sizes(size: ContainerSize) -> dict[str, int]:
    """What `size=1` adds to a container."""
    return {"SizeRw": size.written, "SizeRootFs": size.root}


def port_list(record: ContainerRecord) -> list[dict[str, Any]]:
    """The Ports of a list's line."""
    shown = []
    for port, places in ports(record).items():
        number, _, protocol = port.partition("/")
        base = {"PrivatePort": int(number), "Type": protocol}
        if not places:
            shown.append(base)
        for place in places or ():
            public: dict[str, Any] = {"IP": place["HostIp"], **base, "PublicPort": int(place["HostPort"])}
            shown.append(public)
    return sorted(shown, key=lambda entry: (entry["PrivatePort"], entry["Type"], entry.get("IP", "")))
