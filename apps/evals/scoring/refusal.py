"""How a task in a child process says that a row cannot be scored. Imports nothing: children start fast."""


class Refused(Exception):
    """The row cannot be scored, and why."""
