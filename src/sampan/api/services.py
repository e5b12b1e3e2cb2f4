"""What the handlers act on: the engine's services, wired by the daemon, as one frozen bundle."""

from __future__ import annotations

from dataclasses import dataclass

from sampan.api.inspections import Inspections
from sampan.buildkit.door import BuildKit
from sampan.engine.archives import Archives
from sampan.engine.build_caches import BuildCaches
from sampan.engine.builds import Builds
from sampan.engine.commits import Commits
from sampan.engine.connections import Connections
from sampan.engine.containers import Containers
from sampan.engine.control import Control
from sampan.engine.events import Events
from sampan.engine.execs import Execs
from sampan.engine.files import Files
from sampan.engine.image_imports import Imports
from sampan.engine.images import EngineImages
from sampan.engine.layout import Layout
from sampan.engine.lifecycle import Lifecycle
from sampan.engine.live_devices import LiveDevices
from sampan.engine.live_mounts import LiveMounts
from sampan.engine.pruning import Pruning
from sampan.engine.publishing import Publishing
from sampan.engine.secrets import EngineSecrets
from sampan.engine.store import ContainerStore
from sampan.engine.transfers import Transfers
from sampan.engine.updates import Updates
from sampan.engine.volume_copies import VolumeCopies
from sampan.engine.volumes import EngineVolumes


@dataclass(frozen=True, slots=True)
class Services:
    """Everything behind the API."""

    layout: Layout
    store: ContainerStore
    containers: Containers
    control: Control
    lifecycle: Lifecycle
    execs: Execs
    events: Events
    connections: Connections
    publishing: Publishing
    live_mounts: LiveMounts
    live_devices: LiveDevices
    images: EngineImages
    imports: Imports
    archives: Archives
    pruning: Pruning
    commits: Commits
    builds: Builds
    build_caches: BuildCaches
    buildkit: BuildKit
    transfers: Transfers
    updates: Updates
    secrets: EngineSecrets
    volumes: EngineVolumes
    volume_copies: VolumeCopies
    files: Files
    inspections: Inspections
    debug: bool = False
