"""Attach, exec and logs over HTTP: connections that leave HTTP and are handed to a monitor, and logs that stream.

The daemon answers the upgrade, then passes the client's own socket on; bytes never cross the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sampan.api.call import Call, nothing, parse_time, reply
from sampan.api.containers import size
from sampan.api.headers import HEADERS
from sampan.api.server import Hijacked, hijack, upgrade_head
from sampan.api.services import Services
from sampan.api.versions import MULTIPLEXED_CONTENT_TYPE, Version, has
from sampan.engine import log_stream
from sampan.engine.container import ContainerRecord, Created
from sampan.engine.detach import parse_detach_keys
from sampan.engine.execs import Exec
from sampan.engine.execs_plan import ExecConfig
from sampan.errors import InvalidArgument, SampanError
from sampan.monitor.protocol import Attach
from sampan.wire.container import ExecCreate, ExecStart

RAW = "application/vnd.docker.raw-stream"
# docker-py loses what arrives together with the answer's head, as it reads that with a buffer of its own
REPLAY_PAUSE_S = 0.01
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"

Send = Callable[[bytes], Awaitable[None]]


def _content_type(version: Version, *, tty: bool) -> str:
    return RAW if tty or not has(version, MULTIPLEXED_CONTENT_TYPE) else MULTIPLEXED


async def attach(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/{name}/attach."""
    record = services.store.find(call.parameters["name"])
    keys = parse_detach_keys(call.text("detachKeys"))
    tty = record.config.process.tty
    wants_stream = call.flag("stream")
    if not (wants_stream or call.flag("logs")):
        raise InvalidArgument("you must choose at least one of stream and logs", remedy="pass ?stream=1 or ?logs=1")
    services.control.check_attach(record)
    has_log = _has_log(call, services, record)
    client, early = await hijack(call.request, upgrade_head(call.request, _content_type(call.version, tty=tty)))
    with client:
        send = functools.partial(asyncio.get_running_loop().sock_sendall, client)
        sent = await _replay(call, services, send) if has_log else 0
        if wants_stream and has_log and _has_ended_since(record, services):
            await _replay(call, services, send, past=sent)  # what it wrote meanwhile
        elif wants_stream:
            wanted = Attach(
                stdin=call.flag("stdin") and record.config.process.open_stdin,
                stdout=call.flag("stdout"),
                stderr=call.flag("stderr"),
                multiplexed=not tty,
                detach_keys=keys.decode("latin-1"),
                early=early.decode("latin-1"),
            )
            services.control.attach(record.id, wanted, client.fileno())
    return Hijacked()


def _has_log(call: Call, services: Services, record: ContainerRecord) -> bool:
    """Whether the log comes first: who comes before the first start waits for it. Raises as `log_stream.readable`."""
    if not call.flag("logs") or isinstance(record.state, Created):
        return False
    log_stream.readable(record, services.layout, _wanted(call))
    return True


def _wanted(call: Call, *, framed: bool = True) -> log_stream.Wanted:
    return log_stream.Wanted(stdout=call.flag("stdout"), stderr=call.flag("stderr"), framed=framed)


def _has_ended_since(record: ContainerRecord, services: Services) -> bool:
    """Whether a container ran when it was looked up, and runs no more: who attaches now would wait for a next start."""
    current = services.store.get(record.id)
    return record.running is not None and (current is None or current.running is None)


async def _replay(call: Call, services: Services, send: Send, *, past: int = 0, framed: bool = True) -> int:
    """Send what was logged so far, past so many bytes, to a client whose connection has left HTTP; up to which byte."""
    record = services.store.find(call.parameters["name"])
    if record.running is not None:
        await asyncio.sleep(REPLAY_PAUSE_S)
    layout, store, waits = services.layout, services.store, services.lifecycle.waits
    at = 0
    async for piece in log_stream.stream(record, layout, store, waits, _wanted(call, framed=framed)):
        if rest := piece[max(0, past - at) :]:
            await send(rest)
        at += len(piece)
    return max(at, past)


async def attach_websocket(call: Call, services: Services) -> web.StreamResponse:
    """GET /containers/{name}/attach/ws: binary messages, relayed, as a monitor speaks no websocket."""
    record = services.store.find(call.parameters["name"])
    keys = parse_detach_keys(call.text("detachKeys"))
    services.control.check_attach(record)
    connection = web.WebSocketResponse()
    if not connection.can_prepare(call.request).ok:
        raise InvalidArgument("not a websocket handshake", remedy="ask for an upgrade to websocket, version 13")
    has_log = _has_log(call, services, record)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003 -- the method has no keyword
    wanted = Attach(
        stdin=call.flag("stdin") and record.config.process.open_stdin,
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        multiplexed=False,
        detach_keys=keys.decode("latin-1"),
    )
    with ours:
        await connection.prepare(call.request)
        with theirs:
            sent = await _replay(call, services, connection.send_bytes, framed=False) if has_log else 0
            if has_log and _has_ended_since(record, services):
                await _replay(call, services, connection.send_bytes, past=sent, framed=False)
            elif call.flag("stream", default=True):
                services.control.attach(record.id, wanted, theirs.fileno())
        sending = asyncio.ensure_future(_to_websocket(ours, connection))
        try:
            await _from_websocket(connection, ours)
        finally:
            sending.cancel()
            await asyncio.wait([sending])
    return connection


async def _to_websocket(source: socket.socket, connection: web.WebSocketResponse) -> None:
    with contextlib.suppress(ConnectionError):  # it has left, which its reader learns too
        while piece := await asyncio.get_running_loop().sock_recv(source, 65536):
            await connection.send_bytes(piece)
        await connection.close()


async def _from_websocket(connection: web.WebSocketResponse, target: socket.socket) -> None:
    async for message in connection:
        content = message.data.encode() if isinstance(message.data, str) else message.data
        with contextlib.suppress(ConnectionError):  # its input is closed, its output may still come
            await asyncio.get_running_loop().sock_sendall(target, content)


async def exec_create(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/{name}/exec."""
    body = await call.body(ExecCreate)
    command = (body.cmd,) if isinstance(body.cmd, str) else body.cmd or ()
    detach_keys = body.detach_keys or body.detach_keys_of_docker_py or ""
    parse_detach_keys(detach_keys)
    new = services.execs.create(
        call.parameters["name"],
        ExecConfig(
            command=command,
            user=body.user or "",
            environment=body.env or (),
            working_dir=body.working_dir or "",
            privileged=bool(body.privileged),
            tty=bool(body.tty),
            attach_stdin=bool(body.attach_stdin),
            attach_stdout=bool(body.attach_stdout),
            attach_stderr=bool(body.attach_stderr),
            detach_keys=detach_keys,
            console_size=body.console_size or (0, 0),
        ),
    )
    return reply({"Id": new.id}, 201)


async def exec_start(call: Call, services: Services) -> web.StreamResponse:
    """POST /exec/{id}/start: detached answers when it runs; attached answers 101 first, then what happens."""
    body = await call.body(ExecStart, default=ExecStart())
    found = services.execs.find(call.parameters["id"])
    plan = services.execs.plan(found.id, body.console_size)
    monitor = services.control.monitor_of(found.container_id)
    if body.detach:
        await services.execs.start(plan, monitor, [])
        return nothing(200)
    tty = bool(body.tty)  # how it is framed is the client's to say here; what it is was said at create
    head = upgrade_head(call.request, _content_type(call.version, tty=tty), HEADERS)
    client, early = await hijack(call.request, head)
    wanted = Attach(
        target=found.id,
        stdin=found.config.attach_stdin,
        stdout=found.config.attach_stdout,
        stderr=found.config.attach_stderr,
        multiplexed=not tty,
        detach_keys=parse_detach_keys(found.config.detach_keys).decode("latin-1"),
        early=early.decode("latin-1"),
    )
    with client, contextlib.suppress(SampanError):  # the monitor tells the client
        await services.execs.start(plan, monitor, [(wanted, client.fileno())])
    return Hijacked()


async def exec_inspect(call: Call, services: Services) -> web.StreamResponse:
    """GET /exec/{id}/json."""
    return reply(exec_document(services.execs.find(call.parameters["id"])))


def exec_document(found: Exec) -> dict[str, Any]:
    """An exec as inspect shows it."""
    config = found.config
    return {
        "ID": found.id,
        "Running": found.running,
        "ExitCode": found.code,
        "ProcessConfig": {
            "tty": config.tty,
            "entrypoint": config.command[0] if config.command else "",
            "arguments": config.command[1:],
            "privileged": config.privileged,
            **({"user": config.user} if config.user else {}),
        },
        "OpenStdin": config.attach_stdin,
        "OpenStderr": config.attach_stderr,
        "OpenStdout": config.attach_stdout,
        "CanRemove": False,  # as Docker tells of every exec that can be asked about
        "ContainerID": found.container_id,
        "DetachKeys": config.detach_keys,
        "Pid": found.pid,
    }


async def exec_resize(call: Call, services: Services) -> web.StreamResponse:
    """POST /exec/{id}/resize."""
    height, width = size(call)
    found = services.execs.find(call.parameters["id"])
    if found.code is None:
        services.control.monitor_of(found.container_id).resize(height, width, found.id)
    return nothing(200)


async def logs(call: Call, services: Services) -> web.StreamResponse:
    """GET /containers/{name}/logs."""
    record = services.store.find(call.parameters["name"])
    stdout, stderr = call.flag("stdout"), call.flag("stderr")
    if not (stdout or stderr):
        raise InvalidArgument(
            "Bad parameters: you must choose at least one stream", remedy="pass ?stdout=1 or ?stderr=1"
        )
    now = time.time_ns()
    wanted = log_stream.Wanted(
        stdout=stdout,
        stderr=stderr,
        follow=call.flag("follow"),
        since_ns=parse_time(call.text("since"), now),
        until_ns=parse_time(call.text("until"), now),
        tail=log_stream.tail_lines(call.text("tail")),
        timestamps=call.flag("timestamps"),
        details=call.flag("details"),
    )
    log_stream.readable_path(record, services.layout)
    tty = record.config.process.tty
    pieces = log_stream.stream(record, services.layout, services.store, services.lifecycle.waits, wanted)
    return await call.stream(pieces, _content_type(call.version, tty=tty))
