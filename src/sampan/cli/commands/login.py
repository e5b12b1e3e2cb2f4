"""`sampan login`: say once who the user is to a registry."""

from __future__ import annotations

import sys

from sampan.cli.credentials import HUB, login_for
from sampan.cli.grammar import Failure, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.grammar import Arguments
    from sampan.client.credentials import Login
    from sampan.client.session import Session

SUMMARY = "Log in to a registry"
DETAILS = """Without SERVER it is Docker Hub. What the registry accepts is kept where docker keeps it: with the
credential helper that docker's config.json names, else in that file."""
USAGE = ("[OPTIONS] [SERVER]",)
WORDS = (0, 1)
OPTIONS = (
    ("password", "p", "string", "", "Password (others can read it in the list of processes)"),
    ("password-stdin", "", "bool", "", "Read the password from standard input"),
    ("username", "u", "string", "", "User's name"),
)


def run(arguments: Arguments, session: Session) -> int:
    """Ask the registry whether it accepts the user, and keep what it said."""
    from sampan.client.credentials import keep_login, server_of
    from sampan.client.failure import ApiError

    registry = arguments.words[0] if arguments.words else HUB
    username, password = arguments.text("username"), _password(arguments)
    kept = login_for(registry)
    if kept.is_given and not username and not password:
        sys.stdout.write("Authenticating with existing credentials...\n")
        try:
            return _succeed(session, registry, kept)
        except ApiError as error:
            sys.stdout.write(f"Login did not succeed, error: {error.sentence}\n")
    accepted = _asked(session, registry, _typed(registry, username or _prompted(kept.username), password))
    where = keep_login(registry, accepted)
    if where.endswith(".json"):
        sys.stderr.write(
            f"WARNING! The password for {server_of(registry)} is kept unencrypted in {where}; "
            "name a credential helper there (credsStore) to change that\n"
        )
    sys.stdout.write("Login Succeeded\n")
    return 0


def _succeed(session: Session, registry: str, login: Login) -> int:
    _asked(session, registry, login)
    sys.stdout.write("Login Succeeded\n")
    return 0


def _asked(session: Session, registry: str, login: Login) -> Login:
    """The login as it is to be kept, which the registry may have turned into a token."""
    from sampan.client.credentials import Login

    answer = session.call("POST", "/auth", None, login.document(registry))
    token = str(answer.get("IdentityToken") or "")
    return Login(login.username, identity_token=token) if token else login


def _password(arguments: Arguments) -> str:
    """The password that the command line or standard input gives."""
    if not arguments.flag("password-stdin"):
        if arguments.text("password"):
            sys.stderr.write("WARNING! --password shows it to every user of this machine; use --password-stdin\n")
        return arguments.text("password")
    if arguments.given("password"):
        raise UsageError("--password and --password-stdin exclude each other", remedy="leave one of them out", code=1)
    if not arguments.text("username"):
        raise UsageError("--password-stdin needs --username", remedy="add -u NAME", code=1)
    password = sys.stdin.read().rstrip("\r\n")
    if not password:
        raise Failure("standard input has no password", remedy="printf %s PASSWORD | sampan login -u NAME …")
    return password


def _prompted(known: str) -> str:
    _need_terminal()
    sys.stdout.write(f"Username ({known}): " if known else "Username: ")
    sys.stdout.flush()
    name = sys.stdin.readline().strip() or known
    if not name:
        raise Failure("a username is needed", remedy="name one with -u")
    return name


def _typed(registry: str, username: str, password: str) -> Login:
    from sampan.client.credentials import Login

    if not password:
        from getpass import getpass

        _need_terminal()
        password = getpass(f"Password for {username} at {registry}: ")
        if not password:
            raise Failure("a password is needed", remedy="type it, or pipe it to --password-stdin")
    return Login(username, password)


def _need_terminal() -> None:
    if not sys.stdin.isatty():
        raise Failure("standard input is no terminal that could be asked", remedy="give -u NAME and --password-stdin")
