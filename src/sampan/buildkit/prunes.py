"""Which of what builds keep a client means, in its own words (containerd's filters, `docker buildx prune --filter`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from sampan.buildkit.proto.control_pb2 import PruneRequest
from sampan.engine.build_prunes import MOUNT, STEP, PruneCaches
from sampan.errors import InvalidArgument, NotImplementedHere

_NANO = 1e9


def of_request(asked: PruneRequest, now_s: float) -> PruneCaches:
    """What a client's call of Prune is about, at this moment. Raises InvalidArgument, NotImplementedHere.

    Of two bounds for what may stay the one that was asked for as a bound (`maxUsedSpace`) counts.
    """
    if asked.minFreeSpace:
        raise NotImplementedHere(
            "a prune until so much of the disk is free is not made", remedy="say how much may stay: --max-used-space"
        )
    wanted = replace(of_filters(asked.filter), keep_bytes=max(0, asked.maxUsedSpace or asked.reservedSpace))
    return replace(wanted, before_s=now_s - asked.keepDuration / _NANO) if asked.keepDuration else wanted


def of_filters(filters: Iterable[str]) -> PruneCaches:
    """What filters mean; each is one or several words between commas. Raises InvalidArgument for what is none."""
    wanted = PruneCaches()
    for word in (word for text in filters for word in text.split(",") if word):
        name, operator, value = _parts(word)
        if name in {"inuse", "shared"} and not operator:
            wanted = replace(wanted, nothing=True)
        elif name in {"mutable", "immutable"} and not operator:
            wanted = replace(wanted, kind=MOUNT if name == "mutable" else STEP)
        elif name == "private" and not operator:
            continue  # as all of it is
        elif name == "id" and operator:
            wanted = replace(wanted, id=value if operator == "~=" else f"^{re.escape(value)}$")
        elif name == "type" and operator == "==":
            wanted = replace(wanted, kind=value)
        elif name == "description" and operator == "==":
            wanted = replace(wanted, description=value)
        elif name in {"parent", "parents"} and operator == "==":
            wanted = replace(wanted, parent=value)
        else:
            raise InvalidArgument(f"invalid filter {word!r}", remedy="filters are id, type, description and parent")
    return wanted


def _parts(word: str) -> tuple[str, str, str]:
    """Name, operator ("" for none) and value."""
    found = re.fullmatch(r"(\w+)(?:(==|~=)(.*))?", word, re.DOTALL)
    return (found[1], found[2] or "", found[3] or "") if found else (word, "", "")
