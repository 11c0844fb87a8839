"""Counting words and sentences as IFEval counts them, and guessing a language without asking anyone."""

import re
from functools import lru_cache

# Words that end in a period without ending a sentence.
SHORT = (
    " mr mrs ms dr prof sr jr st rev gen col capt lt sgt hon gov sen rep pres vs etc inc ltd co corp dept est no "
    "vol fig eq sec ch pp ed eds al cf e.g i.e a.m p.m u.s u.k u.n d.c ph.d b.a m.a jan feb mar apr jun jul aug "
    "sep sept oct nov dec approx ave blvd rd mt ft "
)
CANDIDATE = re.compile(r"""(\S*?)([.!?]+)(["'”’)\]]*)(?=\s+(\S)|\Z)""")
INITIAL = re.compile(r"[A-Za-z]")
QUOTES = "'\""
ENDS_A_WORD = re.compile(r"[.,?!'\"]")
# A contraction counts as the two words it stands for, as tokenizers of English have it.
CONTRACTED = re.compile(r"(?i)n't$|'(?:s|m|d|ll|re|ve)$")
TOKEN = re.compile(r"[^\s.,;:!?()\[\]{}<>\"“”‘…*&%$#@]+(?:[.,:][^\s.,;:!?()\[\]{}<>\"“”‘…*&%$#@]+)*")


def word_count(text: str) -> int:
    """Return how many runs of letters, digits and underscores there are."""
    return len(re.findall(r"\w+", text))


def sentence_count(text: str) -> int:
    """Return how many sentences there are: an abbreviation, an initial or a number's point ends none."""
    found = [match for match in CANDIDATE.finditer(text) if _ends_sentence(match)]
    rest = text[found[-1].end() :] if found else text
    return len(found) + (1 if rest.strip() else 0)


def _ends_sentence(match: "re.Match[str]") -> bool:
    word, marks, _, follows = match.groups()
    if "!" in marks or "?" in marks or follows is None:
        return True
    word = word.lstrip("([\"'“‘*_")
    if follows.islower():
        return False
    if f" {word.lower()} " in SHORT or (len(word) == 1 and INITIAL.match(word) and word != "I"):
        return False
    return bool(word) or len(marks) > 1


def paragraph_word(paragraph: str) -> str:
    """Return the first word of a paragraph in small letters, without quotes before it and marks behind it."""
    words = paragraph.split()
    if not words:
        return ""
    word = words[0].lstrip("'").lstrip('"')
    return ENDS_A_WORD.split(word, maxsplit=1)[0].lower()


def capital_words(text: str) -> int:
    """Return how many words are written in capitals alone."""
    count = 0
    for token in TOKEN.findall(text):
        stem = CONTRACTED.sub("", token)
        parts = (stem, token[len(stem) :]) if stem != token else (token,)
        count += sum(1 for part in parts if part.isupper())
    return count


@lru_cache(maxsize=64)
def language_of(text: str) -> str | None:
    """Return the code of the language a text is most likely in, the same each time; None when there is no telling."""
    import langdetect  # a second's work: only children that are asked for it

    langdetect.DetectorFactory.seed = 0
    try:
        code: str = langdetect.detect(text)
    except langdetect.LangDetectException:
        return None
    return code
