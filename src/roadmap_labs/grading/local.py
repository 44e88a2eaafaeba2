"""The back end of one machine: as many submissions side by side as it carries, in threads of this process."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from roadmap_labs.checking.ending import Ending, side_by_side
from roadmap_labs.grading.judging import Bench, judged
from roadmap_labs.grading.work import Work


@dataclass(frozen=True)
class LocalBackend:
    """Judges on a bench here."""

    bench: Bench
    jobs: int

    def work_off(self, work: Work) -> None:
        """Judge until nothing waits; the first thread that fails ends the others, and its problem is raised."""
        ending = Ending()
        with side_by_side(ending, self.jobs, "grade") as pool:
            workers: list[Future[None]] = [pool.submit(self._work, work, ending) for _ in range(self.jobs)]
            for worker in workers:
                worker.result()

    def _work(self, work: Work, ending: Ending) -> None:
        while not ending.told and (one := work.take()) is not None:
            try:
                result = judged(self.bench, one, lambda end: ending.begun(one.id, end))
            finally:
                ending.over(one.id)
            if ending.told:
                return  # half a judgement is none
            work.hand_in(one, result)
