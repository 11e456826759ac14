"""OKX: the v5 API and its streams."""
