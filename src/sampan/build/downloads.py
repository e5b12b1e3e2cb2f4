"""What ADD gets by HTTP: one file into a directory, with its checksum verified and the server's time.

What a server compresses for the way is decompressed, as Docker's builders do; a file that is an archive stays one. The
download is limited in time per read only, never in size: the disk is the limit, as for everything in a build.
"""

from __future__ import annotations

import email.utils
import hashlib
import os
import posixpath
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import aiohttp

from sampan.build.progress import Fetching, Tell
from sampan.errors import InvalidArgument, NotFound, SystemFailure
from sampan.image.registry_http import why_not
from sampan.image.tree import disk_failure
from sampan.linux.write import write_all
from sampan.oci.digest import parse_digest

CONTENT = "content"
_PIECE = 1 << 18
_PATIENCE_S = 60.0
_TOLD_EVERY = 1 << 22
_WANTED = {"Accept-Encoding": "gzip"}


@dataclass(frozen=True, slots=True)
class HttpDownloads:
    """Downloads by HTTP and HTTPS."""

    async def fetch(self, url: str, checksum: str, directory: str, tell: Tell) -> str:
        """Download into the file `content` of the directory; the name that the URL gives it, "" for none."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_PATIENCE_S, sock_read=_PATIENCE_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=_WANTED, trust_env=True) as session,
                session.get(url) as response,
            ):
                _check_status(response, url)
                moment = _modified(response.headers.get("Last-Modified", ""))
                digest = await _save(response, os.path.join(directory, CONTENT), checksum, tell, url)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise SystemFailure(f"failed to GET {url}: {_why(error)}", remedy="look at the URL") from error
        if checksum and digest != checksum:
            raise InvalidArgument(
                f"digest mismatch of {url}: {digest} instead of {checksum}", remedy="verify the file, then --checksum"
            )
        os.utime(os.path.join(directory, CONTENT), (moment, moment))
        return unquote(posixpath.basename(urlsplit(url).path))


def _check_status(response: aiohttp.ClientResponse, url: str) -> None:
    if response.status == 404:
        raise NotFound(f"failed to GET {url} with status 404 Not Found: nothing is there", remedy="look at the URL")
    if response.status >= 400:
        status = f"{response.status} {response.reason or ''}".rstrip()
        raise SystemFailure(f"failed to GET {url} with status {status}", remedy="look at the URL, or try again")


def _why(error: Exception) -> str:
    """Why a download came to nothing, where aiohttp's own words say little."""
    match error:
        case aiohttp.TooManyRedirects():
            return f"stopped after {len(error.history)} redirects"
        case aiohttp.ClientPayloadError():
            return "what comes is cut off, or not compressed as the server says"
        case aiohttp.InvalidURL():
            return "that is no URL"
    return why_not(error) or "the server ended the connection"


def _modified(text: str) -> float:
    """The time that the server says; 0 without one, so that the cache does not depend on the moment of a download."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else 0.0
    except (ValueError, OverflowError):  # no time at all
        return 0.0


async def _save(response: aiohttp.ClientResponse, path: str, checksum: str, tell: Tell, url: str) -> str:
    algorithm = parse_digest(checksum).algorithm if checksum else "sha256"
    digest = hashlib.new(algorithm)
    total = 0 if "Content-Encoding" in response.headers else response.content_length or 0
    done = told = 0
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        async for piece in response.content.iter_chunked(_PIECE):
            write_all(fd, piece)
            digest.update(piece)
            done += len(piece)
            if done - told >= _TOLD_EVERY:
                told = done
                tell(Fetching(url, done, total))
        tell(Fetching(url, done, total or done))
    except OSError as error:
        if isinstance(error, aiohttp.ClientError):
            raise
        raise disk_failure(f"cannot keep what comes from {url}", error) from error
    finally:
        os.close(fd)
    return f"{algorithm}:{digest.hexdigest()}"
