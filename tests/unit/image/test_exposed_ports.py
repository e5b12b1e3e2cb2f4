"""What words of EXPOSE mean, as Docker 26.1.5's builder and its `commit --change` read them."""

from __future__ import annotations

import pytest

from sampan.errors import InvalidArgument
from sampan.image.exposed_ports import exposed_ports


@pytest.mark.parametrize(
    ("word", "ports"),
    [
        ("80", ["80/tcp"]),
        ("80/UDP", ["80/udp"]),
        ("80/", ["80/tcp"]),
        ("0", ["0/tcp"]),
        ("010", ["10/tcp"]),
        ("8000-8002/sctp", ["8000/sctp", "8001/sctp", "8002/sctp"]),
        ("8080:80", ["80/tcp"]),
        ("127.0.0.1:8080:80", ["80/tcp"]),
        ("1.2.3.4::80", ["80/tcp"]),
        ("[::1]:80:81", ["81/tcp"]),
        ("80-81:90-91", ["90/tcp", "91/tcp"]),
        ("80-82:90", ["90/tcp"]),
    ],
)
def test_a_word_means_ports_of_the_container(word: str, ports: list[str]) -> None:
    assert list(exposed_ports(word)) == ports


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("90-80", "Invalid containerPort: 90-80"),
        ("80-", "Invalid containerPort: 80-"),
        ("65536", "Invalid containerPort: 65536"),
        ("80:x", "Invalid containerPort: x"),
        ("٣", "Invalid containerPort: ٣"),
        ("x:80", "Invalid hostPort: x"),
        ("1.2.3:80:80", "Invalid IP address: 1.2.3"),
        ("80:", "No port specified: 80:<empty>"),
        ("/tcp", "No port specified: /tcp<empty>"),
        ("80/foo", "Invalid proto: foo"),
        ("80:90-92", "Invalid ranges specified for container and host Ports: 90-92 and 80"),
    ],
)
def test_a_word_that_is_no_port_is_refused_in_dockers_words(word: str, sentence: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        exposed_ports(word)
    assert refused.value.sentence == sentence
    assert refused.value.remedy
