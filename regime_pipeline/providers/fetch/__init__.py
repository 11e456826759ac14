"""Fetching one dataset for a window from every configured source."""
