"""Counting words and sentences as IFEval counts them, and guessing a language without asking anyone."""

import re
from functools import lru_cache

# Words that end in a period without ending a sentence, as in English news. There "e.g." and "i.e." are none of them,
# and published scores count so.
SHORT = (
    " adm ala ariz aug ave bros calif co col colo conn corp cos ct dec dr feb fla fri ft ga gen ill inc jan jr "
    "kan ky lt ltd maj messrs mg mich minn mr mrs ms nev nov oct okla ore pa prof rep reps sen sep sept sr st "
    "tenn tues va vs vt wash wed wis yr a.m p.m d.c l.a n.c n.j n.y s.c u.k u.n u.s u.s.a ph.d m.b.a j.p "
)
# Where a sentence may end: marks before a blank, before the text's end, or right before a bracket, quote or star.
MARKS = re.compile(r"""[.!?]+(?=[)";}\]*:@'({\[]|\s|\Z)""")
NEXT = re.compile(r"\s*(\S{1,60})")
LAST_WORD = re.compile(r"[^\s(\[{\"'“‘*_<]+\Z")
LONGEST_WORD = 60
OPENERS = "([{\"'“‘*_<"
CLOSERS = re.compile(r"""["')\]}]+(?:\s+|\Z)""")  # they belong to the sentence before them
# Words that begin a sentence so often that even an abbreviation before them ends one.
STARTERS = (
    " according although among both but despite even he however i if in indeed instead it many meanwhile "
    "moreover most nevertheless nonetheless nor separately similarly since so some the there these they this "
    "though thus under when while yet "
)
ENDS_A_WORD = re.compile(r"[.,?!'\"]")
# A contraction counts as the two words it stands for, as tokenizers of English have it.
CONTRACTED = re.compile(r"(?i)n't$|'(?:s|m|d|ll|re|ve)$")
TOKEN = re.compile(r"[^\s.,;:!?()\[\]{}<>\"“”‘…*&%$#@]+(?:[.,:][^\s.,;:!?()\[\]{}<>\"“”‘…*&%$#@]+)*")


def word_count(text: str) -> int:
    """Return how many runs of letters, digits and underscores there are."""
    return len(re.findall(r"\w+", text))


def sentence_count(text: str) -> int:
    """Return how many sentences there are: an abbreviation, an initial or a number's point ends none."""
    count = start = 0
    for match in MARKS.finditer(text):
        if match.start() < start or not _ends_sentence(text, match):
            continue
        closers = CLOSERS.match(text, match.end())
        start = closers.end() if closers else match.end()
        count += 1
    return count + bool(text[start:].strip())


def _ends_sentence(text: str, match: "re.Match[str]") -> bool:
    marks, follows = match.group(), NEXT.match(text, match.end())
    if "!" in marks or "?" in marks:
        return True
    before = LAST_WORD.search(text, max(0, match.start() - LONGEST_WORD), match.start())
    word, after = before.group() if before else "", follows.group(1).lstrip(OPENERS) if follows else ""
    if len(marks) > 1:
        return bool(word) and after[:1].isupper()
    if f" {word.lower()} " in SHORT:
        return after[:1].isupper() and f" {after.lower()} " in STARTERS
    if len(word) == 1 and word.isalpha() and word != "I":
        return False
    return not (word[-1:].isdigit() and word.replace(",", "").isdigit() and after[:1].islower())


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
