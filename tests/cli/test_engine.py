"""The command against real engines: ours, and Docker where it is installed, which is the judge of what is right.

Each engine is private: its own directories and socket, no bridge, one image made of busybox.
"""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from tests.waiting import until

if TYPE_CHECKING:
    from tests.cli.conftest import PrivateDocker

BUSYBOX = shutil.which("busybox")
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="engines run as root"),
    pytest.mark.skipif(BUSYBOX is None, reason="the image is made of busybox, which is not installed"),
    pytest.mark.timeout(180),
]
SOURCE = Path(__file__).resolve().parents[2] / "src"
PROGRAM = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from sampan.cli.__main__ import main; main()"


@dataclass
class Engine:
    """A running engine, and the command talking to it."""

    name: str
    host: str
    folder: Path

    def sampan(self, *words: str, input: bytes = b"", code: int | None = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", PROGRAM, *words],
            input=input,
            capture_output=True,
            timeout=90,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "SAMPAN_HOST": self.host},
        )
        if code is not None:
            assert done.returncode == code, done.stderr.decode()
        return done.stdout.decode()


def image() -> bytes:
    """A root file system of busybox and its names, as a tar archive."""
    assert BUSYBOX is not None
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, check=True).stdout.decode().split()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for folder in ("bin", "tmp", "etc", "proc", "sys", "dev"):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        tar.add(os.path.realpath(BUSYBOX), "bin/busybox")
        for applet in applets:
            if applet != "busybox":
                info = tarfile.TarInfo(f"bin/{applet}")
                info.type, info.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(info)
    return data.getvalue()


def sampand(folder: Path) -> list[str]:
    if importlib.util.find_spec("sampan.daemon") is None:
        pytest.skip("sampand is not built yet")
    program = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from sampan.daemon import main; sys.exit(main())"
    places = ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
    return [sys.executable, "-c", program, *places]


@pytest.fixture(scope="module", params=["sampand", "dockerd"])
def engine(
    request: pytest.FixtureRequest, private_docker: PrivateDocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    folder = Path(tmp_path_factory.mktemp("e", numbered=True))
    path = folder / "e.sock"
    command = sampand(folder) if request.param == "sampand" else private_docker.command(folder)
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [*command, "-H", f"unix://{path}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ) as process,
    ):
        made = Engine(request.param, f"unix://{path}", folder)
        try:
            wait_until_it_listens(path, process, folder / "log")
            made.sampan("import", "-c", "ENV PATH=/bin", "-", "busybox", input=image())
            yield made
        finally:
            if process.poll() is None:
                for found in made.sampan("ps", "-aq", code=None).split():
                    made.sampan("rm", "-fv", found, code=None)
            process.terminate()
            process.wait(60)
            private_docker.tidy(folder)


def wait_until_it_listens(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(path))
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            else:
                return


def start(engine: Engine, name: str, *words: str) -> None:
    engine.sampan("run", "-d", "--name", name, "--network", "none", "busybox", *words)


def test_run_prints_and_gives_the_exit_code(engine: Engine) -> None:
    assert engine.sampan("run", "--rm", "--network", "none", "busybox", "echo", "hi") == "hi\n"
    engine.sampan("run", "--rm", "--network", "none", "busybox", "sh", "-c", "exit 7", code=7)
    engine.sampan("run", "--rm", "--network", "none", "busybox", "no-such-program", code=127)
    engine.sampan("run", "--rm", "--network", "none", "busybox", "/etc", code=126)
    assert engine.sampan("ps", "-aq") == ""


def test_input_goes_through_a_container_unchanged(engine: Engine) -> None:
    data = "".join(chr(65 + at % 26) for at in range(1_000_000)) + "\n"

    assert engine.sampan("run", "-i", "--rm", "--network", "none", "busybox", "cat", input=data.encode()) == data


def test_much_output_is_whole(engine: Engine) -> None:
    text = engine.sampan("run", "--rm", "--network", "none", "busybox", "seq", "100000")

    assert text == "".join(f"{number}\n" for number in range(1, 100001))


def test_exec_runs_beside_the_first_process(engine: Engine) -> None:
    start(engine, "e1", "sleep", "1000")

    assert engine.sampan("exec", "e1", "echo", "hi") == "hi\n"
    assert engine.sampan("exec", "-i", "e1", "cat", input=b"typed") == "typed"
    engine.sampan("exec", "e1", "sh", "-c", "exit 9", code=9)
    assert engine.sampan("exec", "-e", "A=b", "-w", "/tmp", "e1", "sh", "-c", "echo $A $PWD") == "b /tmp\n"
    engine.sampan("rm", "-f", "e1")


def test_the_life_of_a_container(engine: Engine) -> None:
    engine.sampan("create", "--name", "l1", "--network", "none", "-l", "a=b", "busybox", "sleep", "1000")
    state = ("inspect", "-f", "{{.State.Status}}", "l1")
    assert engine.sampan(*state) == "created\n"
    assert engine.sampan("start", "l1") == "l1\n"
    assert engine.sampan(*state) == "running\n"
    engine.sampan("pause", "l1")
    assert engine.sampan(*state) == "paused\n"
    engine.sampan("unpause", "l1")
    engine.sampan("rename", "l1", "l2")
    assert engine.sampan("ps", "--format", "{{.Names}} {{.Image}} {{.Labels}}") == "l2 busybox a=b\n"
    engine.sampan("kill", "l2")
    assert engine.sampan("wait", "l2") == "137\n"
    engine.sampan("rm", "l2")
    engine.sampan("inspect", "l2", code=1)


def test_logs_have_both_streams_and_can_be_followed(engine: Engine) -> None:
    start(engine, "g1", "sh", "-c", "echo one; echo two; sleep 0.3; echo three")

    assert engine.sampan("logs", "-f", "g1") == "one\ntwo\nthree\n"
    assert engine.sampan("logs", "-n", "1", "g1") == "three\n"
    engine.sampan("rm", "g1")


def test_a_signal_reaches_the_process_through_the_command(engine: Engine) -> None:
    words = ("run", "--rm", "--network", "none", "busybox", "sh", "-c")
    script = "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", PROGRAM, *words, script],
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": str(engine.folder), "SAMPAN_HOST": engine.host},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == b"caught\n"
        assert process.wait(60) == 5


def test_events_tell_what_happened(engine: Engine) -> None:
    before = str(int(time.time()))
    engine.sampan("run", "--rm", "--name", "v1", "--network", "none", "busybox", "true")

    words = ("--since", before, "--until", "0s", "-f", "container=v1", "--format", "{{.Action}}")
    actions = engine.sampan("events", *words).split()

    assert [action for action in actions if action in {"create", "start", "die", "destroy"}] == [
        "create",
        "start",
        "die",
        "destroy",
    ]


def test_a_namespace_of_a_container_is_entered_with_the_hosts_tools(engine: Engine) -> None:
    start(engine, "n1", "sleep", "1000")

    links = engine.sampan("nsenter", "n1", "--net", "ls", "/sys/class/net")
    inside = engine.sampan("nsenter", "n1", "--net", "cat", "/proc/net/dev")

    assert links  # /sys is still the host's
    assert "lo:" in inside
    assert "eth0:" not in inside
    hostname = engine.sampan("exec", "n1", "hostname")
    assert engine.sampan("nsenter", "n1", "-u", "hostname") == hostname
    engine.sampan("nsenter", "n1", "-p", "sh", "-c", "exit 3", code=3)
    assert engine.sampan("nsenter", "n1", "--mount", "cat", "/etc/hostname") == hostname
    assert engine.sampan("nsenter", "--all", "n1", "hostname") == hostname
    engine.sampan("nsenter", "n1", "--mount", "no-such-program", code=127)
    engine.sampan("rm", "-f", "n1")


@pytest.mark.skipif(not shutil.which("tmux"), reason="the terminal is tmux's, which is not installed")
def test_a_shell_in_a_real_terminal(engine: Engine) -> None:
    program = f"{sys.executable} -I -S {engine.folder}/sampan.py"
    (engine.folder / "sampan.py").write_text(PROGRAM)
    with Tmux(engine) as tmux:
        tmux.type(f"{program} run -it --rm --name tty --network none busybox sh")
        tmux.expect("# ")
        tmux.type("stty size")
        tmux.expect("30 100")
        tmux.command("resize-window", "-t", "s", "-x", "120", "-y", "40")
        tmux.type("until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; stty size; sleep 1000")
        tmux.expect("\n40 120")
        tmux.keys("C-c")
        tmux.type("echo interrupted=$?")
        tmux.expect("interrupted=130")
        tmux.keys("C-p", "C-q")
        tmux.expect("it goes on running")
        tmux.type(f"{program} attach tty")
        tmux.type("echo att''ached")
        tmux.expect("\nattached")
        tmux.type("exit 5")
        tmux.expect("exit 5\nhost>")
        tmux.type("echo code=$?; stty -a | tr ' ' '\\n' | grep icanon")
        tmux.expect("code=5")
        tmux.expect("\nicanon")
    until(lambda: not engine.sampan("ps", "-aq"))  # --rm is carried out when the process has ended, as attach sees


class Tmux:
    """A terminal of 30 by 100 with a shell in it."""

    def __init__(self, engine: Engine) -> None:
        self._socket = f"{engine.folder}/tmux"
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(engine.folder),
            "SAMPAN_HOST": engine.host,
            "PS1": "host> ",
            "TERM": "xterm",
        }

    def command(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, "-f", "/dev/null", *words],
            env=self._environment,
            capture_output=True,
            timeout=30,
            check=True,
        )
        return done.stdout.decode()

    def __enter__(self) -> Self:
        self.command(
            "new-session", "-d", "-s", "s", "-x", "100", "-y", "30", "env PS1='host> ' bash --norc --noprofile"
        )
        self.expect("host> ")
        return self

    def __exit__(self, *_: object) -> None:
        self.command("kill-server")

    def type(self, line: str) -> None:
        self.command("send-keys", "-t", "s", "-l", line)
        self.keys("Enter")

    def keys(self, *names: str) -> None:
        for name in names:
            self.command("send-keys", "-t", "s", name)

    def expect(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in (screen := self.command("capture-pane", "-t", "s", "-p", "-J")):
            assert time.monotonic() < deadline, f"{text!r} never came:\n{screen}"
            time.sleep(0.05)


def test_a_dockerfile_from_elsewhere_is_not_among_the_files_of_the_build(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    text = b"FROM busybox\nCOPY . /c\n"
    built = engine.sampan("build", "-q", "-f", "-", str(tmp_path), input=text).strip()
    listed = engine.sampan("run", "--rm", "--network", "none", built, "ls", "-A", "/c")
    assert listed == "f\n"
