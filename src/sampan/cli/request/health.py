"""--health-*, --no-healthcheck, --stop-signal and --stop-timeout."""

from __future__ import annotations

from sampan.cli.grammar import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.grammar import Arguments
    from sampan.cli.request import CreateRequest

_NUMBERS = {
    "health-interval": "Interval",
    "health-timeout": "Timeout",
    "health-start-period": "StartPeriod",
    "health-start-interval": "StartInterval",
    "health-retries": "Retries",
}
ACTIONS = ("none", "restart", "stop", "kill")


def apply(arguments: Arguments, request: CreateRequest) -> None:
    """Fill in Healthcheck, HealthAction, StopSignal and StopTimeout."""
    check = _check(arguments)
    if check:
        request.config["Healthcheck"] = check
    action = arguments.text("health-on-failure")
    if action:
        if action not in ACTIONS:
            raise UsageError(f"--health-on-failure cannot be {action!r}", remedy=f"use {', '.join(ACTIONS)}")
        request.host["HealthAction"] = action
    if arguments.text("stop-signal"):
        request.config["StopSignal"] = arguments.text("stop-signal")
    if arguments.given("stop-timeout"):
        request.config["StopTimeout"] = arguments.number("stop-timeout")


def _check(arguments: Arguments) -> dict[str, Any]:
    check: dict[str, Any] = {}
    if arguments.text("health-cmd"):
        check["Test"] = ["CMD-SHELL", arguments.text("health-cmd")]
    for option, name in _NUMBERS.items():
        value = arguments.number(option)
        if value < 0:
            raise UsageError(f"--{option} cannot be negative")
        if value:
            check[name] = value
    if not arguments.flag("no-healthcheck"):
        return check
    if check:
        raise UsageError("--no-healthcheck and the --health options exclude each other", remedy="leave one out")
    return {"Test": ["NONE"]}
