"""sampand: the process that serves the API. It reads its words, wires the parts, recovers, serves, and ends."""

from sampan.daemon import late_aiohttp


def main() -> int:
    """The program `sampand`: `serve.main`, with no more of aiohttp than it needs."""
    late_aiohttp.install()
    from sampan.daemon.serve import main as serve

    return serve()


__all__ = ["main"]
