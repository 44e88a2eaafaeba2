"""Looks into an AMQP 0-9-1 broker with the checker's account: ready messages, what is in them. Knows no lab.

    broker = lab.amqp("rabbitmq", vhost)      one virtual host; threads take turns on one connection
    broker.ready("invoices")                  messages that wait for a consumer, by passive declare: true at once
    broker.consumers("invoices")              None where there is no such queue, as with `ready`
    broker.publish(b"{}", exchange="orders", key="invoice", message_id="o1")     confirmed and routed, or it raises
    broker.peek("invoices.dead", 3)           messages, fetched and put back
    broker.take("invoices")                   one message, fetched and forgotten; None from an empty queue
    broker.bind(…), broker.unbind(…)

A passive declare does not tell what consumers hold; count what was published, and take away what is ready and done. The
numbers of the management pages come late (seconds): never judge by them. `management.py` has what AMQP can't do.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import pika
import pika.exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from roadmap_labs.harness import waiting
from roadmap_labs.harness.crowd import held
from roadmap_labs.harness.service import Service
from roadmap_labs.harness.verdicts import LabFault, quote

SECONDS = 10.0  # for each step of making a connection; an act takes at most twice as long
MAX_BODY = 64 * 1024
MAX_PEEK = 500
PUT_BACK_SECONDS = 2.0

T = TypeVar("T")

# The last one is what pika gives where nobody answers in time; it is none of its own errors.
_GONE = (OSError, pika.exceptions.AMQPConnectionError, AMQPConnectorException)


class Absent(Exception):
    """There is no such queue or exchange."""


class Unrouted(Exception):
    """The broker took a message for which the exchange has no queue, and gave it back."""


@dataclass(frozen=True)
class Message:
    """A message as it lies in a queue. Everything in it is the learner's: quote() it."""

    body: bytes
    message_id: str | None
    content_type: str | None
    delivery_mode: int | None  # 2: persistent
    headers: Mapping[str, Any]
    exchange: str
    key: str
    redelivered: bool


class Amqp:
    """One virtual host of one broker."""

    def __init__(self, service: Service, vhost: str) -> None:
        self.service, self.vhost = service, vhost
        self._turn = threading.Lock()
        self._line: Any = None
        self._channel: Any = None
        logging.getLogger("pika").setLevel(
            logging.CRITICAL
        )  # it tells of each end of a connection, at length

    def ready(self, queue: str) -> int | None:
        """How many messages are ready; None where there is no such queue."""
        found = self._declared(queue)
        return None if found is None else int(found.message_count)

    def consumers(self, queue: str) -> int | None:
        """How many consumers the queue has; None where there is no such queue."""
        found = self._declared(queue)
        return None if found is None else int(found.consumer_count)

    def _declared(self, queue: str) -> Any:
        try:
            return self._ask(lambda channel: channel.queue_declare(queue, passive=True).method)
        except Absent:
            return None

    def has_exchange(self, exchange: str) -> bool:
        """Whether there is such an exchange."""
        try:
            self._ask(lambda channel: channel.exchange_declare(exchange, passive=True))
        except Absent:
            return False
        return True

    def publish(
        self,
        body: bytes,
        *,
        exchange: str,
        key: str,
        message_id: str | None = None,
        content_type: str | None = "application/json",
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        """Publish one persistent message. `Absent` without the exchange, `Unrouted` where it reached no queue."""
        properties = pika.BasicProperties(
            content_type=content_type,
            message_id=message_id,
            delivery_mode=2,
            headers=dict(headers) if headers else None,
        )
        self._ask(lambda channel: channel.basic_publish(exchange, key, body, properties, mandatory=True))

    def peek(self, queue: str, count: int = 1) -> tuple[Message, ...]:
        """The first messages of a queue, fetched and put back where they were."""

        def look(channel: Any) -> tuple[Message, ...]:
            found = []
            for _ in range(min(count, MAX_PEEK)):
                method, properties, body = channel.basic_get(queue)
                if method is None:
                    break
                found.append(_message(method, properties, body))
            channel.basic_nack(0, multiple=True, requeue=True)
            # A classic queue has put them back when it answers the next question; a quorum queue some time after.
            waiting.reached(lambda: count_of(channel) >= len(found), PUT_BACK_SECONDS)
            return tuple(found)

        def count_of(channel: Any) -> int:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

        return self._ask(look)

    def take(self, queue: str) -> Message | None:
        """The first message of a queue, fetched and acknowledged."""

        def fetch(channel: Any) -> Message | None:
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            return None if method is None else _message(method, properties, body)

        return self._ask(fetch)

    def bind(self, queue: str, exchange: str, key: str) -> None:
        """Bind a queue to an exchange; nothing happens where it is bound."""
        self._ask(lambda channel: channel.queue_bind(queue, exchange, key))

    def unbind(self, queue: str, exchange: str, key: str) -> None:
        """Remove a binding; nothing happens where there is none."""
        self._ask(lambda channel: channel.queue_unbind(queue, exchange, key))

    def close(self) -> None:
        """End the connection, whatever state it is in."""
        with self._turn:
            self._give_up()

    # -- the connection

    def _ask(self, act: Callable[[Any], T]) -> T:
        """Act on a channel. A connection that has died since it was used last (a restart) is replaced, once."""
        with self._turn:
            used_before = self._line is not None
            try:
                return self._act(act)
            except _GONE as error:
                self._give_up()
                if not used_before:
                    raise self._fault(error) from None
            try:
                return self._act(act)
            except _GONE as error:
                self._give_up()
                raise self._fault(error) from None

    def _act(self, act: Callable[[Any], T]) -> T:
        """In a thread that is given up when it takes too long: pika waits for ever for some answers (basic.get)."""
        if self._line is None:
            self._line = self._open()
        (answer,) = held([partial(self._do, self._line, act)]).results(2 * SECONDS)
        if isinstance(answer, TimeoutError):
            self._line = self._channel = None  # they are that thread's
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _do(self, line: Any, act: Callable[[Any], T]) -> T:
        channel = self._channel
        try:
            if channel is None:
                channel = line.channel()
                channel.confirm_delivery()
            result = act(channel)
        except pika.exceptions.ChannelClosed as error:
            channel = None
            if getattr(error, "reply_code", 0) == 404:
                raise Absent(quote(str(error))) from None
            raise LabFault(f"{self.service.name} refused the checks: {quote(str(error))}.") from None
        except pika.exceptions.UnroutableError:
            raise Unrouted("the exchange has no queue for it") from None
        except pika.exceptions.NackError:
            raise LabFault(f"{self.service.name} refused a message of the checks.") from None
        finally:
            if line is self._line:
                self._channel = channel
        return result

    def _open(self) -> Any:
        one = self.service
        return pika.BlockingConnection(
            pika.ConnectionParameters(
                one.host,
                one.port,
                self.vhost,
                pika.PlainCredentials(one.user, one.password),
                heartbeat=0,  # nobody is here to send one while a check waits
                socket_timeout=SECONDS,
                stack_timeout=SECONDS,
                blocked_connection_timeout=SECONDS,
            )
        )

    def _give_up(self) -> None:
        line, self._line, self._channel = self._line, None, None
        if line is not None:
            try:
                line.close()
            except Exception:  # noqa: BLE001 - a client library in pieces may raise anything
                return

    def _fault(self, error: Exception) -> LabFault:
        return LabFault(f"{self.service.name} does not answer the checks: {error!r}.", code="I-STATE")


def _message(method: Any, properties: Any, body: bytes) -> Message:
    return Message(
        body,
        properties.message_id,
        properties.content_type,
        properties.delivery_mode,
        properties.headers or {},
        str(method.exchange),
        str(method.routing_key),
        bool(method.redelivered),
    )
