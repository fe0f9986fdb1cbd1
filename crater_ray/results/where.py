"""Conditions on rows, as people type them: `score >= 0.001 and status = 'ok'`, turned into an Arrow expression.

    condition  := all { "or" all }
    all        := one { "and" one }
    one        := "not" one | "(" condition ")" | test
    test       := column operator literal
                | column [ "not" ] "in" "(" literal { "," literal } ")"
                | column "is" [ "not" ] "null"
    operator   := = == != <> < <= > >=
    literal    := 12, -0.5, 1e-3, 'text', "text"    (a quote within a text is doubled)

Nothing is ever evaluated as code. A test on a row that has no value there (null) is neither true nor false: the row
is left out, also by `not`; ask for it with `is null`.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from crater_ray.errors import UsageError
from crater_ray.runs.columns import SCHEMA

DEPTH = 40
"""So deep may conditions be nested; nobody types more."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])
      | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign><=|>=|<>|!=|==|[=<>(),])
    )""",
    re.VERBOSE,
)
_OPERATORS = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_KEYWORDS = ("and", "or", "not", "in", "is", "null")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        return self.text.lower() if self.kind == "word" else ""


def parse_where(text: str, schema: pa.Schema = SCHEMA) -> pc.Expression:
    """Turn a condition into an expression for `Table.filter`.

    Args:
        text: the condition, see this module's first lines.
        schema: the columns there are; literals take the type of their column, so that `score >= 0.01` draws the line
            exactly where `--threshold 0.01` does.

    Raises:
        UsageError: it is not a condition, names a column that is not there, or compares text with numbers. The
            message shows where.
    """
    return _Parser(text, schema).whole()


class _Parser:
    def __init__(self, text: str, schema: pa.Schema) -> None:
        self._text = text
        self._schema = schema
        self._tokens = self._split()
        self._next = 0

    def whole(self) -> pc.Expression:
        found = self._condition(0)
        if self._peek().kind != "end":
            raise self._problem(self._peek(), "expected 'and', 'or' or the end")
        return found

    def _split(self) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while self._text[at:].strip():
            match = _TOKEN.match(self._text, at)
            if match is None or match.lastgroup is None:
                start = at + len(self._text[at:]) - len(self._text[at:].lstrip())
                quote = self._text[start] in "'\""
                why = "this text has no closing quote" if quote else "this is no part of a condition"
                raise self._problem(_Token("odd", self._text[start], start), why)
            tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            at = match.end()
        return [*tokens, _Token("end", "", len(self._text))]

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _condition(self, depth: int) -> pc.Expression:
        found = self._all(depth)
        while self._peek().word == "or":
            self._take()
            found = found | self._all(depth)
        return found

    def _all(self, depth: int) -> pc.Expression:
        found = self._one(depth)
        while self._peek().word == "and":
            self._take()
            found = found & self._one(depth)
        return found

    def _one(self, depth: int) -> pc.Expression:
        if depth > DEPTH:
            raise self._problem(self._peek(), f"conditions may be nested at most {DEPTH} deep")
        if self._peek().word == "not":
            self._take()
            return ~self._one(depth + 1)
        if self._peek().text == "(" and self._peek().kind == "sign":
            self._take()
            found = self._condition(depth + 1)
            self._expect(")")
            return found
        return self._test()

    def _test(self) -> pc.Expression:
        name = self._take()
        if name.kind != "word" or name.word in _KEYWORDS:
            raise self._problem(name, "expected a column, 'not' or '('")
        if name.text not in self._schema.names:
            raise self._problem(name, f"there is no column {name.text!r}")
        column, kind = pc.field(name.text), self._schema.field(name.text).type
        sign = self._take()
        if sign.kind == "sign" and sign.text in _OPERATORS:
            found: pc.Expression = _OPERATORS[sign.text](column, self._literal(kind))
            return found
        if sign.word == "is":
            negated = self._take_word("not")
            if not self._take_word("null"):
                raise self._problem(self._peek(), "expected 'null' or 'not null'")
            return ~column.is_null() if negated else column.is_null()
        negated = sign.word == "not"
        if negated:
            sign = self._take()
        if sign.word != "in":
            raise self._problem(sign, "expected one of = != < <= > >=, 'in', 'not in', 'is null' or 'is not null'")
        values = self._list(kind)
        listed = column.isin(values)
        return column.is_valid() & ~listed if negated else listed

    def _take_word(self, word: str) -> bool:
        if self._peek().word != word:
            return False
        self._take()
        return True

    def _list(self, kind: pa.DataType) -> pa.Array:
        self._expect("(")
        values = [self._literal(kind)]
        while self._peek().text == ",":
            self._take()
            values.append(self._literal(kind))
        self._expect(")")
        if pa.types.is_integer(kind):
            return pa.array([value.as_py() for value in values if float(value.as_py()).is_integer()], kind)
        return pa.array([value.as_py() for value in values], kind)

    def _literal(self, kind: pa.DataType) -> pa.Scalar:
        token = self._take()
        if pa.types.is_nested(kind):
            raise self._problem(token, "a column of lists can only be asked for 'is null' or 'is not null'")
        if pa.types.is_string(kind):
            if token.kind != "text":
                raise self._problem(token, "expected a text in quotes, such as 'ok', for this column")
            quote = token.text[0]
            return pa.scalar(token.text[1:-1].replace(quote * 2, quote), kind)
        if token.kind != "number":
            raise self._problem(token, "expected a number for this column")
        value = float(token.text)
        return pa.scalar(value, kind if pa.types.is_floating(kind) else pa.float64())

    def _expect(self, text: str) -> None:
        token = self._take()
        if token.kind != "sign" or token.text != text:
            raise self._problem(token, f"expected {text!r}")

    def _problem(self, token: _Token, why: str) -> UsageError:
        shown = re.sub(r"\s", " ", self._text)
        received = f"received: {token.text!r}" if token.text else "received: the end"
        return UsageError(
            f"The condition cannot be read at character {token.at + 1}: {why}; {received}\n"
            f"  {shown}\n  {' ' * token.at}^\n"
            f"Columns: {', '.join(self._schema.names)}. Example: score >= 0.001 and status = 'ok'"
        )
