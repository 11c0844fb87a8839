"""What tokens cost: the one rule, in decimal numbers. A price is for a million tokens; what is unknown costs None."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Q

from apps.inference.models import Model

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """An amount of money."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        """Return the amount as people read it: cents from 1 on, below that up to four places."""
        if 0 < self.amount < Decimal("0.0001"):
            return f"under 0.0001 {self.currency}"
        if not self.amount or self.amount >= 1:
            return f"{self.amount:,.2f} {self.currency}"
        whole, _, places = f"{self.amount:.4f}".rstrip("0").partition(".")
        return f"{whole}.{places:0<2} {self.currency}"


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens of a model cost, on their way in and out; None where nobody said."""

    input: Decimal | None
    output: Decimal | None
    currency: str

    def __str__(self) -> str:
        """Return the price in words."""
        sides = (("in", self.input), ("out", self.output))
        told = [f"{plain(value)} {self.currency} {side}" for side, value in sides if value is not None]
        return f"{' · '.join(told)} per million tokens"

    def cost(self, input_tokens: int | None, output_tokens: int | None) -> Cost | None:
        """Return what these tokens cost; None when a count is unknown, or the price of tokens there are."""
        sides = [_side(self.input, input_tokens), _side(self.output, output_tokens)]
        known = [amount for amount in sides if amount is not None]
        return Cost(sum(known, Decimal(0)), self.currency) if len(known) == len(sides) else None

    def as_json(self) -> dict[str, str]:
        """Return the price as it is kept with what it was for; numbers as text, so that none is rounded."""
        told = {"input": self.input, "output": self.output}
        return {name: plain(value) for name, value in told.items() if value is not None} | {"currency": self.currency}


def _side(price: Decimal | None, tokens: int | None) -> Decimal | None:
    if tokens is None or (tokens and price is None):
        return None
    return (price or Decimal(0)) * tokens / MILLION


def read(kept: Mapping[str, Any] | None) -> Price | None:
    """Return the price that ``as_json`` told; None for none."""
    if not kept:
        return None
    sides = [Decimal(kept[name]) if name in kept else None for name in ("input", "output")]
    return Price(sides[0], sides[1], kept["currency"])


def total(costs: Iterable[Cost | None]) -> Cost | None:
    """Return what costs come to; None when one is unknown, there is none, or they are in several currencies."""
    some = list(costs)
    known = [one for one in some if one is not None]
    if not known or len(known) < len(some) or len({one.currency for one in known}) > 1:
        return None
    return Cost(sum((one.amount for one in known), Decimal(0)), known[0].currency)


def of(row: Model) -> Price | None:
    """Return what an operator set for a model; None when that is nothing."""
    if row.input_price is None and row.output_price is None:
        return None
    return Price(row.input_price, row.output_price, row.currency)


def plain(price: Decimal) -> str:
    """Return a price without the zeros it ends with."""
    return f"{price:f}".rstrip("0").rstrip(".") if price % 1 else f"{price:.0f}"


def named(model_ids: Iterable[str]) -> dict[str, Price]:
    """Return the prices of the models that have one, by the ids asked for; an id may be a provider's own name."""
    wanted = set(model_ids)
    rows = Model.objects.offered().filter(Q(identifier__in=wanted) | Q(provider_resource_id__in=wanted))
    by_id: dict[str, Model] = {}
    by_name: dict[str, list[Model]] = {}
    for row in rows:
        by_id[row.identifier] = row
        by_name.setdefault(row.provider_resource_id, []).append(row)
    found: dict[str, Price] = {}
    for name in wanted:
        same = [by_id[name]] if name in by_id else by_name.get(name, [])
        price = of(same[0]) if len(same) == 1 else None
        if price is not None:
            found[name] = price
    return found


def usual_currency() -> str:
    """Return the currency the newest price is in: a server has one as a rule."""
    priced = Model.objects.exclude(input_price=None, output_price=None)
    return priced.order_by("-updated_at").values_list("currency", flat=True).first() or "USD"
