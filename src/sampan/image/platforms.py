"""Platforms in Go's words: this machine's, the ones that people write, and which of an index's images fits.

Only Linux images run here; another architecture is taken when it is asked for by name.
"""

from __future__ import annotations

import platform as machine
from collections.abc import Sequence

from sampan.errors import InvalidArgument, NotFound
from sampan.oci.image_spec import Descriptor

_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386", "i386": "386"}
_VARIANTS = {"aarch64": "v8", "armv7l": "v7", "armv6l": "v6"}
_ARCHITECTURES = {
    *_GO_NAMES.values(),
    "ppc64le",
    "s390x",
    "riscv64",
    "mips64le",
    "mipsle",
    "loong64",
    "wasm",
}


def host_platform() -> tuple[str, str]:
    """The architecture of this machine and variant in Go's words; the variant may be empty."""
    name = machine.machine()
    return _GO_NAMES.get(name, name), _VARIANTS.get(name, "")


def parse_platform(text: str) -> tuple[str, str, str]:
    """Operating system, architecture and variant; what is not said is this machine's. Raises InvalidArgument."""
    own_architecture, own_variant = host_platform()
    if not text:
        return "linux", own_architecture, own_variant
    os_name, *rest = text.lower().split("/")
    if os_name != "linux" and not rest:
        os_name, rest = "linux", [os_name]
    if os_name != "linux":
        raise InvalidArgument(f"operating system {os_name!r} is not supported", remedy="only linux images run here")
    if not rest:
        return "linux", own_architecture, own_variant
    architecture = _GO_NAMES.get(rest[0], rest[0])
    if architecture not in _ARCHITECTURES or len(rest) > 2:
        raise InvalidArgument(
            f"{text!r} is no platform", remedy="write it as os/architecture[/variant], as in linux/arm64/v8"
        )
    return "linux", architecture, rest[1] if len(rest) == 2 else _VARIANTS.get(rest[0], "")


def fits(descriptor: Descriptor, platform: tuple[str, str, str] = ("", "", "")) -> bool:
    """Whether the descriptor is of the platform (this machine's when empty), or says nothing of platforms."""
    os_name, architecture, variant = platform if platform[1] else parse_platform("")
    about = descriptor.platform
    if about is None:
        return True
    same_variant = not variant or not about.variant or about.variant == variant
    return about.os == os_name and about.architecture == architecture and same_variant


def choose(descriptors: Sequence[Descriptor], platform: tuple[str, str, str] = ("", "", "")) -> Descriptor:
    """The descriptor of an index that fits the platform, or this machine's when it is empty.

    Without a variant the machine's own is preferred, then none, then whichever comes first. Raises NotFound.
    """
    os_name, architecture, variant = platform if platform[1] else parse_platform("")
    fitting = []
    for descriptor in descriptors:
        about = descriptor.platform
        if about is None:
            fitting.append((3, descriptor))  # whoever writes no platform means any
        elif about.os == os_name and about.architecture == architecture:
            if about.variant == variant:
                fitting.append((0, descriptor))
            elif not variant or not about.variant:
                fitting.append((1 if not about.variant else 2, descriptor))
    if not fitting:
        wanted = "/".join(part for part in (os_name, architecture, variant) if part)
        raise NotFound(
            f"no matching manifest for {wanted} in the manifest list entries",
            remedy="ask for a platform that the image has with --platform",
        )
    return min(fitting, key=lambda one: one[0])[1]
