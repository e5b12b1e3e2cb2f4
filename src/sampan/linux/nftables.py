"""nftables through libnftables: commands in nft(8)'s language or its JSON form, run in one transaction each.

One library, one kept context a network namespace; no program is started. What the rules are is decided elsewhere.
Source: libnftables(3), libnftables-json(5).
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import threading
from types import TracebackType
from typing import Self

from sampan.errors import NotImplementedHere
from sampan.linux.network_namespace import inside

_SONAME = "libnftables.so.1"
_STATELESS, _HANDLE, _JSON, _ECHO = 1 << 2, 1 << 3, 1 << 4, 1 << 5  # NFT_CTX_OUTPUT_*
_NUMERIC = 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10  # protocols, priorities, symbols, times
_NUMBERS = {os.strerror(number): number for number in sorted(errno.errorcode, reverse=True)}
_NUMBERS["element does not exist"] = errno.ENOENT  # of intervals the library sees that itself, before the kernel does


@functools.cache
def library() -> ctypes.CDLL:
    """libnftables; NotImplementedHere when this host lacks it."""
    try:
        loaded = ctypes.CDLL(_SONAME)
    except OSError as error:
        raise NotImplementedHere(
            f"nftables rules cannot be set: {error}",
            remedy="apt-get install libnftables1, or run with --network host or none",
        ) from error
    loaded.nft_ctx_new.restype = ctypes.c_void_p
    loaded.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(loaded, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(loaded, name).argtypes = [ctypes.c_void_p]
        getattr(loaded, name).restype = ctypes.c_char_p
    loaded.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    loaded.nft_ctx_output_set_flags.restype = None
    for name in ("nft_run_cmd_from_buffer", "nft_run_cmd_from_filename"):
        getattr(loaded, name).argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return loaded


class Nftables:
    """The nftables of one network namespace: the caller's own, or that of `netns_fd`. Safe for several threads.

    Raises NotImplementedHere without libnftables, and OSError when the namespace can't be visited or the kernel has no
    nftables.
    """

    def __init__(self, netns_fd: int = -1) -> None:
        self._library = library()
        self._lock = threading.Lock()
        self._context: int | None = None
        if netns_fd < 0:
            self._open()
        else:
            with inside(netns_fd):
                self._open()

    def _open(self) -> None:
        """Make the context; its socket belongs to the namespace the thread is in now."""
        context = self._library.nft_ctx_new(0)
        if not context:
            raise OSError(errno.ENOMEM, "nft: no context can be made")
        self._context = context
        if self._library.nft_ctx_buffer_output(context) or self._library.nft_ctx_buffer_error(context):
            self.close()
            raise OSError(errno.ENOMEM, "nft: no buffer can be made")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the context; again is no error."""
        with self._lock:
            context, self._context = self._context, None
            if context is not None:
                self._library.nft_ctx_free(context)

    def run(self, commands: str, *, json: bool = False, handles: bool = False, echo: bool = False) -> str:
        """Carry out `commands`, all or none of them, and return what they print; numbers are not made names.

        With `json` the output is JSON, and `commands` may be; with `echo` what was added is printed, as it is then.
        Raises OSError with the kernel's errno, EINVAL for what is no command; its text names the first complaint and
        the line it is about.
        """
        flags = _NUMERIC | (_JSON if json else 0) | (_HANDLE if handles else 0) | (_ECHO if echo else 0)
        with self._lock:
            if self._context is None:
                raise OSError(errno.EBADF, "nft: the context is closed")
            self._library.nft_ctx_output_set_flags(self._context, flags)
            failed = self._carry_out(self._context, commands.strip())
            output = self._library.nft_ctx_get_output_buffer(self._context).decode(errors="replace")
            complaints = self._library.nft_ctx_get_error_buffer(self._context).decode(errors="replace")
        if failed:
            raise _refusal(complaints)
        return "".join(line for line in output.splitlines(keepends=True) if not line.startswith("# new generation"))

    def _carry_out(self, context: int, commands: str) -> int:
        """Of a buffer's lines libnftables shows the first one in every complaint, of a file's the right one."""
        if "\n" not in commands or commands.startswith("{"):
            return int(self._library.nft_run_cmd_from_buffer(context, commands.encode()))
        file = os.memfd_create("nft", os.MFD_CLOEXEC)
        try:
            with os.fdopen(file, "wb", closefd=False) as written:
                written.write(commands.encode() + b"\n")
            return int(self._library.nft_run_cmd_from_filename(context, f"/proc/self/fd/{file}".encode()))
        finally:
            os.close(file)


def _refusal(complaints: str) -> OSError:
    """The error for what libnftables says, such as "<cmdline>:1:1-5: Error: text", the command and a line of carets."""
    lines = [line for line in complaints.splitlines() if line.strip()]
    at = next((number for number, line in enumerate(lines) if "Error: " in line), 0)
    sentence = lines[at].split("Error: ", 1)[-1].strip() if lines else "refused without a word"
    about = lines[at + 1].strip() if at + 1 < len(lines) and lines[at + 1].strip(" ^~") else ""
    meaning = sentence.partition("; did you mean")[0].rpartition(": ")[2]
    number = _NUMBERS.get(meaning, errno.EINVAL)
    return OSError(number, f"nft: {sentence}", about or None)
