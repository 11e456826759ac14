"""Signatures of outgoing webhooks: Standard Webhooks headers over the exact bytes sent.

The id stays the same over retries, the timestamp and the signature are renewed for each attempt.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from regime_pipeline.alerts.endpoints import ConfigurationError
from regime_pipeline.settings import Settings, secret_fault

SECRET_FILE = "webhook_secret"  # noqa: S105 - a file name


class BadSignature(ValueError):
    """A received webhook is not from who it claims to be, is too old, or is not well formed."""


def signing_secret(settings: Settings) -> SecretStr:
    """The secret of the settings, or one made once and kept under ``home`` (mode 0600).

    Raises:
        ConfigurationError: the kept one is spoilt.
    """
    if settings.webhook_secret is not None:
        return settings.webhook_secret
    path = settings.home / SECRET_FILE
    if not path.exists():
        settings.home.mkdir(parents=True, exist_ok=True)
        fresh = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        temporary = path.with_name(f".{SECRET_FILE}.{os.getpid()}")
        temporary.touch(mode=0o600)
        temporary.write_text(fresh)
        try:
            os.link(temporary, path)  # loses to another process that was first, keeps its secret
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    kept = path.read_text().strip()
    if fault := secret_fault(kept):
        raise ConfigurationError(f"{path} {fault} or remove the file to have a new one made")
    return SecretStr(kept)


def signing_secrets(settings: Settings) -> tuple[SecretStr, ...]:
    """The secrets that are signed with, the newest first; two while receivers change over.

    Raises:
        ConfigurationError: the kept one is spoilt.
    """
    previous = settings.previous_webhook_secret
    return (signing_secret(settings), *(() if previous is None else (previous,)))


def headers(
    keys: Sequence[SecretStr], message_id: str, body: bytes, at: datetime
) -> dict[str, str]:
    """The three Standard Webhooks headers of one attempt.

    Args:
        keys: ``whsec_...``, one signature each; a receiver is content with any of them.
        message_id: the event id; receivers use it to drop repeats.
        body: the exact bytes that are sent.
        at: the instant of the attempt, tz-aware; converted to UTC before signing.
    """
    if at.tzinfo is None:
        raise ValueError("a signature needs a tz-aware instant")
    moment = at.astimezone(UTC)
    text = body.decode()
    signatures = [
        Webhook(s.get_secret_value()).sign(message_id, moment, text) for s in dict.fromkeys(keys)
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def verify(keys: SecretStr | Sequence[SecretStr], body: bytes, received: dict[str, str]) -> None:
    """Check a received webhook: one of its signatures fits one of the secrets.

    Raises:
        BadSignature: whatever is wrong with it.
    """
    several = (keys,) if isinstance(keys, SecretStr) else keys
    for number, key in enumerate(several, start=1):
        try:
            Webhook(key.get_secret_value()).verify(body, received)
        except (WebhookVerificationError, ValueError, KeyError, TypeError) as error:
            if number == len(several):
                raise BadSignature(str(error) or type(error).__name__) from error
        else:
            return


def secret_file(home: Path) -> Path:
    """Where the generated secret lies."""
    return home / SECRET_FILE
