"""The commands: one module each, loaded when it is used, and here the table of their names.

A module describes itself by constants: USAGE (one line for each form), SUMMARY, perhaps DETAILS, OPTIONS (rows of
`grammar`), WORDS (how many words that are no options: least and most, most -1 for any number), INTERSPERSED (False
where the first word ends the options). Its `run(arguments, session)` returns the exit code.
"""

from __future__ import annotations

import sys

from sampan.cli.code_cache import import_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

# What may stand before the command.
OPTIONS = (
    ("config", "", "string", "", "Folder of docker's client settings, by default ~/.docker"),
    ("context", "c", "string", "", "Use the endpoint of this docker context (`default`: the default socket)"),
    ("debug", "D", "bool", "", "Show where in the program an error came from"),
    ("host", "H", "string", "", "Where the daemon listens: unix:///path.sock or tcp://host:port"),
    ("tls", "", "bool", "", "Encrypt the connection; --tlsverify does too"),
    ("tlscacert", "", "string", "", "Trust only certificates signed by this CA"),
    ("tlscert", "", "string", "", "The certificate to show to the daemon"),
    ("tlskey", "", "string", "", "The key of that certificate"),
    ("tlsverify", "", "bool", "", "Encrypt, and check the daemon's certificate"),
    ("version", "v", "bool", "", "Print the version of this program and leave"),
)

GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "builder": (
        "Look after builds",
        {
            "build": "build",
            "cache": "builder_cache",
            "ls": "builder_ls",
            "prune": "builder_prune",
            "rm": "builder_rm",
        },
    ),
    "config": (
        "Manage configs",
        {
            "create": "config_create",
            "inspect": "config_inspect",
            "ls": "config_ls",
            "rm": "config_rm",
        },
    ),
    "container": (
        "Manage containers",
        {
            "attach": "attach",
            "commit": "commit",
            "cp": "cp",
            "create": "create",
            "diff": "diff",
            "exec": "exec",
            "export": "export",
            "inspect": "container_inspect",
            "kill": "kill",
            "limits": "limits",
            "logs": "logs",
            "ls": "ps",
            "pause": "pause",
            "port": "port",
            "prune": "container_prune",
            "rename": "rename",
            "restart": "restart",
            "rm": "rm",
            "run": "run",
            "start": "start",
            "stats": "stats",
            "stop": "stop",
            "top": "container_top",
            "unpause": "unpause",
            "update": "update",
            "wait": "wait",
        },
    ),
    "image": (
        "Manage images",
        {
            "bootstrap": "bootstrap",
            "build": "build",
            "cp": "image_copy",
            "diet": "diet",
            "history": "history",
            "import": "import_image",
            "inspect": "image_inspect",
            "load": "load",
            "ls": "images",
            "prune": "image_prune",
            "pull": "pull",
            "push": "push",
            "rm": "rmi",
            "save": "save",
            "tag": "tag",
        },
    ),
    "network": (
        "Manage networks",
        {
            "connect": "network_connect",
            "create": "network_create",
            "disconnect": "network_disconnect",
            "inspect": "network_inspect",
            "ls": "network_ls",
            "prune": "network_prune",
            "rm": "network_rm",
        },
    ),
    "secret": (
        "Manage secrets",
        {
            "create": "secret_create",
            "inspect": "secret_inspect",
            "ls": "secret_ls",
            "rm": "secret_rm",
        },
    ),
    "system": (
        "Look after the engine",
        {
            "df": "system_df",
            "events": "events",
            "info": "info",
            "prune": "system_prune",
        },
    ),
    "volume": (
        "Manage volumes",
        {
            "clone": "volume_clone",
            "create": "volume_create",
            "export": "volume_export",
            "forget": "volume_forget",
            "import": "volume_import",
            "inspect": "volume_inspect",
            "ls": "volume_ls",
            "prune": "volume_prune",
            "rename": "volume_rename",
            "restore": "volume_restore",
            "rm": "volume_rm",
            "snapshot": "volume_snapshot",
            "snapshots": "volume_snapshots",
        },
    ),
}
TOP_LEVEL: dict[str, str] = {
    "attach": "attach",
    "build": "build",
    "commit": "commit",
    "completion": "completion",
    "cp": "cp",
    "create": "create",
    "diff": "diff",
    "doctor": "doctor",
    "events": "events",
    "exec": "exec",
    "export": "export",
    "history": "history",
    "images": "images",
    "import": "import_image",
    "info": "info",
    "inspect": "inspect",
    "kill": "kill",
    "limits": "limits",
    "load": "load",
    "login": "login",
    "logout": "logout",
    "logs": "logs",
    "nsenter": "nsenter",
    "pause": "pause",
    "port": "port",
    "ps": "ps",
    "pull": "pull",
    "push": "push",
    "rename": "rename",
    "restart": "restart",
    "rm": "rm",
    "rmi": "rmi",
    "run": "run",
    "save": "save",
    "search": "search",
    "start": "start",
    "stats": "stats",
    "stop": "stop",
    "tag": "tag",
    "top": "top",
    "unpause": "unpause",
    "update": "update",
    "version": "version",
    "wait": "wait",
}
ALIASES: dict[str, str] = {
    "config list": "config ls",
    "config remove": "config rm",
    "container list": "container ls",
    "container ps": "container ls",
    "container remove": "container rm",
    "image list": "image ls",
    "image remove": "image rm",
    "network list": "network ls",
    "network remove": "network rm",
    "secret list": "secret ls",
    "secret remove": "secret rm",
    "volume list": "volume ls",
    "volume remove": "volume rm",
}
COMMON = ("run", "exec", "ps", "images", "logs", "stop", "rm", "inspect", "stats", "top", "version", "info")


def command_module(module: str) -> ModuleType:
    """The module of a command; not called `load`, which is one of them and takes that name here when it is imported."""
    name = f"sampan.cli.commands.{module}"
    __import__(name)
    return sys.modules[name]


def begun_command(module: str) -> ModuleType:
    """The module of the one command that is carried out, with all that it needs from the file of their code."""
    return import_command(f"sampan.cli.commands.{module}")
