"""An assembler for classic BPF as seccomp runs it; it knows instructions and jumps, nothing of system calls.

A program is written from its last instruction to its first, so that every jump's target is known when the jump is
written, and a jump too long for the 8 bits of a conditional one goes through an unconditional one. A label is the
number of instructions from it to the end. Source: linux/bpf_common.h, linux/filter.h, seccomp(2).
"""

from __future__ import annotations

import struct

LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
JUMP = 0x05  # BPF_JMP | BPF_JA
JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
JUMP_GREATER = 0x25  # BPF_JMP | BPF_JGT | BPF_K
JUMP_GREATER_EQUAL = 0x35  # BPF_JMP | BPF_JGE | BPF_K
JUMP_SET = 0x45  # BPF_JMP | BPF_JSET | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K

MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS
_FAR = 255
_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter


class Assembler:
    """A program under construction; each method puts an instruction in front and returns its label."""

    def __init__(self) -> None:
        self._backwards: list[bytes] = []
        self._returns: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._backwards)

    def program(self) -> bytes:
        """The finished program, an array of struct sock_filter; it starts at the instruction written last."""
        return b"".join(reversed(self._backwards))

    def _put(self, code: int, value: int = 0, yes: int = 0, no: int = 0) -> int:
        self._backwards.append(_INSTRUCTION.pack(code, yes, no, value))
        return len(self._backwards)

    def returns(self, value: int) -> int:
        """Return `value`; one instruction serves everyone who is near enough."""
        label = self._returns.get(value, 0)
        if not label or len(self) - label > _FAR // 2:
            label = self._returns[value] = self._put(RETURN, value)
        return label

    def jump(self, target: int) -> int:
        """Go on at `target`, at any distance."""
        return self._put(JUMP, len(self) - target)

    def load(self, offset: int, then: int) -> int:
        """Load the 32-bit word at `offset` of struct seccomp_data and go on at `then`."""
        self._falls_to(then)
        return self._put(LOAD_WORD, offset)

    def masks(self, mask: int, then: int) -> int:
        """Keep the bits of `mask` of what was loaded and go on at `then`."""
        self._falls_to(then)
        return self._put(AND, mask)

    def branch(self, code: int, value: int, yes: int, no: int) -> int:
        """Compare what was loaded with `value` as `code` (JUMP_EQUAL, …) says; go on at `yes` or at `no`."""
        if yes == no:
            return yes
        if len(self) - yes >= _FAR:  # one less than can be, since the other side may need a jump as well
            yes = self.jump(yes)
        if len(self) - no > _FAR:
            no = self.jump(no)
        return self._put(code, value, len(self) - yes, len(self) - no)

    def _falls_to(self, target: int) -> None:
        if target != len(self):
            self.jump(target)
