"""Answers about documents: equal to one of several allowed ones after the wording is evened out."""

import json
import re
from contextlib import suppress

from apps.evals.schemas import BasicScoringFnParams
from apps.evals.scoring.base import Json, Scorer, Task

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
COMMA_IN_NUMBER = re.compile(r"\d,\d")
PERIOD = re.compile(r"\.(?!\d)")
WORDS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
    "seven": "7", "eight": "8", "nine": "9", "ten": "10", "1st": "first", "2nd": "second", "3rd": "third",
}  # fmt: skip
DROPPED = {"a", "an", "the", "to", "in", "from", "by"}
# Written without their apostrophe they get it back; words that mean something else without it are left alone.
CONTRACTED = [
    "ain't", "aren't", "can't", "could've", "couldn't", "didn't", "doesn't", "don't", "hadn't", "hasn't", "haven't",
    "he'd", "he's", "how'd", "how'll", "how's", "i'd've", "i'm", "i've", "isn't", "it'd", "it'll", "ma'am",
    "mightn't", "might've", "mustn't", "must've", "needn't", "not've", "o'clock", "oughtn't", "shan't", "should've",
    "shouldn't", "that'd", "that's", "there'd", "there're", "there's", "they'd", "they'll", "they're", "they've",
    "'twas", "wasn't", "we've", "weren't", "what'll", "what're", "what's", "what've", "when's", "where'd", "where's",
    "where've", "who'd", "who'll", "who's", "who've", "why'll", "why're", "why's", "won't", "would've", "wouldn't",
    "y'all", "you'd", "you'll", "you're", "you've",
]  # fmt: skip
APOSTROPHES = {word.replace("'", ""): word for word in CONTRACTED}


def normalised(text: str) -> str:
    """Return the answer's wording without what does not count."""
    text = text.replace("\n", " ").replace("\t", " ").strip()
    text = PERIOD.sub("", _without_punctuation(text)).lower()
    words = (WORDS.get(word, word) for word in text.split())
    return " ".join(APOSTROPHES.get(word, word) for word in words if word not in DROPPED)


def _without_punctuation(text: str) -> str:
    """Take marks away; one that only ever stands between words leaves a blank in its place."""
    has_number = COMMA_IN_NUMBER.search(text) is not None
    kept = text
    for mark in PUNCTUATION:
        if mark in text:
            joins = has_number or f"{mark} " in text or f" {mark}" in text
            kept = kept.replace(mark, "" if joins else " ")
    return kept


async def _allowed(task: Task) -> Json:
    answer = normalised(task.text("generated_answer"))
    return {"score": float(any(answer == normalised(allowed) for allowed in _answers(task)))}


def _answers(task: Task) -> list[str]:
    """Return the allowed answers: a list, JSON text of one, or plain text that is the only one."""
    value = task.row["expected_answer"]
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if not isinstance(value, list):
        return [task.text("expected_answer")]
    return [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in value]


DOCVQA = Scorer(
    "basic::docvqa",
    "1 when the answer is one of the allowed ones, given as a JSON list, but for punctuation, articles and such.",
    _allowed,
    BasicScoringFnParams(aggregation_functions=["accuracy"]),
)
