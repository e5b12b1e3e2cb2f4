"""Which daemon is meant: what -H and --context, SAMPAN_HOST, DOCKER_HOST and contexts say, or the default socket."""

from __future__ import annotations

from sampan.client.endpoint import DEFAULT_SOCKET, Endpoint, environment, parse_endpoint
from sampan.client.failure import DaemonUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.client.tls import TlsFiles


def find_endpoint(host: str = "", context: str = "") -> tuple[Endpoint, bool]:
    """The endpoint to use, and whether it is the default one, where a missing daemon may be started.

    `host` and `context` are what -H and --context say. After them count SAMPAN_HOST, DOCKER_HOST, SAMPAN_CONTEXT,
    DOCKER_CONTEXT, and then the default socket. The context named "default" is the one without a name.
    """
    if host and context:
        raise DaemonUnreachable("both -H and --context are given", remedy="leave one of them out")
    named = host if context else host or environment("SAMPAN_HOST") or environment("DOCKER_HOST")
    if named:
        endpoint = _with_tls(parse_endpoint(named))
        return endpoint, endpoint.path == DEFAULT_SOCKET
    context = context or environment("SAMPAN_CONTEXT") or environment("DOCKER_CONTEXT")
    if context in {"", "default"}:
        return Endpoint("unix", path=DEFAULT_SOCKET), True
    from sampan.client.contexts import context_endpoint

    return context_endpoint(context), False


def _with_tls(endpoint: Endpoint) -> Endpoint:
    if endpoint.scheme == "tcp" and environment("DOCKER_TLS_VERIFY"):
        endpoint.tls = _tls_files()
    return endpoint


def _tls_files() -> TlsFiles:
    """Docker's convention: ca.pem, cert.pem and key.pem below DOCKER_CERT_PATH (by default ~/.docker)."""
    from sampan.client.tls import TlsFiles

    folder = environment("DOCKER_CERT_PATH") or f"{environment('HOME')}/.docker"
    return TlsFiles(f"{folder}/ca.pem", f"{folder}/cert.pem", f"{folder}/key.pem")
