"""A JSON API that gives its records page by page, whole or month by month; they land as JSON lines."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from pdx_assets.risk.calendar import Month
from pdx_assets.risk.errors import SpecError, TapeUnavailableError
from pdx_assets.risk.hashing import document_sha256
from pdx_assets.risk.sources.database import as_month
from pdx_assets.risk.sources.landing import Before, Piece
from pdx_assets.risk.sources.secrets import called, expand_url, redacted
from pdx_assets.risk.spec import HttpSource
from pdx_assets.risk.spec.source import Cursor, NextLink, PageNumber
from pdx_assets.risk.tape_text import cell_text

_AGAIN = (429, 500, 502, 503, 504)
_LONGEST_WAIT = 60  # seconds between two tries, whatever a server asks for
_MANY_PAGES = 1_000_000
_MISSING = object()


class ApiSource:
    """A declared API.

    Args:
        declared: the declaration; variables in its address are filled in here.
        where: its place in the portfolio's YAML.
        months: the months to ask for where it is read by month and nothing tells which have records.

    Raises:
        SpecError: a variable is not set.
    """

    def __init__(self, declared: HttpSource, *, where: str, months: Sequence[Month]) -> None:
        self.declared, self.where, self.months = declared, where, tuple(months)
        self.url, self.secrets = expand_url(declared.url, where=f"{where}.url")
        if not self.url.startswith(("http://", "https://")):
            raise SpecError(f"{where}.url is not an address.", expected="https://host/path")
        self.changes_url = None
        if declared.changes is not None:
            self.changes_url, more = expand_url(declared.changes.url, where=f"{where}.changes.url")
            self.secrets += more
        self.headers = {"Accept": "application/json"}
        if declared.auth is not None:
            value = os.environ.get(declared.auth.variable)
            if not value:
                raise SpecError(
                    f"{where}.auth.variable: {declared.auth.variable} is not set.",
                    remedy=f"export {declared.auth.variable}=...",
                )
            self.headers[declared.auth.header] = f"{declared.auth.prefix}{value}"
            self.secrets += (value,)
        self.called = called(self.url)
        self.identity = document_sha256(declared.model_dump(mode="json"))

    @contextmanager
    def session(self) -> Iterator[ApiSession]:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        retry = Retry(
            total=self.declared.attempts - 1,
            backoff_factor=0.5,
            backoff_max=_LONGEST_WAIT,
            status_forcelist=_AGAIN,
            allowed_methods=["GET"],
            raise_on_status=False,
            retry_after_max=_LONGEST_WAIT,
        )
        with requests.Session() as session:
            # .netrc and proxies of the environment would send the request, or other credentials, elsewhere.
            session.trust_env = False
            session.headers.update(self.headers)
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=retry))
            yield ApiSession(self, session)


class ApiSession:
    """One look at the API."""

    def __init__(self, source: ApiSource, http: Any) -> None:
        self.source, self.base, self._http = source, source.called, http

    def pieces(self, _before: Before, /) -> Sequence[Piece]:
        """One piece, or one a month; marked by what the ``changes`` address says."""
        declared = self.source.declared
        changes = self._changes()
        if declared.month_parameter is None:
            return [Piece("records.jsonl.gz", None if changes is None else document_sha256(changes), None)]
        marks = dict.fromkeys(map(str, self.source.months)) if changes is None else changes
        return [Piece(f"{month}.jsonl.gz", mark, month) for month, mark in sorted(marks.items())]

    def _changes(self) -> dict[str, str | None] | None:
        declared = self.source.declared.changes
        if declared is None:
            return None
        assert self.source.changes_url is not None
        answer, _ = self._get(self.source.changes_url, {})
        found: dict[str, str | None] = {}
        for record in self._records(answer, declared.records):
            month = as_month(record.get(declared.month)) if isinstance(record, dict) else None
            if month is None or month in found:
                raise self._wrong(f"told of changes by {str(record)[:80]!r}", "one record a month, such as 2016-07")
            found[month] = cell_text(record.get(declared.mark))
        return found

    def fetch(self, piece: Piece, target: Path) -> bool:
        """All pages, a record a line; nothing where there is no record."""
        parameters = {} if piece.key is None else {str(self.source.declared.month_parameter): piece.key}
        count, total = 0, None
        # Neither name nor time in the file: the same records are the same bytes.
        with target.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
            for answer, records in self._pages(parameters):
                if self.source.declared.total is not None:
                    total = _at(answer, self.source.declared.total)
                for record in records:
                    stream.write(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
                    count += 1
        if total is not None and total is not _MISSING and str(total) != str(count):
            raise self._wrong(
                f"says there are {total} records and gave {count}", "all of them; they may have changed meanwhile"
            )
        if count == 0:
            target.unlink()
        return count > 0

    def _pages(self, parameters: dict[str, str]) -> Iterator[tuple[Any, list[Any]]]:
        declared, url = self.source.declared, self.source.url
        paging = declared.paging
        if declared.page_size is not None:
            parameters = {**parameters, declared.page_size_parameter: str(declared.page_size)}
        if isinstance(paging, PageNumber):
            parameters = {**parameters, paging.parameter: str(paging.first)}
        seen: set[str] = set()
        previous: list[Any] = []
        for number in range(_MANY_PAGES):
            answer, response = self._get(url, parameters)
            records = self._records(answer, declared.records)
            if number and records and records == previous:
                raise self._wrong("gave the same page twice", "another page each time; look at `paging`")
            yield answer, records
            previous = records
            if isinstance(paging, NextLink):
                # A link says everything: parameters added to it would be there twice.
                following, parameters = self._next_link(answer, response, paging), {}
                url = urljoin(url, following) if following else url
            elif isinstance(paging, Cursor):
                cursor = _at(answer, paging.path)
                following = None if cursor is _MISSING else cell_text(cursor)
                parameters = {**parameters, paging.parameter: following or ""}
            elif isinstance(paging, PageNumber):
                following = str(paging.first + number + 1) if records else None
                parameters = {**parameters, paging.parameter: following or ""}
            else:
                following = None
            if not following:
                return
            if following in seen:
                raise self._wrong("leads back to a page it gave before", "pages that end")
            seen.add(following)
        raise self._wrong(f"gave more than {_MANY_PAGES} pages", "pages that end")

    def _next_link(self, answer: Any, response: Any, paging: NextLink) -> str | None:
        found = response.links.get("next", {}).get("url") if paging.path is None else _at(answer, paging.path)
        if found is _MISSING or not found:
            return None
        link = urljoin(self.source.url, str(found))
        if urlsplit(link)[:2] != urlsplit(self.source.url)[:2]:
            # The credentials are for the declared host.
            raise self._wrong(f"links to another host, {called(link)}", f"pages on {self.source.called}")
        return link

    def _get(self, url: str, parameters: dict[str, str]) -> tuple[Any, Any]:
        import requests

        try:
            response = self._http.get(
                url, params=parameters, timeout=(10, self.source.declared.timeout_seconds), allow_redirects=False
            )
        except (requests.RequestException, OSError, ValueError) as error:
            raise TapeUnavailableError(
                f"{self.source.called} cannot be read: {_in_words(error, self.source.secrets)}",
                expected="a server that answers",
                remedy="try again later; look at the address",
            ) from None  # the library's own error quotes the address with its parameters
        if response.status_code != 200:
            remedy = "try again later"
            if response.status_code in (401, 403):
                auth = self.source.declared.auth
                remedy = f"look at the value of {auth.variable}" if auth else f"declare {self.source.where}.auth"
            elif response.status_code // 100 in (3, 4):
                remedy = f"look at {self.source.where}.url"
            reason = redacted(response.reason, self.source.secrets)
            raise self._wrong(f"answered {response.status_code} {reason}", "200", remedy)
        try:
            return json.loads(response.content), response
        except ValueError:
            shown = redacted(response.text[:60], self.source.secrets)
            raise self._wrong(f"answered with no JSON: {shown!r}", "JSON") from None

    def _records(self, answer: Any, path: str | None) -> list[Any]:
        found = answer if path is None else _at(answer, path)
        if isinstance(found, list):
            return found
        keys = list(answer)[:8] if isinstance(answer, dict) else type(answer).__name__
        raise self._wrong(
            f"holds no list of records at {path or 'its top'!r}; it has {keys}",
            "a list",
            f"correct {self.source.where}.records",
        )

    def _wrong(self, what: str, expected: str, remedy: str = "") -> TapeUnavailableError:
        told = redacted(f"{self.source.called} {what}.", self.source.secrets)
        return TapeUnavailableError(told, expected=expected, remedy=remedy)


def _in_words(error: Exception, secrets: tuple[str, ...]) -> str:
    """What went wrong, without the request: a library's message tells the whole address."""
    import requests
    import urllib3

    # After tries, a silence comes wrapped as a failed connection.
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(error, requests.Timeout) or (
        isinstance(reason, urllib3.exceptions.TimeoutError)
        and not isinstance(reason, urllib3.exceptions.NewConnectionError)
    ):
        return "it did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    if isinstance(error, requests.exceptions.RetryError):
        return "it went on failing"
    if isinstance(error, requests.ConnectionError):
        return "the connection was refused or broken off"
    return redacted(type(error).__name__, secrets)


def _at(document: Any, path: str) -> Any:
    """What lies at a dotted path; a marker where nothing does."""
    for key in path.split("."):
        if not isinstance(document, dict) or key not in document:
            return _MISSING
        document = document[key]
    return document
