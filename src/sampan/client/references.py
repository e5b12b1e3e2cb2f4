"""Names of images as the API takes them apart: repository, and tag or digest."""

from __future__ import annotations


def split_reference(image: str) -> tuple[str, str]:
    """(repository, tag or digest) of "host:5000/name:tag@sha256:…"; "" for what is not there, a digest wins."""
    name, mark, digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{head}{slash}{last}", digest if mark else tag


def join_reference(name: str, tag: str) -> str:
    """The two as one."""
    return f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
