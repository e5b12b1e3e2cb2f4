"""Which part is handed which: the only place that knows all of them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from sampan.api.inspections import Inspections
from sampan.api.services import Services
from sampan.build.cache import BuildCache
from sampan.build.cache_mounts import CacheMounts
from sampan.buildkit.door import BuildKit
from sampan.daemon.options import Options
from sampan.engine.ahead import Expectation
from sampan.engine.announcer import Announcer
from sampan.engine.archives import Archives
from sampan.engine.boot import BootMark, BootStarts
from sampan.engine.build_caches import BuildCaches
from sampan.engine.build_steps import StepContainers
from sampan.engine.builds import Builds
from sampan.engine.commits import Commits
from sampan.engine.config import LogConfig
from sampan.engine.connections import Connections
from sampan.engine.containers import Containers
from sampan.engine.control import Control
from sampan.engine.events import Events
from sampan.engine.execs import Execs
from sampan.engine.files import Files
from sampan.engine.health import Healths
from sampan.engine.image_imports import Imports
from sampan.engine.images import open_images
from sampan.engine.kept_contexts import KeptContexts
from sampan.engine.launching import Launcher
from sampan.engine.layout import Layout
from sampan.engine.lifecycle import Lifecycle, Settings
from sampan.engine.live_devices import LiveDevices
from sampan.engine.live_mounts import LiveMounts
from sampan.engine.log_options import check_log
from sampan.engine.networks import ContainerNetworks
from sampan.engine.pruning import Pruning
from sampan.engine.publishing import Publishing
from sampan.engine.recovery import Recovery
from sampan.engine.restarts import Aftermath
from sampan.engine.secrets import open_secrets
from sampan.engine.step_launcher import StepLauncher
from sampan.engine.store import ContainerStore, open_database
from sampan.engine.transfers import Transfers
from sampan.engine.updates import Updates
from sampan.engine.views import Views
from sampan.engine.volume_copies import VolumeCopies
from sampan.engine.volumes import open_volumes
from sampan.engine.waiting import EarlyClients, Locks, Waits
from sampan.image.content import ContentStore
from sampan.image.pull import Puller
from sampan.image.push import Pusher
from sampan.image.registry_http import RegistrySettings
from sampan.launcher.spawn import spawn_launcher
from sampan.network.ledger import Ledger
from sampan.network.networks import open_networks
from sampan.network.registry import Registry
from sampan.volume.plugins import DIRECTORIES, Plugins
from sampan.volume.records import VolumeRecords
from sampan.volume.volumes import Volumes


@dataclass(frozen=True, slots=True)
class Engine:
    """What the daemon's life needs of the wired parts."""

    services: Services
    lifecycle: Lifecycle
    launcher: Launcher
    recovery: Recovery
    connection: sqlite3.Connection
    networks: ContainerNetworks
    views: Views


PARTIALS_KEPT_S = 7 * 86400.0  # what came of a pull that broke off


def _networks(store: ContainerStore, connection: sqlite3.Connection, options: Options) -> ContainerNetworks:
    settings = options.networks
    settings.check()
    networks = open_networks(
        Ledger(connection), options.exec_root, forwards=options.ip_forward, default_bridge=settings.bridge
    )
    registry = Registry(networks, settings)
    registry.predefine()
    return ContainerNetworks(store, networks, registry)


def wire(options: Options) -> Engine:
    """All parts of an engine, from its settings. Raises SystemFailure when its state cannot be read."""
    layout = Layout(options.data_root, options.exec_root)
    connection = open_database(layout.database)
    store = ContainerStore(connection)
    events, waits, early, locks = Events(), Waits(), EarlyClients(), Locks()
    announcer = Announcer(events)
    registries = RegistrySettings(options.registry_mirrors, options.insecure_registries, options.registry_ca_files)
    registries.check()
    images = open_images(layout, store)
    content = ContentStore(f"{layout.data_root}/content")
    content.prepare()
    content.collect(images.images.records.documents_used(), PARTIALS_KEPT_S)
    networks = _networks(store, connection, options)
    volumes = open_volumes(
        Volumes(VolumeRecords(connection), f"{layout.data_root}/volumes", images.disposal.dispose),
        store,
        events,
        images,
        Plugins(options.plugin_dirs or DIRECTORIES, options.plugin_timeout),
    )
    secrets = open_secrets(f"{layout.data_root}/secrets", store, events)
    execs = Execs(store, announcer)
    default_log = LogConfig(options.log_driver, options.log_opts)
    check_log(default_log)
    launcher = StepLauncher(spawn_launcher, Expectation(layout.run, options.cgroup_parent))
    containers = Containers(
        store, layout, images, images, networks, volumes, secrets, announcer, waits, early, locks, default_log, launcher
    )
    settings = Settings(options.cgroup_parent, options.init)
    views = Views(store, options.exec_root, options.resource_view)
    lifecycle = Lifecycle(
        store, layout, settings, images, networks, launcher, announcer, waits, early, locks, execs, views
    )
    aftermath = Aftermath(store, locks, containers, lifecycle.start)
    lifecycle.aftermath = aftermath
    lifecycle.volumes = volumes
    control = Control(store, lifecycle, announcer)
    lifecycle.healths = Healths(store, announcer, lifecycle.monitors, control.act)
    transfers = Transfers(
        images.images, Puller(images.images, content), Pusher(images.images, content), events, registries
    )
    steps = StepContainers(containers, lifecycle, control, images, launcher)
    cache = BuildCache(connection, images.images.records, images.layers)
    caches = CacheMounts(connection, f"{layout.data_root}/caches", images.disposal.dispose)
    kept = KeptContexts(f"{layout.data_root}/contexts", images.disposal.dispose)
    builds = Builds(layout, images, cache, caches, steps, transfers, events, kept)
    imports = Imports(images, events)
    return Engine(
        services=Services(
            layout=layout,
            store=store,
            containers=containers,
            control=control,
            lifecycle=lifecycle,
            execs=execs,
            events=events,
            connections=Connections(store, layout, networks, events, locks),
            publishing=Publishing(store, networks, announcer, locks),
            live_mounts=LiveMounts(store, volumes, secrets, images, announcer, locks),
            live_devices=LiveDevices(store, announcer, locks, options.cgroup_parent),
            images=images,
            imports=imports,
            pruning=Pruning(store, layout, containers, announcer),
            archives=Archives(images, events),
            commits=Commits(store, images, announcer, locks, options.cgroup_parent),
            builds=builds,
            buildkit=BuildKit(builds, images, imports, layout.exec_root, networks.registry.host_gateway),
            build_caches=BuildCaches(caches),
            transfers=transfers,
            updates=Updates(store, announcer, locks, options.cgroup_parent),
            secrets=secrets,
            volumes=volumes,
            volume_copies=VolumeCopies(volumes, locks, options.cgroup_parent),
            files=Files(store, layout, images, locks, announcer),
            inspections=Inspections(layout),
            debug=options.debug,
        ),
        lifecycle=lifecycle,
        launcher=launcher,
        recovery=Recovery(
            lifecycle,
            containers,
            aftermath,
            BootMark(connection, layout.exec_root),
            BootStarts(store, lifecycle.healths, lifecycle.start),
        ),
        connection=connection,
        networks=networks,
        views=views,
    )
