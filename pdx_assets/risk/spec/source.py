"""Declarations of the places a tape can be read from beside files: a SQL database, a paged HTTP API.

Credentials come from the environment only: an address in the YAML holds ``${NAME}``, never the secret itself.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pdx_assets.risk.spec.base import Declared

TapeFormat = Literal["auto", "csv", "jsonl", "parquet", "delta"]

_USERINFO = re.compile(r"^[a-z][a-z0-9+.-]*://(?P<userinfo>[^/?#]*)@", re.IGNORECASE)
# Wholly from the environment: a default after :- would be a secret in the file.
_VARIABLE_ONLY = re.compile(r"\$\{[A-Z][A-Z0-9_]*\}")
# sig is Azure's shared access signature; of code only what is too long to be one, which is how Azure names its keys.
_SECRET_PARAMETER = re.compile(
    r"[?&](?P<name>[^=&]*(?:password|passwd|pwd|secret|token|api_?key|access_?key|signature|credential)[^=&]*"
    r"|sig|auth|key|[^=&]*[-_]key|code(?==[^&#]{20}))=(?P<value>[^&#]+)",
    re.IGNORECASE,
)
_NOT_SQL = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)


def split_userinfo(userinfo: str) -> tuple[str, str]:
    """User and password of an address that may hold variables; the colon of ``${NAME:-default}`` parts nothing."""
    masked = re.sub(r"\$\{[^}]*\}", lambda match: "x" * len(match[0]), userinfo)
    place = masked.find(":")
    return (userinfo, "") if place < 0 else (userinfo[:place], userinfo[place + 1 :])


def without_secrets(url: str) -> str:
    """Validator: an address whose password or token is not written out.

    Raises:
        ValueError: it is; the message does not repeat it.
    """
    found = _USERINFO.match(url)
    password = split_userinfo(found["userinfo"])[1] if found else ""
    if password and not _VARIABLE_ONLY.fullmatch(password):
        raise ValueError("the address holds a password, expected it in the environment: user:${LOANS_PASSWORD}@host")
    # A user alone is common in a database's address; before a web server it is a token.
    if found and not password and url.lower().startswith("http") and not _VARIABLE_ONLY.fullmatch(found["userinfo"]):
        raise ValueError("the address holds a user or a token, expected it in the environment: ${LOANS_TOKEN}@host")
    for parameter in _SECRET_PARAMETER.finditer(url):
        if not _VARIABLE_ONLY.fullmatch(parameter["value"]):
            raise ValueError(
                f"the address holds a secret in {parameter['name']!r}, expected it in the environment: "
                f"{parameter['name']}=${{LOANS_TOKEN}}"
            )
    return url


def _one_reading_statement(query: str) -> str:
    plain = _NOT_SQL.sub(" ", query).strip().rstrip(";").rstrip()
    if ";" in plain:
        raise ValueError("got several statements, expected one SELECT")
    if not re.match(r"\(*\s*(select|with|table|values)\b", plain, re.IGNORECASE):
        raise ValueError(f"got a statement that begins with {plain[:20]!r}, expected SELECT or WITH")
    return query.strip().rstrip(";")


class SqlSource(Declared):
    """Loans that a query of a database gives, read in a transaction that cannot write."""

    url: str = Field(description="SQLAlchemy URL; ${NAME} takes environment variables")
    query: str = Field(description="one SELECT with ORDER BY; with :month_start it is read month by month")
    changes: str | None = Field(None, description="a cheap SELECT of month and mark: what is read again")
    timeout_seconds: int = Field(3600, ge=1, description="longest time a query may take")

    _check_url = field_validator("url")(without_secrets)
    _check_query = field_validator("query")(_one_reading_statement)
    _check_changes = field_validator("changes")(lambda v: v if v is None else _one_reading_statement(v))

    @field_validator("query")
    @classmethod
    def _ordered(cls, value: str) -> str:
        if not re.search(r"\border\s+by\b", value, re.IGNORECASE):
            raise ValueError(
                "the query has no ORDER BY: a database may give the rows in another order each time, "
                "and the tape would look changed"
            )
        return value

    @model_validator(mode="after")
    def _placeholders_go_together(self) -> SqlSource:
        start, end = (f":{name}" in self.query for name in ("month_start", "next_month_start"))
        if start != end:
            raise ValueError("the query has one of :month_start and :next_month_start, expected both or neither")
        return self

    @property
    def is_monthly(self) -> bool:
        return ":month_start" in self.query


class NextLink(Declared):
    """Each answer says where the next page is."""

    kind: Literal["next_link"]
    path: str | None = Field(None, description="dotted path of the link in the answer; default the Link header")


class PageNumber(Declared):
    """Pages are numbered; the first empty one ends them."""

    kind: Literal["page"]
    parameter: str = "page"
    first: int = 1


class Cursor(Declared):
    """Each answer holds the cursor of the next page; none ends them."""

    kind: Literal["cursor"]
    parameter: str = "cursor"
    path: str = Field(description="dotted path of the next cursor in the answer")


class Authorization(Declared):
    """A header whose value is in an environment variable."""

    variable: str = Field(pattern=r"^[A-Z][A-Z0-9_]*$", description="name of the environment variable")
    header: str = "Authorization"
    prefix: str = Field("Bearer ", description="a word such as Bearer or Token, before the variable's value")

    @field_validator("prefix")
    @classmethod
    def _a_word(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z =:]{0,20}", value):
            raise ValueError("the prefix looks like the secret itself, expected a word such as 'Bearer '")
        return value


class HttpChanges(Declared):
    """An address that tells which months changed."""

    url: str
    records: str | None = None
    month: str = "month"
    mark: str = "mark"

    _check_url = field_validator("url")(without_secrets)


class HttpSource(Declared):
    """Loans that a JSON API gives page by page."""

    url: str = Field(pattern=r"^(https?://|\$\{)", description="${NAME} takes environment variables")
    records: str | None = Field(None, description="dotted path of the list of records; default the answer itself")
    total: str | None = Field(None, description="dotted path of the number of all records, which is then checked")
    paging: Annotated[NextLink | PageNumber | Cursor, Field(discriminator="kind")] | None = None
    page_size: int | None = Field(None, ge=1)
    page_size_parameter: str = "page_size"
    auth: Authorization | None = None
    month_parameter: str | None = Field(None, description="parameter that takes a month: read month by month")
    changes: HttpChanges | None = None
    timeout_seconds: int = Field(60, ge=1, description="longest silence of the server")
    attempts: int = Field(6, ge=1, le=20, description="tries of one page")

    _check_url = field_validator("url")(without_secrets)
