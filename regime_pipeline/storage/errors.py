"""Errors of the storage layer: one line each that says what to do, never a password.

Everything here is raised on purpose; a psycopg or ADBC error that reaches a caller is a defect.
"""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")
_PASSWORD = re.compile(r"(password\s*=\s*)('[^']*'|\S+)", re.IGNORECASE)


def redact(text: str) -> str:
    """The text without user, password and ``password=`` values of connection strings."""
    return _PASSWORD.sub(r"\1***", _USERINFO.sub("***@", text))


def first_line(error: BaseException) -> str:
    """The first line of an error's text, redacted."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return redact(lines[0]) if lines else type(error).__name__


class StorageError(RuntimeError):
    """Something in the storage layer cannot go on."""


class EmbeddedServerError(StorageError):
    """The embedded PostgreSQL cannot be set up, started or stopped."""


class DatabaseUnreachableError(StorageError):
    """No connection to the configured server, or no right to create the database there."""


class WrongDatabaseError(StorageError):
    """The database holds another kind of data than the one asked for."""


class SchemaVersionError(StorageError):
    """The database's schema is newer than this code, or half migrated by something else."""


class RunEndedError(StorageError):
    """A run wants to write that was given up before."""


class BackupError(StorageError):
    """A backup cannot be made, is damaged, or cannot be restored here."""


class TransientStorageError(StorageError):
    """A transaction failed again and again for a passing reason; running it later may succeed."""
