"""`sampan image diet`: where an image's bytes are, and the smaller image."""

from __future__ import annotations

import sys

from sampan.cli.archives import write_archive
from sampan.cli.formats.table import columns
from sampan.cli.formats.written import ellipsis, size
from sampan.cli.grammar import UsageError
from sampan.client.references import split_reference
from sampan.client.session import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Show where an image's bytes are, and what would save them"
DETAILS = """Bytes by layer, with the instruction that made it; files that higher layers hide, caches, logs
and doubles; and what each remedy would bring. With --squash or --slim the smaller image is
written, and what it saved is said."""
USAGE = ("[OPTIONS] IMAGE",)
WORDS = (1, 1)
OPTIONS = (
    ("html", "", "string", "", "Write a page with a treemap to this file"),
    ("json", "", "bool", "", "Print all that was found as JSON"),
    ("leave-out", "", "list", "", "With --slim, the kinds to leave out instead of all that no program needs"),
    ("slim", "", "string", "", "Write the image in one layer and without rubbish under this name"),
    ("squash", "", "string", "", "Write the image in one layer under this name"),
)
_WIDTH = 70
_MOST_FILES = 15
_BAR = 20


def run(arguments: Arguments, session: Session) -> int:
    """Print it, or write what was asked for."""
    image = arguments.words[0]
    _check(arguments)
    path = f"/images/{quote(image)}/diet"
    if page := arguments.text("html"):
        write_archive(session, path, {"format": "html"}, page)
        if not arguments.flag("json"):
            sys.stdout.write(f"written to {page}\n")
    if arguments.flag("json"):
        import json

        sys.stdout.write(json.dumps(session.call("GET", path), indent=2) + "\n")
    kinds = ",".join(arguments.items("leave-out")) or "safe"
    for option, slim in (("squash", ""), ("slim", kinds)):
        if arguments.text(option):
            smaller = _write(session, image, arguments.text(option), slim)
            if not arguments.flag("json"):
                sys.stdout.write(smaller)
    if not any(arguments.given(name) for name in ("html", "json", "squash", "slim")):
        sys.stdout.write(shown(image, session.call("GET", path)))
    return 0


def _check(arguments: Arguments) -> None:
    if arguments.items("leave-out") and not arguments.text("slim"):
        raise UsageError("--leave-out says what --slim leaves out", remedy="give a name with --slim too")
    for option in ("squash", "slim"):
        if arguments.given(option) and not arguments.text(option):
            raise UsageError(f"--{option} names no image", remedy="say what the smaller image is to be called", code=1)


def _write(session: Session, image: str, target: str, slim: str) -> str:
    name, tag = split_reference(target)
    query = {"repo": name, "tag": tag or None, "slim": slim or None}
    made = session.call("POST", f"/images/{quote(image)}/squash", query)
    before, after = made["SizeBefore"], made["Size"]
    return f"{target}: {size(after)} instead of {size(before)}, {_share(before - after, before)} less\n"


def shown(image: str, found: dict[str, Any]) -> str:
    """The tables: layers, remedies, the largest files that could be saved."""
    count = len(found["Layers"])
    layered = "1 layer" if count == 1 else f"{count} layers"
    head = f"{image}: {size(found['Size'])} in {layered}, {size(found['Seen'])} of them seen"
    parts = [f"{head}, {size(found['Wasted'])} ({_share(found['Wasted'], found['Size'])}) could be saved\n"]
    largest = max((layer["Size"] for layer in found["Layers"]), default=0) or 1
    layers = [
        [
            str(layer["Number"]),
            size(layer["Size"]),
            size(layer["Wasted"]),
            str(layer["Files"]),
            _bar(layer["Size"], layer["Wasted"], largest),
            ellipsis(layer["Instruction"] or layer["DiffId"], _WIDTH),
        ]
        for layer in found["Layers"]
    ]
    parts.append(columns([["LAYER", "SIZE", "WASTE", "FILES", "", "MADE BY"], *layers]))
    if found["Savings"]:
        savings = [[size(one["Size"]), str(one["Files"]), one["Kind"], one["Remedy"]] for one in found["Savings"]]
        parts.append(columns([["SAVES", "FILES", "WASTE", "REMEDY"], *savings]))
        files = [
            [size(one["Size"]), str(one["Layer"]), one["Kind"], _safe(one["Path"])]
            for one in found["Waste"][:_MOST_FILES]
        ]
        parts.append(columns([["SIZE", "LAYER", "WHY", "FILE"], *files]))
    return "\n".join(parts)


def _bar(whole: int, wasted: int, largest: int) -> str:
    full = round(_BAR * whole / largest)
    light = min(round(_BAR * wasted / largest), full)
    return "█" * (full - light) + "░" * light


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "0%"


def _safe(path: str) -> str:
    """A name out of an image, with nothing that moves the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in path)
