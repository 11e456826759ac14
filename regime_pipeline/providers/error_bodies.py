"""Error replies on their own: a body that some provider sent instead of data, as the error it means.

Recorded ones are named ``<provider>_<what>``, often with the status they came with inside. Does not
belong here: errors inside the replies of an endpoint, which its parser raises itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import pandas as pd

from regime_pipeline.providers.documents import load
from regime_pipeline.providers.errors import ContractViolation, ErrorRules, classify, excerpt
from regime_pipeline.providers.readings import Context

_STATUS = re.compile(r"_(4\d\d|5\d\d)(?=_|$)")


def raiser(name: str, providers: Mapping[str, ErrorRules]) -> Callable[..., pd.DataFrame]:
    """The parser of an error body: it raises what the body means and never gives rows.

    Args:
        name: of the body, beginning with the provider's.
        providers: how each provider reports failures, by name.

    Raises:
        KeyError: the name begins with no provider.
    """
    fitting = [p for p in providers if name == p or name.startswith(f"{p}_")]
    if not fitting:
        raise KeyError(f"errors/{name}")
    rules = providers[max(fitting, key=len)]
    coded = _STATUS.search(name)
    status = int(coded.group(1)) if coded and not rules.in_band else 200

    def parse(body: bytes, ctx: Context | None = None) -> pd.DataFrame:
        """Raises the typed error that the body reports."""
        if status == 200:
            load(body)
        error = classify(status, {}, body, rules, now=(ctx or Context()).now)
        if error is None:
            error = ContractViolation(f"the body reports no error: {excerpt(body)}")
        raise error

    parse.__name__ = name
    return parse
