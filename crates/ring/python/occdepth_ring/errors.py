"""What can go wrong: why a stream cannot be attached to, and why there is no grid."""

from __future__ import annotations

from typing import Optional


class RingError(Exception):
    """Every error of this package. Its arguments are those it was made with, so that it can be pickled."""


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
        super().__init__(status)
        self.status = status
        self._reason, self.transient = _REFUSALS.get(status, ("for a reason this client does not know", False))

    def __str__(self) -> str:
        return f"the writer refuses this client: {self._reason} (status {self.status})"


class VersionMismatch(ConnectError):
    """The writer speaks another major version. ``ours`` and ``theirs`` are (major, minor)."""

    def __init__(self, what: str, ours: tuple[int, int], theirs: tuple[int, int]) -> None:
        super().__init__(what, ours, theirs)
        self._what = what
        self.ours = ours
        self.theirs = theirs

    def __str__(self) -> str:
        ours, theirs = self.ours, self.theirs
        return (
            f"{self._what} is of ABI version {theirs[0]}.{theirs[1]}, this client reads version {ours[0]}.{ours[1]}: "
            "update the older of the two"
        )


class WrongUser(ConnectError):
    """The writer is another user than it should be. ``expected`` and ``found`` are user ids."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return f"the writer runs as uid {self.found}, expected uid {self.expected}"


class Invalid(ConnectError):
    """Reply or segment is not what ABI.md demands. ``field``, ``found`` and ``expected`` say where and how."""

    def __init__(self, field: str, found: object, expected: object) -> None:
        super().__init__(field, found, expected)
        self.field = field
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.field}: found {self.found}, expected {self.expected}"


class ReadError(RingError):
    """There is no grid. The subclasses say why."""


class NoGrid(ReadError):
    """Nothing has been published yet, or not this grid. ``sequence`` is the grid asked for, if one was."""

    def __init__(self, sequence: Optional[int] = None) -> None:
        super().__init__(sequence)
        self.sequence = sequence

    def __str__(self) -> str:
        return "there is no grid yet" if self.sequence is None else f"grid {self.sequence} is not there yet"


class Overwritten(ReadError):
    """The writer was faster: the slot of grid ``sequence`` has been given to a newer one."""

    def __init__(self, sequence: int) -> None:
        super().__init__(sequence)
        self.sequence = sequence

    def __str__(self) -> str:
        return f"grid {self.sequence} has been overwritten"


class Lapped(ReadError):
    """The writer was faster: ``missed`` grids, at least 1, were overwritten before they were read."""

    def __init__(self, missed: int) -> None:
        super().__init__(missed)
        self.missed = missed

    def __str__(self) -> str:
        return f"the writer lapped this reader: {self.missed} grids missed"


class Corrupt(ReadError):
    """A slot does not hold what was published: the writer is broken, or somebody changed its memory."""

    def __init__(self, sequence: int, field: str, found: int, expected: int) -> None:
        super().__init__(sequence, field, found, expected)
        self.sequence = sequence
        self.field = field
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        return (
            f"grid {self.sequence} is corrupt: {self.field}: found {self.found:#x}, expected {self.expected:#x}"
        )


class WriterGone(ReadError):
    """The writer has hung up: it ended, died, or closed this client. Connect again."""

    def __str__(self) -> str:
        return "the writer has hung up; connect again"


class ReaderClosed(ReadError):
    """This reader or stream was closed by its own program."""

    def __str__(self) -> str:
        return "this reader is closed"


# Reason, and whether it may pass.
_REFUSALS = {
    1: ("it speaks another major version", False),
    2: ("it got no valid hello in time", True),
    3: ("this user may not read the stream", False),
    4: ("it has too many clients, in all or of this user", True),
    5: ("it is out of descriptors", True),
}
