"""Trace rows in step: random spans, open, ended, late, twice and without a root, against their sum from scratch."""

import random
from dataclasses import replace

import pytest

from apps.telemetry.models import Span, Trace
from apps.telemetry.records import SpanRecord
from tests.telemetry import spans

pytestmark = pytest.mark.django_db(transaction=True)
SUMS = (
    "root_span_id", "name", "kind", "status", "start_ns", "end_ns", "span_count", "error_count", "input_tokens",
    "output_tokens", "model", "expires_s",
)  # fmt: skip


def tree(chance: random.Random) -> list[SpanRecord]:
    """Return the spans of one trace as they end up: some never end, and the root may never come."""
    of, starts = spans.trace_id(), chance.sample(range(1, 60), chance.randint(1, 7))
    told: list[SpanRecord] = []
    for number, at_ms in enumerate(starts):
        has_ended = chance.random() < 0.8
        inference = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": at_ms}
        told.append(
            spans.record(
                trace_id=of,
                parent_span_id=chance.choice(told).span_id if told else chance.choice(["", "f" * 16]),
                name=f"span {number}",
                at_ms=at_ms,
                status=chance.choice(["ok", "error"]) if has_ended else "",
                attributes=inference if chance.random() < 0.4 else {},
                **({"for_ms": chance.randint(1, 90)} if has_ended else {"end_ns": None}),
            )
        )
    return told


def arrivals(told: list[SpanRecord], chance: random.Random) -> list[list[SpanRecord]]:
    """Return the spans as they come: in any order, some open at first or afterwards, some twice, in any portions."""
    come = [*told, *chance.sample(told, len(told) // 2)]
    opened = [one for one in told if one.end_ns is not None and chance.random() < 0.5]
    come += [replace(one, end_ns=None, status="", name=f"{one.name} begins", attributes={}) for one in opened]
    chance.shuffle(come)
    portions: list[list[SpanRecord]] = []
    while come:
        size = chance.randint(1, 4)
        portions.append([replace(one) for one in come[:size]])
        come = come[size:]
    return portions


def summed(told: list[SpanRecord]) -> tuple[object, ...]:
    """Return what the spans' trace must tell."""
    roots = [one for one in told if not one.parent_span_id]
    head = roots[0] if roots else min(told, key=lambda one: one.start_ns)
    tokens = [one.tokens("input") for one in told if one.kind == "inf"]
    end = max((one.end_ns for one in told if one.end_ns is not None), default=None)
    return (
        roots[0].span_id if roots else "", head.name, head.kind, head.status, min(one.start_ns for one in told),
        None if head.end_ns is None else end, len(told), sum(one.status == "error" for one in told),
        sum(count or 0 for count in tokens) if tokens else None, None, "",
        max(one.start_ns for one in told) // 10**9 + 7 * 86_400,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_a_trace_tells_what_its_spans_come_to_however_they_came(seed: int) -> None:
    chance = random.Random(seed)
    told = tree(chance)

    for portion in arrivals(told, chance):
        spans.save(*portion)

    assert Trace.objects.values_list(*SUMS).get() == summed(told)
    assert {(one.span_id, one.name, one.end_ns) for one in told} == set(
        Span.objects.values_list("span_id", "name", "end_ns")
    )
