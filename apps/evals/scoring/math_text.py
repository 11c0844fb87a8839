"""Answers to mathematical questions as text: what stands in a box, and one way of writing for many."""

import re

BOX = re.compile(r"\\(?:boxed|fbox)\s*")
SPACES = re.compile(r"(?<!\\)\\[,;:! ]|\\q?quad(?![a-zA-Z])|~|\s+")
SIZES = re.compile(r"\\(?:left|right|big|Big|bigg|Bigg|displaystyle|textstyle)(?![a-zA-Z])")
TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}((?:\^\{?[23]\}?)?)")
DEGREES = re.compile(r"\^\s*\{?\\circ\}?|\\degree|°")
FRACTION = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
SHORT_FRACTION = re.compile(r"\\frac(?:\{([^{}]*)\}|(\d))(?:\{([^{}]*)\}|(\d))")
SHORT_ROOT = re.compile(r"\\sqrt(\d|[a-zA-Z](?![a-zA-Z]))")
SLASH = re.compile(r"(-?)(\d+)/(\d+)")
DECIMAL = re.compile(r"(?<![\d.])\.(?=\d)")
THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
LONGEST = 2_000  # characters; what is longer is no final answer
LETTER = re.compile(r"\(([A-Za-z])\)")
ECHO = re.compile(r"\A\s*(?:Q:.*?)?A:", re.DOTALL)  # the question said again, or just the mark before the answer
MARKER = re.compile(r"[QA]:")
JOINED = {"and": ",", "or": ",", "": ""}  # words between several answers
# Longest first: "square inches" goes before "inches".
UNITS = (
    "multiples students integers squared seconds minutes dollars degrees percent tickets gallons square inches "
    "meters metres pounds ounces second minute months dollar degree points people digits liters litres gallon units "
    "cubic yards miles meter metre grams pound hours weeks month years cents point meals edges liter unit inch foot "
    "feet yard mile gram hour days week year cent ways mph lbs sec min day in ft km cm mm dm kg gm lb oz hr th st "
    "nd rd"
)
# One letter is a unit only behind a blank: 3m may be three times m.
UNIT = re.compile(
    rf"(?<=[\d}})])(?:(?:\s*(?:{UNITS.replace(' ', '|')})|\s+[mgs])(?![a-zA-Z])(?:\^\{{?[23]\}}?)?)+\s*\.?$"
)


def cut(text: str) -> str:
    """Return the answer up to where the model goes on to ask itself further questions."""
    return MARKER.split(ECHO.sub("", text), maxsplit=1)[0]


def boxed(text: str) -> str | None:
    """Return what stands in the last box; None when there is none, or it is not closed."""
    boxes = list(BOX.finditer(text))
    if not boxes:
        return None
    rest = text[boxes[-1].end() : boxes[-1].end() + LONGEST]
    if not rest.startswith("{"):
        words = rest.partition("$")[0].split()
        return words[0] if words else None
    depth = 0
    for at, mark in enumerate(rest):
        depth += (mark == "{") - (mark == "}")
        if depth == 0:
            return rest[1:at]
    return None


def normalised(text: str) -> str:
    """Return an answer in one way of writing, without units, blanks and ornaments."""
    text = boxed(text) or text
    if len(text) > LONGEST:
        return text
    text = text.rpartition("=")[2].strip().rstrip(".").strip()
    text = SIZES.sub("", text.replace("\\$", "").replace("$", "").replace("{,}", ""))
    text = DEGREES.sub("", text.replace("\\%", "").replace("%", "").replace("\\(", "").replace("\\)", ""))
    text = UNIT.sub("", TEXT.sub(lambda found: _words(found, text), text))
    text = SPACES.sub("", text)
    text = _fractions(text)
    if THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    lone = LETTER.fullmatch(text)
    return lone.group(1) if lone else text


def _words(found: "re.Match[str]", text: str) -> str:
    """Keep the words of an answer that is one, join those of several, and take a unit away."""
    words = found.group(1).strip().strip(".")
    if words.lower() in JOINED:
        return JOINED[words.lower()]
    return "" if found.start() and text[: found.start()].rstrip()[-1:] in "0123456789})" else words


def _fractions(text: str) -> str:
    text = FRACTION.sub(r"\\frac", text)
    text = SHORT_FRACTION.sub(
        lambda found: f"\\frac{{{found.group(1) or found.group(2) or ''}}}{{{found.group(3) or found.group(4) or ''}}}",
        text,
    )
    text = SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    text = DECIMAL.sub("0.", text)
    whole = SLASH.fullmatch(text)
    if whole:
        return f"{whole.group(1)}\\frac{{{whole.group(2)}}}{{{whole.group(3)}}}"
    return "\\frac{1}{2}" if text == "0.5" else text
