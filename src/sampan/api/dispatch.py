"""From a request to its handler and from whatever comes of it to an answer: versions, headers, errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from urllib.parse import unquote

from aiohttp import HttpVersion11, web

from sampan.api import failures, routes, versions
from sampan.api.answer import Answer
from sampan.api.at_once import AtOnce, Said, read
from sampan.api.call import Call
from sampan.api.headers import HEADERS
from sampan.api.server import Handler, Hijacked, has_begun, is_last
from sampan.api.services import Services
from sampan.api.tcp import check_remote

log = logging.getLogger("sampan.api")
_left_behind: set[asyncio.Future[web.StreamResponse]] = set()


def make_handler(services: Services) -> Handler:
    """The handler of every request."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            check_remote(request)
            version, path = versions.split(request.rel_url.raw_path)
            handler, parameters = routes.find(request.method, path)
            call = Call(request, version, {name: unquote(value) for name, value in parameters.items()})
            _ask_for_the_body(request)
            work = handler(call, services)
            response = await (_to_its_end(work) if handler in routes.TO_THEIR_END else work)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            response = _answer(request, error)
        if not response.prepared:
            if not isinstance(response, Answer):
                response.headers.update(HEADERS)
            if is_last(request):
                response.force_close()
        return response

    return handle


def make_at_once(services: Services) -> AtOnce:
    """What answers small questions as soon as they are there; what it cannot answer with 200 is `make_handler`'s."""

    def at_once(data: bytes) -> Said | None:
        question = read(data)
        if question is None:
            return None
        try:
            version, path = versions.split(question.target)
            handler, parameters = routes.find(question.method, path)
            known = routes.AT_ONCE.get(handler)
            if known is None:
                return None
            answer = known(services, version, parameters)
        except Exception:  # noqa: BLE001 -- the handler meets it again, and it is told there
            return None
        content = answer.whole(question.method, question.http, keep_alive=question.keep_alive)
        return Said(content, question.keep_alive)

    return at_once


def _ask_for_the_body(request: web.BaseRequest) -> None:
    """Tell a client that waits for it that its body is wanted (RFC 9110, 10.1.1): curl does so before large ones."""
    expected = request.headers.get("Expect", "").lower() == "100-continue"
    if expected and request.version >= HttpVersion11 and request.body_exists and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # past the writer, which has sent nothing yet


async def _to_its_end(work: Awaitable[web.StreamResponse]) -> web.StreamResponse:
    """Do it, also when the client leaves in the middle: half a start would be a container that nobody looks after."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            _left_behind.add(task)
            task.add_done_callback(_finish)
        raise


def _finish(task: asyncio.Future[web.StreamResponse]) -> None:
    _left_behind.discard(task)
    error = None if task.cancelled() else task.exception()
    if error is not None:
        failures.answer(error)  # which logs what is a fault of ours


async def wait_for_those_left_behind(seconds: float) -> None:
    """Let what goes on without a client come to its end, for so long."""
    if _left_behind:
        await asyncio.wait(set(_left_behind), timeout=seconds)


def _answer(request: web.BaseRequest, error: BaseException) -> web.StreamResponse:
    """What is told of a failure: its document, or nothing to who has left or has the head of an answer already."""
    log.debug("%s %s: %s", request.method, request.path, error)
    transport = request.transport
    if transport is None or transport.is_closing():
        return Hijacked()
    if has_begun(request):
        log.error("an answer broke off: %s %s", request.method, request.path, exc_info=error)
        transport.abort()
        return Hijacked()
    return failures.answer(error)


def _is_cancelled() -> bool:
    """Whether it is this request that was cancelled, and not something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
