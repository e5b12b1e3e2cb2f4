"""`./dev bench [NAME] [NUMBER]`: sampan side by side with Docker, Podman, runc and crun; the same work in turn.

    ./dev bench [--only NAME,NAME] [--runs NUMBER]    everything: bench/results/DATE.json with its table and chart, and
                                                      the same as latest; with --only these groups of today's results
    ./dev bench NAME [NUMBER]                         one group, printed: docker, network, images, builds, files,
                                                      start, scale, churn, neighbours; or phases: where the
                                                      time of a start goes

The number is of runs; of containers for scale and churn, of seconds for neighbours, of starts for phases. `images` and
`start` have options: `./dev bench images --help`. `python -m bench.report FILE.json` makes table and chart of results
once more.
"""

from __future__ import annotations

import importlib
import signal
import sys

from bench import whole

WITH_OPTIONS = frozenset({"images", "start"})


def main() -> int:
    # whoever is ended in the middle leaves no engine and no mount behind
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    words = sys.argv[1:]
    if not words or (words[0].startswith("--") and words[0] != "--help"):
        return whole.main(words)
    which, *rest = words
    if which in WITH_OPTIONS:
        sys.argv[:] = [f"bench {which}", *rest]
        importlib.import_module(f"bench.{which}").main()
        return 0
    defaults = {**{name: group.number for name, group in whole.GROUPS.items()}, "phases": 50}
    if which not in defaults:
        print(__doc__)
        return 0 if which == "--help" else 2
    default = defaults[which]
    importlib.import_module(f"bench.{which}").main(type(default)(rest[0]) if rest else default)
    return 0


if __name__ == "__main__":
    sys.exit(main())
