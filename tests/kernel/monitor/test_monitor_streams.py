from __future__ import annotations

import hashlib
import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.kernel.monitor.conftest import alive, read_to_end, unframed, until

from sampan.monitor.log_reader import LogReader
from sampan.monitor.protocol import Attach, Signal

if TYPE_CHECKING:
    import socket

    from tests.kernel.monitor.conftest import Harbour, Session

LINES = 2_000_000
RAW = Attach(stdin=False, multiplexed=False)


def numbers(last: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(1, last + 1))


def logged(session: Session) -> bytes:
    with LogReader(str(session.log)) as reader:
        texts = []
        while records := reader.read():
            texts += [record.text for record in records]
    return "".join(texts).encode()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def memory_kb(pid: int) -> int:
    """The memory that is a process's own (proc_pid_smaps(5))."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:"))


def test_a_flood_arrives_whole_at_a_client_that_was_there_before_and_in_the_log(harbour: Harbour) -> None:
    session = harbour.launch("seq", str(LINES), log={"max_files": 20})
    client = session.attach(Attach(stdin=False))
    session.go()
    expected = numbers(LINES)
    assert digest(unframed(read_to_end(client))[1]) == digest(expected)
    session.exited()
    assert digest(logged(session)) == digest(expected)


def test_a_client_that_comes_late_gets_all_from_there_on(harbour: Harbour) -> None:
    session = harbour.start("sh", "-c", f"seq 1000; read line; seq {LINES}", open_stdin=True)
    until(lambda: b'"1000\\n"' in session.log.read_bytes())
    client = session.attach(Attach(stdin=True, multiplexed=False))
    client.sendall(b"go\n")
    assert digest(read_to_end(client)) == digest(numbers(LINES))


@pytest.mark.parametrize("driver", ["json-file", "none"])
def test_a_client_that_reads_nothing_holds_nobody_up_and_loses_nothing(harbour: Harbour, driver: str) -> None:
    """Its 15 MB are far more than sockets and pipes hold; they wait on disk and not in memory."""
    session = harbour.launch("seq", str(LINES), driver=driver, log={"max_files": 20})
    asleep = session.attach(RAW)
    awake = session.attach(RAW)
    session.go()
    expected = digest(numbers(LINES))
    assert digest(read_to_end(awake)) == expected
    assert session.exited().code == 0
    assert alive(session.monitor_pid)
    until(lambda: memory_kb(session.monitor_pid) < 2500)
    assert digest(read_to_end(asleep)) == expected
    harbour.gone(session.monitor_pid)


def test_a_client_that_reads_in_small_sips_loses_nothing(harbour: Harbour) -> None:
    session = harbour.launch("seq", "200000")
    client = session.attach(Attach(stdin=False))
    session.go()
    chunks = []
    for size in (1, 7, 100, 4095, 8191) * 200:
        if not (chunk := client.recv(size)):
            break
        chunks.append(chunk)
    rest = read_to_end(client)
    assert unframed(b"".join(chunks) + rest)[1] == numbers(200000)


def test_clients_that_vanish_in_the_middle_disturb_nobody(harbour: Harbour) -> None:
    session = harbour.launch("seq", str(LINES), log={"max_files": 20})
    fleeting = [session.attach(RAW) for _ in range(5)]
    staying = session.attach(RAW)
    session.go()
    got = staying.recv(1 << 20)
    for number, client in enumerate(fleeting):
        if number % 2:
            client.recv(1000)
        client.close()
    expected = digest(numbers(LINES))
    assert digest(got + read_to_end(staying)) == expected
    session.exited()
    assert digest(logged(session)) == expected
    harbour.gone(session.monitor_pid)


def test_a_client_gets_the_streams_that_it_asked_for(harbour: Harbour) -> None:
    session = harbour.launch("sh", "-c", "echo out; echo err >&2")
    both, out, err = (
        session.attach(Attach(stdin=False, stdout=stdout, stderr=stderr))
        for stdout, stderr in ((True, True), (True, False), (False, True))
    )
    session.go()
    assert unframed(read_to_end(both)) == {1: b"out\n", 2: b"err\n"}
    assert unframed(read_to_end(out)) == {1: b"out\n", 2: b""}
    assert unframed(read_to_end(err)) == {1: b"", 2: b"err\n"}


@pytest.mark.parametrize("harbour", [("SPOOL_LIMIT_BYTES=300000", "STUCK_S=10")], indirect=True)
def test_behind_a_full_spool_the_container_waits_for_a_client_that_goes_on_reading(harbour: Harbour) -> None:
    session = harbour.launch("seq", "600000", driver="none")
    client = session.attach(RAW)
    session.go()
    chunks = []
    while chunk := client.recv(20000):
        chunks.append(chunk)
        os.sched_yield()
    assert digest(b"".join(chunks)) == digest(numbers(600000))


@pytest.mark.parametrize("harbour", [("SPOOL_LIMIT_BYTES=300000", "STUCK_S=0.2")], indirect=True)
def test_behind_a_full_spool_a_client_that_takes_nothing_is_given_up(harbour: Harbour) -> None:
    session = harbour.launch("seq", "600000", log={"max_files": 20})
    stuck = session.attach(RAW)
    session.go()
    assert session.exited().code == 0
    assert logged(session) == numbers(600000)
    got = read_to_end(stuck)
    assert len(got) < len(numbers(600000))
    assert numbers(600000).startswith(got)


@pytest.mark.parametrize("harbour", [("LAST_PATIENCE_S=0.3",)], indirect=True)
def test_a_client_that_never_takes_the_last_of_the_output_does_not_keep_the_monitor_for_ever(harbour: Harbour) -> None:
    session = harbour.launch("seq", "600000")
    stuck = session.attach(RAW)
    session.go()
    session.exited()
    assert harbour.gone(session.monitor_pid).status == 0
    assert numbers(600000).startswith(read_to_end(stuck))


def test_where_the_spool_cannot_be_made_the_container_waits_for_its_clients(harbour: Harbour) -> None:
    session = harbour.launch("seq", "600000", driver="none")
    os.rmdir(session.plan.state_directory)
    client = session.attach(RAW)
    session.go()
    assert digest(read_to_end(client)) == digest(numbers(600000))


def test_lines_that_never_end_are_cut_in_the_log_and_whole_for_a_client(harbour: Harbour) -> None:
    session = harbour.launch("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; printf end")
    client = session.attach(RAW)
    session.go()
    assert read_to_end(client) == b"x" * 100000 + b"end"
    session.exited()
    with LogReader(str(session.log)) as reader:
        sizes = [len(record.text) for record in reader.read()]
    assert sizes == [16384] * 6 + [100003 - 6 * 16384]


def test_bytes_that_are_no_text_reach_a_client_unchanged(harbour: Harbour) -> None:
    content = bytes(range(256)) * 4000
    source = harbour.directory / "bytes"
    source.write_bytes(content)
    session = harbour.launch("cat", str(source))
    asleep = session.attach(RAW)
    session.go()
    session.exited()
    assert read_to_end(asleep) == content


def first_bytes(client: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        content += client.recv(count - len(content))
    return content


def test_output_that_others_write_after_the_end_of_pid_1_is_waited_for_only_a_while(harbour: Harbour) -> None:
    """Possible only in a shared pid namespace; here all are, and there is no cgroup to end them by."""
    session = harbour.launch("sh", "-c", "(sleep 0.2; echo late; exec sleep 1000) & echo $!; exit 5")
    client = session.attach(RAW)
    session.go()
    assert session.exited().code == 5
    pid, text = read_to_end(client).split()
    assert text == b"late"
    os.kill(int(pid), signal.SIGKILL)


def test_a_signal_to_everyone_needs_no_cgroup_to_reach_the_process_itself(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    session.say(Signal(signal.SIGINT, everyone=True))
    assert session.exited().signal == signal.SIGINT
