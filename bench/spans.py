"""Spans as a busy console has them: turns of eleven spans over thirty days, made from a fixed seed."""

import json
import random
from collections.abc import Iterator

from apps.telemetry.metrics.points import Point
from apps.telemetry.records import SpanRecord

DAYS = 30
SPANS = 11  # of one turn
SECOND = 10**9
OLD = 0.05  # the part of the time in which the retired agent worked
AGENTS = [(f"{number:08d}-aaaa-4000-8000-000000000000", f"Agent {number}") for number in range(20)]
MODELS = ["openai/large", "openai/small", "local/tiny"]
Turn = list[SpanRecord]


def turns(count: int, until_s: int) -> Iterator[Turn]:
    """Yield the spans of ``count`` turns, the oldest first, the last of them at ``until_s``."""
    dice = random.Random(0)
    length = DAYS * 86_400 * SECOND
    for number in range(count):
        start = until_s * SECOND - length + length * (number + 1) // count
        yield _turn(number, count, start, dice)


def _turn(number: int, count: int, start: int, dice: random.Random) -> Turn:
    trace_id, root_id = f"{dice.getrandbits(128):032x}", f"{dice.getrandbits(64):016x}"
    agent_id, agent_name = AGENTS[dice.randrange(20)]
    if number < count * OLD:
        agent_name = "Retired"
    about = {
        "agent_id": agent_id, "agent_name": agent_name, "session_id": f"session-{number // 8}",
        "turn_id": f"turn-{number}", "request": json.dumps({"messages": [{"role": "user", "content": "What? " * 40}]}),
        "user.id": f"user-{number // 4}", "user.tier": dice.choice(["gold", "silver", "free"]), "__ttl__": 604800,
    }  # fmt: skip
    root = SpanRecord(trace_id, root_id, "create_agent_turn", start, start + 9 * SECOND, status="ok", attributes=about)
    return [root, *(_step(root, place, agent_name, dice) for place in range(1, SPANS))]


def _step(root: SpanRecord, place: int, agent_name: str, dice: random.Random) -> SpanRecord:
    start = root.start_ns + place * SECOND // 2
    failed = dice.random() < 0.01
    if place % 3 == 2:
        name, told = "tool_execution", {"tool_name": f"tool_{place}", "input": "{}", "output": "[] " * 30}
    else:
        tokens = dice.randrange(20, 4_000)
        name, told = "inference", {
            "gen_ai.request.model": dice.choice(MODELS), "gen_ai.usage.input_tokens": tokens,
            "gen_ai.usage.output_tokens": dice.randrange(5, 900), "input": "[] " * 60, "output": "Words " * 30,
        }  # fmt: skip
    return SpanRecord(
        root.trace_id, f"{dice.getrandbits(64):016x}", name, start, start + SECOND // 3, root.span_id,
        status="error" if failed else "ok", attributes={"agent_name": agent_name, "step_id": f"step-{place}", **told},
    )  # fmt: skip


def large(count: int, start_ns: int) -> Turn:
    """Return one trace of ``count`` spans, ten below each."""
    trace_id = "1a" * 16
    ids = [f"{number + 1:016x}" for number in range(count)]
    return [
        SpanRecord(
            trace_id, span_id, f"step {number % 17}", start_ns + number * 1000, start_ns + number * 1000 + SECOND,
            ids[(number - 1) // 10] if number else "", "ok",
            attributes={"number": number, "output": "Words and words " * 12, "user.tier": "large"},
        )
        for number, span_id in enumerate(ids)
    ]  # fmt: skip


def points(count: int, until_s: int) -> Iterator[Point]:
    """Yield points of one metric in nine series over thirty days."""
    dice = random.Random(1)
    for number in range(count):
        at = until_s - DAYS * 86_400 * (count - number - 1) // count
        labels = {"model_id": MODELS[number % 3], "agent_id": AGENTS[number // 3 % 3][0], "provider_id": "openai"}
        yield Point("total_tokens", labels, "tokens", at, dice.randrange(20, 4_000))
