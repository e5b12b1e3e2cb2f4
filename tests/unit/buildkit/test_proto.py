"""The modules that stand beside the .proto files are what these give."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_messages_are_written_from_what_describes_them(tmp_path: Path) -> None:
    subprocess.run([ROOT / "tools" / "protos", tmp_path], check=True, capture_output=True)
    written = tmp_path / "sampan" / "buildkit" / "proto"
    names = sorted(path.name for path in written.iterdir())
    assert [name for name in names if name.endswith("_pb2.py")]
    for name in names:
        assert (written / name).read_text() == (ROOT / "src/sampan/buildkit/proto" / name).read_text(), name
