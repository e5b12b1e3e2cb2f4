"""Where the result of a build goes: a name for its image here, or its files to the client (`docker build -o`)."""

from __future__ import annotations

from sampan.build.snapshots import Snapshots
from sampan.buildkit.sending import send_archive, send_tree
from sampan.buildkit.solving import IMAGE_KINDS, Solve
from sampan.image.pack import pack
from sampan.oci.reference import parse_reference


async def export(solve: Solve) -> dict[str, str]:
    """Give the result to each exporter that was asked for; what is answered of it."""
    answer: dict[str, str] = {}
    for number, kind in enumerate(solve.exporters):
        if kind in IMAGE_KINDS:
            answer |= _named(solve)
        else:
            await _send(solve, kind, number)
    return answer


def _named(solve: Solve) -> dict[str, str]:
    """The image has its names already; this says so."""
    digest = solve.statuses.begin("exporting to image")
    solve.statuses.advance(digest, f"writing image {solve.image_id}", 0, done=True)
    names = [parse_reference(name).with_default_tag() for name in solve.names]
    for name in names:
        solve.statuses.advance(digest, f"naming to {name}", 0, done=True)
    solve.statuses.end(digest)
    answer = {"containerimage.digest": solve.image_id, "containerimage.config.digest": solve.image_id}
    return answer | ({"image.name": ",".join(map(str, names))} if names else {})


async def _send(solve: Solve, kind: str, number: int) -> None:
    """The files of the image to the client, whose own matter it is to whom they belong there."""
    engine, statuses = solve.engine, solve.statuses
    session = await engine.sessions.get(solve.asked.Session)
    digest = statuses.begin(f"exporting to client {'directory' if kind == 'local' else 'tarball'}")
    image = engine.images.images.get(solve.image_id)
    with Snapshots(engine.images.layers).readable(image.diff_ids) as root_fd:

        def heard(count: int) -> None:
            statuses.advance(digest, "copying files" if kind == "local" else "sending tarball", count)

        if kind == "local":
            await send_tree(session, number, root_fd, heard)
        else:
            await send_archive(session, number, pack(root_fd), heard)
    statuses.end(digest)
