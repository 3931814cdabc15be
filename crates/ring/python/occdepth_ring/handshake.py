"""The handshake: a hello for a reply and the descriptor of the segment."""

from __future__ import annotations

import array
import errno
import os
import select
import socket
import struct
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
        reply, descriptors = _receive_reply(connection, deadline)
        try:
            epoch, segment_bytes = _check_reply(reply)
            if len(descriptors) != 1:
                raise Invalid("reply.descriptors", len(descriptors), 1)
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        return Attached(connection, descriptors[0], epoch, segment_bytes, server)
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


def _receive_reply(connection: socket.socket, deadline: float) -> tuple[bytes, list[int]]:
    """One datagram and the descriptors that come with it, all of them open."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    resets = 0
    while True:
        try:
            reply, ancillary, flags, _ = connection.recvmsg(
                _MAX_REPLY_BYTES, socket.CMSG_SPACE(_MAX_DESCRIPTORS * 4), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                raise HandshakeTimeout("the writer does not reply in time") from None
            poll.poll(remaining_s * 1e3 + 1)
            continue
        except ConnectionResetError as error:
            # Reported once when the writer closed with the hello unread; a reply comes after it.
            resets += 1
            if resets > 1:
                raise NoStream("the writer hung up before it replied") from error
            continue
        descriptors = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        if not reply and not descriptors:
            raise NoStream("the writer hung up before it replied")
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            for descriptor in descriptors:
                os.close(descriptor)
            what = "bytes" if flags & socket.MSG_TRUNC else "descriptors"
            most = _MAX_REPLY_BYTES if flags & socket.MSG_TRUNC else _MAX_DESCRIPTORS
            raise Invalid(f"reply.{what}", f"more than {most}", "64 bytes and 1 descriptor")
        return reply, list(descriptors)


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
# More than a writer sends: what is too much is named, not cut off.
_MAX_REPLY_BYTES = 512
_MAX_DESCRIPTORS = 16
