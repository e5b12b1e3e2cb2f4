"""Names of images as the API takes them apart: repository, and tag or digest."""

from __future__ import annotations

from sampan.client.failure import ClientError


def split_reference(image: str) -> tuple[str, str]:
    """(repository, tag or digest) of "host:5000/name:tag@sha256:…"; "" for what is not there, a digest wins.

    Raises ClientError: a colon has nothing behind it.
    """
    name, mark, digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not tag:
        raise ClientError(
            f"invalid reference format: {image!r} has no tag behind its colon", remedy="write NAME:TAG, or NAME alone"
        )
    return f"{head}{slash}{last}", digest if mark else tag


def join_reference(name: str, tag: str) -> str:
    """The two as one."""
    return f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
