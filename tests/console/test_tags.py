"""The template tags: numbers, times, states, fields, code."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django import forms
from django.template import engines
from django.utils.timezone import now

from apps.console.templatetags import console


def rendered(source: str, **context: Any) -> str:
    """Return the template with the console's tags at hand."""
    return engines["django"].from_string(source).render(context)


@pytest.mark.parametrize(
    ("span", "shown"),
    [
        (0.0841, "84 ms"),
        (1.02, "1.02 s"),
        (11.63, "11.6 s"),
        (59.96, "1 min 0 s"),
        (252, "4 min 12 s"),
        (3900, "1 h 5 min"),
        (timedelta(milliseconds=999.9), "1.00 s"),
        (None, "–"),
    ],
)
def test_durations_carry_their_unit(span: object, shown: str) -> None:
    assert console.duration(span) == shown


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0"), (1284, "1,284"), (4_210_000, "4.21 M"), (-3, "−3"), (None, "–"), ("", "–")]
)
def test_an_unknown_count_is_a_dash_and_not_zero(number: object, shown: str) -> None:
    assert console.count(number) == shown


@pytest.mark.parametrize(
    ("filter_", "value", "shown"),
    [
        (console.ms, 412.4, "412 ms"),
        (console.ms, None, "–"),
        (console.size, 412_000_000, "412 MB"),
        (console.size, 98_100_000_000, "98.1 GB"),
        (console.size, 12, "12 B"),
        (console.percent, 0.019, "1.9\u2009%"),
        (console.percent, None, "–"),
    ],
)
def test_numbers_have_units(filter_: Any, value: object, shown: str) -> None:
    assert filter_(value) == shown


def test_a_moment_is_readable_without_script() -> None:
    moment = datetime(2026, 11, 20, 14, 6, 27, tzinfo=UTC)

    html = rendered("{{ m|when }}", m=moment)

    assert 'datetime="2026-11-20T14:06:27+00:00"' in html
    assert ">20 Nov, 14:06 UTC</time>" in html


@pytest.mark.parametrize(("seconds", "shown"), [(5, "now"), (240, "4 min"), (7300, "2 h"), (200_000, "2 d")])
def test_a_past_moment_is_told_by_its_distance(seconds: int, shown: str) -> None:
    assert f">{shown}</time>" in rendered("{{ m|ago }}", m=now() - timedelta(seconds=seconds))


def test_no_moment_is_a_dash() -> None:
    assert rendered("{{ m|when }}{{ m|ago }}", m=None) == "––"


def test_a_state_is_icon_and_word() -> None:
    html = rendered("{% status 'failed' %}")

    assert 'data-t="err"' in html
    assert "#circle-x" in html
    assert "Failed</span>" in html


def test_an_unlisted_state_is_escaped() -> None:
    assert "&lt;b&gt;" in rendered("{% status s %}", s="<b>")


def test_json_is_coloured_and_escaped() -> None:
    html = rendered("{{ d|json_code }}", d={"a<b": ['x"</script>', 1.5, None, True]})

    assert '<span class="p">&quot;a&lt;b&quot;</span>' in html
    assert "<script" not in html
    assert '<span class="n">1.5</span>' in html
    assert '<span class="n">null</span>' in html


def test_text_that_holds_json_is_laid_out_and_other_text_is_left() -> None:
    assert '<span class="p">' in rendered("{{ d|json_code }}", d='{"a": 1}')
    assert rendered("{{ d|json_code }}", d="<not json") == "&lt;not json"


class Form(forms.Form):
    """A form with one field of each shape."""

    name = forms.CharField(help_text="Lower case.")
    kind = forms.ChoiceField(choices=[("a", "A")], required=False)
    sure = forms.BooleanField(required=False)
    method = forms.ChoiceField(choices=[("x", "X"), ("y", "Y")], widget=forms.RadioSelect)


def test_a_refused_field_is_tied_to_its_message() -> None:
    form = Form({"name": ""})

    html = rendered("{% field f.name %}", f=form)

    assert 'aria-invalid="true"' in html
    assert 'aria-describedby="id_name-e id_name-h"' in html
    assert 'id="id_name-e"' in html
    assert "This field is required." in html


def test_fields_are_labelled_by_shape() -> None:
    form = Form()

    assert 'class="select"' in rendered("{% field f.kind %}", f=form)
    assert 'type="checkbox"' in rendered("{% field f.sure %}", f=form)
    assert "<legend" in rendered("{% field f.method %}", f=form)
    assert 'placeholder="Ana"' in rendered("{% field f.name placeholder='Ana' %}", f=form)


def test_a_group_is_tied_to_its_message_and_the_summary_leads_to_it() -> None:
    form = Form({"name": "Ana", "method": "z"})

    html, summary = rendered("{% field f.method %}", f=form), rendered("{% form_errors f %}", f=form)

    html = " ".join(html.split())
    assert '<fieldset class="f" id="id_method" tabindex="-1" aria-describedby="id_method-e">' in html
    assert 'id="id_method-e"' in html and 'href="#id_method"' in summary


def test_the_summary_leads_to_the_fields() -> None:
    form = Form({"name": "", "method": "x"})

    html = rendered("{% form_errors f %}", f=form)

    assert 'href="#id_name"' in html
    assert rendered("{% form_errors f %}", f=Form()).strip() == ""


def test_each_form_has_a_key_of_its_own() -> None:
    assert rendered("{% once %}") != rendered("{% once %}")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "1 s"), (49.96, "50 s"), (61, "1 min"), (3599, "1 h 0 min"), (7800, "2 h 10 min"), (None, "–")],
)
def test_estimates_are_no_measurements(seconds: object, shown: str) -> None:
    assert console.roughly(seconds) == shown


@pytest.mark.parametrize(
    ("rate", "unit", "shown"),
    [
        (3400.4, "rows", "3,400 rows/s"),
        (1.25, "rows", "1.2 rows/s"),
        (0.37, "rows", "22 rows/min"),
        (2_000_000, "B", "2 MB/s"),
        (None, "rows", "–"),
    ],
)
def test_slow_work_is_counted_by_the_minute(rate: object, unit: str, shown: str) -> None:
    assert console.pace(rate, unit) == shown
