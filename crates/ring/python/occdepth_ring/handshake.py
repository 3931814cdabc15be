"""The handshake: a hello for a reply and the descriptor of the segment."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import NamedTuple, Optional, Union

from .errors import ConnectError, HandshakeTimeout, Invalid, NoStream, Refused, VersionMismatch, WrongUser
from .layout import ABI_MAJOR, ABI_MINOR, Hello, Reply

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class Credentials(NamedTuple):
    """Who listens at the socket, as the kernel recorded it."""

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Attached:
    """A connection that was accepted. Whoever has it closes both descriptors."""

    connection: socket.socket
    #: Descriptor of the segment; nothing of it has been checked.
    segment: int
    epoch: int
    segment_bytes: int
    server: Credentials


def attach(path: Path, timeout_s: float, notify: bool, expected_uid: Optional[int]) -> Attached:
    """Connects to the writer at ``path`` and says hello, within ``timeout_s`` seconds in all.

    Raises a :class:`ConnectError`; no descriptor is left open then.
    """
    deadline = time.monotonic() + timeout_s
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        connection.setblocking(False)
        _connect(connection, path, deadline)
        server = _credentials(connection)
        if expected_uid is not None and server.uid != expected_uid:
            raise WrongUser(expected_uid, server.uid)
        _say_hello(connection, notify)
        reply, descriptor = _receive_reply(connection, deadline)
        try:
            epoch, segment_bytes = _check_reply(reply)
            if descriptor is None:
                raise Invalid("reply.descriptors", 0, 1)
        except BaseException:
            if descriptor is not None:
                os.close(descriptor)
            raise
        return Attached(connection, descriptor, epoch, segment_bytes, server)
    except BaseException as error:
        connection.close()
        if isinstance(error, OSError):
            raise ConnectError(f"the handshake at {os.fsdecode(path)} failed: {error}") from error
        raise


def _connect(connection: socket.socket, path: Path, deadline: float) -> None:
    address = os.fspath(path)
    while True:
        try:
            return connection.connect(address)
        except BlockingIOError:
            # The writer's backlog is full, and there is no event to wait for.
            if time.monotonic() >= deadline:
                raise HandshakeTimeout(f"the writer at {os.fsdecode(path)} does not accept in time") from None
            time.sleep(_RETRY_S)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            what = "no socket" if isinstance(error, FileNotFoundError) else "nobody listens"
            raise NoStream(f"no stream at {os.fsdecode(path)}: {what}") from error
        except OSError as error:
            raise ConnectError(f"cannot connect to {os.fsdecode(path)}: {error}") from error


def _credentials(connection: socket.socket) -> Credentials:
    size = struct.calcsize(_UCRED)
    return Credentials(*struct.unpack(_UCRED, connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)))


def _say_hello(connection: socket.socket, notify: bool) -> None:
    hello = bytearray(Hello.BYTES)
    Hello.magic.pack_into(hello, Hello.MAGIC_VALUE)
    Hello.abi_major.pack_into(hello, ABI_MAJOR)
    Hello.abi_minor.pack_into(hello, ABI_MINOR)
    Hello.flags.pack_into(hello, Hello.NOTIFY if notify else 0)
    try:
        connection.send(hello, socket.MSG_NOSIGNAL)
    except OSError as error:
        # A writer that refuses may close before it has read the hello; its reply says why.
        if error.errno not in (errno.EPIPE, errno.ECONNRESET):
            raise


def _receive_reply(connection: socket.socket, deadline: float) -> tuple[bytes, Optional[int]]:
    """The first bytes of a datagram, and the first descriptor that comes with it, open."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    resets = 0
    while True:
        try:
            # What there is no space for is cut off, and descriptors closed, by the kernel.
            reply, ancillary, _, _ = connection.recvmsg(
                Reply.BYTES, socket.CMSG_LEN(_DESCRIPTOR_BYTES), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                raise HandshakeTimeout("the writer does not reply in time") from None
            poll.poll(min(remaining_s, _LONGEST_POLL_S) * 1e3 + 1)
            continue
        except ConnectionResetError as error:
            # Reported once when the writer closed with the hello unread; a reply comes after it.
            resets += 1
            if resets > 1:
                raise NoStream("the writer hung up before it replied") from error
            continue
        descriptor = None
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS and len(data) >= _DESCRIPTOR_BYTES:
                descriptor = int.from_bytes(data[:_DESCRIPTOR_BYTES], sys.byteorder)
        if not reply:
            if descriptor is not None:
                os.close(descriptor)
            raise NoStream("the writer hung up before it replied")
        return reply, descriptor


def _check_reply(reply: bytes) -> tuple[int, int]:
    """Epoch and size of the segment, if the reply accepts."""
    if len(reply) < Reply.COMMON_BYTES:
        raise Invalid("reply.length", len(reply), f"at least {Reply.COMMON_BYTES} bytes")
    magic = Reply.magic.raw(reply)
    if magic != Reply.MAGIC_VALUE:
        raise Invalid("reply.magic", magic, Reply.MAGIC_VALUE)
    theirs = (Reply.abi_major.integer(reply), Reply.abi_minor.integer(reply))
    if theirs[0] != ABI_MAJOR:
        raise VersionMismatch("the writer", (ABI_MAJOR, ABI_MINOR), theirs)
    status = Reply.status.integer(reply)
    if status != Reply.ACCEPTED:
        raise Refused(status)
    if len(reply) < Reply.BYTES:
        raise Invalid("reply.length", len(reply), f"at least {Reply.BYTES} bytes")
    return Reply.epoch.integer(reply), Reply.segment_bytes.integer(reply)


#: struct ucred: pid, uid, gid.
_UCRED = "iII"
_RETRY_S = 0.005
_DESCRIPTOR_BYTES = 4
# Longer than this nobody waits; poll() takes no more than 24 days at once.
_LONGEST_POLL_S = 3600.0
