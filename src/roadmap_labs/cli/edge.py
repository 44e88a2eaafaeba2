"""The edge: every way a command can end becomes one message and one exit code. No traceback reaches a user.

Ctrl-C once stops in order and removes what the command made; twice leaves at once, and the watchdog removes it.
"""

from __future__ import annotations

import _thread
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from roadmap_labs import __version__
from roadmap_labs.cli import screen
from roadmap_labs.errors import CannotWrite, Interrupted, Problem

ERROR_SCHEMA = "roadmap-labs.error/v1"


# Set by the first Ctrl-C. Threads that are deep in a long build look at it whenever they have something to tell.
interrupted = threading.Event()
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WAKE = signal.SIGURG  # means nothing to us but that the main thread is to look up


def stop_if_interrupted() -> None:
    """Raise `Interrupted` where Ctrl-C was pressed; for threads, which get no KeyboardInterrupt of their own."""
    if interrupted.is_set():
        raise Interrupted("Stopped by Ctrl-C.")


def _on_signal(number: int, frame: FrameType | None) -> None:
    del frame
    if interrupted.is_set():
        return  # the second one is _watch's
    interrupted.set()
    if number == signal.SIGINT:
        screen.note("\nStopping and removing what was made. Ctrl-C again leaves at once.")
    raise KeyboardInterrupt


def _watch(signals: int, main: int) -> None:
    """Wake the main thread up for the first signal, and leave at the second.

    Python's handlers run in the main thread alone, but the kernel may hand a signal to any thread, and then the main
    one goes on waiting for what it waits for. Of each signal that Python takes there is a byte in the pipe.
    """
    taken = 0
    while True:
        for number in os.read(signals, 64):
            if signal.getsignal(number) is not _on_signal:
                continue
            taken += 1
            if taken > 1:
                _leave()
            signal.pthread_kill(main, _WAKE)


def _leave() -> NoReturn:
    try:
        screen.note(
            "\nLeft at once. What was made is being removed in the background; the rest:  roadmap-labs clean"
        )
    finally:
        os._exit(Interrupted.exit_code)  # also where nobody reads that any more


def _listen() -> None:
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    signal.signal(_WAKE, lambda number, frame: None)
    for number in _ENDING:
        signal.signal(number, _on_signal)
    # Not one of threading's: it holds no lock that a fork could copy, and nobody waits for it.
    _thread.start_new_thread(_watch, (ours, threading.get_ident()))


def run(command: Callable[[], int | None]) -> int:
    """Run a command and return its exit code."""
    _listen()
    try:
        return command() or 0
    except Problem as problem:
        return _tell(problem)
    except KeyboardInterrupt:
        return _tell(Interrupted("Stopped by Ctrl-C; what this command made has been removed again."))
    except BrokenPipeError:
        # The reader went away (`| head`): nobody is left to be told, and Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            place = error.filename or "The disk"
            return _tell(
                CannotWrite(f"{place}: {error.strerror}.", cure="Free space, then run the command again.")
            )
        return _tell(_bug(error))
    except Exception as error:  # noqa: BLE001 (the one place that may)
        return _tell(_bug(error))


def _tell(problem: Problem) -> int:
    from roadmap_labs.render.report import problem as sentence

    if "--json" in sys.argv:
        screen.out_json(
            {
                "schema": ERROR_SCHEMA,
                "ok": False,
                "message": problem.message,
                "cure": problem.cure,
                "fault": problem.fault,
                "exit_code": problem.exit_code,
            }
        )
    screen.note(sentence(problem, screen.paint_for(sys.stderr)))
    return problem.exit_code


def _bug(error: BaseException) -> Problem:
    """One line and a log file: what a report of the bug needs."""
    import platform  # these three only here: they cost every command milliseconds
    import time
    import traceback

    from roadmap_labs import places

    said = "".join(traceback.format_exception(error))
    text = f"roadmap-labs {__version__}, Python {platform.python_version()}, {platform.platform()}\n\n{said}"
    try:
        folder = places.state() / "logs"
        folder.mkdir(exist_ok=True)
        file = folder / f"bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        file.write_text(text, encoding="utf-8")
        where = f"Send this file with your report:  {file}"
    except (OSError, Problem):
        where = "It could not be written to a log file."
    return Problem(f"roadmap-labs itself failed: {type(error).__name__}: {error}.", cure=where)
