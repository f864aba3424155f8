"""Credentials in addresses: taken from the environment, and kept out of every message."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

from pdx_assets.risk.spec.source import split_userinfo, without_secrets
from pdx_assets.risk.spec_file import VARIABLE, expand_variables

_USERINFO = re.compile(r"://[^/\s@]*:[^\s@/]*@")
_HIDDEN = "***"
_AWS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")


def expand_url(template: str, *, where: str) -> tuple[str, tuple[str, ...]]:
    """An address with its variables filled in, and what of it must not be shown.

    A value before the ``@`` is percent-encoded, so that a password may hold any character; an address that is
    one variable is taken as it is.

    Raises:
        SpecError: a variable is not set, or the template holds a secret itself.
    """
    from pdx_assets.risk.errors import SpecError

    try:
        without_secrets(template)
    except ValueError as error:
        raise SpecError(f"{where}: {error}") from None
    if VARIABLE.fullmatch(template.strip()):
        url = expand_variables(template.strip(), where=where)
        return url, _secrets_in(url)
    scheme, separator, rest = template.partition("://")
    userinfo, at, address = rest.partition("@") if "@" in rest.split("/", 1)[0] else ("", "", rest)
    user, password = (_quoted(part, where) for part in split_userinfo(userinfo))
    url = expand_variables(scheme + separator, where=where) + user + (f":{password}" if password else "") + at
    url += expand_variables(address, where=where)
    return url, (*_secrets_in(url), *_values(userinfo))


def _quoted(part: str, where: str) -> str:
    found = expand_variables(part, where=where)
    return found if found == part else quote(found, safe="")


def _values(text: str) -> tuple[str, ...]:
    return tuple(os.environ[m[1]] for m in VARIABLE.finditer(text) if os.environ.get(m[1]))


def _secrets_in(url: str) -> tuple[str, ...]:
    userinfo = url.partition("://")[2].split("/", 1)[0].rpartition("@")[0]
    password = userinfo.partition(":")[2]
    values = [match[1] for match in re.finditer(r"[?&][^=&#]+=([^&#]+)", url)]
    return tuple(v for v in (password, unquote(password), *values, *map(unquote, values)) if v)


def aws_secrets() -> tuple[str, ...]:
    return tuple(os.environ[name] for name in _AWS if os.environ.get(name))


def redacted(text: object, secrets: Iterable[str] = ()) -> str:
    """A message without the given secrets, and without any password in an address."""
    shown = str(text)
    for secret in sorted({s for s in secrets if s}, key=len, reverse=True):
        for spelling in {secret, quote(secret, safe="")}:
            shown = shown.replace(spelling, _HIDDEN)
    return _USERINFO.sub(f"://{_HIDDEN}@", shown)


def called(url: str) -> str:
    """An address as messages show it: without user, password and parameters."""
    scheme, separator, rest = url.partition("://")
    rest = rest.split("?", 1)[0].split("#", 1)[0]
    host, slash, path = rest.partition("/")
    return scheme + separator + host.rpartition("@")[2] + slash + path
