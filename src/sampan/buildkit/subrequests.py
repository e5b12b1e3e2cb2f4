"""Questions about a Dockerfile that build nothing (BuildKit's subrequests; `docker build --check` and `--call`).

An answer is metadata of a result: `result.json`, which newer clients show as they like, `result.txt`, a status code.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sampan.build.graph import plan_stages
from sampan.build.ignore import read_ignore_file
from sampan.build.instructions import Arg, Argument, Dockerfile, Mount, MountType, Position
from sampan.build.lint import check
from sampan.build.lint_rules import Finding
from sampan.build.mounts import read_mount
from sampan.build.parser import parse
from sampan.build.request import BuildRequest
from sampan.build.scopes import global_scope, platform_arguments
from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.image.platforms import parse_platform

_VERSION = b"1.0.0"
_DEFAULT = "default"
_CONTEXT_LINES = 2
_DESCRIPTIONS = {
    "frontend.lint": "Lint a Dockerfile",
    "frontend.outline": "List all parameters current build target supports",
    "frontend.targets": "List all targets current build supports",
    "frontend.subrequests.describe": "List available subrequest types",
}


def answer(name: str, content: bytes, filename: str, request: BuildRequest, ignore: bytes) -> dict[str, bytes]:
    """The answer to a subrequest, of a Dockerfile with this content and its ignore file's.

    Raises NotImplementedHere for a name that is none; InvalidArgument for a Dockerfile that is none, but to `lint`,
    whose answer says that.
    """
    if name == "frontend.lint":
        return _lint(content, filename, request, ignore)
    if name == "frontend.outline":
        return _outline(parse(content, name=filename), content, request)
    if name == "frontend.targets":
        return _targets(parse(content, name=filename), content)
    if name == "frontend.subrequests.describe":
        return _describe()
    raise NotImplementedHere(f"the subrequest {name} is not served", remedy=f"known are {', '.join(_DESCRIPTIONS)}")


def _lint(content: bytes, filename: str, request: BuildRequest, ignore: bytes) -> dict[str, bytes]:
    found: tuple[Finding, ...] = ()
    failure: dict[str, Any] | None = None
    text = ""
    try:
        dockerfile = parse(content, name=filename)
        rules = read_ignore_file(ignore) if ignore else None
        found = check(dockerfile, build_args=request.build_args, platforms=_platforms(request), ignore=rules)
    except InvalidArgument as error:
        place = error.sentence.partition(": ")[0].rpartition(":")[2]
        line = int(place) if place.isdigit() else 1
        failure = {"message": error.sentence, "location": _location(line, line)}
        text = f"{error.sentence}\n{_lines(content, filename, line, line)}"
    source = {"filename": filename, "data": base64.b64encode(content).decode(), "language": "Dockerfile"}
    document = {"warnings": list(map(_warning, found)), "sources": [source]}
    for one in found:
        where = _lines(content, filename, one.position.line, one.position.end_line)
        text += f"\nWARNING: {one.rule}\n{one.message}\n{where}"
    if failure is not None:
        document["buildError"] = failure  # type: ignore[assignment]
    return _result(document, text) | {"result.statuscode": b"1" if found or failure else b"0"}


def _warning(finding: Finding) -> dict[str, Any]:
    where = finding.position
    return {
        "ruleName": finding.rule,
        "description": finding.description,
        "detail": finding.message,
        "location": _location(where.line, where.end_line),
    }


def _outline(dockerfile: Dockerfile, content: bytes, request: BuildRequest) -> dict[str, bytes]:
    """What the target can be given: build arguments, secrets, agents and caches."""
    scope = global_scope(dockerfile, request.build_args, _platforms(request))
    graph = plan_stages(dockerfile, scope, request.target)
    instructions = [item for plan in graph.stages for item in plan.stage.instructions]
    declared: dict[str, tuple[Argument, Position]] = {}
    for arg in (*dockerfile.arguments, *(item for item in instructions if isinstance(item, Arg))):
        for one in arg.arguments:
            if one.name not in declared or one.value is not None:
                declared[one.name] = (one, arg.position)
    given = {name: request.build_args.get(name, one.value or "") for name, (one, _) in declared.items()}
    arguments = [
        _filled(name=name, value=given[name], description=_description(name, where), location=_at(where))
        for name, (_, where) in declared.items()
    ]
    mounts = list(_mounts(instructions, given))
    stage = graph.target.stage
    document = _filled(
        name=stage.name,
        description=_description(stage.name, stage.position),
        args=arguments,
        secrets=[_needed(_secret_id(mount), mount, where) for mount, where in mounts if mount.type is MountType.SECRET],
        ssh=[_needed(mount.id or _DEFAULT, mount, where) for mount, where in mounts if mount.type is MountType.SSH],
        cache=[
            {"ID": mount.id or mount.target, "location": _at(where)}
            for mount, where in mounts
            if mount.type is MountType.CACHE
        ],
        sources=[base64.b64encode(content).decode()],
    )
    return _result(document, _outline_text(document))


def _mounts(instructions: Iterable[Any], values: Mapping[str, str]) -> Iterator[tuple[Mount, Position]]:
    """The mounts of all RUN, as far as the arguments alone say what they are."""

    def expand(text: str) -> str:
        return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: values.get(found[1] or found[2], found[0]), text)

    for item in instructions:
        for word in getattr(item, "mounts", ()):
            yield read_mount(word, expand, item.position), item.position


def _secret_id(mount: Mount) -> str:
    return mount.id or (mount.source or mount.target).rpartition("/")[2]


def _needed(name: str, mount: Mount, where: Position) -> dict[str, Any]:
    return _filled(name=name, required=mount.required, location=_at(where))


def _outline_text(document: Mapping[str, Any]) -> str:
    text = ""
    if document.get("name") or document.get("description"):
        rows = [("TARGET:", document.get("name") or f"({_DEFAULT})")]
        rows += [("DESCRIPTION:", document["description"])] if document.get("description") else []
        text += _table(rows, 1) + "\n"
    sections: tuple[tuple[str, tuple[str, ...], Callable[[dict[str, Any]], tuple[str, ...]]], ...] = (
        (
            "args",
            ("BUILD ARG", "VALUE", "DESCRIPTION"),
            lambda one: (one["name"], one.get("value", ""), one.get("description", "")),
        ),
        ("secrets", ("SECRET", "REQUIRED"), _needed_row),
        ("ssh", ("SSH", "REQUIRED"), _needed_row),
        ("cache", ("CACHE",), lambda one: (one["ID"],)),
    )
    for key, heading, row in sections:
        if document.get(key):
            text += _table([heading, *map(row, document[key])], 3) + "\n"
    return text


def _needed_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    return (one["name"], "true" if one.get("required") else "")


def _targets(dockerfile: Dockerfile, content: bytes) -> dict[str, bytes]:
    last = len(dockerfile.stages) - 1
    targets = [
        _filled(
            name=stage.name,
            default=index == last,
            description=_description(stage.name, stage.position),
            base=stage.base,
            platform=stage.platform,
            location=_at(stage.position),
        )
        for index, stage in enumerate(dockerfile.stages)
        if stage.name or index == last
    ]
    rows = [("TARGET", "DESCRIPTION")]
    for one in targets:
        mark = f"({_DEFAULT})" if one.get("default") else ""
        rows.append((" ".join(filter(None, (one.get("name"), mark))), one.get("description", "")))
    return _result({"targets": targets, "sources": [base64.b64encode(content).decode()]}, _table(rows, 1))


def _describe() -> dict[str, bytes]:
    known = [
        {"name": name, "version": _VERSION.decode(), "type": "rpc", "description": text, "opts": [], "metadata": []}
        for name, text in _DESCRIPTIONS.items()
    ]
    rows = [
        ("NAME", "VERSION", "DESCRIPTION"),
        *((one, _VERSION.decode(), _DESCRIPTIONS[one]) for one in _DESCRIPTIONS),
    ]
    return _result(known, _table(rows, 1))


def _result(document: Any, text: str) -> dict[str, bytes]:
    content = json.dumps(document, indent=2, ensure_ascii=False)
    return {"result.json": content.encode(), "result.txt": text.encode(), "version": _VERSION}


def _filled(**values: Any) -> dict[str, Any]:
    """The values that are there."""
    return {name: value for name, value in values.items() if value}


def _at(where: Position) -> dict[str, Any]:
    return _location(where.line, where.end_line)


def _location(first: int, last: int) -> dict[str, Any]:
    return {"ranges": [{"start": {"line": first}, "end": {"line": max(first, last)}}]}


def _description(name: str, where: Position) -> str:
    """What the comment directly above says of a name, after that."""
    first, _, rest = where.comments[-1].partition(" ") if where.comments else ("", "", "")
    return rest.strip() if name and first == name else ""


def _platforms(request: BuildRequest) -> dict[str, str]:
    build = parse_platform("")
    return platform_arguments(parse_platform(request.platform), build, target_stage=request.target)


def _lines(content: bytes, filename: str, first: int, last: int) -> str:
    """These lines as clients show them, with those around."""
    lines = content.decode("utf-8", "replace").removesuffix("\n").replace("\r\n", "\n").split("\n")
    shown = range(max(1, first - _CONTEXT_LINES), min(len(lines), last + _CONTEXT_LINES) + 1)
    text = "".join(f"{at:4d} | {'>>>' if first <= at <= last else '   '} {lines[at - 1]}\n" for at in shown)
    return f"{filename}:{first}\n{'-' * 20}\n{text}{'-' * 20}\n"


def _table(rows: Sequence[Sequence[str]], between: int) -> str:
    """Columns as wide as their widest cell and as many spaces."""
    widths = [max(map(len, column)) + between for column in zip(*rows, strict=True)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)) + row[-1] + "\n"
        for row in rows
    )
