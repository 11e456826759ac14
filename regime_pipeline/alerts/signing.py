"""Signatures of outgoing webhooks: Standard Webhooks headers over the exact bytes sent; their secrets.

The id stays the same over retries, the timestamp and the signature are renewed for each attempt.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from regime_pipeline.alerts.endpoints import ConfigurationError
from regime_pipeline.settings import Settings, secret_fault
from regime_pipeline.storage.folders import write_private
from regime_pipeline.windows import clock_from_text

SECRET_FILE = "webhook_secret"  # noqa: S105 - a file name
PREVIOUS_FILE = "webhook_secret.previous"
BOTH_VALID = timedelta(hours=24)
"""How long messages carry the signature of a replaced secret as well, so that receivers change over."""


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
        fresh = _fresh()
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
    previous = settings.previous_webhook_secret or _replaced(settings)
    return (signing_secret(settings), *(() if previous is None else (previous,)))


def rotate(settings: Settings, now: datetime) -> datetime:
    """Replace the kept secret; messages carry both signatures for :data:`BOTH_VALID`.

    The old one is put aside before the new one takes its place, each whole or not at all: whoever is
    killed in between signs with the old one, and may do it again.

    Returns:
        Until when both are signed with.

    Raises:
        ConfigurationError: the secret is one of the settings, or the last change is not over yet.
    """
    if settings.webhook_secret is not None:
        raise ConfigurationError(
            "the signing secret is one of the settings: put it into REGIME_PREVIOUS_WEBHOOK_SECRET "
            "and a new one into REGIME_WEBHOOK_SECRET"
        )
    old, replaced = signing_secret(settings), _replaced(settings)
    if replaced is not None and replaced != old:
        raise ConfigurationError(
            "receivers are still changing over from the secret before: wait a day after the last change"
        )
    until = now + BOTH_VALID
    kept = {"secret": old.get_secret_value(), "until": until.isoformat()}
    write_private(settings.home / PREVIOUS_FILE, json.dumps(kept))
    write_private(settings.home / SECRET_FILE, _fresh())
    return until


def _fresh() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _replaced(settings: Settings) -> SecretStr | None:
    """The kept secret before the present one while it is signed with, else None."""
    if settings.webhook_secret is not None:
        return None
    try:
        kept = json.loads((settings.home / PREVIOUS_FILE).read_text())
        until = datetime.fromisoformat(kept["until"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{settings.home / PREVIOUS_FILE} is damaged; remove it when all receivers have the new secret"
        ) from error
    now = clock_from_text(settings.clock).now()
    return SecretStr(kept["secret"]) if now < until else None


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
