"""What the things that an engine has are alike in to a program: containers, images, networks and volumes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sampan.client.session import Session


@dataclass(eq=False, slots=True)
class Noun:
    """Something as it was when it was looked at: `attrs` is its document. Two looks at the same thing are equal."""

    session: Session = field(repr=False)
    attrs: dict[str, Any] = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Noun) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> str:
        """The whole id."""
        return str(self.attrs["Id"])

    @property
    def short_id(self) -> str:
        """The id's first twelve digits."""
        return self.id[:12]
