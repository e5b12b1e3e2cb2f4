"""Docker-py's nouns and verbs, typed; the CLI's only way to the daemon.

`session` and what it stands on are loaded by every command and import nothing that costs; the nouns are loaded when
they are asked for.
"""
