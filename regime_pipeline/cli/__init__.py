"""The ``regime`` command."""
