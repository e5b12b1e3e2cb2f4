"""The size check: files up to 400 lines, functions up to 40, but for the exceptions listed here with their reason.

A function's length counts its code: neither its docstring nor blank lines nor comments.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 40

# path -> reason; a path here may be longer than the limit
LONG_FILES: dict[str, str] = {
    "tests/runtime/test_launch.py": "what a launched container is, one fact after the other",
}
# "path:function" -> reason
LONG_FUNCTIONS: dict[str, str] = {
    "src/sampan/api/container_config.py:host_from": "a table: one field of Docker's HostConfig a line",
    "src/sampan/api/host_config.py:host_to": "a table: one field of Docker's HostConfig a line",
    "tests/api/test_checklist_lifecycle.py:test_what_create_takes_inspect_gives_back": "a table of fields",
    "src/sampan/daemon/wiring.py:wire": "a table: one part a line",
}
# tests and data tables may be long where splitting would only scatter them
FOLDERS = ("src", "tests", "bench", "tools")


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    """How many lines of code `node` has, counted as the module's docstring says."""
    body = node.body
    first = body[0]
    is_documented = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    skipped = set(range(first.lineno, (first.end_lineno or first.lineno) + 1)) if is_documented else set[int]()
    counted = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    texts = (lines[number - 1].strip() for number in counted if number not in skipped)
    return sum(1 for text in texts if text and not text.startswith("#"))


def problems(path: Path) -> list[str]:
    """What is too long in one file."""
    text = path.read_text()
    lines = text.splitlines()
    found = []
    if len(lines) > FILE_LINES and str(path) not in LONG_FILES:
        found.append(f"{path}: {len(lines)} lines, more than {FILE_LINES}")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = code_lines(node, lines)
            if length > FUNCTION_LINES and f"{path}:{node.name}" not in LONG_FUNCTIONS:
                found.append(f"{path}:{node.lineno}: {node.name} has {length} lines, more than {FUNCTION_LINES}")
    return found


def stale() -> list[str]:
    """Exceptions whose file is gone."""
    named = [*LONG_FILES, *(entry.split(":")[0] for entry in LONG_FUNCTIONS)]
    return [f"{name}: listed as an exception but not there" for name in named if not Path(name).exists()]


def main() -> int:
    """Print every problem; the exit status is 1 when there is one."""
    files = [path for folder in FOLDERS for path in sorted(Path(folder).rglob("*.py"))]
    found = [problem for path in files for problem in problems(path)] + stale()
    print("\n".join(found) if found else f"sizes: {len(files)} files, none too long")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
