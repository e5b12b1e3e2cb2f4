"""The log drivers that there are, with the options that each takes: every refusal of `--log-driver` and `--log-opt`.

The names and the rules are moby's (daemon/logger, each driver's ValidateLogOpt). Pure, but for the look whether a unix
socket is there. What the options mean to a container is `logs`' matter.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from sampan.engine.config import LogConfig
from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.expression import Expression
from sampan.sizes import read_size

DEFAULT_DRIVER = "json-file"
SYSLOG_PORT = 514
FACILITIES = (
    *"kern user mail daemon auth syslog lpr news uucp cron authpriv ftp".split(),
    *("ntp", "security", "console", "solaris-cron"),
    *(f"local{number}" for number in range(8)),
)
_NAMELESS_FACILITIES = frozenset({"ntp", "security", "console", "solaris-cron"})  # reachable by number alone
TAG_FIELD = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")
TAG_FIELDS = ("ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "DaemonName", "Command")
_FEW_DIGITS = 9
_FILES = frozenset({"max-size", "max-file", "compress"})
_CHOICE = frozenset({"labels", "labels-regex", "env", "env-regex", "tag"})
_TLS = frozenset(f"syslog-tls-{name}" for name in ("ca-cert", "cert", "key", "skip-verify"))
_OPTIONS = {
    "json-file": _FILES | _CHOICE,
    "local": _FILES,
    "journald": _CHOICE | {"journald-socket"},
    "syslog": _CHOICE | _TLS | {"syslog-address", "syslog-facility", "syslog-format"},
    "none": frozenset(),
}
_ANY = frozenset({"mode", "max-buffer-size", "cache-disabled", *(f"cache-{name}" for name in _FILES)})
_OTHERS = frozenset({"awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "logentries", "splunk"})  # Docker's


def drivers() -> list[str]:
    """The drivers that there are, as `info` lists them."""
    return sorted(_OPTIONS)


def check_log(log: LogConfig) -> None:
    """Refuse a driver or an option that is not there. Raises InvalidArgument or NotImplementedHere."""
    driver, options = log.driver or DEFAULT_DRIVER, log.options
    _check_driver(driver)
    for name in options:
        if name not in _OPTIONS[driver] | _ANY or (driver == "none" and name != "mode"):
            place = "log driver local" if driver == "local" else f"{driver} log driver"
            raise InvalidArgument(
                f"unknown log opt {name!r} for {place}",
                remedy="known are " + (", ".join(sorted(_OPTIONS[driver])) or "none"),
            )
    _check_mode(options)
    for prefix in ("", "cache-"):
        _check_files(options, prefix)
    for name in ("labels-regex", "env-regex"):
        expression(name, options.get(name, ""))
    check_tag(options.get("tag", ""))
    if driver == "syslog":
        syslog_address(options.get("syslog-address", ""))
        facility_number(options.get("syslog-facility", ""))
        _check_format(options.get("syslog-format", ""))
    if driver == "journald" and not options.get("journald-socket", "/").startswith("/"):
        raise InvalidArgument(
            f"journald-socket {options['journald-socket']!r} is no absolute path", remedy="begin it with /"
        )


def _check_driver(driver: str) -> None:
    if driver in _OTHERS:
        raise NotImplementedHere(
            f"the log driver {driver!r} is not built into sampan",
            remedy="use syslog or journald, or have a collector read the files of json-file",
        )
    if driver not in _OPTIONS:
        raise InvalidArgument(
            f'error looking up logging plugin {driver}: plugin "{driver}" not found',
            remedy="use one of " + ", ".join(drivers()),
        )


def _check_mode(options: dict[str, str]) -> None:
    mode = options.get("mode", "")
    if mode not in {"", "blocking", "non-blocking"}:
        raise InvalidArgument(f"logger: logging mode not supported: {mode}", remedy="use blocking or non-blocking")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise InvalidArgument(
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'", remedy="add that mode"
            )
        size_bytes(options["max-buffer-size"])


def _check_files(options: dict[str, str], prefix: str) -> None:
    if f"{prefix}max-size" in options and not size_bytes(options[f"{prefix}max-size"]):
        raise InvalidArgument(f"{prefix}max-size must be a positive number", remedy="as in 512k, 10m or 2g")
    files = options.get(f"{prefix}max-file", "1")
    if not (files.isascii() and files.isdigit() and len(files) <= _FEW_DIGITS and int(files)):
        raise InvalidArgument(f"{prefix}max-file must be a positive number", remedy="say how many files are kept, as 3")
    for name in (f"{prefix}compress", "cache-disabled", "syslog-tls-skip-verify"):
        if name in options:
            truth(name, options[name])


def truth(name: str, text: str) -> bool:
    """A boolean as Go's strconv.ParseBool reads it. Raises InvalidArgument."""
    if text in {"1", "t", "T", "TRUE", "true", "True"}:
        return True
    if text in {"0", "f", "F", "FALSE", "false", "False"}:
        return False
    raise InvalidArgument(f"invalid value for {name}: {text!r}", remedy="say true or false")


def size_bytes(text: str) -> int:
    """A size such as "10m" in bytes. Raises InvalidArgument."""
    try:
        return read_size(text)
    except ValueError as error:
        raise InvalidArgument(f"invalid size: {text!r}", remedy="as in 512k, 10m or 2g") from error


def expression(option: str, text: str) -> Expression:
    """A regular expression of an option. Raises InvalidArgument."""
    try:
        return Expression(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid {option}: {error}", remedy=error.remedy) from error


def check_tag(tag: str) -> None:
    """Refuse a template with fields that there are not."""
    rest = TAG_FIELD.sub("", tag)
    unknown = next((name for name in TAG_FIELD.findall(tag) if name not in TAG_FIELDS), "")
    if unknown or "{{" in rest or "}}" in rest:
        raise InvalidArgument(
            f"invalid log tag {tag!r}" + (f": there is no field {unknown}" if unknown else ""),
            remedy="fields are " + ", ".join(f"{{{{.{name}}}}}" for name in TAG_FIELDS),
        )


def syslog_address(address: str) -> str:
    """The address with its port, "" for this machine's own syslog. Raises InvalidArgument."""
    if not address:
        return ""
    scheme, separator, rest = address.partition("://")
    if not separator or scheme not in {"unix", "unixgram", "udp", "tcp", "tcp+tls"}:
        raise InvalidArgument(
            f"syslog-address should be in form proto://address, got {address}",
            remedy="as in udp://10.0.0.1:514, tcp+tls://logs.example:6514 or unixgram:///dev/log",
        )
    if scheme in {"unix", "unixgram"}:
        if not os.path.exists(rest):
            raise InvalidArgument(f"stat {rest}: no such file or directory", remedy="name a socket that is there")
        return address
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, SYSLOG_PORT if parts.port is None else parts.port
    except ValueError as error:
        raise InvalidArgument(f"invalid syslog-address {address}: {error}", remedy="as in tcp://HOST:PORT") from error
    if not host or not port:
        raise InvalidArgument(f"syslog-address {address} names no host and port", remedy="as in tcp://HOST:PORT")
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def facility_number(text: str) -> int:
    """A facility by name or number, daemon for "". Raises InvalidArgument."""
    if not text:
        return FACILITIES.index("daemon")
    if text in FACILITIES and text not in _NAMELESS_FACILITIES:
        return FACILITIES.index(text)
    if text.isdecimal() and len(text) < 3 and int(text) < len(FACILITIES):
        return int(text)
    raise InvalidArgument(
        "invalid syslog facility", remedy=f"{text!r} is none: use daemon, user, local0 to local7, or a number up to 23"
    )


def _check_format(text: str) -> None:
    if text not in {"", "rfc3164", "rfc5424", "rfc5424micro"}:
        raise InvalidArgument("Invalid syslog format", remedy=f"{text!r} is none: use rfc3164, rfc5424 or rfc5424micro")
