"""Base images without a hub: Debian and its kin, made by mmdebstrap from the mirror that this machine itself uses.

mmdebstrap writes an archive, which becomes the one layer of an image. With the same packages on the mirror it is the
same image: no file is younger than the suite's own release file. How packages become a tree is mmdebstrap's matter.
"""

from __future__ import annotations

import email.utils
import glob
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sampan.errors import InvalidArgument, NotImplementedHere, SystemFailure
from sampan.image.compression import PIECE
from sampan.image.layers import Hold, Layer, LayerStore
from sampan.image.platforms import host_platform
from sampan.oci.image_spec import DEFAULT_PATH, ContainerDefaults, History, ImageConfig, RootFs, encode

DISTRIBUTIONS = ("debian", "ubuntu", "kali", "devuan")
VARIANTS = ("minbase", "essential", "apt", "buildd", "important", "standard", "required", "extract", "custom")
_SUITE = re.compile(r"[a-z][a-z0-9.+-]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+(?::[a-z0-9]+)?(?:[=/][A-Za-z0-9.+~:-]+)?")
_LISTS = "/var/lib/apt/lists"
_LAST_LINES = 12
_PATH = f"PATH={DEFAULT_PATH}"


@dataclass(frozen=True, slots=True)
class BootstrapRequest:
    """What is to be made: a suite of a distribution in one of mmdebstrap's variants, and packages more.

    Without a mirror the machine's own sources are used when they have the suite, else mmdebstrap's own.
    """

    distribution: str = "debian"
    suite: str = "trixie"
    variant: str = "minbase"
    packages: tuple[str, ...] = ()
    mirror: str = ""
    program: str = "mmdebstrap"

    @property
    def name(self) -> str:
        """What the image is called: "debian:trixie", "debian:trixie-buildd"."""
        return f"{self.distribution}:{self.suite}{'' if self.variant == 'minbase' else '-' + self.variant}"


def parse_bootstrap(
    text: str, *, variant: str = "", packages: tuple[str, ...] = (), mirror: str = ""
) -> BootstrapRequest:
    """The request in "debian:trixie" or "debian:trixie-buildd". Raises InvalidArgument."""
    distribution, colon, suite = text.partition(":")
    if not colon:
        suite = "trixie" if distribution == "debian" else ""
    before, dash, last = suite.rpartition("-")
    if dash and last in VARIANTS:
        suite, variant = before, variant or last
    variant = variant or "minbase"
    if distribution not in DISTRIBUTIONS or not _SUITE.fullmatch(suite):
        raise InvalidArgument(
            f"{text!r} is nothing that can be bootstrapped",
            remedy=f"write DISTRIBUTION:SUITE, as in debian:trixie; distributions are {', '.join(DISTRIBUTIONS)}",
        )
    if variant not in VARIANTS:
        raise InvalidArgument(f"unknown variant {variant!r}", remedy=f"use one of {', '.join(VARIANTS)}")
    for package in packages:
        if not _PACKAGE.fullmatch(package):
            raise InvalidArgument(f"{package!r} is no name of a package")
    if mirror and not mirror.startswith(("http://", "https://", "file:", "copy:", "deb ")):
        raise InvalidArgument(f"{mirror!r} is no mirror", remedy="give its address, or a line of sources.list")
    return BootstrapRequest(distribution, suite, variant, packages, mirror)


def bootstrap(
    layers: LayerStore,
    hold: Hold,
    request: BootstrapRequest,
    *,
    say: Callable[[str], None] = lambda _: None,
    date_s: int | None = None,
) -> tuple[Layer, bytes]:
    """Make the layer and its image's config; takes as long as the packages take, in a thread.

    `say` gets mmdebstrap's lines as they come; `date_s` is the time that no file is later than, by default that of the
    suite. Raises NotImplementedHere without mmdebstrap, SystemFailure with its last lines when it fails.
    """
    program = shutil.which(request.program)
    if program is None:
        raise NotImplementedHere(
            f"{request.program} is not installed, and makes such images", remedy="install the package mmdebstrap"
        )
    moment = date_s if date_s is not None else suite_date_s(request.suite)
    with tempfile.TemporaryDirectory(dir=layers.path, prefix="new-bootstrap-") as scratch:
        layer = _run(program, request, moment, scratch, layers, hold, say)
    return layer, bootstrap_config(request, layer, moment)


def bootstrap_config(request: BootstrapRequest, layer: Layer, date_s: int) -> bytes:
    """The config that goes with the layer, dated as its newest file."""
    architecture, variant = host_platform()
    created = datetime.fromtimestamp(date_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = f"mmdebstrap --variant={request.variant} {' '.join(request.packages)} {request.suite}"
    return encode(
        ImageConfig(
            created=created,
            architecture=architecture,
            variant=variant,
            os="linux",
            config=ContainerDefaults(env=(_PATH,), cmd=("bash",)),
            rootfs=RootFs(diff_ids=(layer.diff_id,)),
            history=(History(created=created, created_by=" ".join(words.split())),),
        )
    )


def suite_date_s(suite: str, lists: str = _LISTS) -> int:
    """When the suite was last released, as this machine's apt knows; the beginning of today when it does not."""
    dates = []
    for name in os.listdir(lists) if os.path.isdir(lists) else []:
        if name.endswith((f"dists_{suite}_InRelease", f"dists_{suite}_Release")):
            with open(os.path.join(lists, name), encoding="utf-8", errors="replace") as file:
                found = re.search(r"^Date: (.+)$", file.read(1 << 16), re.MULTILINE)
            if found:
                dates.append(int(email.utils.parsedate_to_datetime(found[1]).timestamp()))
    if dates:
        return max(dates)
    return int(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp())


def own_sources(suite: str, directory: str = "/etc/apt") -> str:
    """The machine's own sources of a suite, its updates and its security updates, in deb822 form; empty without any."""
    wanted = (suite, f"{suite}-updates", f"{suite}-security", f"{suite}/updates")
    found = []
    files = sorted(glob.glob(f"{directory}/sources.list.d/*.sources"))
    for path in files:
        with open(path, encoding="utf-8", errors="replace") as file:
            for stanza in re.split(r"\n\s*\n", file.read()):
                fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE))
                suites = [one for one in fields.get("Suites", "").split() if one in wanted]
                if suites and "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
                    kept = {**fields, "Types": "deb", "Suites": " ".join(suites)}
                    found.append("".join(f"{name}: {value}\n" for name, value in kept.items()))
    for path in (f"{directory}/sources.list", *sorted(glob.glob(f"{directory}/sources.list.d/*.list"))):
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                found += [stanza for line in file if (stanza := _stanza(line, wanted))]
    return "\n".join(found)


def _stanza(line: str, wanted: tuple[str, ...]) -> str:
    """A line of sources.list(5) as a stanza; empty when it is of another suite."""
    parsed = re.fullmatch(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)", line.partition("#")[0].strip())
    if not parsed or parsed[3] not in wanted:
        return ""
    options, address, suite, components = parsed.groups()
    text = f"Types: deb\nURIs: {address}\nSuites: {suite}\nComponents: {components}\n"
    signed = re.search(r"signed-by=(\S+)", options or "")
    return text + (f"Signed-By: {signed[1]}\n" if signed else "")


def _run(
    program: str,
    request: BootstrapRequest,
    date_s: int,
    scratch: str,
    layers: LayerStore,
    hold: Hold,
    say: Callable[[str], None],
) -> Layer:
    words = _words(program, request, scratch)
    environment = {
        "PATH": _PATH.removeprefix("PATH="),
        "LC_ALL": "C.UTF-8",
        "TMPDIR": scratch,
        "SOURCE_DATE_EPOCH": str(date_s),
        **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")},
    }
    told: list[str] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        listener = threading.Thread(target=_listen, args=(process, told, say))
        listener.start()
        try:
            return _take(process, layers, hold)
        except InvalidArgument as error:
            process.terminate()
            listener.join()
            raise _failed(request, told) from error
        except BaseException:
            process.terminate()
            raise
        finally:
            listener.join()


def _words(program: str, request: BootstrapRequest, scratch: str) -> list[str]:
    """The command line; the machine's own sources are put into `scratch`."""
    words = [program, f"--variant={request.variant}", "--format=tar"]
    if request.packages:
        words.append(f"--include={','.join(request.packages)}")
    words += [request.suite, "-"]
    if request.mirror:
        words.append(request.mirror)
    elif own := own_sources(request.suite):
        place = os.path.join(scratch, "own.sources")
        with open(place, "w", encoding="utf-8") as file:
            file.write(own)
        words.append(place)
    return words


def _take(process: subprocess.Popen[bytes], layers: LayerStore, hold: Hold) -> Layer:
    """Read the archive from the program; InvalidArgument when it is none, or the program failed."""
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    first = process.stdout.read(PIECE)
    if not first:
        raise InvalidArgument("there is no archive")
    rest = process.stdout

    def chunks() -> Iterator[bytes]:
        yield first
        while piece := rest.read(PIECE):
            yield piece
        if process.wait() != 0:
            raise InvalidArgument("it failed")

    return layers.add_chunks(chunks(), hold)


def _listen(process: subprocess.Popen[bytes], told: list[str], say: Callable[[str], None]) -> None:
    assert process.stderr is not None  # noqa: S101  # it is a pipe
    for line in process.stderr:
        text = line.decode(errors="replace").rstrip()
        told.append(text)
        say(text)


def _failed(request: BootstrapRequest, lines: list[str]) -> SystemFailure:
    return SystemFailure(
        f"mmdebstrap cannot make {request.name}: " + "; ".join(lines[-_LAST_LINES:]),
        remedy="is the suite right, and the mirror reachable?",
    )
