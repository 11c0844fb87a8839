"""Prices of tokens: the rule, and the form that sets them."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import AuditLine
from apps.inference import prices
from apps.inference.models import Model
from apps.inference.prices import Cost, Price
from apps.providers.models import Provider
from tests import build
from tests.inference.test_pages import browser as browser
from tests.inference.test_pages import words

BOTH = Price(Decimal("0.15"), Decimal("0.6"), "USD")


@pytest.mark.parametrize(
    "price, tokens, cost",
    [
        (BOTH, (1_000_000, 500_000), "0.45"),
        (BOTH, (0, 0), "0"),
        (BOTH, (None, 5), None),
        (BOTH, (5, None), None),
        (Price(Decimal(2), None, "USD"), (3, 1), None),
        (Price(Decimal(2), None, "USD"), (500_000, 0), "1"),  # vectors have no output
        (Price(Decimal(0), Decimal(0), "USD"), (3, 4), "0"),
    ],
)
def test_tokens_cost_what_is_known(price: Price, tokens: Any, cost: str | None) -> None:
    told = price.cost(*tokens)

    assert (told and told.amount) == (cost and Decimal(cost))


def test_costs_add_up_only_where_all_are_known_and_in_one_currency() -> None:
    one, two = Cost(Decimal("0.1"), "USD"), Cost(Decimal("0.2"), "USD")

    assert prices.total([one, two]) == Cost(Decimal("0.3"), "USD")  # no float: not 0.30000000000000004
    assert prices.total([one, None]) is None
    assert prices.total([one, Cost(Decimal(1), "EUR")]) is None
    assert prices.total([]) is None


@pytest.mark.parametrize(
    "amount, told",
    [
        ("0", "0.00 USD"),
        ("0.5", "0.50 USD"),
        ("0.00001", "under 0.0001 USD"),
        ("0.0123", "0.0123 USD"),
        ("1234.5", "1,234.50 USD"),
    ],
)
def test_amounts_are_told_with_the_places_that_matter(amount: str, told: str) -> None:
    assert str(Cost(Decimal(amount), "USD")) == told


def test_a_kept_price_is_read_as_it_was() -> None:
    assert prices.read(BOTH.as_json()) == BOTH
    assert prices.read(Price(None, Decimal("0.000001"), "EUR").as_json()) == Price(None, Decimal("0.000001"), "EUR")
    assert prices.read({}) is None


@pytest.mark.django_db(transaction=True)
def test_an_operator_sets_prices_and_the_api_tells_none(browser: Any, model: str) -> None:
    client: Client = browser("operator")
    before = Model.objects.get().as_schema()

    sent = {"input_price": "0.15", "output_price": "0.000001", "currency": "eur"}
    page = words(client.post(f"/models/{model}/prices/", sent, follow=True))

    row = Model.objects.get()
    assert prices.of(row) == Price(Decimal("0.15"), Decimal("0.000001"), "EUR")
    assert "0.15 EUR in · 0.000001 EUR out per million tokens" in page and 'value="0.15"' in page
    assert row.as_schema() == before
    line = AuditLine.objects.get(kind="model")
    assert (line.action, line.detail) == (
        "update",
        {"price": {"input": "0.15", "output": "0.000001", "currency": "EUR"}},
    )
    other = build.model(Provider.objects.get(), "other")
    assert 'value="EUR"' in words(client.get(f"/models/{other}/"))  # the currency of the server, as far as it is known
    assert list(prices.named([model, "scripted", "none"])) in ([model, "scripted"], ["scripted", model])
    client.post(f"/models/{model}/prices/", {"currency": "EUR"})
    assert prices.of(Model.objects.get(identifier=model)) is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "wrong",
    [{"input_price": "-1"}, {"input_price": "NaN"}, {"output_price": "Infinity"}, {"input_price": "0.0000001"},
     {"input_price": "12345678"}, {"input_price": "cheap"}, {"currency": "dollar"}, {"currency": "1$2"}],
)  # fmt: skip
def test_prices_that_are_none_are_refused(browser: Any, model: str, wrong: dict[str, str]) -> None:
    sent = {"input_price": "1", "output_price": "1", "currency": "USD"} | wrong

    answer = browser("operator").post(f"/models/{model}/prices/", sent)

    assert answer.status_code == 422 and 'data-ui="prices" open' in words(answer)
    assert prices.of(Model.objects.get()) is None and not AuditLine.objects.filter(kind="model").exists()


@pytest.mark.django_db(transaction=True)
def test_a_viewer_reads_prices_and_sets_none(browser: Any, model: str) -> None:
    client = browser("viewer")

    assert client.post(f"/models/{model}/prices/", {"input_price": "1", "currency": "USD"}).status_code == 403
    page = words(client.get(f"/models/{model}/"))
    assert "not set" in page and "prices-form" not in page
