"""Who `USER`, `--user` and `--group-add` mean inside a root file system, by its own passwd and group files.

The files are the image's: they are opened below the root only, must be regular, are never waited for and are read up to
a limit (CVE-2024-9676, CVE-2018-15664); nothing of the C library's name service is asked (CVE-2019-14271). What a name
or a number means follows Docker: a number is always an id, whatever the files call so (CVE-2016-3697).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from typing import NamedTuple

from sampan.errors import InvalidArgument
from sampan.linux.openat import open_in_root
from sampan.runtime.child import Identity

_MOST_BYTES = 16 * 1024 * 1024
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
_LAST_ID = (1 << 31) - 1
_RANGE = f"uids and gids must be in range 0-{_LAST_ID}"


class _User(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def resolve(root_fd: int, spec: str, extra_groups: tuple[str, ...] = ()) -> Identity:
    """Docker's `USER[:GROUP]` and further groups as ids; an empty spec is uid 0 with its groups.

    The supplementary groups hold the primary one too, so that a mode that denies a group denies its members
    (CVE-2022-36109). Raises InvalidArgument for a name that the files lack and for ids out of range.
    """
    user_word, _, group_word = spec.partition(":")
    groups = _groups(root_fd)
    user = _find_user(_users(root_fd), user_word)
    gid = user.gid
    more: tuple[int, ...] = ()
    if group_word:
        gid = _find_group(groups, group_word)
    elif user.name:
        more = tuple(group.gid for group in groups if user.name in group.members)
    extra = tuple(_find_group(groups, word) for word in extra_groups)
    return Identity(user.uid, gid, tuple(dict.fromkeys((gid, *more, *extra))), user.home)


def resolve_groups(root_fd: int, words: tuple[str, ...]) -> tuple[int, ...]:
    """Group names and numbers as ids, as `--group-add` takes them."""
    groups = _groups(root_fd) if words else []
    return tuple(_find_group(groups, word) for word in words)


def home_of(root_fd: int, uid: int) -> str:
    """The home directory of `uid` by the root's passwd file; "/" when it has none, as runc sets HOME."""
    return next((user.home for user in _users(root_fd) if user.uid == uid), "") or "/"


def _find_user(users: Iterable[_User], word: str) -> _User:
    number = _number(word) if word else 0
    for user in users:
        if user.uid == number if number is not None else user.name == word:
            return user
    if number is None:
        raise InvalidArgument(
            f"unable to find user {word}: no matching entries in passwd file",
            remedy="use a user of the image, or a number",
        )
    return _User("", _in_range(number), 0, "")


def _find_group(groups: Iterable[_Group], word: str) -> int:
    number = _number(word)
    for group in groups:
        if group.gid == number if number is not None else group.name == word:
            return group.gid
    if number is None:
        raise InvalidArgument(
            f"unable to find group {word}: no matching entries in group file",
            remedy="use a group of the image, or a number",
        )
    return _in_range(number)


def _number(word: str) -> int | None:
    """The value of a word that is an integer in decimal, else None."""
    digits = word[1:] if word[:1] in {"-", "+"} else word
    return int(word) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def _in_range(number: int) -> int:
    if not 0 <= number <= _LAST_ID:
        raise InvalidArgument(_RANGE, remedy=f"name a user and a group of the image, or numbers up to {_LAST_ID}")
    return number


def _users(root_fd: int) -> list[_User]:
    found = []
    for fields in _lines(root_fd, "etc/passwd"):
        uid, gid = _id(fields, 2), _id(fields, 3)
        if uid is not None and gid is not None:
            found.append(_User(fields[0], uid, gid, fields[5] if len(fields) > 5 else ""))
    return found


def _groups(root_fd: int) -> list[_Group]:
    found = []
    for fields in _lines(root_fd, "etc/group"):
        gid = _id(fields, 2)
        if gid is not None:
            members = tuple(name for name in fields[3].split(",") if name) if len(fields) > 3 else ()
            found.append(_Group(fields[0], gid, members))
    return found


def _id(fields: list[str], index: int) -> int | None:
    """The id in a field; None when there is none: such a line names nobody, and surely not uid 0."""
    word = fields[index] if len(fields) > index else ""
    if not (word.isascii() and word.isdigit() and len(word) < 19):
        return None
    number = int(word)
    return number if number <= _LAST_ID else None


def _lines(root_fd: int, path: str) -> list[list[str]]:
    """The lines of a file of the image, cut at colons; nothing when there is no such regular file."""
    try:
        content = _read(root_fd, path)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        return []
    text = content.decode("utf-8", "surrogateescape")
    return [line.strip().split(":") for line in text.split("\n") if line.strip() and not line.startswith("#")]


def _read(root_fd: int, path: str) -> bytes:
    """The content of a regular file below the root; FileNotFoundError when it is of another kind."""
    looked_at = open_in_root(root_fd, path, os.O_PATH)
    try:
        _refuse_special(looked_at, path)  # before it is opened for good: opening a device can have effects
    finally:
        os.close(looked_at)
    fd = open_in_root(root_fd, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        _refuse_special(fd, path)  # another may have taken its place meanwhile
        pieces, total = [], 0
        while piece := os.read(fd, 65536):
            total += len(piece)
            if total > _MOST_BYTES:
                raise InvalidArgument(f"{path} of the root file system is larger than {_MOST_BYTES} bytes")
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(fd)


def _refuse_special(fd: int, path: str) -> None:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
