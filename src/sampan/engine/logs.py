"""Where a container's output goes: its log options as the monitor's plan, and the file that its log is read from.

What is refused is `log_options`' matter; reading is `log_stream`'s.
"""

from __future__ import annotations

import re

from sampan.engine.config import LogConfig
from sampan.engine.container import ContainerRecord
from sampan.engine.layout import Layout
from sampan.engine.log_options import (
    DEFAULT_DRIVER,
    TAG_FIELD,
    expression,
    facility_number,
    size_bytes,
    syslog_address,
    truth,
)
from sampan.monitor.log_plan import LogPlan, SendPlan

JOURNAL_SOCKET = "/run/systemd/journal/socket"
DEFAULT_TAG = "{{.ID}}"
LOCAL_FILES = 5
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")  # a newline would begin a message of its own
_KEPT = {"local": "local-logs/container.log", "journald": "container-cached.log", "syslog": "container-cached.log"}


def log_path(layout: Layout, record: ContainerRecord) -> str:
    """The newest file of what can be read back; "" when nothing can."""
    log = record.config.host.log
    driver = log.driver or DEFAULT_DRIVER
    if driver == DEFAULT_DRIVER:
        return layout.log(record.id)
    if driver == "none" or (driver != "local" and _is_cache_off(log)):
        return ""
    return f"{layout.container(record.id)}/{_KEPT[driver]}"


def _is_cache_off(log: LogConfig) -> bool:
    return truth("cache-disabled", log.options.get("cache-disabled", "false"))


def log_plan(record: ContainerRecord, layout: Layout) -> LogPlan:
    """The monitor's plan for a container's log."""
    log = record.config.host.log
    driver, path = log.driver or DEFAULT_DRIVER, log_path(layout, record)
    attributes = tuple(_attributes(record))
    match driver:
        case "none":
            return LogPlan(driver)
        case "json-file":
            return _files(LogPlan(driver, path, attributes=attributes), log.options, "")
        case "local":
            return _files(LogPlan(driver, path, max_files=LOCAL_FILES, compress=True), log.options, "")
        case _:
            plan = LogPlan(driver, path, max_files=LOCAL_FILES, compress=True, sending=_sending(record, driver))
            return _files(plan, log.options, "cache-")


def _files(plan: LogPlan, options: dict[str, str], prefix: str) -> LogPlan:
    size = options.get(f"{prefix}max-size")
    compress = options.get(f"{prefix}compress")
    return LogPlan(
        plan.driver,
        plan.path,
        size_bytes(size) if size is not None else plan.max_size_bytes,
        int(options.get(f"{prefix}max-file", plan.max_files)),
        truth("compress", compress) if compress is not None else plan.compress,
        plan.attributes,
        plan.sending,
    )


def _sending(record: ContainerRecord, driver: str) -> SendPlan:
    options = record.config.host.log.options
    tag = _CONTROLS.sub("_", fill_tag(options.get("tag") or DEFAULT_TAG, record))
    buffer = size_bytes(options["max-buffer-size"]) if "max-buffer-size" in options else SendPlan("").buffer_bytes
    if driver == "journald":
        path = options.get("journald-socket", JOURNAL_SOCKET)
        fields = tuple(_journal_fields(record, tag).items())
        return SendPlan(f"unixgram://{path}", "journald", tag, fields=fields, buffer_bytes=buffer)
    return SendPlan(
        syslog_address(options.get("syslog-address", "")),
        options.get("syslog-format", ""),
        tag,
        facility_number(options.get("syslog-facility", "")),
        buffer_bytes=buffer,
        tls_authority=options.get("syslog-tls-ca-cert", ""),
        tls_certificate=options.get("syslog-tls-cert", ""),
        tls_key=options.get("syslog-tls-key", ""),
        tls_unverified=truth("syslog-tls-skip-verify", options.get("syslog-tls-skip-verify", "false")),
    )


def _journal_fields(record: ContainerRecord, tag: str) -> dict[str, str]:
    """What every message to a journal carries (moby, daemon/logger/journald); names as journald allows them."""
    chosen = {journal_name(name): value for name, value in _attributes(record) if name != "tag"}
    chosen.pop("", None)
    return {
        **chosen,
        "CONTAINER_ID": record.id[:12],
        "CONTAINER_ID_FULL": record.id,
        "CONTAINER_NAME": record.name,
        "CONTAINER_TAG": tag,
        "IMAGE_NAME": record.config.process.image,
        "SYSLOG_IDENTIFIER": tag,
    }


def journal_name(name: str) -> str:
    """A name as a field of a journal: A to Z, digits and underscores, no underscore first."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper()).lstrip("_")


def _attributes(record: ContainerRecord) -> list[tuple[str, str]]:
    """The labels and variables that `labels=` and `env=` name, sorted as Go's JSON writer sorts them."""
    options = record.config.host.log.options
    labels = record.config.process.labels or {}
    variables = dict(entry.split("=", 1) for entry in record.config.process.environment or () if "=" in entry)
    found = {name: labels[name] for name in _names(options.get("labels", "")) if name in labels}
    found |= {name: variables[name] for name in _names(options.get("env", "")) if name in variables}
    for option, known in (("labels-regex", labels), ("env-regex", variables)):
        if options.get(option):
            chosen = expression(option, options[option])
            found |= {name: value for name, value in known.items() if chosen.search(name)}
    if options.get("tag"):
        found["tag"] = fill_tag(options["tag"], record)
    return sorted(found.items())


def fill_tag(tag: str, record: ContainerRecord) -> str:
    """The tag with its fields filled in (moby, daemon/logger/loginfo.go; an ImageID keeps its "sha256:" there)."""
    values = {
        "ID": record.id[:12],
        "FullID": record.id,
        "Name": record.name,
        "ImageID": record.image_id[:12],
        "ImageFullID": record.image_id,
        "ImageName": record.config.process.image,
        "DaemonName": "docker",
        "Command": " ".join((record.path, *record.arguments)),
    }
    return TAG_FIELD.sub(lambda match: values[match[1]], tag)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]
