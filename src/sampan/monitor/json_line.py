r"""Output as lines of Docker's json-file format, made from whole chunks at a time.

    {"log":"a line\n","stream":"stdout","time":"2024-01-02T03:04:05.123456789Z"}

The order of the fields, the escapes and the form of the time are those of Docker's json-file driver, byte for byte, for
the sake of programs that read such files on their own. Nothing here writes a file.
"""

from __future__ import annotations

import codecs
import time

MAX_LINE_BYTES = 16384

_OPENING = b'{"log":"'
_PLAIN = bytes(value for value in range(256) if value == 0x0A or (value >= 0x20 and value not in b'"\\<>&'))
_ESCAPES = {value: b"\\u%04x" % value for value in (*range(0x20), *b"<>&")} | {
    ord("\\"): b"\\\\",
    ord('"'): b'\\"',
    ord("\r"): b"\\r",
}
_LINE_SEPARATORS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def _replace_each(error: UnicodeError) -> tuple[str, int]:
    """An escape for every single byte that is not UTF-8, as Go counts them; Python's own handler joins some."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\\ufffd" * (error.end - error.start), error.end


def _keep_each(error: UnicodeError) -> tuple[str, int]:
    """An escape for every single byte that is not UTF-8, from which it is read back: PEP 383's lone surrogates."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(f"\\udc{value:02x}" for value in error.object[error.start : error.end]), error.end


REPLACING, KEEPING = "sampan-json-log", "sampan-local-log"
codecs.register_error(REPLACING, _replace_each)
codecs.register_error(KEEPING, _keep_each)


def escape(content: bytes, errors: str = REPLACING) -> bytes:
    """`content` as it stands within a JSON string, except that newlines are left alone.

    Bytes that are no UTF-8 are REPLACING, as json-file has it, or KEEPING.
    """
    special = set(content.translate(None, _PLAIN))
    if ord("\\") in special:
        special.remove(ord("\\"))
        content = content.replace(b"\\", b"\\\\")
    for value in special:
        content = content.replace(bytes((value,)), _ESCAPES[value])
    if content.isascii():
        return content
    try:
        content.decode()
    except UnicodeDecodeError:
        content = content.decode(errors=errors).encode()
    for separator, escaped in _LINE_SEPARATORS:
        content = content.replace(separator, escaped)
    return content


def time_text(at_ns: int) -> str:
    """A time of the realtime clock in Go's RFC3339Nano: UTC, without trailing zeros of the fraction."""
    seconds, fraction = divmod(at_ns, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    if fraction:
        text += f".{fraction:09d}".rstrip("0")
    return text + "Z"


def attributes_json(attributes: tuple[tuple[str, str], ...]) -> bytes:
    """The "attrs" object: sorted keys and the same escapes."""
    return b"{" + b",".join(b"%s:%s" % (_quoted(name), _quoted(value)) for name, value in sorted(attributes)) + b"}"


class LineMaker:
    """Cuts one stream into lines and encodes them; keeps a line that has not ended, at most MAX_LINE_BYTES of it."""

    def __init__(self, stream: str, attributes: tuple[tuple[str, str], ...] = (), errors: str = REPLACING) -> None:
        self._errors = errors
        between = b',"attrs":' + attributes_json(attributes) if attributes else b""
        self._middle = b'","stream":"' + stream.encode() + b'"' + between + b',"time":"'
        self._begun = b""

    def encode(self, chunk: bytes, at_ns: int) -> bytes:
        """The records of all lines that end in `chunk`; a longer line is cut into pieces without a newline."""
        content = self._begun + chunk
        closing = self._closing(at_ns)
        made: list[bytes] = []
        done = start = 0
        while True:
            newline = content.rfind(b"\n", start, start + MAX_LINE_BYTES)
            if newline >= 0:
                start = newline + 1
            elif len(content) - start >= MAX_LINE_BYTES:
                self._whole_lines(made, content[done:start], closing)
                done = start + MAX_LINE_BYTES
                made += (_OPENING, escape(content[start:done], self._errors), closing)
                start = done
            else:
                break
        self._whole_lines(made, content[done:start], closing)
        self._begun = content[start:]
        return b"".join(made)

    def finish(self, at_ns: int) -> bytes:
        """The record of a last line that never ended, if there is one."""
        begun, self._begun = self._begun, b""
        return _OPENING + escape(begun, self._errors) + self._closing(at_ns) if begun else b""

    def _closing(self, at_ns: int) -> bytes:
        return self._middle + time_text(at_ns).encode() + b'"}\n'

    def _whole_lines(self, made: list[bytes], lines: bytes, closing: bytes) -> None:
        """Every newline becomes the end of one record and the beginning of the next."""
        if lines:
            records = escape(lines, self._errors).replace(b"\n", b"\\n" + closing + _OPENING)
            made += (_OPENING, records[: -len(_OPENING)])


def _quoted(text: str) -> bytes:
    return b'"' + escape(text.encode(errors="surrogateescape")).replace(b"\n", b"\\n") + b'"'
