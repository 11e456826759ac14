#!/usr/bin/env bash
# Great Expectations' expectation of quantiles, and results that are kept.
#
# ExpectColumnQuantileValuesToBeBetween is judged on a pandas frame like any other: batch.validate() gives a
# result with the observed quantiles. Through a ValidationDefinition, whose run() stores each result (in an
# ephemeral context too, and pages are made of stored ones), it ends in
#     TypeError: Object of type bool is not JSON serializable
# A Python bool can be serialised, so the message points the wrong way: the verdict itself, `success`, is
# numpy's for this expectation, whose class is called `bool` as well since numpy 2. Expectations of single
# values and of the median are stored fine, so a suite works until somebody adds its first quantile, and then
# no result of that suite is kept. `mostly=` on single values says nearly the same and can be stored.
#
# Version: great-expectations 1.24.1, pandas 3.1.1, numpy 2.4.6, Python 3.11. Exit code 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3.11}" -m venv env
env/bin/pip install --quiet --disable-pip-version-check great-expectations==1.24.1 pandas==3.1.1 numpy==2.4.6

cat > ask.py <<'PY'
import logging
import sys

import great_expectations as gx
import pandas as pd

logging.disable(logging.CRITICAL)
KINDS = {
    "quantiles": gx.expectations.ExpectColumnQuantileValuesToBeBetween(
        column="gap", quantile_ranges={"quantiles": [0.99], "value_ranges": [[None, 0.2]]}
    ),
    "mostly": gx.expectations.ExpectColumnValuesToBeBetween(
        column="gap", max_value=0.2, mostly=0.99
    ),
    "median": gx.expectations.ExpectColumnMedianToBeBetween(column="gap", max_value=0.2),
}
frame = pd.DataFrame({"gap": [0.001 * i for i in range(100)]})
context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = {"globally": False}
asset = context.data_sources.add_pandas("memory").add_dataframe_asset("rows")
whole = asset.add_batch_definition_whole_dataframe("all")

seen = {}
for name, expectation in KINDS.items():
    judged = whole.get_batch({"dataframe": frame}).validate(expectation)
    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=[expectation]))
    definition = gx.ValidationDefinition(name=name, data=whole, suite=suite)
    try:
        kept = context.validation_definitions.add(definition).run(
            batch_parameters={"dataframe": frame}
        )
        seen[name] = (judged.success, f"kept {kept.success}")
    except TypeError as error:
        seen[name] = (bool(judged.success), f"{error} ({type(judged.success).__module__})")
    print(f"{name:10} judged {seen[name][0]}, run: {seen[name][1]}")

EXPECTED = {
    "quantiles": (True, "Object of type bool is not JSON serializable (numpy)"),
    "mostly": (True, "kept True"),
    "median": (True, "kept True"),
}
sys.exit(seen != EXPECTED)
PY
GX_ANALYTICS_ENABLED=false env/bin/python ask.py
