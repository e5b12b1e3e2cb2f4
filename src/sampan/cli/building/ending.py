"""What is said when an image is built: its layers' sizes, how much was in the cache, and where it could be smaller."""

from __future__ import annotations

from sampan.cli.formats.table import columns
from sampan.cli.formats.written import ellipsis, size
from sampan.client.failure import ClientError
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.building.story import Outcome
    from sampan.client.session import Session

_MOST_LAYERS = 5
_WIDTH = 76
_SUMS = ("file:", "dir:", "multi:")  # how Docker's own builder names what was copied, by its checksum
_LARGEST_FOR_A_HINT = 1 << 29  # a larger image takes seconds to look through; `sampan image diet` does when asked
_LEAST_WORTH = 1 << 17


def summary(session: Session, outcome: Outcome, tags: list[str], took_s: float) -> str:
    """The lines at the end of a build that went well; without what the daemon cannot say."""
    name = tags[0] if tags else outcome.image_id
    steps = len(outcome.steps)
    cached = sum(step.cached for step in outcome.steps)
    lines = [
        f"built {outcome.image_id} in {took_s:.1f}s, {cached} of {steps} step{'s' * (steps != 1)} from the cache\n"
    ]
    lines += [f"named {tag}\n" for tag in tags]
    try:
        history = session.call("GET", f"/images/{quote(outcome.image_id)}/history")
    except ClientError:
        return "".join(lines)
    lines.append(_layers(history))
    lines.append(_hint(session, outcome.image_id, name, sum(layer["Size"] for layer in history)))
    return "".join(lines)


def _layers(history: list[dict[str, Any]]) -> str:
    filled = sorted((layer for layer in history if layer["Size"]), key=lambda layer: -layer["Size"])
    whole = sum(layer["Size"] for layer in filled)
    rows = [[size(layer["Size"]), _made_by(layer)] for layer in filled[:_MOST_LAYERS]]
    if not rows:
        return "no layer holds files\n"
    several = f"{len(filled)} layers that hold files, the largest"
    head = f"{size(whole)} in {'1 layer that holds files' if len(filled) == 1 else several}:\n"
    return head + columns([["SIZE", "MADE BY"], *rows])


def _made_by(layer: dict[str, Any]) -> str:
    text = str(layer.get("CreatedBy") or "").removeprefix("/bin/sh -c #(nop) ").removeprefix("/bin/sh -c ")
    words = [word.partition(":")[0] if word.startswith(_SUMS) else word for word in text.split()]
    return ellipsis(" ".join(words) or "an imported file system", _WIDTH)


def _hint(session: Session, image_id: str, name: str, whole: int) -> str:
    """Where the image could be smaller, when that is worth a line."""
    if whole > _LARGEST_FOR_A_HINT:
        return f"where it could be smaller: sampan image diet {name}\n"
    try:
        found = session.call("GET", f"/images/{quote(image_id)}/diet")
    except ClientError:
        return ""
    savings = [one for one in found.get("Savings") or [] if one["Size"] >= _LEAST_WORTH]
    if not savings:
        return ""
    lines = [f"it could be {size(one['Size'])} smaller ({one['Kind']}): {one['Remedy']}\n" for one in savings[:2]]
    return "".join((*lines, f"more of that: sampan image diet {name}\n"))
