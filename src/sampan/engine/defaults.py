"""What an image gives a container that the user did not say: Docker's merge of the two configurations.

Pure: takes what was asked and what the image says, gives the configuration that is kept.
"""

from __future__ import annotations

import dataclasses

from sampan.engine.config import Healthcheck, ProcessConfig, Strings


def fill_in(asked: ProcessConfig, image: ProcessConfig) -> ProcessConfig:
    """`asked` with the image's values wherever the user said nothing (moby's daemon/commit.go, `merge`).

    An entrypoint of the user's own drops the image's command; an entrypoint of ("",) means none at all.
    """
    entrypoint, command = _program(asked, image)
    return dataclasses.replace(
        asked,
        user=asked.user or image.user,
        exposed_ports=_union(image.exposed_ports, asked.exposed_ports),
        environment=_environment(asked.environment, image.environment),
        entrypoint=entrypoint,
        command=command,
        labels={**(image.labels or {}), **(asked.labels or {})},
        working_dir=asked.working_dir or image.working_dir,
        volumes=_union(image.volumes, asked.volumes),
        stop_signal=asked.stop_signal or image.stop_signal,
        stop_timeout_s=asked.stop_timeout_s if asked.stop_timeout_s is not None else image.stop_timeout_s,
        shell=asked.shell or image.shell,
        healthcheck=_healthcheck(asked.healthcheck, image.healthcheck),
    )


def _program(asked: ProcessConfig, image: ProcessConfig) -> tuple[Strings, Strings]:
    if asked.entrypoint == ("",):
        return None, asked.command
    if asked.entrypoint:
        return asked.entrypoint, asked.command
    # an empty list is an answer (no entrypoint), but the image's command stays
    return image.entrypoint if asked.entrypoint is None else None, asked.command or image.command


def _union(first: Strings, second: Strings) -> Strings:
    if first is None:
        return second
    return tuple(dict.fromkeys((*first, *(second or ()))))


def _environment(asked: Strings, image: Strings) -> Strings:
    if not image:
        return asked
    named = {entry.split("=", 1)[0] for entry in asked or ()}
    kept = tuple(entry for entry in image if entry.split("=", 1)[0] not in named)
    return (*(asked or ()), *kept)


def _healthcheck(asked: Healthcheck | None, image: Healthcheck | None) -> Healthcheck | None:
    if asked is None or image is None:
        return asked or image
    return Healthcheck(
        test=asked.test or image.test,
        interval_ns=asked.interval_ns or image.interval_ns,
        timeout_ns=asked.timeout_ns or image.timeout_ns,
        start_period_ns=asked.start_period_ns or image.start_period_ns,
        start_interval_ns=asked.start_interval_ns or image.start_interval_ns,
        retries=asked.retries or image.retries,
    )


def program(config: ProcessConfig) -> tuple[str, tuple[str, ...]]:
    """The path and arguments that run: entrypoint then command; ("", ()) when there is neither."""
    words = (*(config.entrypoint or ()), *(config.command or ()))
    return (words[0], words[1:]) if words else ("", ())
