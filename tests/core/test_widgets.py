"""Texts of several lines come the same from a browser and from a program."""

from django import forms
from django.http import QueryDict

from apps.agents import composer
from apps.core.widgets import LongText


class Note(forms.Form):
    """A form with a long text."""

    text = forms.CharField(widget=LongText)


def test_lines_end_as_programs_end_them() -> None:
    form = Note({"text": "one\r\ntwo\r\n\r\nthree"})

    assert form.is_valid() and form.cleaned_data["text"] == "one\ntwo\n\nthree"
    assert not Note({}).is_valid()


def test_a_message_of_several_lines_is_sent_so_too() -> None:
    asked = composer.request_of(QueryDict("message=one%0D%0Atwo"), [])

    assert asked.messages[0].content == "one\ntwo"
