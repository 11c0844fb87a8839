"""Topics: what happens while somebody looks.

``publish`` gives an event the topic's next number and keeps it for a while; watchers read everything after the number
they have. The channel layer carries only "there is more": it loses messages by design, the log does not. With
``REDIS_URL`` the log is in Redis and every process sees it; without, it lives in this process.
"""

import asyncio
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from pydantic_core import from_json, to_json

KEEP_EVENTS = 4_000
KEEP_S = 900
KEEP_TOPICS = 2_000
Event = dict[str, Any]
Numbered = tuple[int, Event]


@dataclass(frozen=True)
class Topic:
    """What a kind of topic needs: who may watch, and which frames an event paints."""

    may_watch: Callable[[Any, str], Awaitable[bool]]
    frames: Callable[[str, int, Event], Awaitable[list[dict[str, Any]]]]


log = logging.getLogger(__name__)
_kinds: dict[str, Topic] = {}
_home: dict[str, asyncio.AbstractEventLoop] = {}


def register(kind: str, topic: Topic) -> None:
    """Make ``<kind>:<id>`` watchable; each domain's ``live.py`` calls it from its AppConfig."""
    _kinds[kind] = topic


def kind_of(topic: str) -> Topic | None:
    """Return how topics of this name behave, or None when nobody registered the kind."""
    return _kinds.get(topic.partition(":")[0])


def group_of(topic: str) -> str:
    """Return the channel-layer group that hears of this topic; group names allow no colon."""
    return "live." + topic.replace(":", ".")


async def publish(topic: str, *events: Event) -> int:
    """Append events to the topic, wake its watchers and return the number of the last event."""
    number = await _log().append(topic, list(events))
    layer = get_channel_layer()
    if layer is not None:
        await layer.group_send(group_of(topic), {"type": "live.ready", "topic": topic})
    return number


def at_home(loop: asyncio.AbstractEventLoop) -> None:
    """Publish on this loop: the in-memory channel layer reaches only sockets of the loop it is used on."""
    _home["loop"] = loop


def tell(topic: str, *events: Event) -> None:
    """Publish from any thread without waiting; news that cannot be told are lost, the rows are the truth."""
    loop = _home.get("loop")
    if loop is not None and loop.is_running():
        asyncio.run_coroutine_threadsafe(_try_to_publish(topic, *events), loop)
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with suppress(RuntimeError):  # the interpreter is ending: no thread takes work any more
            async_to_sync(_try_to_publish)(topic, *events)


async def _try_to_publish(topic: str, *events: Event) -> None:
    try:
        await publish(topic, *events)
    except Exception:  # a message broker that is away must not end the work that tells of itself
        log.exception("news of %s could not be told", topic)


def publish_from_sync(topic: str, *events: Event) -> int:
    """Publish from a page or a thread that has no event loop of its own."""
    return async_to_sync(publish)(topic, *events)


async def head(topic: str) -> int:
    """Return the number of the topic's newest event; a topic nobody used yet has one too."""
    return await _log().head(topic)


async def since(topic: str, number: int) -> list[Numbered] | None:
    """Return the events after ``number`` in order; None when some of them are no longer kept."""
    return await _log().since(topic, number)


async def follow(topic: str, number: int, idle_s: float = 15.0) -> AsyncIterator[list[Numbered] | None]:
    """Yield batches of events after ``number`` as they come; an empty batch when ``idle_s`` passed without one.

    None means that events are missing and ends the iteration. The caller closes the iterator.
    """
    layer = get_channel_layer()
    if layer is None:
        return
    channel = await layer.new_channel()
    await layer.group_add(group_of(topic), channel)
    try:
        while True:
            batch = await since(topic, number)
            if batch is None:
                yield None
                return
            if batch:
                number = batch[-1][0]
                yield batch
                continue
            try:
                async with asyncio.timeout(idle_s):
                    await layer.receive(channel)
            except TimeoutError:
                yield []
    finally:
        await layer.group_discard(group_of(topic), channel)


class Log(Protocol):
    """Where numbered events are kept."""

    async def append(self, topic: str, events: list[Event]) -> int: ...

    async def head(self, topic: str) -> int: ...

    async def since(self, topic: str, number: int) -> list[Numbered] | None: ...


def _first_number() -> int:
    # A log that starts anew (after a restart) continues above every number handed out before,
    # so a reader with an old number sees a gap and asks for the whole picture.
    return int(time.time() * 1000)


class MemoryLog:
    """The log of one process."""

    def __init__(self) -> None:
        self._topics: OrderedDict[str, tuple[list[int], deque[tuple[int, float, Event]]]] = OrderedDict()
        self._lock = threading.Lock()

    def _topic(self, topic: str) -> tuple[list[int], deque[tuple[int, float, Event]]]:
        entry = self._topics.get(topic)
        if entry is None:
            entry = self._topics[topic] = ([_first_number()], deque(maxlen=KEEP_EVENTS))
        self._topics.move_to_end(topic)
        self._forget()
        return entry

    def _forget(self) -> None:
        """Drop topics nobody used for a while, the oldest first; who comes back to one gets the whole picture."""
        now = time.monotonic()
        while len(self._topics) > 1:
            _, kept = next(iter(self._topics.values()))
            if len(self._topics) <= KEEP_TOPICS and (not kept or now - kept[-1][1] <= KEEP_S):
                return
            self._topics.popitem(last=False)

    async def append(self, topic: str, events: list[Event]) -> int:
        """Keep events under the next numbers; return the last number."""
        now = time.monotonic()
        with self._lock:
            last, kept = self._topic(topic)
            while kept and now - kept[0][1] > KEEP_S:
                kept.popleft()
            for event in events:
                last[0] += 1
                kept.append((last[0], now, event))
            return last[0]

    async def head(self, topic: str) -> int:
        """Return the newest number."""
        with self._lock:
            return self._topic(topic)[0][0]

    async def since(self, topic: str, number: int) -> list[Numbered] | None:
        """Return what came after ``number``, None when it is not all kept."""
        with self._lock:
            last, kept = self._topic(topic)
            if number == last[0]:
                return []
            if number > last[0] or not kept or kept[0][0] > number + 1:
                return None
            return [(seq, event) for seq, _, event in kept if seq > number]


class RedisLog:
    """The log every process shares: one stream per topic, numbered by a script so that order and numbers agree."""

    APPEND = """
    local last = redis.call('GET', KEYS[1])
    if not last then last = ARGV[1] end
    for i = 4, #ARGV do
        last = last + 1
        redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], string.format('%d-0', last), 'e', ARGV[i])
    end
    redis.call('SET', KEYS[1], string.format('%d', last), 'EX', ARGV[3])
    redis.call('EXPIRE', KEYS[2], ARGV[3])
    return string.format('%d', last)
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._clients: dict[int, Any] = {}

    def _redis(self) -> Any:
        # A connection belongs to the event loop it was made on; tests and threads have loops of their own.
        import redis.asyncio as redis

        loop = asyncio.get_running_loop()
        client = self._clients.get(id(loop))
        if client is None or client[0] is not loop:
            client = self._clients[id(loop)] = (
                loop,
                redis.Redis.from_url(self._url, socket_timeout=5, socket_connect_timeout=2),
            )
        return client[1]

    async def append(self, topic: str, events: list[Event]) -> int:
        """Keep events under the next numbers; return the last number."""
        keys = (f"live:n:{topic}", f"live:log:{topic}")
        args = (_first_number(), KEEP_EVENTS, KEEP_S, *(to_json(event) for event in events))
        return int(await self._redis().eval(self.APPEND, 2, *keys, *args))

    async def head(self, topic: str) -> int:
        """Return the newest number, and fix it when the topic is new."""
        key = f"live:n:{topic}"
        redis = self._redis()
        await redis.set(key, _first_number(), nx=True, ex=KEEP_S)
        return int(await redis.get(key))

    async def since(self, topic: str, number: int) -> list[Numbered] | None:
        """Return what came after ``number``, None when it is not all kept."""
        redis = self._redis()
        last = int(await redis.get(f"live:n:{topic}") or 0)
        if number == last:
            return []
        rows = await redis.xrange(f"live:log:{topic}", min=f"({number}-0")
        numbered = [(int(key.split(b"-")[0]), from_json(fields[b"e"])) for key, fields in rows]
        if not numbered or numbered[0][0] != number + 1:
            return None
        return numbered


_logs: dict[str, Log] = {}


def _log() -> Log:
    url = settings.REDIS_URL or ""
    if url not in _logs:
        _logs[url] = RedisLog(url) if url else MemoryLog()
    return _logs[url]
