"""What helps when the program of `sampan exec` could not be started, which comes among its output."""

from __future__ import annotations

import sys

from sampan.cli.problem import remedy_of_option

REFUSALS = (b"OCI runtime exec failed: ", b"unable to find user ")
_REMEDIES = {
    "executable file not found": "name a program of the image, by its whole path or from a directory in PATH",
    "chdir to cwd": "name a directory that is there with -w, or leave it out",
    "no such file or directory": "name a program that is in the image",
    "is a directory": "name a program, not a directory",
    "permission denied": "make the file executable (chmod +x)",
    "unable to find user": "use a user of the image, or a number",
}


def show_remedy(last: bytes) -> None:
    """Print the remedy when `last`, the last bytes of the output, says that there was no start."""
    if not any(refusal in last for refusal in REFUSALS):
        return
    sentence = last.decode(errors="replace")
    known = next((remedy for words, remedy in _REMEDIES.items() if words in sentence), "")
    if remedy := remedy_of_option(sentence, "container") or known:
        sys.stderr.write(f"  try: {remedy}\n")
