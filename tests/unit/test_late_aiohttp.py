"""What a daemon has of aiohttp before it talks to a registry, and that the rest is there when it is named."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

INSTALL = "import json, sys; from sampan.daemon import late_aiohttp; late_aiohttp.install(); "


def _python(program: str) -> Any:
    """What a fresh interpreter prints, as JSON."""
    done = subprocess.run([sys.executable, "-c", INSTALL + program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_all_of_a_daemon_is_imported_without_the_client_and_the_applications() -> None:
    loaded = _python("import sampan.daemon.serve; print(json.dumps(sorted(sys.modules)))")
    assert "aiohttp.web_protocol" in loaded
    assert not {"aiohttp.client", "aiohttp.connector", "aiohttp.web_app", "argparse"} & set(loaded)
    assert not {"sampan.build.builder", "dnslib", "sampan.view.server"} & set(loaded)


def test_the_client_is_there_when_it_is_named_and_all_that_was_imported_is_its_own() -> None:
    found = _python(
        "import aiohttp; from aiohttp import web, hdrs; early = (web.StreamResponse, aiohttp.HttpVersion11, hdrs);"
        "from aiohttp import ClientSession; import aiohttp.client; import aiohttp.web_app;"
        "print(json.dumps([ClientSession is aiohttp.client.ClientSession,"
        " web.Application is aiohttp.web_app.Application, type(aiohttp).__name__, type(web).__name__,"
        " early == (web.StreamResponse, aiohttp.HttpVersion11, hdrs), issubclass(web.Response, early[0]),"
        " aiohttp.web is web, sys.modules['aiohttp'] is aiohttp]))"
    )
    assert found == [True, True, "module", "module", True, True, True, True]


def test_the_version_is_the_installed_one() -> None:
    from importlib import metadata  # the daemon itself does not need it

    assert _python("import aiohttp; print(json.dumps(aiohttp.__version__))") == metadata.version("aiohttp")


def test_what_is_nowhere_in_it_is_missing_as_in_any_package() -> None:
    found = _python(
        "import aiohttp; from aiohttp import web; "
        "print(json.dumps([hasattr(aiohttp, 'Nonsense'), hasattr(web, 'Nonsense'), hasattr(aiohttp, '__wrapped__')]))"
    )
    assert found == [False, False, False]


def test_threads_that_name_it_at_once_get_the_same() -> None:
    found = _python(
        "import threading, aiohttp; got = []; gate = threading.Barrier(8);"
        "work = lambda: (gate.wait(), got.append((aiohttp.ClientSession, aiohttp.TCPConnector, aiohttp.ClientError)));"
        "threads = [threading.Thread(target=work) for _ in range(8)];"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads];"
        "print(json.dumps([len(got), len(set(got))]))"
    )
    assert found == [8, 1]


def test_nothing_is_done_when_it_has_been_imported_already() -> None:
    found = _python(
        "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('aiohttp')];"
        "import aiohttp; late_aiohttp.install(); print(json.dumps(type(aiohttp).__name__))"
    )
    assert found == "module"
