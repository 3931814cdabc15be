"""What can go wrong: why a stream cannot be attached to, and why there is no grid."""

from __future__ import annotations

from typing import Optional


class RingError(Exception):
    """Every error of this package."""


class ConnectError(RingError):
    """The stream cannot be read. The subclasses say why."""


class NoStream(ConnectError):
    """There is no socket at the path, nobody listens, or the writer hung up before it replied."""


class HandshakeTimeout(ConnectError):
    """The writer did not take part in the handshake in time."""


class Refused(ConnectError):
    """The writer refuses this client.

    ``status`` is the code of the reply. ``transient`` says whether a later attempt may succeed.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        reason, self.transient = _REFUSALS.get(status, ("for a reason this client does not know", False))
        super().__init__(f"the writer refuses this client: {reason} (status {status})")


class VersionMismatch(ConnectError):
    """The writer speaks another major version. ``ours`` and ``theirs`` are (major, minor)."""

    def __init__(self, what: str, ours: tuple[int, int], theirs: tuple[int, int]) -> None:
        self.ours = ours
        self.theirs = theirs
        super().__init__(
            f"{what} is of ABI version {theirs[0]}.{theirs[1]}, this client reads version {ours[0]}.{ours[1]}: "
            "update the older of the two"
        )


class WrongUser(ConnectError):
    """The writer is another user than it should be. ``expected`` and ``found`` are user ids."""

    def __init__(self, expected: int, found: int) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"the writer runs as uid {found}, expected uid {expected}")


class Invalid(ConnectError):
    """Reply or segment is not what ABI.md demands. ``field``, ``found`` and ``expected`` say where and how."""

    def __init__(self, field: str, found: object, expected: object) -> None:
        self.field = field
        self.found = found
        self.expected = expected
        super().__init__(f"{field}: found {found}, expected {expected}")


class ReadError(RingError):
    """There is no grid. The subclasses say why."""


class NoGrid(ReadError):
    """Nothing has been published yet, or not this grid. ``sequence`` is the grid asked for, if one was."""

    def __init__(self, sequence: Optional[int] = None) -> None:
        self.sequence = sequence
        super().__init__("there is no grid yet" if sequence is None else f"grid {sequence} is not there yet")


class Overwritten(ReadError):
    """The writer was faster: the slot of grid ``sequence`` has been given to a newer one."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        super().__init__(f"grid {sequence} has been overwritten")


class Lapped(ReadError):
    """The writer was faster: ``missed`` grids, at least 1, were overwritten before they were read."""

    def __init__(self, missed: int) -> None:
        self.missed = missed
        super().__init__(f"the writer lapped this reader: {missed} grids missed")


class Corrupt(ReadError):
    """A slot does not hold what was published: the writer is broken, or somebody changed its memory."""

    def __init__(self, sequence: int, field: str, found: int, expected: int) -> None:
        self.sequence = sequence
        self.field = field
        self.found = found
        self.expected = expected
        super().__init__(f"grid {sequence} is corrupt: {field}: found {found:#x}, expected {expected:#x}")


class WriterGone(ReadError):
    """The writer has hung up: it ended, died, or closed this client. Connect again."""

    def __init__(self) -> None:
        super().__init__("the writer has hung up; connect again")


class ReaderClosed(ReadError):
    """This reader or stream was closed by its own program."""

    def __init__(self) -> None:
        super().__init__("this reader is closed")


# Reason, and whether it may pass.
_REFUSALS = {
    1: ("it speaks another major version", False),
    2: ("it got no valid hello in time", True),
    3: ("this user may not read the stream", False),
    4: ("it has too many clients, in all or of this user", True),
    5: ("it is out of descriptors", True),
}
