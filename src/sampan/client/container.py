"""One container: what it is and what can be done with it (docker-py's Container)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, Unpack, overload

from sampan.client.creation import environment_list, one_or_more, split_command, update_document
from sampan.client.documents import Change, ExecResult, LogOptions, PathStat, Processes, UpdateOptions, WaitResult
from sampan.client.frames import STDERR, split_streams
from sampan.client.moments import moment_text
from sampan.client.noun import Noun
from sampan.client.session import Hijacked, quote
from sampan.client.transport import Response

Archive = bytes | Iterable[bytes]


class Container(Noun):
    """A container as it was when it was looked at; `reload` looks again."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<container {self.short_id} {self.name}>"

    @property
    def name(self) -> str:
        """The name, without a slash."""
        name = self.attrs.get("Name") or (self.attrs.get("Names") or [""])[0]
        return str(name).removeprefix("/")

    @property
    def status(self) -> str:
        """created, running, paused, restarting, removing, exited or dead."""
        state = self.attrs["State"]
        return str(state["Status"] if isinstance(state, Mapping) else state)

    @property
    def labels(self) -> dict[str, str]:
        """The labels."""
        config = self.attrs.get("Config") or self.attrs
        return dict(config.get("Labels") or {})

    @property
    def ports(self) -> dict[str, list[dict[str, str]] | None]:
        """Where ports are published: {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}."""
        if "Ports" in self.attrs:
            return _listed_ports(self.attrs["Ports"] or [])
        return dict((self.attrs.get("NetworkSettings") or {}).get("Ports") or {})

    @property
    def health(self) -> str:
        """starting, healthy, unhealthy, or unknown where nothing is checked, or only the list was asked."""
        state = self.attrs["State"]
        health = state.get("Health") if isinstance(state, Mapping) else None
        return str((health or {}).get("Status") or "unknown")

    @property
    def image(self) -> str:
        """The id of its image."""
        return str(self.attrs.get("ImageID") or self.attrs["Image"])

    def _post(self, verb: str, query: Mapping[str, str | int | bool | None] | None = None, body: Any = None) -> Any:
        return self.session.call("POST", f"/containers/{self.id}/{verb}", query, body)

    def reload(self) -> None:
        """Look again."""
        self.attrs = self.session.call("GET", f"/containers/{self.id}/json")

    def start(self) -> None:
        """Start it; nothing happens when it runs."""
        self._post("start")

    def stop(self, *, timeout: int | None = None, signal: str | None = None) -> None:
        """Ask it to end, and after `timeout` seconds kill it."""
        self._post("stop", {"t": timeout, "signal": signal})

    def restart(self, *, timeout: int | None = None) -> None:
        """Stop and start."""
        self._post("restart", {"t": timeout})

    def kill(self, signal: str | int | None = None) -> None:
        """Send a signal, by default SIGKILL."""
        self._post("kill", {"signal": signal})

    def pause(self) -> None:
        """Freeze its processes."""
        self._post("pause")

    def unpause(self) -> None:
        """Let them go on."""
        self._post("unpause")

    def rename(self, name: str) -> None:
        """Give it another name."""
        self._post("rename", {"name": name})

    def resize(self, height: int, width: int) -> None:
        """Tell its terminal's size."""
        self._post("resize", {"h": height, "w": width})

    def remove(self, *, v: bool = False, link: bool = False, force: bool = False) -> None:
        """Remove it, with `v` its anonymous volumes too."""
        self.session.call("DELETE", f"/containers/{self.id}", {"v": v, "link": link, "force": force})

    def update(self, **options: Unpack[UpdateOptions]) -> dict[str, Any]:
        """Change its limits."""
        found: dict[str, Any] = self._post("update", None, update_document(options))
        return found

    def wait(self, *, timeout: float | None = None, condition: str | None = None) -> WaitResult:
        """Block until it has ended ("not-running", "next-exit" or "removed"); TimeoutError after so many seconds."""
        return read_ending(self.begin_wait(condition), timeout=timeout)

    def begin_wait(self, condition: str | None) -> Response:
        """Have the daemon watch from now on for what `wait` waits for; `read_ending` gives it."""
        return self.session.request("POST", f"/containers/{self.id}/wait", {"condition": condition})

    def commit(
        self,
        repository: str | None = None,
        tag: str | None = None,
        *,
        message: str | None = None,
        author: str | None = None,
        changes: str | Iterable[str] = (),
        pause: bool = True,
    ) -> str:
        """An image of what it has become; gives the image's id."""
        query = {"comment": message, "author": author, "changes": one_or_more(changes), "pause": int(pause)}
        answer = self.session.call(
            "POST", "/commit", {"container": self.id, "repo": repository, "tag": tag, **query}, {}
        )
        return str(answer["Id"])

    def diff(self) -> list[Change]:
        """What it has changed in its root."""
        return self.session.call("GET", f"/containers/{self.id}/changes") or []

    def top(self, ps_args: str | None = None) -> Processes:
        """Its processes."""
        found: Processes = self.session.call("GET", f"/containers/{self.id}/top", {"ps_args": ps_args})
        return found

    @overload
    def stats(self, *, stream: Literal[False]) -> dict[str, Any]: ...

    @overload
    def stats(self, *, stream: Literal[True] = True) -> Iterator[dict[str, Any]]: ...

    def stats(self, *, stream: bool = True) -> dict[str, Any] | Iterator[dict[str, Any]]:
        """What it uses: a sample each second, or one."""
        path = f"/containers/{self.id}/stats"
        if stream:
            return self.session.stream("GET", path, {"stream": 1})
        found: dict[str, Any] = self.session.call("GET", path, {"stream": 0})
        return found

    @overload
    def logs(self, *, stream: Literal[True], **options: Unpack[LogOptions]) -> Iterator[bytes]: ...

    @overload
    def logs(self, *, stream: Literal[False] = False, **options: Unpack[LogOptions]) -> bytes: ...

    def logs(self, *, stream: bool = False, **options: Unpack[LogOptions]) -> bytes | Iterator[bytes]:
        """What it has printed; with `stream` in pieces as they come, and on and on unless `follow` is False."""
        query: dict[str, str | int | bool | None] = {"stdout": True, "stderr": True, "tail": "all", "follow": stream}
        given: dict[str, Any] = {**options}
        for name, value in given.items():
            if name not in LogOptions.__annotations__:
                raise TypeError(f"logs() has no argument {name!r}")
            if value is not None:
                query[name] = moment_text(value) if name in {"since", "until"} else value
        response = self.session.request("GET", f"/containers/{self.id}/logs", query)
        multiplexed = "multiplexed" in response.headers.get("content-type", "")
        pieces = _output(response.pieces(), multiplexed=multiplexed)
        return pieces if stream else b"".join(pieces)

    def attach_socket(
        self, *, stdin: bool = True, stdout: bool = True, stderr: bool = True, logs: bool = False
    ) -> Hijacked:
        """A stream in both directions with its own process."""
        query = {"stdin": stdin, "stdout": stdout, "stderr": stderr, "logs": logs, "stream": True}
        return self.session.hijack(f"/containers/{self.id}/attach", query)

    def attach(self, *, stdout: bool = True, stderr: bool = True, logs: bool = False) -> Iterator[bytes]:
        """What it prints from now on, with `logs` what it has printed before that too, until it ends.

        One that does not run is waited for: attached to before its start, nothing of it is missed.
        """
        return _pieces(self.attach_socket(stdin=False, stdout=stdout, stderr=stderr, logs=logs), demux=False)

    def exec_run(
        self,
        command: str | Iterable[str],
        *,
        stdout: bool = True,
        stderr: bool = True,
        stdin: bool = False,
        tty: bool = False,
        privileged: bool = False,
        user: str = "",
        detach: bool = False,
        stream: bool = False,
        socket: bool = False,
        environment: Mapping[str, str | None] | Iterable[str] | None = None,
        workdir: str = "",
        demux: bool = False,
    ) -> ExecResult:
        """Run a command in it.

        The output is bytes; (stdout, stderr) with `demux`; pieces with `stream`; a stream in both directions with
        `socket`.
        """
        body = {
            "AttachStderr": stderr,
            "AttachStdin": stdin,
            "AttachStdout": stdout,
            "Cmd": split_command(command),
            "Env": environment_list(environment) if environment else None,
            "Privileged": privileged,
            "Tty": tty,
            "User": user,
            "WorkingDir": workdir,
        }
        made: str = self._post("exec", None, body)["Id"]
        begin = {"Detach": detach, "Tty": tty}
        if detach:
            self.session.call("POST", f"/exec/{made}/start", None, begin)
            return ExecResult(None, b"")
        hijacked = self.session.hijack(f"/exec/{made}/start", None, begin)
        if socket:
            return ExecResult(None, hijacked)
        if stream:
            return ExecResult(None, _pieces(hijacked, demux=demux))
        output = _collected(hijacked, demux=demux)
        return ExecResult(self.session.call("GET", f"/exec/{made}/json")["ExitCode"], output)

    def export(self) -> Iterator[bytes]:
        """Its files as a tar archive, in pieces."""
        return self.session.request("GET", f"/containers/{self.id}/export").pieces()

    def get_archive(self, path: str) -> tuple[Iterator[bytes], PathStat]:
        """A file or directory in it as a tar archive in pieces, and what it is."""
        response = self.session.request("GET", f"/containers/{self.id}/archive", {"path": path})
        stat: PathStat = json.loads(base64.b64decode(response.headers["x-docker-container-path-stat"]))
        return response.pieces(), stat

    def put_archive(self, path: str, data: Archive) -> bool:
        """Unpack a tar archive in a directory in it."""
        target = f"/containers/{quote(self.id)}/archive"
        self.session.request("PUT", target, {"path": path}, data, {"Content-Type": "application/x-tar"}).read()
        return True


def read_ending(response: Response, *, timeout: float | None = None) -> WaitResult:
    """The answer to `begin_wait`, waited for so many seconds at most."""
    connection, keep = response.connection, response.on_finished

    def patient_again(finished: Response) -> None:
        connection.socket.settimeout(None)  # before another call may have it
        if keep is not None:
            keep(finished)

    response.on_finished = patient_again
    connection.socket.settimeout(timeout)
    found: WaitResult = json.loads(b"".join(response.pieces()))
    return found


def _listed_ports(ports: list[dict[str, Any]]) -> dict[str, list[dict[str, str]] | None]:
    """The ports that the list of containers tells of, as those of one container are told."""
    found: dict[str, list[dict[str, str]] | None] = {}
    for port in ports:
        name = f"{port['PrivatePort']}/{port['Type']}"
        if port.get("PublicPort"):
            place = {"HostIp": str(port.get("IP", "")), "HostPort": str(port["PublicPort"])}
            found[name] = [*(found.get(name) or []), place]
        else:
            found.setdefault(name, None)
    return found


def _output(chunks: Iterator[bytes], *, multiplexed: bool) -> Iterator[bytes]:
    for _, data in split_streams(chunks, multiplexed=multiplexed):
        yield data


def _pieces(stream: Hijacked, *, demux: bool) -> Iterator[Any]:
    try:
        for number, data in split_streams(stream.chunks(), multiplexed=stream.multiplexed):
            if not demux:
                yield data
            else:
                yield (None, data) if number == STDERR else (data, None)
    finally:
        stream.close()


def _collected(stream: Hijacked, *, demux: bool) -> Any:
    pieces = list(_pieces(stream, demux=demux))
    if not demux:
        return b"".join(pieces)
    out = [first for first, _ in pieces if first is not None]
    said = [second for _, second in pieces if second is not None]
    return (b"".join(out) or None, b"".join(said) or None)
