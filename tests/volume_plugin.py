"""A volume plugin written for tests: Docker's protocol over a unix socket, with answers that a test can put in."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answers = dict[str, Callable[[dict[str, Any]], Any]]


class Plugin(socketserver.ThreadingUnixStreamServer):
    """Keeps volumes in a folder and remembers what it was asked."""

    daemon_threads = True

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.volumes: dict[str, dict[str, str]] = {}
        self.users: dict[str, set[str]] = {}
        self.answers: Answers = {}  # in place of its own
        super().__init__(str(path), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.path.unlink(missing_ok=True)

    def handle_error(self, *_: object) -> None:
        """An engine that went away is no error of ours."""

    def calls(self, verb: str) -> list[dict[str, Any]]:
        return [body for asked, body in self.asked if asked == f"VolumeDriver.{verb}"]

    def answer(self, method: str, body: dict[str, Any]) -> Any:
        self.asked.append((method, body))
        if method in self.answers:
            return self.answers[method](body)
        name = body.get("Name", "")
        match method.removeprefix("VolumeDriver."):
            case "Plugin.Activate":
                return {"Implements": ["VolumeDriver"]}
            case "Capabilities":
                return {"Capabilities": {"Scope": "global"}}
            case "Create":
                (self.folder / name).mkdir(exist_ok=True)
                self.volumes[name] = body.get("Opts") or {}
            case "List":
                return {"Volumes": [{"Name": known, "Mountpoint": ""} for known in self.volumes]}
            case verb:
                return self.about(verb, name, body) if name in self.volumes else {"Err": f"no such volume: {name}"}
        return {"Err": ""}

    def about(self, verb: str, name: str, body: dict[str, Any]) -> Any:
        """Of a volume that is there."""
        users, place = self.users.setdefault(name, set()), str(self.folder / name)
        match verb:
            case "Remove":
                del self.volumes[name]
            case "Mount":
                users.add(body["ID"])
                return {"Mountpoint": place}
            case "Unmount":
                users.discard(body["ID"])
            case "Get":
                return {"Volume": {"Name": name, "Status": {"users": len(users)}}}
            case "Path":
                return {"Mountpoint": place}
            case _:
                return {"Err": f"no such verb: {verb}"}
        return {"Err": ""}


class Handler(http.server.BaseHTTPRequestHandler):
    """HTTP around it."""

    server: Plugin

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = self.server.answer(self.path.strip("/"), json.loads(content) if content else {})
        data = found if isinstance(found, bytes) else json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        return "engine"

    def log_message(self, *_: object) -> None:
        """Nothing."""
