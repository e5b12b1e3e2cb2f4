"""How sampand is told where it lives and what it does: config.toml, then the command line, in dockerd's own words.

Every setting has a default, a flag and a key of the same name in the file (`data-root`, `hosts`, …). Nothing is
opened here but the file.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sampan.engine.layout import OWN_CGROUP
from sampan.errors import InvalidArgument, reason_of
from sampan.network.settings import NetworkSettings

DEFAULT_CONFIG = "/etc/sampan/config.toml"
HELP = """Usage: sampand [OPTIONS]

The daemon of sampan. It is started on demand by `sampan`; these words are dockerd's.

Options:
      --allow-plain-tcp             Listen on tcp without TLS: whoever reaches it is root
      --bip string                  Address and size of the default bridge (CIDR)
  -b, --bridge string               Attach containers to this bridge; "none" makes none
      --cgroup-parent string        Parent cgroup of all containers (default "/sampan")
      --config-file string          Settings (default "/etc/sampan/config.toml")
      --data-root string            Where what lasts is kept (default "/var/lib/sampan")
  -D, --debug                       Log what is done
      --default-address-pool list   Subnets of networks are taken from these, as in base=10.10.0.0/16,size=24
      --default-gateway string      Router of the default bridge, when it is not the bridge itself
      --default-gateway-v6 string   The same for IPv6
      --exec-root string            Where what runs is kept (default "/run/sampan")
      --experimental                Call itself experimental, as docker's CLI asks for before `build --squash`
      --fixed-cidr string           Addresses of the default bridge are taken from this part of it
      --fixed-cidr-v6 string        Subnet of the default bridge's IPv6
  -G, --group string                Group of the socket (default "docker" or "sampan", whichever there is)
  -H, --host list                   Sockets to listen on (default unix://EXEC-ROOT/sampan.sock)
      --icc                         Let containers on the default bridge reach each other (default true)
      --init                        Run an init in every container unless it says otherwise
      --insecure-registry list      Registries, or networks of them, that need no proof of who they are
      --ip string                   Address that ports are published on by default (default "0.0.0.0")
      --ip-forward                  Make the host forward packets (default true)
      --ip-masq                     Let the default bridge go out with the host's address (default true)
      --ipv6                        IPv6 on networks that nobody said anything about (default when the host has it)
      --log-driver string           Default log driver (default "json-file")
      --log-opt map                 Default log options
      --mtu int                     MTU of the default bridge (default the uplink's)
      --plugin-dir list             Where volume plugins are looked for (default Docker's directories)
      --plugin-timeout int          Seconds that a plugin may take to answer (default 30)
  -p, --pidfile string              File for the daemon's pid (default EXEC-ROOT/sampand.pid)
      --registry-ca-file list       Certificate files of authorities to trust beside the system's
      --registry-mirror list        Addresses to ask before Docker Hub
      --resource-view string        What containers see: "auto" their own limits, "full", "host" (default "auto")
      --tls                         Use TLS on tcp; implied by --tlsverify
      --tlscacert string            Take clients' certificates by this authority (default "/etc/sampan/ca.pem")
      --tlscert string              Certificate of the daemon (default "/etc/sampan/cert.pem")
      --tlskey string               Its key (default "/etc/sampan/key.pem")
      --tlsverify                   Use TLS on tcp and take only clients with a certificate of the authority
  -v, --version                     Print the version and leave
"""


@dataclass(frozen=True, slots=True)
class Options:
    """All settings of a daemon."""

    data_root: str = "/var/lib/sampan"
    exec_root: str = "/run/sampan"
    hosts: tuple[str, ...] = ()
    pidfile: str = ""
    group: str = ""
    config_file: str = DEFAULT_CONFIG
    debug: bool = False
    experimental: bool = False
    bridge: str = ""
    bip: str = ""
    default_address_pools: tuple[str, ...] = ()
    default_gateway: str = ""
    default_gateway_v6: str = ""
    fixed_cidr: str = ""
    fixed_cidr_v6: str = ""
    icc: bool = True
    ip: str = "0.0.0.0"  # noqa: S104 -- what "published on every address" is called
    ip_forward: bool = True
    ip_masq: bool = True
    ipv6: bool | None = None
    mtu: int = 0
    cgroup_parent: str = OWN_CGROUP
    init: bool = False
    log_driver: str = "json-file"
    log_opts: dict[str, str] = field(default_factory=dict)
    registry_mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    registry_ca_files: tuple[str, ...] = ()
    resource_view: str = "auto"
    plugin_dirs: tuple[str, ...] = ()
    plugin_timeout: int = 30

    tls: bool = False
    tlsverify: bool = False
    tlscacert: str = "/etc/sampan/ca.pem"
    tlscert: str = "/etc/sampan/cert.pem"
    tlskey: str = "/etc/sampan/key.pem"
    allow_plain_tcp: bool = False

    @property
    def sockets(self) -> tuple[str, ...]:
        """Where to listen; what tcp is secured with is said in the address's query."""
        default = f"unix://{self.exec_root}/sampan.sock"
        hosts = (default if host == "unix://" else host for host in self.hosts or (default,))
        return tuple(host + self._security() if host.startswith("tcp://") else host for host in hosts)

    def _security(self) -> str:
        if not (self.tls or self.tlsverify):
            return "?plain=1" if self.allow_plain_tcp else ""
        files = {"tlscert": self.tlscert, "tlskey": self.tlskey}
        return "?" + urlencode(files | ({"tlscacert": self.tlscacert} if self.tlsverify else {}))

    @property
    def networks(self) -> NetworkSettings:
        """What is said about networks."""
        return NetworkSettings(
            bridge=self.bridge,
            bip=self.bip,
            fixed_cidr=self.fixed_cidr,
            fixed_cidr_v6=self.fixed_cidr_v6,
            default_gateway=self.default_gateway,
            default_gateway_v6=self.default_gateway_v6,
            mtu=self.mtu,
            icc=self.icc,
            ip=self.ip,
            ip_masq=self.ip_masq,
            ipv6=self.ipv6,
            pools=self.default_address_pools,
        )

    @property
    def pid_path(self) -> str:
        """Where the daemon's pid is written."""
        return self.pidfile or f"{self.exec_root}/sampand.pid"


_SHORT = {"b": "bridge", "D": "debug", "G": "group", "H": "host", "p": "pidfile"}
_FIELDS = {
    "default-address-pool": "default_address_pools",
    "host": "hosts",
    "insecure-registry": "insecure_registries",
    "log-opt": "log_opts",
    "plugin-dir": "plugin_dirs",
    "registry-ca-file": "registry_ca_files",
    "registry-mirror": "registry_mirrors",
}
_BOOLEANS = frozenset("allow-plain-tcp debug experimental icc init ip-forward ip-masq ipv6 tls tlsverify".split())
_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    str: "a text in quotes",
    tuple: 'a list of texts, as in ["one", "two"]',
    dict: 'a table of its own with texts in quotes, as in max-file = "3"',
}
_VIEWS = frozenset({"auto", "full", "host"})
_TRUE = frozenset({"true", "1", "t"})
_FALSE = frozenset({"false", "0", "f"})


def parse(words: list[str]) -> Options:
    """The settings of a command line on top of those of its file. Raises InvalidArgument."""
    given = _command_line(words)
    path = given.get("config_file", DEFAULT_CONFIG)
    settings = _file(path, must_exist="config_file" in given)
    options = dataclasses.replace(Options(), **{**settings, **given})
    options = dataclasses.replace(
        options, data_root=os.path.abspath(options.data_root), exec_root=os.path.abspath(options.exec_root)
    )
    if ".." in options.cgroup_parent.split("/"):
        raise InvalidArgument(
            f"invalid cgroup parent {options.cgroup_parent!r}: '..' cannot be a part of it",
            remedy="give a path such as /sampan",
        )
    if options.plugin_timeout < 1:
        raise InvalidArgument(
            f"invalid plugin timeout {options.plugin_timeout}", remedy="give seconds, 1 or more, as in 30"
        )
    if options.resource_view not in _VIEWS:
        raise InvalidArgument(f"invalid resource view: {options.resource_view!r}", remedy="say auto, full or host")
    return options


def _command_line(words: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, separator, value = word.lstrip("-").partition("=")
        if word.startswith("-") and not word.startswith("--"):
            name = _SHORT.get(name, name)
        key = _FIELDS.get(name, name.replace("-", "_"))
        if not word.startswith("-"):
            raise InvalidArgument(f"sampand takes no argument: {word!r}", remedy="`sampand --help` lists the flags")
        if key not in Options.__dataclass_fields__:
            raise InvalidArgument(f"unknown flag: {word}", remedy="`sampand --help` lists the flags")
        if name in _BOOLEANS:
            given[key] = _boolean(name, value or "true")
            continue
        if not separator:
            if not waiting:
                raise InvalidArgument(f"flag needs an argument: --{name}", remedy="`sampand --help` lists the flags")
            value = waiting.pop(0)
        _add(given, key, value)
    return given


def _add(given: dict[str, Any], key: str, value: str) -> None:
    match key:
        case (
            "plugin_dirs"
            | "default_address_pools"
            | "hosts"
            | "registry_mirrors"
            | "insecure_registries"
            | "registry_ca_files"
        ):
            given[key] = (*given.get(key, ()), value)
        case "mtu" | "plugin_timeout":
            if not value.isdigit():
                flag = key.replace("_", "-")
                raise InvalidArgument(f'invalid argument "{value}" for "--{flag}" flag', remedy="give a whole number")
            given[key] = int(value)
        case "log_opts":
            option, _, text = value.partition("=")
            given[key] = {**given.get(key, {}), option: text}
        case _:
            given[key] = value


def _is_of(kind: type, value: object) -> bool:
    """Whether a value of the file is what the setting takes; in lists and tables that is texts."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    right = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
    return right and all(isinstance(item, str) for item in inner)


def _boolean(name: str, value: str) -> bool:
    if value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise InvalidArgument(f'invalid argument "{value}" for "--{name}" flag', remedy="say true or false")


def _file(path: str, *, must_exist: bool) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
    except FileNotFoundError as error:
        if must_exist:
            raise InvalidArgument(f"there is no settings file {path}", remedy="name one that is there") from error
        return {}
    except OSError as error:
        raise InvalidArgument(
            f"the settings file {path} cannot be read: {(error.strerror or '').lower()}",
            remedy="name a file in TOML form",
        ) from error
    except ValueError as error:  # tomllib's own, and that of bytes that are no UTF-8
        raise InvalidArgument(
            f"the settings file {path} is no TOML: {reason_of(error)}",
            remedy="write it as docs/reference/settings.md shows; dockerd's daemon.json is another language",
        ) from error
    settings: dict[str, Any] = {}
    for name, written in content.items():
        key = name.replace("-", "_")
        if key not in Options.__dataclass_fields__ or key == "config_file":
            raise InvalidArgument(
                f"the settings file {path} has {name}, and there is no such setting",
                remedy="take it out; docs/reference/settings.md lists the settings",
            )
        kind = bool if name in _BOOLEANS else type(getattr(Options(), key))
        value = tuple(written) if isinstance(written, list) else written
        if not _is_of(kind, value):
            raise InvalidArgument(
                f"the settings file {path} has {name} = {written!r}, which is not {_KINDS[kind]}",
                remedy="docs/reference/settings.md shows what each setting takes",
            )
        settings[key] = value
    return settings
