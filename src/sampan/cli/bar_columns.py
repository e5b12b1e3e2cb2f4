"""What stands behind a bar of `bars`: how much of how much, and how fast, where that is known. Needs rich."""

from __future__ import annotations

from rich.progress import DownloadColumn, Task, TransferSpeedColumn
from rich.text import Text


class Size(DownloadColumn):
    """Bytes that are done and bytes in all; nothing for a part whose size nobody has told."""

    def render(self, task: Task) -> Text:
        """Rich asks for each drawing."""
        return super().render(task) if task.fields["is_sized"] else Text("")


class Speed(TransferSpeedColumn):
    """Bytes a second; nothing before there is a speed."""

    def render(self, task: Task) -> Text:
        """Rich asks for each drawing."""
        return super().render(task) if task.finished_speed or task.speed else Text("")
