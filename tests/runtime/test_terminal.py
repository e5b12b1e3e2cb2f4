"""A container with a terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.runtime.launch import launch
from sampan.runtime.launch_plan import LaunchPlan
from sampan.runtime.launched import Launched

if TYPE_CHECKING:
    from tests.runtime.conftest import Boat


def read_all(launched: Launched) -> str:
    """What the terminal says until the last slave is closed."""
    said = b""
    while True:
        try:
            piece = os.read(launched.console, 4096)
        except OSError:  # EIO: nobody holds the other end any more
            return said.decode()
        said += piece


def talk(boat: Boat, plan: LaunchPlan, typed: bytes = b"") -> str:
    def both() -> str:
        launched = launch(plan, None)
        launched.go()
        if typed:
            os.write(launched.console, typed)
        said = read_all(launched)
        boat.finish(launched)
        return said

    return boat.call(both)


def test_the_terminal_is_the_controlling_one_and_lies_on_dev_console(boat: Boat) -> None:
    own = boat.process("tty; stat -c %t:%T /dev/console /dev/pts/0; cut -d' ' -f6,7 /proc/1/stat", terminal=True)
    lines = talk(boat, boat.plan(own)).split("\r\n")
    assert lines[0] == "/dev/pts/0"
    assert lines[1] == lines[2] == "88:0"
    session, device = lines[3].split()
    assert (session, device != "0") == ("1", True)


def test_the_terminal_has_the_size_of_the_plan(boat: Boat) -> None:
    own = boat.process("stty size", terminal=True, console_height=33, console_width=77)
    assert talk(boat, boat.plan(own)) == "33 77\r\n"


def test_the_terminal_belongs_to_the_programs_user(boat: Boat) -> None:
    own = boat.process("stat -c %u /dev/pts/0; echo x > /dev/console; echo $?", terminal=True, uid=1000, gid=1000)
    assert talk(boat, boat.plan(own)).split() == ["1000", "x", "0"]


def test_an_interrupt_typed_reaches_the_program(boat: Boat) -> None:
    own = boat.process("trap 'echo caught; exit' INT; echo ready; while :; do sleep 0.05; done", terminal=True)

    def both() -> str:
        launched = launch(boat.plan(own), None)
        launched.go()
        said = b""
        while b"ready" not in said:
            said += os.read(launched.console, 100)
        os.write(launched.console, b"\x03")
        text = read_all(launched)
        boat.finish(launched)
        return text

    assert "caught" in boat.call(both)


def test_a_container_in_a_user_namespace_has_a_terminal_too(boat: Boat) -> None:
    plan = boat.mapped(boat.process("tty; stat -c %u /dev/console", terminal=True))
    assert talk(boat, plan).split() == ["/dev/pts/0", "0"]


def test_closing_the_master_hangs_up(boat: Boat) -> None:
    def both() -> int:
        own = boat.process("trap 'exit 5' HUP; echo ready; while :; do sleep 0.05; done", terminal=True)
        launched = launch(boat.plan(own), None)
        launched.go()
        said = b""
        while b"ready" not in said:
            said += os.read(launched.console, 100)
        os.close(launched.console)
        launched.console = -1
        return boat.finish(launched)

    assert boat.call(both) == 5
