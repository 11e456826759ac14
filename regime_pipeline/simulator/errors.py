"""What can keep a simulator from serving; each message is one line for a person."""

from __future__ import annotations


class SimulatorError(Exception):
    """The simulator cannot serve."""


class NotATapeError(SimulatorError, ValueError):
    """A folder (or a name) that holds no tape."""


class PortInUseError(SimulatorError, OSError):
    """The port is taken."""


class SimulatorDiedError(SimulatorError, RuntimeError):
    """The server's process or thread ended before it could answer."""
