"""Becomes another user, reads a stream, tries to change it, and prints what happened, as JSON.

    another_user.py SOCKET UID GID GROUPS      GROUPS: supplementary groups, with commas; may be empty

It is started as root, since the interpreter may lie where the other user cannot go.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import sys
from typing import Callable

import occdepth_ring
from occdepth_ring.handshake import attach
from support import F_ADD_SEALS, assert_whole

READ, WRITE = mmap.PROT_READ, mmap.PROT_WRITE
MAP_FIXED, MREMAP_MAYMOVE, MADV_REMOVE, FALLOC_KEEP_SIZE_PUNCH_HOLE = 0x10, 1, 9, 1 | 2
PTRACE_SEIZE, PR_SET_DUMPABLE = 0x4206, 4
F_SEAL_WRITE = 0x8

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.madvise.argtypes = libc.mprotect.argtypes
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


Vectors = ctypes.POINTER(Iovec)
libc.process_vm_writev.argtypes = [ctypes.c_int, Vectors, ctypes.c_ulong, Vectors, ctypes.c_ulong, ctypes.c_ulong]


def become(uid: int, gid: int, groups: list[int]) -> None:
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    # A change of the user closes /proc/self to the process itself; a program that was started as this user has it open.
    checked(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))


def checked(result: int | None) -> int:
    """The result of a function of libc; OSError for -1."""
    if result is None or result in (-1, 2**64 - 1):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def mapped(descriptor: int, length: int, protection: int, flags: int = mmap.MAP_SHARED, address: int = 0) -> int:
    return checked(libc.mmap(address or None, length, protection, flags, descriptor, 0))


def outcome(attempt: Callable[[], object]) -> str:
    """The name of the error; "done" where there is none."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def write_to_memory(of: str, at: int) -> None:
    memory = os.open(f"/proc/{of}/mem", os.O_RDWR)
    try:
        os.pwrite(memory, b"x", at)
    finally:
        os.close(memory)


def attempts(segment: int, length: int, writer: int) -> dict[str, str]:
    """Every way to change the ring that we know of, and what came of it."""
    mapping = mapped(segment, length, READ)

    def writable_copy() -> None:
        # An old length of 0: a second mapping of the same pages.
        second = checked(libc.mremap(mapping, 0, length, MREMAP_MAYMOVE))
        checked(libc.mprotect(second, length, READ | WRITE))

    def writev() -> None:
        byte = ctypes.create_string_buffer(b"x")
        ours, theirs = Iovec(ctypes.addressof(byte), 1), Iovec(mapping, 1)
        checked(libc.process_vm_writev(writer, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0))

    def reopened() -> None:
        # Where opening succeeds, as it does for the writer's own user, what counts is whether one can write.
        again = os.open(f"/proc/self/fd/{segment}", os.O_RDWR)
        try:
            mapped(again, length, READ | WRITE)
        finally:
            os.close(again)

    tried: dict[str, Callable[[], object]] = {
        "mmap": lambda: mmap.mmap(segment, length, mmap.MAP_SHARED, READ | WRITE),
        "mprotect": lambda: checked(libc.mprotect(mapping, length, READ | WRITE)),
        "mremap": writable_copy,
        "madvise": lambda: checked(libc.madvise(mapping, length, MADV_REMOVE)),
        "write": lambda: os.pwrite(segment, b"x", 8192),
        "truncate": lambda: os.ftruncate(segment, 0),
        "grow": lambda: os.ftruncate(segment, length + 4096),
        "hole": lambda: checked(libc.fallocate(segment, FALLOC_KEEP_SIZE_PUNCH_HOLE, 0, length)),
        "seal": lambda: fcntl.fcntl(segment, F_ADD_SEALS, F_SEAL_WRITE),
        "chmod": lambda: os.fchmod(segment, 0o666),
        "reopen": reopened,
        "own memory": lambda: write_to_memory("self", mapping),
        "writer's memory": lambda: write_to_memory(str(writer), mapping),
        "writer's descriptors": lambda: os.listdir(f"/proc/{writer}/fd"),
        "writer's memory, vm": writev,
        "trace": lambda: checked(libc.ptrace(PTRACE_SEIZE, writer, None, None)),
        # Last, because the kernel may unmap what was to be replaced before it refuses.
        "mmap in place": lambda: mapped(segment, length, READ | WRITE, mmap.MAP_SHARED | MAP_FIXED, mapping),
    }
    return {name: outcome(attempt) for name, attempt in tried.items()}


def controls() -> dict[str, str]:
    """The same attempts on what is ours: they would succeed if nothing refused them."""
    own = os.memfd_create("own", os.MFD_CLOEXEC)
    os.ftruncate(own, mmap.PAGESIZE)
    found = attempts(own, mmap.PAGESIZE, os.getpid())
    os.close(own)
    return found


def private_change(segment: int, length: int) -> str:
    """A private mapping may be written to; the ring does not notice."""
    private = mmap.mmap(segment, length, mmap.MAP_PRIVATE, READ | WRITE)
    shared = mmap.mmap(segment, length, mmap.MAP_SHARED, READ)
    private[:8] = b"changed!"
    found = bytes(shared[:8]).decode()
    private.close()
    shared.close()
    return found


def main() -> None:
    path, uid, gid, groups = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    become(uid, gid, [int(group) for group in groups.split(",") if group])
    said: dict[str, object] = {"user": os.geteuid()}
    try:
        with occdepth_ring.connect(path, expected_uid=None) as reader:
            assert_whole(reader.copy_newest())
            said["server"] = reader.server.uid
            raw = attach(path, 2.0, False, None)
            said["private"] = private_change(raw.segment, raw.segment_bytes)
            said["attempts"] = attempts(raw.segment, raw.segment_bytes, reader.server.pid)
            # After all of it the ring is what it was.
            assert_whole(reader.copy_newest())
            raw.connection.close()
        said["controls"] = controls()
    except occdepth_ring.ConnectError as error:
        said["error"], said["says"] = type(error).__name__, str(error)
        try:
            with occdepth_ring.follow(path) as stream:
                said["grid"] = stream.next(0.2) is not None
        except occdepth_ring.ConnectError as again:
            said["followed"] = type(again).__name__
    print(json.dumps(said))


if __name__ == "__main__":
    main()
