"""Collecting what is wrong with a document, so that all of it is reported together.

Only the collection: which value is a problem is said by the `plan…` modules.
"""

from __future__ import annotations

from sampan.errors import InvalidArgument, NotImplementedHere, SampanError


class Problems:
    """The refusals of one document, in the order they were found."""

    def __init__(self) -> None:
        self._found: list[SampanError] = []

    def invalid(self, sentence: str, remedy: str = "") -> None:
        """The document is wrong here and stays wrong."""
        self._found.append(InvalidArgument(sentence, remedy=remedy))

    def unsupported(self, sentence: str, remedy: str) -> None:
        """The document asks for what cannot be done here."""
        self._found.append(NotImplementedHere(sentence, remedy=remedy))

    def add(self, error: SampanError) -> None:
        """Someone else's refusal."""
        self._found.append(error)

    def refuse(self) -> None:
        """Raise what was found: one as it is, several as one InvalidArgument (NotImplementedHere when all are that)."""
        if not self._found:
            return
        if len(self._found) == 1:
            raise self._found[0]
        only_unsupported = all(isinstance(error, NotImplementedHere) for error in self._found)
        kind = NotImplementedHere if only_unsupported else InvalidArgument
        remedies = dict.fromkeys(error.remedy for error in self._found if error.remedy)
        raise kind("; ".join(error.sentence for error in self._found), remedy="; ".join(remedies))
