"""What an image can do without: where package managers, language tools and programs leave what nobody reads again.

A list of patterns, each with what would keep such files out. Measuring is `diet`, leaving out is `slim`.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rubbish:
    """A kind of file that an image does not need: patterns of paths, and what would keep them out."""

    kind: str
    patterns: tuple[str, ...]
    remedy: str


RUBBISH = (
    Rubbish(
        "package lists and caches",
        ("var/lib/apt/lists/*", "var/cache/apt/*", "var/cache/debconf/*-old", "var/lib/dpkg/*-old"),
        "end the RUN that installs with `rm -rf /var/lib/apt/lists/*`, or mount a cache on it",
    ),
    Rubbish(
        "package lists and caches",
        (
            "var/cache/apk/*",
            "etc/apk/cache/*",
            "var/cache/dnf/*",
            "var/cache/yum/*",
            "var/cache/zypp/*",
            "var/cache/pacman/*",
        ),
        "install with `apk add --no-cache`, or end the RUN with `dnf clean all`",
    ),
    Rubbish(
        "caches of language tools",
        (
            "root/.cache/*",
            "home/*/.cache/*",
            "root/.npm/*",
            "home/*/.npm/*",
            "root/.cargo/registry/*",
            "usr/local/cargo/registry/*",
            "root/go/pkg/mod/cache/*",
            "go/pkg/mod/cache/*",
            "root/.gradle/caches/*",
            "root/.m2/repository/*",
            "usr/local/share/.cache/*",
        ),
        "install with `pip --no-cache-dir`, `npm ci` and then `npm cache clean --force`, or `RUN --mount=type=cache`",
    ),
    Rubbish("logs", ("var/log/*",), "remove /var/log/* in the RUN that writes it"),
    Rubbish("temporary files", ("tmp/*", "var/tmp/*"), "remove them in the RUN that makes them"),
    Rubbish(
        "documentation", ("usr/share/doc/*", "usr/share/man/*", "usr/share/info/*"), "exclude them (dpkg: path-exclude)"
    ),
    Rubbish(
        "translations",
        ("usr/share/locale/*/LC_MESSAGES/*", "usr/share/i18n/*"),
        "exclude those that are not needed (dpkg: path-exclude)",
    ),
    Rubbish("version control", ("*/.git/*", ".git/*", "*/.svn/*", "*/.hg/*"), "list .git in .dockerignore"),
    Rubbish(
        "static libraries",
        ("usr/lib/*.a", "usr/lib/*/*.a", "usr/local/lib/*.a"),
        "build in one stage, copy into another",
    ),
)
NEEDED_AT_RUN_TIME = frozenset({"documentation", "translations", "static libraries"})  # rubbish only for some


def rubbish_of(path: str) -> Rubbish | None:
    """The kind of rubbish that a file at this path (relative to the root) is; None for what may be needed."""
    for rubbish, expression in _expressions():
        if expression.match(path):
            return rubbish
    return None


@functools.cache
def _expressions() -> tuple[tuple[Rubbish, re.Pattern[str]], ...]:
    return tuple(
        (rubbish, re.compile("|".join(fnmatch.translate(pattern) for pattern in rubbish.patterns)))
        for rubbish in RUBBISH
    )
