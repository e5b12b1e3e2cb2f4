"""From a bundle on disk to a launch plan: reading config.json, and the refusals that need a look at the host.

What the document itself gets wrong is refused by `plan`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from sampan.errors import InvalidArgument, NotFound
from sampan.oci.runtime_documents import decode_spec
from sampan.oci.runtime_spec import RuntimeSpec
from sampan.runtime.commands.options import Words
from sampan.runtime.launch_plan import LaunchPlan
from sampan.runtime.plan import plan_launch

_FIRST_PRESERVED = 3
_NUMBER_OF_ACTIVATED = "LISTEN_FDS"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that can be launched: its absolute path, the bytes of config.json, and what they mean."""

    path: str
    config: bytes
    spec: RuntimeSpec
    plan: LaunchPlan
    preserve: tuple[int, ...]


def load_bundle(id: str, words: Words) -> Bundle:
    """The bundle that the options of create and run name.

    Raises NotFound without config.json; InvalidArgument and NotImplementedHere for one that cannot be launched.
    """
    path = os.path.abspath(words.text("bundle") or ".")
    config = _read_config(os.path.join(path, words.text("config") or "config.json"))
    spec = decode_spec(config)
    plan = plan_launch(
        spec, id=id, bundle=path, pivot=not words.has("no_pivot"), new_keyring=not words.has("no_new_keyring")
    )
    refuse_host_network(plan)
    activated, preserve = preserved_descriptors(words.number("preserve_fds"))
    if activated:
        # socket activation: the container's first process is the one that the sockets are for (sd_listen_fds(3))
        more = (f"{_NUMBER_OF_ACTIVATED}={activated}", "LISTEN_PID=1")
        plan = replace(plan, process=replace(plan.process, environment=(*plan.process.environment, *more)))
    return Bundle(path, config, spec, plan, preserve)


def _read_config(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise NotFound(
            f"JSON specification file {path} not found", remedy="make one with `spec`, or name the bundle with --bundle"
        ) from None


def preserved_descriptors(count: int) -> tuple[int, tuple[int, ...]]:
    """How many sockets were activated for us, and which descriptors go to the container: those and `count` more.

    InvalidArgument when one of them is not open.
    """
    text = os.environ.get(_NUMBER_OF_ACTIVATED, "")
    activated = int(text) if text.isdecimal() and text.isascii() else 0
    preserve = tuple(range(_FIRST_PRESERVED, _FIRST_PRESERVED + activated + count))
    for descriptor in preserve:
        try:
            os.fstat(descriptor)
        except OSError:
            raise InvalidArgument(
                f"file descriptor {descriptor} cannot be preserved: it is not open",
                remedy="give --preserve-fds the number of open descriptors after 2",
            ) from None
    return activated, preserve


def refuse_host_network(plan: LaunchPlan) -> None:
    """Refuse network parameters in a joined namespace that is the host's own: they would change the host."""
    joined = [one.path for one in plan.namespaces.join if one.kind == "net"]
    settings = [name for name, _ in plan.sysctl if name.startswith("net/")]
    if not joined or not settings:
        return
    try:
        is_own = os.path.samefile(joined[0], "/proc/self/ns/net")
    except OSError:
        return  # joining it will fail, and say why
    if is_own:
        raise InvalidArgument(
            f"linux.sysctl: {settings[0]} would be set in the host's network namespace ({joined[0]})",
            remedy="give the container a network namespace of its own",
        )
