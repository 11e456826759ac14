"""One mail handed to a mail server: connect to the checked address, encrypt, log in, hand over.

Belongs here: the SMTP conversation and what its replies mean. Does not belong here: the mail's text
(``channels``), the deadline and the ledger (``attempt``, ``dispatch``).
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import SMTP
from urllib.parse import urlsplit

from regime_pipeline.alerts.answers import Verdict
from regime_pipeline.alerts.channels import Endpoint
from regime_pipeline.alerts.routing import Mail

_NO_MAILBOX = frozenset({550, 551, 553})


@dataclass(frozen=True)
class Handed:
    """What the mail server said: its last code, its words, and what they mean."""

    code: int | None
    words: bytes
    verdict: Verdict


class _Plain(smtplib.SMTP):
    """A conversation with an address that was checked, whatever its name resolves to by now."""

    def __init__(self, address: str, host: str, port: int, timeout_s: float) -> None:
        self._address = address
        super().__init__(host, port, local_hostname=socket.gethostname(), timeout=timeout_s)

    def _get_socket(self, _host: str, port: int, timeout: float) -> socket.socket:  # type: ignore[override]
        return socket.create_connection((self._address, port), timeout)


class _Encrypted(_Plain):
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # type: ignore[override]
        plain = super()._get_socket(host, port, timeout)
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def hand_over(
    endpoint: Endpoint,
    body: bytes,
    address: str,
    *,
    timeout_s: float,
    handing: Callable[[], None],
) -> Handed:
    """Hand a mail over; blocks.

    Args:
        endpoint: a receiver of channel ``mail``.
        body: the whole mail.
        address: the checked address of its server.
        timeout_s: of each step.
        handing: called when the text itself is about to leave.

    Raises:
        OSError: there was no conversation, or it broke off.
    """
    parts = urlsplit(endpoint.url.get_secret_value())
    to = endpoint.mail
    if to is None:
        raise ValueError(f"{endpoint.name} has no addresses")
    host = parts.hostname or ""
    is_encrypted = parts.scheme == "smtps"
    port = parts.port or (465 if is_encrypted else 587)
    try:
        server = (_Encrypted if is_encrypted else _Plain)(address, host, port, timeout_s)
        try:
            return _converse(server, endpoint, to, body, handing, is_encrypted=is_encrypted)
        finally:
            server.close()
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error
        words = said if isinstance(said, bytes) else str(said).encode()
        return _refused(error.smtp_code, words)


def _converse(
    server: smtplib.SMTP,
    endpoint: Endpoint,
    to: Mail,
    body: bytes,
    handing: Callable[[], None],
    *,
    is_encrypted: bool,
) -> Handed:
    if not is_encrypted and not endpoint.is_loopback:
        server.starttls(context=ssl.create_default_context())
    server.ehlo_or_helo_if_needed()
    if to.user is not None and to.password is not None:
        server.login(to.user, to.password.get_secret_value())
    code, words = server.mail(to.sender)
    if code >= 400:
        return _refused(code, words)
    replies = [server.rcpt(one) for one in to.to]
    if all(code >= 400 for code, _ in replies):
        return _refused(*replies[-1], is_recipient=True)
    handing()
    code, words = server.data(message_from_bytes(body, policy=SMTP).as_bytes())
    if code >= 400:
        return _refused(code, words)
    with contextlib.suppress(smtplib.SMTPException):  # it has the mail, however it takes its leave
        server.quit()
    return Handed(code, words, Verdict(True))


def _refused(code: int, words: bytes, *, is_recipient: bool = False) -> Handed:
    final = 500 <= code < 600 and code not in (530, 534, 535)  # who may log in can be mended
    gone = final and is_recipient and code in _NO_MAILBOX
    return Handed(code, words, Verdict(False, f"SMTP {code}", is_final=final, is_gone=gone))
