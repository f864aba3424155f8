"""Credentials in addresses: from the environment into the address, and into no message."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from pdx_assets.risk.errors import SpecError
from pdx_assets.risk.sources.secrets import called, expand_url, redacted
from pdx_assets.risk.spec.source import without_secrets

PASSWORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(PASSWORDS)
def test_a_password_of_any_signs_arrives_and_is_in_no_message(password: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOANS_PW", password)
        url, secrets = expand_url("postgresql://me:${LOANS_PW}@host:5432/loans", where="x")
    found = make_url(url)
    assert (found.password, found.username, found.host, found.database) == (password, "me", "host", "loans")
    for told in (f"cannot reach <<{url}>>", f"FATAL: <<{password}>> is wrong", quote(password, safe="")):
        shown = redacted(told, secrets)
        # A password that is part of the words around it takes them along.
        assert password not in shown or password in "***" or password in "cannot reach <<>> FATAL:  is wrong://@"


def test_values_of_parameters_and_headers_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOANS_KEY", "a b/c")
    url, secrets = expand_url("https://host/loans?key=${LOANS_KEY}&kind=old", where="x")
    assert "a b/c" not in redacted(f"GET {url}", secrets)
    assert called(url) == "https://host/loans"
    assert called("postgresql://me:pw@host:1/db?x=1#y") == "postgresql://host:1/db"
    assert redacted("at postgresql://me:pw@host/db and redis://:x@h") == "at postgresql://***@host/db and redis://***@h"


def test_an_address_of_one_variable_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOANS_DB", "postgresql://me:p%40ss@host/loans")
    url, secrets = expand_url("${LOANS_DB}", where="x")
    assert url == "postgresql://me:p%40ss@host/loans"
    assert {"p@ss", "p%40ss"} <= set(secrets)


def test_other_variables_of_an_address_are_not_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_HOST", "host:5432")
    monkeypatch.setenv("LOANS_PW", "a:b@c/d")
    url, _ = expand_url("postgresql://${DB_USER:-me}:${LOANS_PW}@${DB_HOST}/loans", where="x")
    assert url == "postgresql://me:a%3Ab%40c%2Fd@host:5432/loans"
    with pytest.raises(SpecError, match=r"x uses \$\{DB_NAME\}, which is not set"):
        expand_url("postgresql://host/${DB_NAME}", where="x")


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:hunter2@h/d", "https://h/x?access_token=hunter2", "s3://k:hunter2@b", "x://u:${PW}hunter2@h",
     "https://h/x?v=1&sig=hunter2", "https://h/x?key=hunter2", "https://h/x?subscription-key=hunter2",
     "https://h/x?auth=hunter2", "https://hunter2@h/x", "https://h/x?code=hunter2hunter2hunter2"],
)  # fmt: skip
def test_a_secret_written_out_is_refused_without_repeating_it(url: str) -> None:
    """Incident: tokens named sig, key, auth or code, and those where a user would stand, were taken."""
    with pytest.raises(SpecError, match="environment") as caught:
        expand_url(url, where="--tape")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "/data/a@b:c/*.csv", "s3://bucket/in", "postgresql://me@host/d", "postgresql://me:${PW}@host/d", "${DB}",
     "https://h/x?token=${TOKEN}&page=1", "https://h/x?code=US&monkey=1", "https://${TOKEN}@h/x",
     "data/${NAME:-loans}/x.csv"],
)  # fmt: skip
def test_an_address_without_a_secret_is_taken(url: str) -> None:
    assert without_secrets(url) == url
