"""The one socket of a tab, ``/ws/live/``: subscribe to topics, catch up, forward.

From the browser: ``{"sub": {topic: number}}`` (the last number it has), ``{"unsub": [topic]}``, ``{"hidden": bool}``,
``{"ack": count}``. To the browser: frames with ``t`` (topic), ``n`` (number) and ``k`` (kind).
"""

import logging
import re
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from pydantic_core import from_json, to_json

from apps.core import db, live, signed_in

log = logging.getLogger(__name__)
MAX_TOPICS = 32
MAX_FRAME = 16_384  # characters of one message
TOPIC = re.compile(r"[a-z_]{1,20}(:[A-Za-z0-9_.-]{1,70})?")  # what the channel layer takes as a name, under 100 long
SIGNED_OUT = 4401
COME_AGAIN = 4408  # with the cookie as it is now; the page reconnects on any code but SIGNED_OUT
UNREAD_LIMIT = 1_000  # frames the browser has not confirmed; beyond it the reader is slow and gets the picture anew


def group_of_user(user_id: int) -> str:
    """Return the channel-layer group of all sockets of one person."""
    return f"user.{user_id}"


class LiveConsumer(AsyncWebsocketConsumer):
    """Forwards what happens on the topics a page watches."""

    async def connect(self) -> None:
        """Let signed-in people in; the origin was checked before."""
        self.seen: dict[str, int] = {}
        self.hidden = False
        self.unread = 0
        user = self.scope.get("user")
        if user is None or not user.is_authenticated:
            await self.close(code=SIGNED_OUT)
            return
        self.session_key = self.scope["session"].session_key or ""
        await self.channel_layer.group_add(group_of_user(user.pk), self.channel_name)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Act on one message of the browser; garbage closes the socket."""
        try:
            if len(text_data or "") > MAX_FRAME:
                raise ValueError("too long")
            message = from_json(text_data or "")
            if not isinstance(message, dict):
                raise ValueError("not a message")
        except ValueError:
            await self.close(code=4400)
            return
        self.unread = max(0, self.unread - _whole(message.get("ack")))
        if "hidden" in message:
            self.hidden = bool(message["hidden"])
        for topic in _list(message.get("unsub")):
            await self._leave(str(topic))
        wanted = message.get("sub")
        for topic, number in wanted.items() if isinstance(wanted, dict) else ():
            await self._watch(str(topic), number)

    async def disconnect(self, code: int) -> None:
        """Forget every topic."""
        for topic in list(self.seen):
            await self._leave(topic)
        user = self.scope.get("user")
        if user is not None and user.is_authenticated:
            await self.channel_layer.group_discard(group_of_user(user.pk), self.channel_name)

    async def live_ready(self, message: dict[str, Any]) -> None:
        """Forward what is new on a topic; the channel layer calls it."""
        await self._forward(message["topic"])

    async def live_recheck(self, message: dict[str, Any]) -> None:
        """Ask again who may watch what: a role, an account or a session changed; who is signed out is put out."""
        user = await db.read(signed_in.user_of, self.session_key)
        if user is None:
            goes_on = message.get("going_on") == self.session_key
            await self.close(code=COME_AGAIN if goes_on else SIGNED_OUT)
            return
        self.scope["user"] = user
        for topic in list(self.seen):
            kind = live.kind_of(topic)
            if kind is None or not await kind.may_watch(self.scope["user"], topic):
                await self._leave(topic)
                await self._send({"t": topic, "k": "gone"})

    async def _watch(self, topic: str, number: Any) -> None:
        kind = live.kind_of(topic) if TOPIC.fullmatch(topic) else None
        too_many = topic not in self.seen and len(self.seen) >= MAX_TOPICS
        if kind is None or too_many or not await kind.may_watch(self.scope["user"], topic):
            await self._send({"t": topic, "k": "gone"})
            return
        if topic not in self.seen:
            await self.channel_layer.group_add(live.group_of(topic), self.channel_name)
        self.seen[topic] = _whole(number) or await live.head(topic)
        await self._send({"t": topic, "k": "watching", "n": self.seen[topic]})
        await self._forward(topic)

    async def _leave(self, topic: str) -> None:
        if self.seen.pop(topic, None) is not None:
            await self.channel_layer.group_discard(live.group_of(topic), self.channel_name)

    async def _forward(self, topic: str) -> None:
        kind = live.kind_of(topic)
        if topic not in self.seen or kind is None:
            return
        events = await live.since(topic, self.seen[topic])
        if events is None or self.unread + len(events) > UNREAD_LIMIT:
            self.seen[topic] = await live.head(topic)
            self.unread = 0
            await self._send({"t": topic, "n": self.seen[topic], "k": "resync"})
            return
        for number, event in events:
            self.seen[topic] = number
            for frame in await kind.frames(topic, number, event):
                if not self.hidden or frame["k"] == "state":
                    await self._send({"t": topic, "n": number, **frame})

    async def _send(self, frame: dict[str, Any]) -> None:
        self.unread += 1
        await self.send(text_data=to_json(frame).decode())


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
