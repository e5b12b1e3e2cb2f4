"""Image diet: what is hidden, doubled and rubbish is found, blamed and left out."""

from __future__ import annotations

import os
import random
import sqlite3
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kernel.conftest import PrivateHost
from tests.unit.image.conftest import make_archive

from sampan.errors import InvalidArgument
from sampan.image.diet import Diet, analyse_layers
from sampan.image.diet_page import page, shown
from sampan.image.diet_rubbish import RUBBISH, rubbish_of
from sampan.image.layers import LayerStore
from sampan.image.records import Base, Image, ImageRecords
from sampan.image.slim import KINDS, SAFE_KINDS, squash
from sampan.image.tar_entry import Entry, Kind
from sampan.image.treemap import Rectangle, squarify
from sampan.oci.image_spec import ContainerDefaults, History, ImageConfig, RootFs, decode_config, encode

CHANCE = random.Random(4)
MODEL = CHANCE.randbytes(40_000)
BASE = make_archive(("usr/bin/tool", b"1" * 1000), ("etc/config", b"c" * 100), ("opt/x/old", b"o" * 300))
INSTALL = make_archive(
    ("var/lib/apt/lists/index", b"l" * 5000),
    ("root/.cache/pip/wheel", b"w" * 700),
    ("usr/share/man/man1/tool.1", b"m" * 50),
    ("app/big.tar", b"t" * 2000),
    ("app/model", MODEL),
)
CLEAN = make_archive(
    ("app/.wh.big.tar", b""),
    ("usr/bin/tool", b"2" * 900),
    ("opt/x/.wh..wh..opq", b""),
    ("opt/x/new", b"n" * 30),
    ("app/model copy", MODEL),
    Entry(b"app/linked", Kind.LINK, link=b"app/model copy"),
)


@pytest.fixture
def image(layers: LayerStore, connection: sqlite3.Connection) -> Image:
    diff_ids = tuple(layers.add_chunks([data]).diff_id for data in (BASE, INSTALL, CLEAN))
    history = (
        History(created_by="ADD rootfs.tar / # buildkit"),
        History(created_by="/bin/sh -c #(nop)  ENV A=<b>", empty_layer=True),
        History(created_by="/bin/sh -c apt-get install tool # buildkit"),
        History(created_by="|0 /bin/sh -c rm app/big.tar && <make>"),
    )
    defaults = ContainerDefaults(cmd=("tool",))
    config = ImageConfig(config=defaults, rootfs=RootFs(diff_ids=diff_ids), history=history)
    size = sum(layers.get(diff_id).bytes for diff_id in diff_ids)
    return ImageRecords(connection).add(encode(config), size=size)


@pytest.fixture
def diet(layers: LayerStore, image: Image) -> Diet:
    return analyse_layers(layers, image)


def test_every_byte_is_accounted_for(diet: Diet, image: Image) -> None:
    assert diet.size == image.size == sum(layer.size for layer in diet.layers)
    assert diet.seen == diet.size - 2000 - 1000 - 300  # deleted, replaced, hidden
    assert diet.tree.size == diet.seen
    assert sum(part.size for part in diet.tree.parts) == diet.seen


def test_waste_is_found_with_the_instruction_to_blame(diet: Diet) -> None:
    found = {(waste.path, waste.kind, waste.size, waste.layer) for waste in diet.waste}
    assert found == {
        ("var/lib/apt/lists/index", "package lists and caches", 5000, 1),
        ("root/.cache/pip/wheel", "caches of language tools", 700, 1),
        ("usr/share/man/man1/tool.1", "documentation", 50, 1),
        ("app/big.tar", "deleted by a higher layer", 2000, 1),
        ("usr/bin/tool", "replaced by a higher layer", 1000, 0),
        ("opt/x/old", "hidden by a higher layer", 300, 0),
        ("app/linked", "duplicate", 40_000, 2),
    }
    remedies = {waste.path: waste.remedy for waste in diet.waste}
    assert "by layer 2: RUN rm app/big.tar && <make>" in remedies["app/big.tar"]
    assert "/app/model:" in remedies["app/linked"]
    assert [layer.instruction for layer in diet.layers] == [
        "ADD rootfs.tar /",
        "RUN apt-get install tool",
        "RUN rm app/big.tar && <make>",
    ]


def test_what_each_remedy_brings_is_summed_largest_first(diet: Diet) -> None:
    assert [(saving.kind, saving.size) for saving in diet.savings()][:3] == [
        ("duplicate", 40_000),
        ("package lists and caches", 5000),
        ("deleted by a higher layer", 2000),
    ]
    assert sum(saving.size for saving in diet.savings()) == diet.wasted


def test_an_image_that_is_lean_has_no_waste(layers: LayerStore, connection: sqlite3.Connection) -> None:
    diff_id = layers.add_chunks([make_archive(("bin/tool", b"x" * 10))]).diff_id
    lean = ImageRecords(connection).add(encode(ImageConfig(rootfs=RootFs(diff_ids=(diff_id,)))), size=10)
    diet = analyse_layers(layers, lean)
    assert (diet.wasted, diet.waste, diet.savings()) == (0, (), [])
    assert diet.layers[0].instruction == ""
    assert "Nothing to save was found" in page(diet, "lean")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("var/lib/apt/lists/deb.example_dists_Packages", "package lists and caches"),
        ("var/cache/apk/x", "package lists and caches"),
        ("home/me/.cache/pip/http/1", "caches of language tools"),
        ("var/log/dpkg.log", "logs"),
        ("src/.git/objects/1", "version control"),
        ("usr/lib/x86_64-linux-gnu/libc.a", "static libraries"),
        ("usr/bin/git", None),
        ("var/lib/apt/extended_states", None),
        ("etc/logrotate.conf", None),
    ],
)
def test_rubbish_is_known_by_its_place(path: str, kind: str | None) -> None:
    found = rubbish_of(path)
    assert (found.kind if found else None) == kind


def test_every_kind_of_rubbish_has_a_remedy() -> None:
    assert all(rubbish.remedy and rubbish.patterns for rubbish in RUBBISH)
    assert set(SAFE_KINDS) < set(KINDS)


def test_the_page_is_whole_and_shows_nothing_unescaped(diet: Diet) -> None:
    text = page(diet, "<script>app")
    assert "<script>" not in text
    assert "&lt;script&gt;app" in text
    assert "RUN rm app/big.tar &amp;&amp; &lt;make&gt;" in text
    drawing = text[text.index("<svg") : text.index("</svg>") + 6]
    titles = [title.text or "" for title in ET.fromstring(drawing).iter("title")]
    assert any(title.startswith("/app/model: 40kB") for title in titles)
    assert "http" not in text.replace("http-equiv", "")


def test_the_parts_of_a_directory_that_is_most_of_the_image_have_colours_of_their_own(
    layers: LayerStore, connection: sqlite3.Connection
) -> None:
    files = (("usr/lib/a", b"a" * 400_000), ("usr/bin/b", b"b" * 300_000), ("etc/c", b"c" * 100_000))
    diff_id = layers.add_chunks([make_archive(*files)]).diff_id
    image = ImageRecords(connection).add(encode(ImageConfig(rootfs=RootFs(diff_ids=(diff_id,)))), size=1)
    text = page(analyse_layers(layers, image), "image")
    drawing = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    colours = {
        (group.findtext("title") or "").partition(":")[0]: rectangle.get("fill")
        for group in drawing.iter("g")
        for rectangle in group.findall("rect")[:1]
    }
    assert colours["/usr/lib/a"] == colours["/usr/lib"]
    assert len({colours[path] for path in ("/usr", "/usr/lib", "/usr/bin")}) == 3


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (999, "999B"), (1000, "1kB"), (272_000_000, "272MB"), (1.5e12, "1.5TB")]
)
def test_sizes_are_written_as_docker_writes_them(size: float, text: str) -> None:
    assert shown(size) == text


@given(weights=st.lists(st.integers(1, 10**9), min_size=1, max_size=60))
def test_a_treemap_fills_its_space_in_proportion(weights: list[int]) -> None:
    weights.sort(reverse=True)
    space = Rectangle(5.0, 7.0, 400.0, 300.0)
    placed = squarify([float(weight) for weight in weights], space)
    total = sum(weights)
    for weight, one in zip(weights, placed, strict=True):
        assert one.width * one.height == pytest.approx(120_000 * weight / total, rel=1e-6, abs=1e-6)
        assert one.x >= space.x - 1e-6
        assert one.y >= space.y - 1e-6
        assert one.x + one.width <= space.x + space.width + 1e-3
        assert one.y + one.height <= space.y + space.height + 1e-3


def test_a_squashed_image_is_what_a_container_saw(host: PrivateHost, layers: LayerStore, image: Image) -> None:
    def go() -> tuple[str, bytes, int]:
        with layers.hold() as hold:
            made = squash(layers, hold, image)
        return made.layer.diff_id, made.config, made.size_before

    diff_id, config, before = host.run(go)
    tree = Path(layers.diff(diff_id))
    assert before == image.size
    assert layers.get(diff_id).bytes == before - 2000 - 1000 - 300
    assert (tree / "usr/bin/tool").read_bytes() == b"2" * 900
    assert os.listdir(tree / "opt/x") == ["new"]
    assert sorted(os.listdir(tree / "app")) == ["linked", "model", "model copy"]
    decoded = decode_config(config)
    assert decoded.rootfs.diff_ids == (diff_id,)
    assert decoded.config == image.defaults
    assert decoded.history is not None
    assert [step.empty_layer for step in decoded.history] == [True, True, True, True, False]
    assert decoded.history[-1].comment == "squashed 3 layers into one"


def test_a_slim_image_lacks_the_rubbish_that_was_named(host: PrivateHost, layers: LayerStore, image: Image) -> None:
    def go() -> str:
        with layers.hold() as hold:
            return squash(layers, hold, image, leave_out=SAFE_KINDS).layer.diff_id

    tree = Path(layers.diff(host.run(go)))
    assert os.listdir(tree / "var/lib/apt/lists") == []
    assert not (tree / "root/.cache/pip/wheel").exists()
    assert (tree / "usr/share/man/man1/tool.1").exists()
    assert (tree / "usr/bin/tool").exists()


def test_what_cannot_be_squashed_is_refused(layers: LayerStore, image: Image, connection: sqlite3.Connection) -> None:
    machine = ImageRecords(connection).add(encode(ImageConfig(rootfs=RootFs())), size=0, base=Base.HOST)
    with layers.hold() as hold:
        with pytest.raises(InvalidArgument, match="unknown kind 'everything'"):
            squash(layers, hold, image, leave_out=["everything"])
        with pytest.raises(InvalidArgument, match="machine itself"):
            squash(layers, hold, machine)
