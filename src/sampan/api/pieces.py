"""Answers whose length nobody knows when they begin."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import HttpVersion11, web

from sampan.api.headers import HEADERS


def in_pieces(request: web.BaseRequest, headers: Mapping[str, str]) -> web.StreamResponse:
    """An answer in HTTP's chunked coding.

    Clients of HTTP/1.0, as nginx is to what stands behind it, know none: theirs ends with the connection.
    """
    response = web.StreamResponse(headers={**HEADERS, **headers})
    if request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    else:
        response.force_close()
    return response
