"""The worker's side of the coordinator's calls. Knows nothing of the queue and of judging."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from roadmap_labs.content.archives import take_in_tar
from roadmap_labs.content.submission import Submission
from roadmap_labs.errors import TryAgain, WrongUse
from roadmap_labs.grading.work import Assignment

BEAT_SECONDS = 10.0
_PATIENCE_SECONDS = 600.0  # a coordinator that is started again soon loses nothing


@dataclass(frozen=True)
class HandedOut:
    """A claim of this worker's, and what has to be judged."""

    token: str
    lab: str
    lab_digest: str
    time_factor: float
    job: str
    attempt: int
    seed: int
    digest: str

    def assignment(self, files: Submission) -> Assignment:
        """The same as an assignment, with the files that were fetched."""
        return Assignment(self.job, self.attempt, self.seed, files, self.digest, Path(self.job))


class Coordinator:
    """One coordinator. A call that gets no answer is made again for ten minutes; then `TryAgain`."""

    def __init__(self, url: str, token: str, *, patience: float = _PATIENCE_SECONDS) -> None:
        self.url, self._patience = url.rstrip("/"), patience
        # No proxy of the environment: the token goes to this host alone.
        self._line = httpx.Client(
            base_url=self.url, timeout=30, trust_env=False, headers={"Authorization": f"Bearer {token}"}
        )

    def claim(
        self, batch: str, job: str, *, message: str, nonce: str, again: bool, worker: str
    ) -> HandedOut | None:
        """Take a submission; None where there is nothing to do for it."""
        wanted = {
            "batch": batch,
            "job": job,
            "message": message,
            "nonce": nonce,
            "again": again,
            "worker": worker,
        }
        answer = self._ask("POST", "/v1/claim", wanted)
        return None if answer.status_code == 204 else HandedOut(**answer.json())

    def files(self, claimed: HandedOut) -> Submission:
        """The files of a submission; what was fetched is measured again here."""
        files = take_in_tar(self._ask("GET", f"/v1/blobs/{claimed.digest}").content)
        if files.digest != claimed.digest:
            raise TryAgain(f"The files of {claimed.job} arrived damaged.")
        return files

    def give_back(self, claimed: HandedOut, why: str) -> None:
        """Say that this host can't judge it."""
        self._ask("POST", "/v1/back", {"token": claimed.token, "why": why[:2000]})

    def hand_in(self, claimed: HandedOut, result: Mapping[str, Any]) -> bool:
        """Bring the result; False where the claim was lost meanwhile."""
        return bool(
            self._ask("POST", "/v1/result", {"token": claimed.token, "result": result}).json()["taken"]
        )

    @contextmanager
    def beating(self, claimed: HandedOut, stop: Callable[[], None]) -> Iterator[None]:
        """Give signs of life until the block ends; `stop` is called once where nobody wants the result any more."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_SECONDS):
                try:
                    answer = self._line.post("/v1/beat", json={"token": claimed.token})
                    wanted = answer.status_code != 200 or answer.json()["go_on"]
                except httpx.HTTPError:
                    continue  # whoever does not answer now may do so next time
                if not wanted:
                    stop()
                    return

        thread = threading.Thread(target=beat, name="beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def close(self) -> None:
        """Close the connections."""
        self._line.close()

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        until = time.monotonic() + self._patience
        pause = 0.1
        while True:
            try:
                answer = self._line.request(method, path, json=body)
            except httpx.TransportError as error:
                if time.monotonic() + pause > until:
                    raise TryAgain(
                        f"The coordinator {self.url} does not answer: {error}.",
                        cure="Is `roadmap-labs grade … --backend celery` running there, and the port open?",
                    ) from error
                time.sleep(pause)  # the coordinator may be starting: asked again, ever more slowly
                pause = min(pause * 2, 5.0)
                continue
            if answer.status_code == 401:
                raise WrongUse(
                    f"The coordinator {self.url} knows another token.",
                    cure="Copy the file that it named:  --token-file FILE",
                )
            if answer.status_code >= 400:
                raise TryAgain(
                    f"The coordinator {self.url} refused {path}: {answer.status_code} {answer.text[:300]}"
                )
            return answer
