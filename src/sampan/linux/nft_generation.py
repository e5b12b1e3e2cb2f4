"""How often nftables' rules have changed in a network namespace: the kernel's generation number, for nothing.

It grows by one with every transaction, whoever makes it; so who remembers it knows whether others have been there.
Source: linux/netfilter/nf_tables.h (NFT_MSG_GETGEN).
"""

from __future__ import annotations

import socket
import struct

from sampan.linux.netlink import attributes, socket_in

_NETFILTER = 12  # NETLINK_NETFILTER
_GET_GENERATION = 10 << 8 | 16  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN
_ID = 1  # NFTA_GEN_ID
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_REQUEST = _HEADER.pack(_HEADER.size + 4, _GET_GENERATION, 1, 0, 0) + bytes(4)  # and struct nfgenmsg


class Generation:
    """The generation number of the caller's network namespace, or that of `netns_fd`."""

    def __init__(self, netns_fd: int = -1) -> None:
        self._socket = (
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
            if netns_fd < 0
            else socket_in(netns_fd, _NETFILTER)
        )

    def read(self) -> int:
        """The number now. Raises OSError when this kernel has no nftables."""
        self._socket.send(_REQUEST)
        answer = self._socket.recv(4096)
        kind = _HEADER.unpack_from(answer)[1]
        if kind == 2:  # NLMSG_ERROR
            raise OSError(-struct.unpack_from("=i", answer, _HEADER.size)[0], "netlink NFT_MSG_GETGEN")
        return int.from_bytes(attributes(answer, _HEADER.size + 4)[_ID], "big")

    def close(self) -> None:
        """Close the socket; again is no error."""
        self._socket.close()
