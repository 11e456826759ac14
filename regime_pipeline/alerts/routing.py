"""Rules of a receiver: which events it is told, when, how many; and the typed file that holds them.

Belongs here: the file ``REGIME_ALERTS_FILE`` (TOML), what it may say, and the pure questions that rules
answer. Does not belong here: making endpoints of it (``endpoints``), keeping to rates (``dispatch``).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from regime_pipeline.settings import secret_fault

SEVERITIES = ("INFO", "WARNING", "CRITICAL")
_QUIET = re.compile(r"(\d{2}:\d{2})-(\d{2}:\d{2})(?: (\S+))?")
_ENDPOINT_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


class RoutingError(ValueError):
    """The file cannot be served as it is; the message says what to change."""


@dataclass(frozen=True)
class Quiet:
    """Hours of a day in which nothing but CRITICAL is told.

    Attributes:
        start: first minute, in the zone's time.
        end: first minute after it; before ``start`` where the hours span midnight.
        zone: name of a time zone.
    """

    start: time
    end: time
    zone: str = "UTC"

    @classmethod
    def of(cls, text: str) -> Quiet:
        """The hours written as ``22:00-07:00`` or ``22:00-07:00 Europe/Berlin``.

        Raises:
            ValueError: they are not written so, begin when they end, or name no zone.
        """
        found = _QUIET.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not written as 22:00-07:00 or 22:00-07:00 Europe/Berlin")
        start, end = time.fromisoformat(found[1]), time.fromisoformat(found[2])
        if start == end:
            raise ValueError(f"{text!r} begins when it ends")
        zone = found[3] or "UTC"
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{zone!r} is no time zone") from None
        return cls(start, end, zone)

    def until(self, now: datetime) -> datetime | None:
        """When the quiet hours that ``now`` lies in end; None outside of them."""
        local = now.astimezone(self.where)
        clock = local.time().replace(tzinfo=None)
        if self.start < self.end:
            inside, days = self.start <= clock < self.end, 0
        else:
            inside, days = clock >= self.start or clock < self.end, int(clock >= self.start)
        if not inside:
            return None
        day = (local + timedelta(days=days)).date()
        return datetime.combine(day, self.end, self.where).astimezone(now.tzinfo)

    @property
    def where(self) -> ZoneInfo:
        """The zone itself."""
        return ZoneInfo(self.zone)


@dataclass(frozen=True)
class Rules:
    """What a receiver is told.

    Attributes:
        severity: least severity; None: the default of each type.
        symbols: events of these only, and pairs with one of them; None: all. Operational events
            are about no symbol and are told.
        quiet: hours in which all but CRITICAL waits for their end; None: none.
        per_minute: the most attempts in a minute; None: no limit.
        digest_over: more due events than these that are not CRITICAL go as one message; None: never.
    """

    severity: str | None = None
    symbols: frozenset[str] | None = None
    quiet: Quiet | None = None
    per_minute: int | None = None
    digest_over: int | None = None

    def tells(self, severity: str, instrument: str | None) -> bool:
        """Whether an event of the severity, about the instrument, is told at all."""
        if self.severity and SEVERITIES.index(severity) < SEVERITIES.index(self.severity):
            return False
        if self.symbols is None or instrument is None:
            return True
        return not self.symbols.isdisjoint(instrument.split("|"))

    def held_until(self, severity: str, now: datetime) -> datetime | None:
        """Until when an event waits for quiet hours to end; None: it does not."""
        if self.quiet is None or severity == "CRITICAL":
            return None
        return self.quiet.until(now)


EVERYTHING = Rules()
"""The rules of a receiver that says nothing of its own."""


class Mail(BaseModel):
    """Addresses of an e-mail receiver."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sender: str = Field(description="address the mail comes from")
    to: tuple[str, ...] = Field(min_length=1, description="addresses it goes to")
    user: str | None = Field(None, description="account at the mail server; unset: none is used")
    password: SecretStr | None = Field(None, description="its password, or ${VARIABLE}")

    @field_validator("sender", "to")
    @classmethod
    def _is_address(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for one in (value,) if isinstance(value, str) else value:
            if not re.fullmatch(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+", one):
                raise ValueError("is no e-mail address; write name@example.com")
        return value


class Receiver(BaseModel):
    """One table ``[endpoints.NAME]`` of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: SecretStr = Field(
        description="where it is, or ${VARIABLE}; smtps://host:465 or smtp://host:587 for mail; "
        "any other scheme is a service of Apprise"
    )
    types: tuple[str, ...] | None = Field(None, description="event types; unset: all")
    severity: Literal["INFO", "WARNING", "CRITICAL"] | None = Field(
        None, description="least severity; unset: what is sent by default of each type"
    )
    symbols: tuple[str, ...] | None = Field(None, description="as BTC/USDT; unset: all")
    quiet: str | None = Field(None, description="22:00-07:00 Europe/Berlin; CRITICAL comes through")
    per_minute: Annotated[int, Field(ge=1)] | None = Field(
        None, description="most attempts in a minute; unset: what the channel grants"
    )
    digest_over: Annotated[int, Field(ge=1)] | None = Field(
        None, description="more due events than these go as one message; unset: the channel's"
    )
    secret: SecretStr | None = Field(
        None, description="signing secret of this receiver, or ${VARIABLE}; unset: the common one"
    )
    previous_secret: SecretStr | None = Field(
        None, description="secret before it, signed with too while receivers change over"
    )
    mail: Mail | None = Field(None, description="addresses, for smtp, smtps and mail gateways")
    authorization: SecretStr | None = Field(
        None, description="value of the Authorization header of a mail gateway, or ${VARIABLE}"
    )

    @field_validator("quiet")
    @classmethod
    def _are_hours(cls, value: str | None) -> str | None:
        if value is not None:
            Quiet.of(value)
        return value

    @field_validator("secret", "previous_secret")
    @classmethod
    def _signs(cls, value: SecretStr | None) -> SecretStr | None:
        fault = None if value is None else secret_fault(value.get_secret_value())
        if fault:
            raise ValueError(fault)
        return value


def receivers(path: Path, environment: Mapping[str, str] = os.environ) -> dict[str, Receiver]:
    """The receivers of a file, by name.

    Args:
        path: the TOML file.
        environment: where ``${VARIABLE}`` is looked up.

    Raises:
        RoutingError: it is absent, no TOML, or says something that is not understood.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RoutingError(f"{path} (REGIME_ALERTS_FILE): {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RoutingError(f"{path} is no TOML: {error}") from error
    if unknown := sorted(read.keys() - {"endpoints"}):
        raise RoutingError(f"{path}: {unknown[0]!r} is not understood; write [endpoints.NAME]")
    tables = read.get("endpoints", {})
    if not isinstance(tables, dict):
        raise RoutingError(f"{path}: write [endpoints.NAME]")
    found = {}
    for name, values in tables.items():
        where = f"{path}: [endpoints.{name}]"
        if not _ENDPOINT_NAME.fullmatch(name):
            raise RoutingError(f"{where} is no name; use lower-case letters, digits and hyphens")
        try:
            found[name] = Receiver.model_validate(_expanded(values, environment, where))
        except ValidationError as error:
            first = error.errors()[0]
            raise RoutingError(
                f"{where} {'.'.join(map(str, first['loc']))}: {first['msg']}"
            ) from None
    return found


def _expanded(value: object, environment: Mapping[str, str], where: str) -> object:
    if isinstance(value, dict):
        return {k: _expanded(v, environment, where) for k, v in value.items()}
    if isinstance(value, str) and (named := re.fullmatch(r"\$\{(\w+)\}", value)):
        if named[1] not in environment:
            raise RoutingError(f"{where}: the variable {named[1]} is not set")
        return environment[named[1]]
    return value
