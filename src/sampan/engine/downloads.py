"""Archives from an address of the web, as `import URL` takes them; registries are `transfers`' matter."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from sampan.errors import InvalidArgument, NotFound, Unavailable

_CONNECT_S, _READ_S = 30, 60
_PIECE = 1 << 20
_FIELDS = {"User-Agent": "sampan", "Accept-Encoding": "identity"}


@asynccontextmanager
async def download(url: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """What is at an address, in pieces as they come; without a scheme http is meant, as in Docker.

    Raises InvalidArgument for what is no address, NotFound and Unavailable in the server's words. A download that
    breaks off raises Unavailable from its iterator.
    """
    address = url if "://" in url else f"http://{url}"
    if not address.startswith(("http://", "https://")):
        raise InvalidArgument(f"cannot import from {url!r}", remedy="only http:// and https:// are known")
    timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_connect=_CONNECT_S, sock_read=_READ_S)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False, trust_env=True) as session:
        try:
            async with session.get(address, headers=_FIELDS) as answer:
                if answer.status == 404:
                    raise NotFound(f"nothing is at {address}: status 404", remedy="is the address right?")
                if answer.status >= 400:
                    raise Unavailable(f"{address} answers with status {answer.status}", remedy="is the address right?")
                yield _pieces(answer, address)
        except aiohttp.InvalidURL as error:
            raise InvalidArgument(f"{url!r} is no address", remedy="write it as https://host/path") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"cannot reach {address}: {_why(error)}", remedy="is the network up?") from error


async def _pieces(answer: aiohttp.ClientResponse, address: str) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.content.iter_chunked(_PIECE):
            yield piece
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unavailable(f"{address} broke off: {_why(error)}", remedy="try again") from error


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        number = error.os_error.errno
        return os.strerror(number) if number and number > 0 else str(error.os_error.strerror)
    return str(error) or type(error).__name__
