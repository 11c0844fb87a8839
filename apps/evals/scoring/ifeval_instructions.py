"""The checkable instructions of IFEval, by id. Runs in a child process: guessing a language takes its time.

Each check takes the arguments of the instruction and the answer, blanks at its ends gone, and says whether it is kept.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from apps.evals.scoring.ifeval_text import capital_words, language_of, paragraph_word, sentence_count, word_count
from apps.evals.scoring.refusal import Refused

Kwargs = dict[str, Any]
BULLET = re.compile(r"^[^\S\n]*+(?:\*[^*].*|-.*)$", re.MULTILINE)
FENCES = ("```json", "```Json", "```JSON", "```")
VERDICTS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
STARS = re.compile(r"\s?\*\*\*\s?")


def follow(order: Any) -> list[bool]:
    """Return for each instruction whether the answer follows it; raises Refused for one that cannot be checked."""
    answer: str = order["answer"]
    followed = []
    for name, kwargs in zip(order["instructions"], order["kwargs"], strict=True):
        check = CHECKS.get(name)
        if check is None:
            raise Refused(f"Instruction '{name}' is unknown. Known: {', '.join(sorted(CHECKS))}.")
        try:
            followed.append(bool(answer) and check({"prompt": order["prompt"], **kwargs}, answer))
        except KeyError as error:
            raise Refused(f"Instruction '{name}' lacks {error} in its kwargs.") from error
        except (TypeError, ValueError, AttributeError, re.error, OverflowError) as error:
            raise Refused(f"Instruction '{name}' has kwargs of the wrong type: {error}") from error
    return followed


def _related(found: int, wanted: Any, relation: Any) -> bool:
    """Return whether a number is on the side of another that the instruction asks for."""
    if relation == "less than":
        return found < int(wanted)
    if relation == "at least":
        return found >= int(wanted)
    raise Refused(f"A relation is 'less than' or 'at least', not '{relation}'.")


def _holds(word: str, answer: str) -> bool:
    return re.search(re.escape(word), answer, re.IGNORECASE) is not None


def _existence(kwargs: Kwargs, answer: str) -> bool:
    return all(_holds(word, answer) for word in kwargs["keywords"])


def _frequency(kwargs: Kwargs, answer: str) -> bool:
    found = re.findall(re.escape(kwargs["keyword"].strip()), answer, re.IGNORECASE)
    return _related(len(found), kwargs["frequency"], kwargs["relation"])


def _forbidden(kwargs: Kwargs, answer: str) -> bool:
    words = kwargs["forbidden_words"]
    return not any(re.search(rf"\b{re.escape(word)}\b", answer, re.IGNORECASE) for word in words)


def _letters(kwargs: Kwargs, answer: str) -> bool:
    return _related(answer.lower().count(kwargs["letter"].lower()), kwargs["let_frequency"], kwargs["let_relation"])


def _language(kwargs: Kwargs, answer: str) -> bool:
    return language_of(answer) in (None, kwargs["language"])  # what cannot be told is not held against an answer


def _sentences(kwargs: Kwargs, answer: str) -> bool:
    return _related(sentence_count(answer), kwargs["num_sentences"], kwargs["relation"])


def _words(kwargs: Kwargs, answer: str) -> bool:
    return _related(word_count(answer), kwargs["num_words"], kwargs["relation"])


def _inner(parts: list[str]) -> list[str] | None:
    """Return the parts that hold something; None when one that does not stands between others."""
    if any(not part.strip() for part in parts[1:-1]):
        return None
    return [part.strip() for part in parts if part.strip()]


def _paragraphs(kwargs: Kwargs, answer: str) -> bool:
    parts = _inner(STARS.split(answer))
    return parts is not None and len(parts) == int(kwargs["num_paragraphs"])


def _first_word(kwargs: Kwargs, answer: str) -> bool:
    paragraphs = answer.split("\n\n")
    nth, wanted = int(kwargs["nth_paragraph"]), str(kwargs["first_word"]).lower()
    held = sum(1 for paragraph in paragraphs if paragraph.strip())
    if nth < 1 or nth > held or held != int(kwargs["num_paragraphs"]):
        return False
    return paragraph_word(paragraphs[nth - 1]) == wanted


def _placeholders(kwargs: Kwargs, answer: str) -> bool:
    closed = (part for line in answer.split("\n") for part in line.split("]")[:-1])
    return sum("[" in part for part in closed) >= int(kwargs["num_placeholders"])


def _postscript(kwargs: Kwargs, answer: str) -> bool:
    marker = str(kwargs["postscript_marker"]).strip()
    pattern = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}.get(marker, re.escape(marker.lower()))
    return re.search(pattern, answer.lower()) is not None


def _bullets(kwargs: Kwargs, answer: str) -> bool:
    return len(BULLET.findall(answer)) == int(kwargs["num_bullets"])


def _highlights(kwargs: Kwargs, answer: str) -> bool:
    single = [text for text in re.findall(r"\*[^\n*]*\*", answer) if text.strip("*").strip()]
    double = [text for text in re.findall(r"\*\*[^\n*]*\*\*", answer) if text[2:-2].strip()]
    return len(single) + len(double) >= int(kwargs["num_highlights"])


def _sections(kwargs: Kwargs, answer: str) -> bool:
    splitter = str(kwargs["section_spliter"]).strip()
    return len(re.findall(rf"\s?{re.escape(splitter)}\s?\d+\s?", answer)) >= int(kwargs["num_sections"])


def _json(kwargs: Kwargs, answer: str) -> bool:
    for fence in FENCES:
        answer = answer.removeprefix(fence)
    try:
        json.loads(answer.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def _title(kwargs: Kwargs, answer: str) -> bool:
    return any(_named(line, line.find("<<"), line.rfind(">>")) for line in answer.split("\n"))


def _named(line: str, start: int, end: int) -> bool:
    return 0 <= start < end - 2 and bool(line[start:end].lstrip("<").rstrip(">").strip())


def _two_responses(kwargs: Kwargs, answer: str) -> bool:
    parts = _inner(answer.split("******"))
    return parts is not None and len(parts) == 2 and parts[0] != parts[1]


def _repeats(kwargs: Kwargs, answer: str) -> bool:
    return answer.lower().startswith(str(kwargs.get("prompt_to_repeat", kwargs["prompt"])).strip().lower())


def _ends(kwargs: Kwargs, answer: str) -> bool:
    return answer.strip('"').lower().endswith(str(kwargs["end_phrase"]).strip().lower())


def _quoted(kwargs: Kwargs, answer: str) -> bool:
    return len(answer) > 1 and answer[0] == answer[-1] == '"'


def _capital_words(kwargs: Kwargs, answer: str) -> bool:
    return _related(capital_words(answer), kwargs["capital_frequency"], kwargs["capital_relation"])


def _capitals(kwargs: Kwargs, answer: str) -> bool:
    return answer.isupper() and language_of(answer) in (None, "en")


def _lowercase(kwargs: Kwargs, answer: str) -> bool:
    return answer.islower() and language_of(answer) in (None, "en")


CHECKS: dict[str, Callable[[Kwargs, str], bool]] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden,
    "keywords:letter_frequency": _letters,
    "language:response_language": _language,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": _words,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": lambda _, answer: any(one in answer for one in VERDICTS),
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeats,
    "startend:end_checker": _ends,
    "startend:quotation": _quoted,
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": _capitals,
    "change_case:english_lowercase": _lowercase,
    "punctuation:no_comma": lambda _, answer: "," not in answer,
}
