"""/proc/cpuinfo of a container, from a machine's."""

from __future__ import annotations

import pytest

from sampan.view.processors import shown_cpuinfo

# Two packages of two cores with two threads each, numbered as Linux does: first all cores, then their second threads.
PLACES = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 0), (0, 1), (1, 0), (1, 1))


def _machine() -> str:
    return "".join(
        f"processor\t: {number}\nmodel name\t: Some CPU: fast\nphysical id\t: {package}\nsiblings\t: 4\n"
        f"core id\t\t: {core}\ncpu cores\t: 2\nflags\t\t: fpu vme\n\n"
        for number, (package, core) in enumerate(PLACES)
    )


def _values(text: str, name: str) -> list[str]:
    return [line.partition(":")[2].strip() for line in text.splitlines() if line.partition(":")[0].strip() == name]


@pytest.mark.parametrize(
    ("shown", "siblings", "cores"),
    [
        ((0,), ["1"], ["1"]),
        ((0, 1), ["2", "2"], ["2", "2"]),
        ((0, 4), ["2", "2"], ["1", "1"]),
        ((1, 2, 6), ["1", "2", "2"], ["1", "1", "1"]),
        ((0, 1, 2), ["2", "2", "1"], ["2", "2", "1"]),
    ],
)
def test_siblings_and_cores_count_those_that_are_shown(
    shown: tuple[int, ...], siblings: list[str], cores: list[str]
) -> None:
    text = shown_cpuinfo(_machine(), shown)
    assert _values(text, "processor") == [str(cpu) for cpu in shown]
    assert (_values(text, "siblings"), _values(text, "cpu cores")) == (siblings, cores)


def test_with_all_processors_it_is_the_machines() -> None:
    assert shown_cpuinfo(_machine(), tuple(range(len(PLACES)))) == _machine()


def test_paragraphs_that_are_of_no_processor_stay() -> None:
    text = "processor\t: 0\nBogoMIPS\t: 48\n\nprocessor\t: 1\nBogoMIPS\t: 48\n\nHardware\t: board\n"
    assert shown_cpuinfo(text, (1,)) == "processor\t: 1\nBogoMIPS\t: 48\n\nHardware\t: board\n"
