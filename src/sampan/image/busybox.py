"""The image `busybox` without a hub: the machine's own static busybox, with a link for each of its programs.

The same busybox gives the same image. A file system that is more than that is `bootstrap`'s.
"""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

from sampan.errors import NotImplementedHere, SystemFailure
from sampan.image.layers import LayerStore
from sampan.image.platforms import host_platform
from sampan.image.records import Image, ImageRecords
from sampan.image.tar_entry import Entry, Kind
from sampan.image.tar_write import END, encode_entry, padding
from sampan.oci.image_spec import DEFAULT_PATH, ContainerDefaults, History, ImageConfig, RootFs, encode

BUSYBOX_NAME = "busybox:latest"
PLACES = ("/bin/busybox", "/usr/bin/busybox", "/usr/lib/busybox/bin/busybox")
_PT_INTERP = 3
_LONGEST_S = 10
_DIRECTORIES = {
    "bin": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "root": 0o700,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "usr/sbin": 0o755,
    "var": 0o755,
    "var/spool": 0o755,
    "var/spool/mail": 0o755,
    "var/www": 0o755,
}
_FILES = {
    "etc/group": b"root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\nmail:x:8:\nwww-data:x:33:\n"
    b"users:x:100:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
    b"bin:x:2:2:bin:/bin:/bin/false\nsys:x:3:3:sys:/dev:/bin/false\nmail:x:8:8:mail:/var/spool/mail:/bin/false\n"
    b"www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    "etc/shadow": b"root:*:::::::\ndaemon:*:::::::\nnobody:*:::::::\n",
}


def create_busybox(layers: LayerStore, records: ImageRecords) -> Image:
    """The image's record and its layer, made when they are not there: about 50 ms. NotImplementedHere without one."""
    path = find_busybox()
    with layers.hold() as hold:
        layer = layers.add_chunks(busybox_archive(path, applets(path)), hold)
        return records.add(busybox_config(path, layer.diff_id), size=layer.bytes)


def find_busybox() -> str:
    """The machine's static busybox. NotImplementedHere when there is none."""
    for path in PLACES:
        if os.path.exists(path) and is_static(path):
            return path
    raise NotImplementedHere(
        "this machine has no static busybox to make an image of", remedy="install the package busybox-static"
    )


def is_static(path: str) -> bool:
    """Whether a 64-bit ELF file runs without a dynamic loader (elf(5))."""
    with open(path, "rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:5] != b"\x7fELF\x02":
            return False
        order = "<" if head[5] == 1 else ">"
        (offset,) = struct.unpack_from(f"{order}Q", head, 32)
        size, count = struct.unpack_from(f"{order}HH", head, 54)
        file.seek(offset)
        table = file.read(size * count)
    kinds = [struct.unpack_from(f"{order}I", table, at)[0] for at in range(0, len(table), size)]
    return bool(kinds) and _PT_INTERP not in kinds


def applets(path: str) -> list[str]:
    """The programs that a busybox is. SystemFailure when it does not say."""
    try:
        said = subprocess.run([path, "--list"], check=True, capture_output=True, text=True, timeout=_LONGEST_S).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise SystemFailure(f"{path} --list fails: {error}") from error
    return sorted({name for name in said.split() if "/" not in name and name != "busybox"})


def busybox_archive(path: str, names: list[str]) -> Iterator[bytes]:
    """The archive of the image's one layer."""
    with open(path, "rb") as file:
        content = file.read()
        made_ns = int(os.fstat(file.fileno()).st_mtime) * 1_000_000_000
    for name, mode in _DIRECTORIES.items():
        yield encode_entry(Entry(name.encode(), Kind.DIRECTORY, mode=mode, mtime_ns=made_ns))
    for name, text in _FILES.items():
        mode = 0o640 if name == "etc/shadow" else 0o644
        entry = Entry(name.encode(), Kind.FILE, mode=mode, size=len(text), mtime_ns=made_ns)
        yield encode_entry(entry) + text + padding(len(text))
    yield encode_entry(Entry(b"bin/busybox", Kind.FILE, mode=0o755, size=len(content), mtime_ns=made_ns))
    yield content
    yield padding(len(content))
    for name in names:
        yield encode_entry(Entry(f"bin/{name}".encode(), Kind.LINK, mode=0o755, link=b"bin/busybox", mtime_ns=made_ns))
    yield encode_entry(Entry(b"usr/bin/env", Kind.SYMLINK, mode=0o777, link=b"../../bin/env", mtime_ns=made_ns))
    yield END


def busybox_config(path: str, diff_id: str) -> bytes:
    """The config that goes with the layer; dated as the program is."""
    architecture, variant = host_platform()
    created = datetime.fromtimestamp(int(os.stat(path).st_mtime), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return encode(
        ImageConfig(
            created=created,
            architecture=architecture,
            variant=variant,
            os="linux",
            config=ContainerDefaults(env=(f"PATH={DEFAULT_PATH}",), cmd=("sh",)),
            rootfs=RootFs(diff_ids=(diff_id,)),
            history=(History(created=created, created_by=f"the static busybox of this machine, {path}"),),
        )
    )
