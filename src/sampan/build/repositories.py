"""Git repositories as sources of files: which address names one, and fetching it with the `git` program.

Shallow where the server can, with submodules, without hooks, prompts and local transports. What came is hostile like
every context: a directory that leads out of the repository is refused.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from sampan.build.threads import away
from sampan.errors import InvalidArgument, NotImplementedHere, SystemFailure
from sampan.image.adopt import clamp_times

_GIT = ("git://", "git@", "ssh://", "github.com/")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_SWITCHES = frozenset({"submodules", "keep-git-dir", "fetch-by-commit"})
_QUERY = _SWITCHES | {"ref", "branch", "tag", "subdir", "checksum", "commit", "mtime"}
_YES, _NO = (
    frozenset({"", "1", "t", "T", "true", "TRUE", "True"}),
    frozenset({"0", "f", "F", "false", "FALSE", "False"}),
)
_SAFE = ("-c", "core.hooksPath=/dev/null", "-c", "protocol.file.allow=never", "-c", "protocol.ext.allow=never")


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository: where, which branch, tag or commit ("" for the default one), and which directory of it.

    With `checksum` the commit has to be that one; `keep_git` is None when nothing was said of git's own files.
    """

    url: str
    ref: str
    directory: str
    checksum: str = ""
    keep_git: bool | None = None
    submodules: bool = True


def read_repository(remote: str) -> Repository | None:
    """The repository that a remote names, as URL[?QUERY][#REF[:DIRECTORY]]; None when it names none.

    The query is BuildKit's: ref, branch, tag, subdir, checksum (or commit), submodules, keep-git-dir, fetch-by-commit
    and mtime; files have the time of the commit, whatever that says. Raises InvalidArgument.
    """
    url, _, fragment = remote.partition("#")
    query = ""
    if not url.startswith("git@"):
        url, _, query = url.partition("?")
    is_web = url.startswith(("http://", "https://")) and url.endswith(".git")
    if not is_web and not url.startswith(_GIT):
        return None
    if url.startswith("github.com/"):
        url = f"https://{url}"
    ref, _, directory = fragment.partition(":")
    if ref.startswith("-") or any(not letter.isprintable() or letter.isspace() for letter in url + ref):
        raise InvalidArgument(f"{remote!r} names no git repository", remedy="write it as URL#BRANCH:DIRECTORY")
    found = Repository(url, ref, directory)
    return _with_query(found, query) if query else found


def _with_query(plain: Repository, text: str) -> Repository:
    asked = {}
    for key, values in parse_qs(text, keep_blank_values=True).items():
        if key not in _QUERY:
            raise _unusable(f"unexpected query {key!r}")
        if len(values) > 1:
            raise _unusable(f"query {key!r} has multiple values")
        if not values[0] and key not in _SWITCHES:
            raise _unusable(f"query {key!r} has no value")
        asked[key] = values[0]
    if asked.get("mtime", "commit") not in {"commit", "checkout"}:
        raise _unusable(f"invalid mtime value: {asked['mtime']!r}")
    tag = f"refs/tags/{asked['tag'].removeprefix('refs/tags/')}" if "tag" in asked else ""
    branch = f"refs/heads/{asked['branch'].removeprefix('refs/heads/')}" if "branch" in asked else ""
    ref = _only_one("ref", plain.ref, asked.get("ref", ""), tag, branch)
    checksum = _only_one("checksum", asked.get("checksum", ""), asked.get("commit", ""))
    if _switch(asked, "fetch-by-commit"):
        if not checksum:
            raise _unusable("fetch-by-commit needs a checksum")
        ref = checksum
    if any(not letter.isprintable() or letter.isspace() for letter in ref) or ref.startswith("-"):
        raise _unusable(f"{ref!r} is no branch, tag or commit")
    return Repository(
        plain.url,
        ref,
        _only_one("subdir", plain.directory, asked.get("subdir", "")),
        checksum,
        _switch(asked, "keep-git-dir"),
        _switch(asked, "submodules") is not False,
    )


def _only_one(name: str, *said: str) -> str:
    values = list(dict.fromkeys(value for value in said if value))
    if len(values) > 1:
        raise _unusable(f"{name} conflicts: {' vs '.join(map(repr, values))}")
    return values[0] if values else ""


def _switch(asked: Mapping[str, str], name: str) -> bool | None:
    if name not in asked:
        return None
    if asked[name] not in _YES | _NO:
        raise _unusable(f"invalid {name} value: {asked[name]!r}")
    return asked[name] in _YES


def _unusable(sentence: str) -> InvalidArgument:
    return InvalidArgument(sentence, remedy="write the repository as URL?branch=BRANCH&subdir=DIRECTORY")


async def clone(repository: Repository, into: str, home: str, *, keep_git: bool | None = None, commit: str = "") -> str:
    """Fetch a repository into an empty directory; the directory of it that is meant. `home` is git's, and empty.

    With `commit` another one that comes is refused; with `keep_git` git's own files stay; the address may say both too.
    Raises InvalidArgument, SystemFailure for what cannot be fetched, NotImplementedHere without git. Cancelled, it
    leaves no process.
    """
    commit = _only_one("checksum", commit, repository.checksum)
    if repository.keep_git is not None and keep_git not in {None, repository.keep_git}:
        raise InvalidArgument("inconsistent keep-git-dir configuration", remedy="say it once")
    if shutil.which("git") is None:
        raise NotImplementedHere("there is no git on this machine", remedy="install it, or clone the repository first")
    await _git(into, home, "init", "--quiet")
    await _git(into, home, "remote", "add", "--", "origin", repository.url)
    await _fetch(repository, into, home)
    if repository.submodules:
        await _git(into, home, "submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1")
    head = await _git(into, home, "rev-parse", "HEAD")
    if commit and not (_COMMIT.fullmatch(commit) and head.startswith(commit)):
        raise InvalidArgument(
            f"{repository.url} has another commit than {commit}", remedy="look at it, then --checksum"
        )
    date = await _git(into, home, "log", "-1", "--format=%ct")
    keeps = bool(keep_git or repository.keep_git)
    return await away(lambda: _directory(repository, into, int(date), keep_git=keeps))


def _directory(repository: Repository, into: str, date_s: int, *, keep_git: bool) -> str:
    """The directory that is meant, below where the repository is; its files are as old as the commit."""
    if not keep_git:
        shutil.rmtree(os.path.join(into, ".git"))
    inside = os.path.realpath(os.path.join(into, repository.directory.lstrip("/")))
    root = os.path.realpath(into)
    if not os.path.isdir(inside) or os.path.commonpath([root, inside]) != root:
        raise InvalidArgument(
            f"there is no directory {repository.directory!r} in {repository.url}", remedy="write URL#BRANCH:DIRECTORY"
        )
    tree = os.open(inside, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        clamp_times(tree, date_s)
    finally:
        os.close(tree)
    return inside


async def _fetch(repository: Repository, into: str, home: str) -> None:
    """Check out what is asked for: alone and shallow, or out of all there is where the server gives no single one."""
    wanted = repository.ref or "HEAD"
    try:
        await _git(into, home, "fetch", "--quiet", "--depth", "1", "--no-tags", "origin", wanted)
        found = "FETCH_HEAD"
    except SystemFailure:
        if not _COMMIT.fullmatch(wanted):
            await _git(into, home, "fetch", "--quiet", "--no-tags", "origin", wanted)
            found = "FETCH_HEAD"
        else:
            await _git(into, home, "fetch", "--quiet", "origin", "+refs/*:refs/remotes/origin/*")
            found = wanted
    await _git(into, home, "checkout", "--quiet", "--force", "--detach", found)


async def _git(into: str, home: str, *words: str) -> str:
    """Run git there, for what it prints. Raises SystemFailure with its last word; cancelled, it ends git."""
    process = await asyncio.create_subprocess_exec(
        "git",
        *_SAFE,
        "-C",
        into,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": home,
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "git:http:https:ssh",
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new",
        },
    )
    try:
        answer, said = await process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode:
        lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
        why = lines[-1] if lines else f"git ended with {process.returncode}"
        raise SystemFailure(f"the repository cannot be fetched: {why}", remedy="look at its address, branch and rights")
    return answer.decode().strip()
