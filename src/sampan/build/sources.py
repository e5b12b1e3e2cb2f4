"""Which files COPY and ADD mean: paths with wildcards in Go's form, looked up in a tree held by a descriptor.

A wildcard never matches a slash; what it matches is in order of names. Links before the first wildcard lead wherever
they lead in the tree, never out of it; behind it none is entered, as in Docker's builders.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat
from dataclasses import dataclass

from sampan.build.suggestions import nearest
from sampan.errors import InvalidArgument, NotFound
from sampan.linux.openat import open_in_root

URLS = ("http://", "https://")
_GIT = ("git://", "git@", "ssh://")
_LOST = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL}
_MOST_MATCHES = 1_000_000
_MOST_NEAR = 1000  # names that are looked at for the one that was meant


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to copy: its path in the tree without links, how it was named, and whether it is a directory.

    With COPY --parents, `kept` is what of the path is kept below the target, and `above` the path of the directory
    where that begins.
    """

    path: bytes
    name: str
    is_directory: bool
    above: str = ""
    kept: str = ""


def find_sources(root: int, pattern: str, *, keep_parents: bool = False, in_context: bool = True) -> list[Source]:
    """What the pattern means: nothing, when it has wildcards that nothing matches.

    Steps beyond the root of the tree lead nowhere else, as the Dockerfile reference has it; what is then not there is
    refused as Docker's own builder refuses such steps. Raises InvalidArgument for that and for a pattern that is none,
    NotFound in Docker's words for another path of nothing.

    With `keep_parents` a link at the end of a path is meant itself, as in BuildKit. `in_context` says whether the tree
    is the build context, which .dockerignore leaves things out of.
    """
    above, pivot, below = pattern.partition("/./") if keep_parents else ("", "", pattern)
    parts = [part for one in (above, below) for part in _inside(one).split("/") if part]
    unkept = len(_inside(above).split("/")) if pivot and _inside(above) else 0
    path = "/".join(parts)
    if not has_wildcards(path):
        try:
            return [_source(root, parts, pattern, unkept, in_context=in_context, is_kept=keep_parents)]
        except NotFound:
            if not posixpath.normpath(pattern.lstrip("/") or ".").startswith(".."):
                raise
            raise InvalidArgument(
                f"forbidden path outside the build context: {pattern} ()", remedy="copy what is needed into the context"
            ) from None
    deep_from = unkept if keep_parents else len(parts)
    return [
        _source(root, one.split("/"), one, unkept, in_context=in_context, is_kept=keep_parents)
        for one in sorted(_matches(root, parts, deep_from))
    ]


def is_remote(source: str) -> bool:
    """Whether ADD fetches this source."""
    return source.startswith((*URLS, *_GIT))


def has_wildcards(path: str) -> bool:
    """Whether any of Go's special characters is in it."""
    return any(character in path for character in "*?[\\")


def _inside(path: str) -> str:
    """The path below the root of the tree, without steps up."""
    return posixpath.normpath(posixpath.join("/", path)).strip("/")


def _source(root: int, parts: list[str], name: str, unkept: int, *, in_context: bool, is_kept: bool) -> Source:
    path = "/".join(parts)
    try:
        fd = open_in_root(root, path or ".", os.O_PATH | (os.O_NOFOLLOW if is_kept else 0))
    except OSError as error:
        if error.errno in _LOST:
            raise _missing(root, path, in_context=in_context) from None
        raise
    try:
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        return Source(_real_path(root, fd), name, is_directory, "/".join(parts[:unkept]), "/".join(parts[unkept:]))
    finally:
        os.close(fd)


def _missing(root: int, path: str, *, in_context: bool) -> NotFound:
    sentence, near = f"stat {path}: file does not exist", _near(root, path)
    question = f"did you mean {near}? Else " if near else ""
    if not in_context:
        return NotFound(sentence, remedy=f"{question}look at the path: it begins at the root of that stage or image")
    return NotFound(
        f"file not found in build context or excluded by .dockerignore: {sentence}",
        remedy=f"{question}look at the path, and at what .dockerignore leaves out",
    )


def _near(root: int, path: str) -> str:
    """The path with one of its names as the nearest that is there, "" when that leads nowhere."""
    there, parts = "", path.split("/")
    while parts and _exists(root, posixpath.join(there, parts[0])):
        there = posixpath.join(there, parts.pop(0))
    known = [name for name in _names(root, there)[:_MOST_NEAR] if name.isprintable()]
    name = nearest(parts[0], known) if parts else ""
    found = posixpath.join(there, name, *parts[1:])
    return found if name and _exists(root, found) else ""


def _real_path(root: int, fd: int) -> bytes:
    """Where a descriptor is below the root, by the kernel's word (proc_pid_fd(5))."""
    top = os.readlink(b"/proc/self/fd/%d" % root)
    path = os.readlink(b"/proc/self/fd/%d" % fd)
    if top == b"/":
        return path.strip(b"/")
    return path[len(top) :].strip(b"/") if path.startswith(top) else path.strip(b"/")


def _matches(root: int, parts: list[str], deep_from: int) -> list[str]:
    """What the parts of a pattern match; two stars pass over any number of directories from that part on."""
    found = [""]
    behind = False  # a wildcard
    for index, part in enumerate(parts):
        if behind:
            found = [path for path in found if _is_plain_directory(root, path)]
        expression = None if not has_wildcards(part) else re.compile(translate(part), re.DOTALL)
        following: list[str] = []
        for before in found:
            if index >= deep_from and part == "**":
                following += _below(root, before, is_last=index == len(parts) - 1)
            elif expression is None:
                following.append(posixpath.join(before, part))
            else:
                names = [name for name in _names(root, before) if expression.fullmatch(name)]
                following += [posixpath.join(before, name) for name in names]
        behind = behind or has_wildcards(part)
        found = [path for path in dict.fromkeys(following) if _exists(root, path)]
        if len(found) > _MOST_MATCHES:
            raise InvalidArgument(f"{'/'.join(parts)} matches too many files", remedy="copy their directory")
    return found


def _below(root: int, before: str, *, is_last: bool) -> list[str]:
    """The directory itself and all directories below it; with `is_last` the files too."""
    found = [] if is_last else [before]
    pending = [before]
    while pending:
        directory = pending.pop()
        for name in _names(root, directory):
            path = posixpath.join(directory, name)
            if _is_plain_directory(root, path):
                pending.append(path)
                found.append(path)
            elif is_last:
                found.append(path)
    return found


def _names(root: int, path: str) -> list[str]:
    try:
        fd = open_in_root(root, path or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in _LOST:
            return []
        raise
    try:
        return sorted(os.listdir(fd))
    finally:
        os.close(fd)


def _exists(root: int, path: str) -> bool:
    try:
        os.close(open_in_root(root, path or ".", os.O_PATH | os.O_NOFOLLOW))
    except OSError as error:
        if error.errno in _LOST:
            return False
        raise
    return True


def _is_plain_directory(root: int, path: str) -> bool:
    fd = open_in_root(root, path, os.O_PATH | os.O_NOFOLLOW)
    try:
        return stat.S_ISDIR(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def translate(pattern: str) -> str:
    """The regular expression of one name's pattern (Go's path.Match). Raises InvalidArgument for a bad one.

    What a star passes over is final once what follows it was found, so that no pattern makes the match slow.
    """
    segments: list[list[str]] = [[]]
    index = 0
    while index < len(pattern):
        character = pattern[index]
        index += 1
        if character == "*":
            segments.append([])
        elif character == "?":
            segments[-1].append("[^/]")
        elif character == "\\":
            if index == len(pattern):
                raise _bad(pattern)
            segments[-1].append(re.escape(pattern[index]))
            index += 1
        elif character == "[":
            end = pattern.find("]", index + 1)
            if end < 0:
                raise _bad(pattern)
            segments[-1].append(_class(pattern[index:end]))
            index = end + 1
        else:
            segments[-1].append(re.escape(character))
    first, *others = ["".join(segment) for segment in segments]
    if not others:
        return first
    middle = "".join(f"(?>[^/]*?{segment})" for segment in others[:-1])
    return f"{first}{middle}[^/]*{others[-1]}"


def _class(inside: str) -> str:
    negated = inside.startswith("^")
    text = inside[1:] if negated else inside
    escaped = re.sub(r"([\[\]&~|^])", r"\\\1", text)
    return f"[{'^' if negated else ''}{escaped}]"


def _bad(pattern: str) -> InvalidArgument:
    return InvalidArgument(f"syntax error in pattern: {pattern!r}", remedy="close brackets, or escape them with \\")
