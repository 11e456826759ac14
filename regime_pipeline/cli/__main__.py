"""``python -m regime_pipeline.cli``."""

from __future__ import annotations

from regime_pipeline.cli.app import main

if __name__ == "__main__":
    main()
