"""sampan: a container engine that speaks Docker's API. `import sampan; sampan.connect()` gives a client."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.client.connect import connect as connect


def __getattr__(name: str) -> object:
    """`connect`, loaded when it is asked for, so that importing a part of sampan costs nothing more."""
    if name == "connect":
        from sampan.client.connect import connect

        return connect
    raise AttributeError(f"module 'sampan' has no attribute {name!r}")
