"""What a volume is asked to be, in the API's JSON."""

from __future__ import annotations

from sampan.wire.container import Document, Map


class VolumeCreate(Document, frozen=True, kw_only=True):
    """The body of POST /volumes/create."""

    name: str | None = ""
    driver: str | None = ""
    driver_opts: Map = None
    labels: Map = None
