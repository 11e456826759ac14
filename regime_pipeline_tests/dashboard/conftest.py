"""The served market of the API's tests; pages are looked at on the same server."""

from __future__ import annotations

from regime_pipeline_tests.api.conftest import address, client, served_market

__all__ = ["address", "client", "served_market"]
