"""TLS over a plain connection, each direction with an end of its own.

asyncio's TLS ends both directions when one does, and what a container has yet to say to a client that has sent all its
input would be lost. With the encryption apart from the connection the end of input is one alert (RFC 8446, 6.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl

_PIECE = 65536
_HANDSHAKE_S = 60
_NO_TLS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"  # Go's words
_LAST_S = 1


class TlsStream:
    """The daemon's end of an encrypted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> None:
        """Agree on keys. Raises OSError (ssl.SSLError is one): the client is none that is taken, or says nothing."""
        async with asyncio.timeout(_HANDSHAKE_S):
            while True:
                try:
                    self._tls.do_handshake()
                except ssl.SSLWantReadError:
                    await self._flush()
                    await self._receive()
                except ssl.SSLError as error:
                    if error.reason == "HTTP_REQUEST":
                        self._outgoing.read()
                        self._writer.write(_NO_TLS)
                    await self._flush()  # it is told why
                    raise
                else:
                    await self._flush()
                    return

    async def read(self) -> bytes:
        """Some of what the client sends, b"" at its end. Raises OSError."""
        while True:
            try:
                return self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def write(self, data: bytes) -> None:
        """Send all of it. Raises OSError."""
        self._tls.write(data)
        await self._flush()

    async def close(self) -> None:
        """Say that nothing more comes, and drop what the client still sends for a second, or until it closes.

        Closing with unread input resets the connection, and the client may lose what it has not read yet.
        """
        with contextlib.suppress(OSError, RuntimeError):
            async with asyncio.timeout(_LAST_S):
                with contextlib.suppress(ssl.SSLError):  # the client has not said the same yet
                    self._tls.unwrap()
                await self._flush()
                self._writer.write_eof()
                while await self._reader.read(_PIECE):
                    pass
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _receive(self) -> None:
        if data := await self._reader.read(_PIECE):
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            self._writer.write(data)
            await self._writer.drain()
