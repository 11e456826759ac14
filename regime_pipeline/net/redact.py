"""The one redactor: no secret in a log, an exception text, a URL or a stored row.

Belongs here: removing known secret values, and whatever looks like one by its name or its place in
a URL. Does not belong here: deciding what is worth logging.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from pydantic import BaseModel, SecretStr

MASK = "***"

# Each of these begins with fixed letters and reads every character once: an answer of many letters
# must not cost its square.
_NAMED = re.compile(
    r"""(?ix) (?P<name> api[_-]?key | secret | token | signature | passphrase | password | passwd
        | x-coinapi-key | authorization )
        (?P<sep> ["']?\s*[=:]\s*["']? (?:bearer\s+|basic\s+)? )
        (?P<value> [^\s&"',;<>]+ )""",
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")
_USERINFO = re.compile(r"(://)[^\s/@?#]+@")
_HOOKS = (
    re.compile(r"(?i)(/api/webhooks/)\d+/[\w-]+"),
    re.compile(r"(?i)(/bot)\d+:[\w-]+"),
    re.compile(r"(?i)(hooks\.slack\.com/(?:services|workflows)/)[\w/-]+"),
    re.compile(r"(?i)(/apikey-)[\w-]+"),
)
LONGEST = 2000
_SHORTEST = 6  # a shorter "secret" would blank out ordinary words


_TOKEN = 16  # segments of a path that are shorter are words
_WORD = re.compile(rf"[A-Za-z_ -]{{1,{_TOKEN - 1}}}|[0-9.]{{1,{_TOKEN - 1}}}")


def secrets_of(settings: BaseModel) -> tuple[str, ...]:
    """Every secret value that the settings hold, longest first; for a URL its secret parts too."""
    values: set[str] = set()
    for name in type(settings).model_fields:
        held = getattr(settings, name)
        for value in held.values() if isinstance(held, dict) else (held,):
            if not isinstance(value, SecretStr):
                continue
            values.add(value.get_secret_value())
            # a list of endpoints in one variable: each of them is a secret of its own
            for part in re.split(r"[\s,]+", value.get_secret_value()):
                values |= {part, *parts_of_url(part)}
    return tuple(sorted((v for v in values if len(v) >= _SHORTEST), key=len, reverse=True))


def parts_of_url(text: str) -> set[str]:
    """Password, long path segments (tokens of webhooks) and query values of a URL; else nothing."""
    try:
        url = urlsplit(text)
        password = url.password
    except ValueError:
        return set()
    if not url.scheme or not url.netloc:
        return set()
    found = {segment for segment in url.path.split("/") if len(segment) >= _TOKEN}
    found |= {value for _, value in parse_qsl(url.query)}
    return found | {password, unquote(password)} if password else found


def _written(secret: str) -> set[str]:
    """The ways in which a reply can spell a secret: as it is, in a URL, in JSON, in HTML."""
    in_json = json.dumps(secret)[1:-1]
    return {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        in_json,
        in_json.replace("/", "\\/"),
        html.escape(secret),
    }


def fingerprint(secret: SecretStr | str | None) -> str:
    """Eight hexadecimal digits that tell one key from another and give nothing away; "" for none."""
    text = secret.get_secret_value() if isinstance(secret, SecretStr) else secret
    return hashlib.sha256(f"regime:{text}".encode()).hexdigest()[:8] if text else ""


class Redactor:
    """Removes known secrets and secret-looking parts from text.

    Args:
        secrets: exact values; their percent-encoded forms are removed too.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        secrets = tuple(s for s in secrets if s)
        forms = {f for s in secrets for f in (s, quote(s, safe=""), quote_plus(s))}
        self._exact = sorted(forms, key=len, reverse=True)
        in_bodies = {f.encode() for s in secrets if not _WORD.fullmatch(s) for f in _written(s)}
        self._raw = sorted(in_bodies, key=len, reverse=True)

    def body(self, value: bytes) -> bytes:
        """A reply without the secrets that its sender echoes (a next-page link with the token).

        To be applied before anything reads the reply: whatever is then quoted from it, and wherever
        the quotation is cut, holds no part of a key. A secret that could be an ordinary word or
        number of a reply (:data:`_WORD`) stays, for it would break what it stands in.
        """
        for form in self._raw:
            value = value.replace(form, MASK.encode())
        return value

    @classmethod
    def of(cls, settings: BaseModel, further: Iterable[str] = ()) -> Redactor:
        """A redactor that knows every secret of the settings, and further ones."""
        return cls((*secrets_of(settings), *(s for s in further if len(s) >= _SHORTEST)))

    def text(self, value: object) -> str:
        """``str(value)`` without secrets, on one printable line of at most :data:`LONGEST` characters.

        What a provider sends can hold line breaks, terminal sequences or a megabyte of anything; none
        of that may shape a log.
        """
        out = self._without_exact(str(value))  # before any cut could leave half a secret
        out = out[: 4 * LONGEST]
        out = "".join(c if c.isprintable() else " " for c in out)
        out = " ".join(out.split())
        out = self._without_exact(out)
        out = _NAMED.sub(lambda m: f"{m['name']}{m['sep']}{MASK}", out)
        out = _BEARER.sub(lambda m: f"{m[1]} {MASK}", out)
        out = _USERINFO.sub(rf"\g<1>{MASK}@", out)
        for hook in _HOOKS:
            out = hook.sub(rf"\g<1>{MASK}", out)
        return out if len(out) <= LONGEST else out[: LONGEST - 1] + "…"

    def _without_exact(self, text: str) -> str:
        for form in self._exact:
            text = text.replace(form, MASK)
        return text
