"""Whole numbers out of what somebody else wrote: an address, a header, a form."""

# 18 digits always fit the 64 bits a database counts with.
MOST_DIGITS = 18


def whole(text: str | None) -> int | None:
    """Return the number that ``text`` writes in plain digits; None for anything else.

    ``str.isdigit`` also says yes to "²" and to thousands of digits, at which ``int`` raises.
    """
    if not text or len(text) > MOST_DIGITS or not (text.isascii() and text.isdecimal()):
        return None
    return int(text)
