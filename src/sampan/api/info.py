"""What the engine and its host are: GET /info."""

from __future__ import annotations

import os
import platform
import time
import urllib.request
from typing import Any

from aiohttp import web
from yarl import URL

from sampan.api import versions
from sampan.api.call import Call, reply, timestamp
from sampan.api.container_documents import DRIVER, status_word
from sampan.api.headers import is_experimental
from sampan.api.host_config import DEFAULT_RUNTIME
from sampan.api.services import Services
from sampan.cgroup import Mode, hierarchies
from sampan.engine import log_options
from sampan.engine.installation import backing_filesystem, engine_id
from sampan.image.registry_http import RegistrySettings
from sampan.network.bridge import read_sysctl

_CONTROLLERS = {
    "MemoryLimit": "memory",
    "SwapLimit": "memory",
    "CpuCfsPeriod": "cpu",
    "CpuCfsQuota": "cpu",
    "CPUShares": "cpu",
    "CPUSet": "cpuset",
    "PidsLimit": "pids",
}


# what Docker tells of parts that this engine does not have
_ABSENT: dict[str, Any] = {
    "SystemStatus": None,
    "GenericResources": None,
    "Labels": [],
    "Swarm": {
        "NodeID": "",
        "NodeAddr": "",
        "LocalNodeState": "inactive",
        "ControlAvailable": False,
        "Error": "",
        "RemoteManagers": None,
    },
    "Isolation": "",
    "ContainerdCommit": {"ID": "", "Expected": ""},
    "RuncCommit": {"ID": "", "Expected": ""},
    "InitCommit": {"ID": "", "Expected": ""},
    "CDISpecDirs": [],
    "NGoroutines": 1,
}


async def info(call: Call, services: Services) -> web.StreamResponse:
    """GET /info."""
    del call
    return reply({**_engine(services), **_contents(services), **_host(), **_ABSENT})


def _engine(services: Services) -> dict[str, Any]:
    """The daemon and how it was set up."""
    settings = services.transfers.settings
    return {
        "ID": engine_id(services.layout.data_root),
        "ServerVersion": versions.ENGINE,
        "Driver": DRIVER,
        "DriverStatus": [
            ["Backing Filesystem", backing_filesystem(services.layout.data_root)],
            ["Supports d_type", "true"],
            ["Native Overlay Diff", "true"],
        ],
        "DockerRootDir": services.layout.data_root,
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "ipvlan", "macvlan", "null"],
            "Authorization": None,
            "Log": log_options.drivers(),
        },
        "LoggingDriver": services.containers.default_log.driver,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": _registries(settings),
        **_proxies(settings),
        "Runtimes": {DEFAULT_RUNTIME: {"path": "sampan-runtime"}},
        "DefaultRuntime": DEFAULT_RUNTIME,
        "InitBinary": "sampan",
        "LiveRestoreEnabled": True,
        "ExperimentalBuild": is_experimental(),
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
        "Debug": services.debug,
        "NFd": len(os.listdir("/proc/self/fd")),
        "NEventsListener": services.events.listeners,
    }


def _contents(services: Services) -> dict[str, int]:
    """How many there are of what."""
    words = [status_word(record) for record in services.store.all()]
    running, paused = words.count("running"), words.count("paused")
    return {
        "Containers": len(words),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": len(words) - running - paused,
        "Images": len(services.images.images.records.all()),
    }


def _host() -> dict[str, Any]:
    """The machine, its kernel, and what its cgroups can limit."""
    uname, release, host = os.uname(), _os_release(), hierarchies()
    limits = {name: controller in host.controllers for name, controller in _CONTROLLERS.items()}
    return {
        "Name": uname.nodename,
        "KernelVersion": uname.release,
        "OperatingSystem": release.get("PRETTY_NAME", "Linux"),
        "OSVersion": release.get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": uname.machine,
        "NCPU": os.cpu_count(),
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "SystemTime": timestamp(time.time_ns()),
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2" if host.mode is Mode.V2 else "1",
        "OomKillDisable": host.mode is not Mode.V2,
        **limits,
        "IPv4Forwarding": read_sysctl("ipv4/ip_forward") == "1",
        "BridgeNfIptables": read_sysctl("bridge/bridge-nf-call-iptables") == "1",
        "BridgeNfIp6tables": read_sysctl("bridge/bridge-nf-call-ip6tables") == "1",
        "Warnings": [f"WARNING: No {name} support" for name, there in limits.items() if not there] or None,
    }


def _registries(settings: RegistrySettings) -> dict[str, Any]:
    """The settings of registries in Docker's shape, where loopback is always insecure."""
    hub = {"Name": "docker.io", "Mirrors": list(settings.mirrors), "Secure": True, "Official": True}
    insecure = [one for one in settings.insecure if "/" not in one]
    hosts = {one: {"Name": one, "Mirrors": [], "Secure": False, "Official": False} for one in insecure}
    return {
        "AllowNondistributableArtifactsCIDRs": None,
        "AllowNondistributableArtifactsHostnames": None,
        "InsecureRegistryCIDRs": [*(one for one in settings.insecure if "/" in one), "127.0.0.0/8"],
        "IndexConfigs": {**hosts, "docker.io": hub},
        "Mirrors": list(settings.mirrors) or None,
    }


def _proxies(settings: RegistrySettings) -> dict[str, str]:
    """What registries are reached through, without its passwords."""
    found = urllib.request.getproxies_environment() if settings.proxy_from_environment else {}
    urls = {name: URL(found.get(key, "")) for name, key in (("HttpProxy", "http"), ("HttpsProxy", "https"))}
    shown = {
        name: str(url.with_user("xxxxx").with_password("xxxxx") if url.user else url) for name, url in urls.items()
    }
    return {**shown, "NoProxy": found.get("no", "")}


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
