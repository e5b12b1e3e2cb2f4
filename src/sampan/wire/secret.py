"""What a secret or a config is asked to be, in the API's JSON."""

from __future__ import annotations

from sampan.wire.container import Document, Map


class SecretSpec(Document, frozen=True, kw_only=True):
    """The body of POST /secrets/create and /configs/create, and of their updates; `data` is base64."""

    name: str | None = ""
    labels: Map = None
    data: str | None = None
