"""The number a LaTeX expression comes to: sums, products, powers, fractions, roots and factorials of numbers.

What it does not understand has no value here; a mathematics library may know more.
"""

import math
import re

TOKEN = re.compile(r"\d+(?:\.\d+)?|\\[a-zA-Z]+|[-+*/^!(){}\[\]|]")
TIMES = ("*", "\\cdot", "\\times")
DIVIDED = ("/", "\\div")
CLOSING = {"(": ")", "{": "}", "[": "]"}
LONGEST = 500
DEEPEST = 40


def value_of(text: str) -> float | None:
    """Return the value of an expression in numbers alone; None for any other and for one beyond all bounds."""
    if not text or len(text) > LONGEST:
        return None
    tokens = TOKEN.findall(text)
    if sum(map(len, tokens)) != len(text):
        return None
    reader = _Reader(tokens)
    try:
        value = reader.sum()
    except (_Unknown, ArithmeticError, ValueError):
        return None
    return value if reader.at == len(tokens) and math.isfinite(value) else None


class _Unknown(Exception):
    """The expression holds something else than numbers."""


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0
        self._depth = 0

    @property
    def _next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self, token: str = "") -> str:
        found = self._next
        if not found or (token and found != token):
            raise _Unknown
        self.at += 1
        return found

    def sum(self) -> float:
        """Read terms with signs between them."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise _Unknown
        total = self._product()
        while self._next in ("+", "-"):
            total += self._product() if self._take() == "+" else -self._product()
        self._depth -= 1
        return total

    def _product(self) -> float:
        sign = 1.0
        while self._next in ("+", "-"):
            sign = -sign if self._take() == "-" else sign
        was_integer = self._next.isdigit()
        total = self._power()
        while self._next and self._next not in ("+", "-", ")", "}", "]", "|"):
            if self._next in DIVIDED:
                self._take()
                total /= self._signed()
            elif self._next in TIMES:
                self._take()
                total *= self._signed()
            elif was_integer and self._next == "\\frac":
                total += self._power()  # a mixed number: 2½ is two and a half
            else:
                if self._next[0].isdigit():
                    raise _Unknown
                total *= self._power()
            was_integer = False
        return sign * total

    def _signed(self) -> float:
        return -self._power() if self._next == "-" and self._take() else self._power()

    def _power(self) -> float:
        base = self._atom()
        while self._next in ("!", "^"):
            if self._take() == "!":
                if base != int(base) or not 0 <= base <= 170:
                    raise _Unknown
                base = float(math.factorial(int(base)))
            else:
                base = self._raised(base, self._atom())
        return base

    def _raised(self, base: float, exponent: float) -> float:
        if base < 0 and exponent != int(exponent):
            raise _Unknown  # no real number
        return float(base**exponent)

    def _group(self) -> float:
        closing = CLOSING[self._take()]
        value = self.sum()
        self._take(closing)
        return value

    def _atom(self) -> float:
        token = self._next
        if token in ("(", "{"):
            return self._group()
        self._take()
        if token == "|":
            value = abs(self.sum())
            self._take("|")
            return value
        if token == "\\pi":
            return math.pi
        if token == "\\frac":
            above = self._atom()
            return above / self._atom()
        if token == "\\sqrt":
            degree = self._group() if self._next == "[" else 2.0
            return self._raised(self._atom(), 1 / degree)
        if token[:1].isdigit():
            return float(token)
        raise _Unknown
