"""The one family of errors that a user may read. Knows nothing of where they come from or how they are shown."""

from __future__ import annotations

from typing import ClassVar, Literal

Fault = Literal["your solution", "this lab", "your machine", "roadmap-labs", "your command"]


class Problem(Exception):
    """Something that ends a command: what happened, to which thing, whose fault it is, what to type next.

    `message` says what happened and names the thing (slug, file, line, container); `cure` is the command to type
    next, or one sentence that tells it. `exit_code` is documented in README.md under "Exit codes".
    """

    exit_code: ClassVar[int] = 70
    fault: Fault = "roadmap-labs"

    def __init__(self, message: str, *, cure: str = "", fault: Fault | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        if fault is not None:
            self.fault = fault


class WrongUse(Problem):
    """The command line asks for something that has no meaning."""

    exit_code = 2
    fault: Fault = "your command"


class LabBroken(Problem):
    """The lab's own content fails: a check crashed, a service does not come up."""

    exit_code = 3
    fault: Fault = "this lab"


class InvalidManifest(Problem):
    """A YAML file of a lab, a service or a scaffold says something that it may not say."""

    exit_code = 4
    fault: Fault = "this lab"


class NotFound(Problem):
    """A lab, a workspace, a service or a file that was named does not exist."""

    exit_code = 5
    fault: Fault = "your command"


class BadSubmission(Problem):
    """The learner's folder can't be taken in: a link, too many files, too large."""

    exit_code = 65
    fault: Fault = "your solution"


class EngineUnavailable(Problem):
    """No Docker engine answers, or it may not be used."""

    exit_code = 69
    fault: Fault = "your machine"


class EngineRefused(Problem):
    """The engine answered one call with an error that nobody expected (code I-ENGINE)."""

    exit_code = 75
    fault: Fault = "your machine"


class CannotWrite(Problem):
    """A file or folder can't be written: permission, a full disk, a foreign folder."""

    exit_code = 73
    fault: Fault = "your machine"


class TryAgain(Problem):
    """Offline, busy or out of room: the same command may work later."""

    exit_code = 75
    fault: Fault = "your machine"


class TimeLimit(Problem):
    """A whole command ran longer than it may."""

    exit_code = 124


class Interrupted(Problem):
    """Ctrl-C: what this command made has been removed again."""

    exit_code = 130
    fault: Fault = "your command"
