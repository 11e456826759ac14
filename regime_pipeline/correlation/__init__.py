"""correlation."""
