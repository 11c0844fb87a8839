"""What the JSON texts of an evaluated row hold, read by the database: columns of the row, and scores as numbers."""

import re
from typing import Any

from django.db.models import F, FloatField, Func, TextField, Value
from django.db.models.functions import Coalesce, Substr

from apps.evals.spread import NO_NUMBER, UNSCORED

LONGEST_VALUE = 200  # characters of a value by which rows are held to be of one slice
NOTHING = "null"  # the slice of rows that lack the column
_NAME = re.compile(r'[^"\\\x00-\x1f]{1,255}')
_NUMBER = r'^"?[+-]?([0-9]{1,60}([.][0-9]{0,60})?|[.][0-9]{1,60})([eE][+-]?[0-9]{1,2})?"?$'
# What JSON may write and Postgres cannot read: NUL, and halves of characters.
_UNREADABLE = (
    r"(?<!\\)((?:\\\\)*)(?:\\u0000|\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)


class _Written(Func):
    """What stands at a path of a JSON text, as it is written there; NULL where nothing does."""

    output_field = TextField()

    def __init__(self, text: str, *path: str) -> None:
        super().__init__(F(text))
        self.path = path

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
        """Return it by SQLite's JSON path."""
        text, params = compiler.compile(self.source_expressions[0])
        return f"({text} -> %s)", (*params, "$" + "".join(f'."{name}"' for name in self.path))

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:
        """Return it by the type ``json``, which keeps values as they are written."""
        text, params = compiler.compile(self.source_expressions[0])
        readable = rf"CASE WHEN strpos({text}, '\u') = 0 THEN {text} ELSE regexp_replace({text}, %s, '\1?', 'g') END"
        return f"(({readable})::json #> %s)::text", (*params * 3, _UNREADABLE, list(self.path))


class _Number(Func):
    """What is written, as a number: ``UNSCORED`` for nothing, ``NO_NUMBER`` for words. Turned round, both are last."""

    output_field = FloatField()

    def __init__(self, text: Any, *, is_turned: bool) -> None:
        super().__init__(text)
        self.is_turned = is_turned

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, tuple[Any, ...]]:  # type: ignore[override]
        """Return it with the text read once, however often it is looked at."""
        written, params = compiler.compile(self.source_expressions[0])
        # What SQLite asks Python is slow: a plain number is known by its first character.
        fits = "~" if connection.vendor == "postgresql" else "GLOB '[0-9-]*' AND length(t) < 30 OR t REGEXP"
        number = (
            "CASE WHEN t IS NULL OR t = 'null' THEN %s WHEN t = 'true' THEN %s WHEN t = 'false' THEN 0"
            f" WHEN t {fits} %s THEN %s * CAST(trim(t, '\"') AS double precision) ELSE %s END"
        )
        sign, none = (-1.0, NO_NUMBER) if self.is_turned else (1.0, UNSCORED)
        # LIMIT keeps either database from writing the inner expression into each place where it is used.
        sql = f"(SELECT {number} FROM (SELECT {written} AS t LIMIT 1) AS told)"
        return sql, (none, sign, _NUMBER, sign, NO_NUMBER, *params)


def is_name(name: str) -> bool:
    """Return whether a column or a function of this name can be asked for in either database."""
    return _NAME.fullmatch(name) is not None


def column(name: str) -> Any:
    """Return the expression for the value by which a row belongs to a slice, as JSON text."""
    return Substr(Coalesce(_Written("row", name), Value(NOTHING)), 1, LONGEST_VALUE)


def score(function: str, *, is_turned: bool = False) -> Any:
    """Return the expression for a function's score of a row, by which low ones, or else high ones, come first.

    Low scores come in the order of ``spread.worst``. Turned round, a row without a number comes last.
    """
    return _Number(_Written("scores", function, "score"), is_turned=is_turned)
