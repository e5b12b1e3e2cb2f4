"""Volumes that plugins keep: what the engine remembers of them, and when it has them mounted and unmounted.

A container's run is one user of a volume, by the container's id; a plugin is told twice that it has ended rather than
never.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from sampan.engine.container import MountPoint
from sampan.engine.threads import to_its_end
from sampan.errors import NotImplementedHere, SampanError
from sampan.volume.plugins import Plugins, PluginVolume
from sampan.volume.volumes import DRIVER

log = logging.getLogger("sampan.engine")


def is_foreign(point: MountPoint) -> bool:
    """Whether the mount is a volume that a plugin keeps."""
    return point.kind == "volume" and point.driver not in {"", DRIVER}


@dataclass(frozen=True, slots=True)
class PluginVolumes:
    """The volumes of all plugins; nothing here waits for one in the event loop's thread."""

    plugins: Plugins

    async def mount(self, user: str, points: tuple[MountPoint, ...]) -> tuple[MountPoint, ...]:
        """Have those that plugins keep mounted for a user; their sources are where they are then.

        What was mounted is unmounted when another cannot be. Raises what a plugin's call does.
        """
        mounted: list[MountPoint] = []
        try:
            for point in points:
                if is_foreign(point):
                    path = await to_its_end(self.plugins.mount, point.driver, point.name, user)
                    mounted.append(dataclasses.replace(point, source=path))
                else:
                    mounted.append(point)
        except BaseException:
            await self.unmount(user, mounted)
            raise
        return tuple(mounted)

    async def unmount(self, user: str, points: Iterable[MountPoint]) -> tuple[MountPoint, ...]:
        """Tell the plugins that the user needs them no more; what fails is logged, for the container has ended."""
        left = []
        for point in points:
            if is_foreign(point):
                try:
                    await to_its_end(self.plugins.unmount, point.driver, point.name, user)
                except SampanError as error:
                    log.warning("volume %s of container %s: %s", point.name, user[:12], error)
                point = dataclasses.replace(point, source="")  # noqa: PLW2901 -- where it was it is no more
            left.append(point)
        return tuple(left)

    async def look(self, plugin: str, name: str) -> PluginVolume:
        """What a plugin knows of a volume. Raises NotFound."""

        def look() -> PluginVolume:
            found = self.plugins.get(plugin, name)
            return found if found.mountpoint else dataclasses.replace(found, mountpoint=self.plugins.path(plugin, name))

        return await asyncio.to_thread(look)

    async def scope(self, plugin: str) -> str:
        """Of a plugin's volumes; "local" when it does not answer."""
        try:
            return await asyncio.to_thread(self.plugins.scope, plugin)
        except SampanError:
            return "local"

    async def all(self) -> tuple[list[tuple[str, PluginVolume]], list[str]]:
        """Every volume of every plugin, with its plugin's name; and what plugins that do not answer are missed for."""
        names = await asyncio.to_thread(self.plugins.names)
        answers = await asyncio.gather(
            *(asyncio.to_thread(self.plugins.list, name) for name in names), return_exceptions=True
        )
        found: list[tuple[str, PluginVolume]] = []
        warnings = []
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, NotImplementedHere):
                continue  # it keeps no volumes
            if isinstance(answer, SampanError):
                warnings.append(str(answer))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found += [(name, volume) for volume in answer]
        return found, warnings
