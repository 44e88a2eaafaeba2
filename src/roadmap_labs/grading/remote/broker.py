"""The queue: Celery on quorum queues of RabbitMQ. A message carries two names; knows no ledger and no engine.

Quorum queues keep messages when the broker restarts, and drop one that was delivered and lost too often
(https://www.rabbitmq.com/docs/quorum-queues); the coordinator notices, because the submission still waits.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from roadmap_labs.content.shelf import Lab
from roadmap_labs.errors import TryAgain
from roadmap_labs.stack.plan import stack_memory

TASK = "roadmap_labs.grade"
MOST_DELIVERIES = 3
_LARGE_MIB = 2048
_MOST_SECONDS = (
    2 * 60 * 60
)  # that a worker may have a message; by default 30 minutes, less than a bad one takes
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_CONFIRM_SECONDS = 10.0
_PUBLISHING = {"max_retries": 1, "interval_start": 0.2}


def queue_name(architecture: str, size: str) -> str:
    """`grade.<architecture>.<size>`; the engine's word for the architecture becomes Docker's."""
    return f"grade.{_ARCHITECTURES.get(architecture, architecture)}.{size}"


def size_of(lab: Lab) -> str:
    """`large` where one stack may take more than two GiB."""
    return "large" if stack_memory(lab) > _LARGE_MIB else "small"


def queue(name: str) -> Queue:
    """A queue and its exchange; both sides declare the same, whoever is first."""
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": MOST_DELIVERIES,
        "x-consumer-timeout": _MOST_SECONDS * 1000,
    }
    return Queue(name, Exchange(name, type="direct"), routing_key=name, queue_arguments=arguments)


def application(url: str, queues: Iterable[str]) -> Celery:
    """The Celery application of either side. One vhost serves one coordinator."""
    app = Celery("roadmap-labs", broker=url, set_as_current=False)
    app.conf.update(
        task_queues=[queue(name) for name in queues],
        task_create_missing_queues=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_max_tasks_per_child=100,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"confirm_publish": True},
        broker_heartbeat=30,
    )
    return app


class Stuck(TryAgain):
    """The broker answers, but this queue takes no message."""


class Letters:
    """One queue, as the coordinator uses it. `TryAgain` where the broker does not answer."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._where = _without_password(url)
        self._app = application(url, [name])
        self._queue = self._app.amqp.queues[name]

    def declare(self) -> None:
        """Make sure of the queue."""
        with self._answers(), self._app.connection_for_write() as line:
            self._queue(line.default_channel).declare()

    def post(self, batch: str, job: str) -> None:
        """Say that a submission waits; confirmed by the broker on return. `Stuck` where that does not come."""
        with self._answers():
            try:
                self._app.send_task(
                    TASK, args=(batch, job), task_id=str(uuid.uuid4()), queue=self._queue, retry=True,
                    retry_policy=_PUBLISHING, confirm_timeout=_CONFIRM_SECONDS,
                )  # fmt: skip
            except (OperationalError, TimeoutError) as error:
                if not isinstance(error.__cause__ or error, TimeoutError):
                    raise
                raise Stuck(f"The queue {self.name} of {self._where} takes no message.") from error

    def renew(self) -> None:
        """Make the queue anew, whatever is in it: who waits is in the ledger.

        A quorum queue that was declared in the last seconds before its broker died may come back as a member of
        nothing, for good ("Quorum queue recovery: configured member … was not found on this node").
        """
        with self._answers(), self._app.connection_for_write() as line:
            self._queue(line.default_channel).delete()
        self.declare()

    def depth(self) -> int:
        """Messages that no worker has."""
        with self._answers(), self._app.connection_for_write() as line:
            return int(self._queue(line.default_channel).queue_declare(passive=True).message_count)

    def purge(self) -> None:
        """Take back what no worker has."""
        with self._answers(), self._app.connection_for_write() as line:
            self._queue(line.default_channel).purge()

    @contextmanager
    def _answers(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, OSError) as error:
            raise TryAgain(
                f"The broker {self._where} does not answer: {_reason(error)}.",
                cure="Is it up, and are name, password and vhost right?",
            ) from error


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5672}{parts.path}"


def _reason(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
