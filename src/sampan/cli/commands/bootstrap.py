"""`sampan image bootstrap`: a base image without a hub."""

from __future__ import annotations

import sys

from sampan.cli.grammar import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.session import Session

SUMMARY = "Make a base image of a distribution, without a hub"
DETAILS = """The daemon has mmdebstrap make it, from the mirror that this machine itself uses.
The same packages give the same image. It is named as in debian:trixie or debian:bookworm-buildd."""
USAGE = ("[OPTIONS] DISTRIBUTION:SUITE[-VARIANT]",)
WORDS = (1, 1)
OPTIONS = (
    ("include", "", "list", "", "Install this package too; names may also be joined by commas"),
    ("mirror", "", "string", "", "Get packages from this mirror"),
    ("quiet", "q", "bool", "", "Do not show how it goes"),
    ("tag", "t", "string", "", "Name of the image (default that of the distribution)"),
    ("variant", "", "string", "", "How much to install, in mmdebstrap's words (default minbase)"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Have it made, and print the image's id."""
    query = {
        "from": arguments.words[0],
        "mirror": arguments.text("mirror") or None,
        "name": arguments.text("tag") or None,
        "package": [name for item in arguments.items("include") for name in item.split(",")],
        "variant": arguments.text("variant") or None,
    }
    made = ""
    for message in session.stream("POST", "/images/bootstrap", query):
        if message.get("error"):
            remedy = (message.get("errorDetail") or {}).get("remedy", "")
            raise Failure(str(message["error"]), remedy=remedy)
        if "aux" in message:
            made = message["aux"]["ID"]
        elif not arguments.flag("quiet"):
            sys.stderr.write(message.get("stream", ""))
            sys.stderr.flush()
    sys.stdout.write(f"{made}\n")
    return 0
