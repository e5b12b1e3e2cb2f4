"""`sampan system prune`: remove what nothing uses."""

from __future__ import annotations

import sys

from sampan.cli.commands.container_prune import prune_containers
from sampan.cli.commands.image_prune import prune_images
from sampan.cli.confirm import confirmed
from sampan.cli.filters import filters_query
from sampan.cli.formats.written import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Query, Session

SUMMARY = "Remove what nothing uses"
USAGE = ("[OPTIONS]",)
WORDS = (0, 0)
OPTIONS = (
    ("all", "a", "bool", "", "Remove named images that no container uses too"),
    ("filter", "", "filter", "", "Remove only what matches, as in until=24h or label=a=b"),
    ("force", "f", "bool", "", "Do not ask"),
    ("volumes", "", "bool", "", "Remove anonymous volumes that no container uses too"),
)
# path, whose names the answer holds, and the heading
_PARTS = {
    "networks": ("/networks/prune", "NetworksDeleted", "Deleted Networks:"),
    "volumes": ("/volumes/prune", "VolumesDeleted", "Deleted Volumes:"),
}


def run(arguments: Arguments, session: Session) -> int:
    """Ask, remove, and say what is gone."""
    every, volumes = arguments.flag("all"), arguments.flag("volumes")
    if not arguments.flag("force") and not confirmed(_warning(every=every, volumes=volumes)):
        return 1
    reclaimed = prune_containers(session, filters_query(arguments))
    for part in ["networks", *(["volumes"] if volumes else [])]:
        path, key, heading = _PARTS[part]
        answer = session.call("POST", path, filters_query(arguments))
        if answer.get(key):
            sys.stdout.write(heading + "\n" + "".join(f"{name}\n" for name in answer[key]) + "\n")
        reclaimed += answer.get("SpaceReclaimed") or 0
    reclaimed += prune_images(session, filters_query(arguments, f"dangling={'false' if every else 'true'}"))
    if not any(text.startswith("label") for text in arguments.items("filter")):  # what is kept for builds has none
        reclaimed += _prune_builds(session, filters_query(arguments), every=every)
    sys.stdout.write(f"Total reclaimed space: {size(reclaimed, 4)}\n")
    return 0


def _prune_builds(session: Session, filters: Query | None, *, every: bool) -> int:
    answer = session.call("POST", "/build/prune", {**(filters or {}), "all": every})
    if answer.get("CachesDeleted"):
        sys.stdout.write("Deleted build cache objects:\n" + "\n".join(answer["CachesDeleted"]) + "\n\n")
    freed: int = answer.get("SpaceReclaimed") or 0
    return freed


def _warning(*, every: bool, volumes: bool) -> str:
    parts = ["all containers that do not run", "all networks that no container uses"]
    if volumes:
        parts.append("all anonymous volumes that no container uses")
    parts.append("all images without a container" if every else "all images without a name")
    parts.append("what is kept for builds, if no --filter asks for labels")
    return "This removes:\n" + "\n".join(f"  - {part}" for part in parts)
