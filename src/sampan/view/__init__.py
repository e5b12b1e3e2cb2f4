"""What a container sees of the machine: its own memory, processors, load and time where the kernel shows the host's.

`reader` knows who asks, `memory`, `processors`, `load` and `devices` write what is answered, `files` is the table of
it; `filesystem` and `server` are a FUSE file system and the process that serves all containers; `client` is the
daemon's end of that, `lxcfs` another provider of the same files, `provider` chooses. Nothing here knows what a
container is but by its cgroup.
"""
