"""Schema versions, oldest first. Each is frozen once released."""
