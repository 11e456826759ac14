"""What a person reads after a run: the printed summary, status, quality, diagnosis, the HTML report.

Belongs here: reading stored tables and showing them. Nothing here computes a number that is not
already stored, apart from counting and down-sampling, and nothing here knows of Dagster.
"""

from __future__ import annotations
