"""Market events and their delivery: pure events, transactional outbox, signing, dispatch, receiver."""
