#!/usr/bin/env bash
# TA-Lib compares with fixed limits what has the unit of a price, up to C library 0.7.1.
#
# A variance under 1e-14 counted as none, whatever the price: the hourly closes of a coin that
# costs a hundred-thousandth of a dollar and moves as any other (0.4 % an hour) have a standard
# deviation of exactly 0.0 in nearly every row, Bollinger bands of no width, and a correlation of
# 0.0 with themselves; a money flow under one dollar over the window made MFI 0.0. The same moves
# at a price of 1 are read rightly, and so is RSI at any price. Nothing warns, nothing is NaN.
# With ta-lib 0.8.0 (C library 0.8.1) all of it depends on the moves alone, so that an upgrade
# changes the numbers of cheap coins only. The wheels 0.6.8 and 0.7.0 say the same C version.
#
# Versions: ta-lib 0.7.1 and 0.8.2, numpy 2.4.6, Python 3.11.
# Seen: 98 % of deviations 0.0 with 0.7.1 at 1e-5, none with 0.8.2. Exit code 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for version in 0.7.1 0.8.2; do
  "${PYTHON:-python3.11}" -m venv "env-$version"
  "env-$version/bin/pip" install --quiet --disable-pip-version-check \
    "ta-lib==$version" numpy==2.4.6
done

cat > read.py <<'PY'
import json

import numpy as np
import talib

moves = np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 0.004, 500)))
found = {}
for price in (1.0, 1e-5):
    close = price * moves
    upper, _, lower = talib.BBANDS(close, 20)
    found[price] = {
        "deviations of 0.0": float((talib.STDDEV(close, 20)[19:] == 0.0).mean()),
        "bands of no width": float((upper[19:] == lower[19:]).mean()),
        "correlation with itself": round(float(talib.CORREL(close, close, 20)[-1]), 6),
        "MFI of 1000 coins an hour": round(
            float(talib.MFI(1.001 * close, 0.999 * close, close, np.full(500, 1e3))[-1]), 3
        ),
        "RSI": round(float(talib.RSI(close, 14)[-1]), 6),
    }
print(json.dumps(found))
PY
env-0.7.1/bin/python read.py > old.json
env-0.8.2/bin/python read.py > new.json

env-0.8.2/bin/python - <<'PY'
import json

old, new = (json.load(open(f"{name}.json")) for name in ("old", "new"))
for name, found in (("ta-lib 0.7.1", old), ("ta-lib 0.8.2", new)):
    for price, row in found.items():
        print(name, "price", price, row)
cheap = old["1e-05"]
assert cheap["deviations of 0.0"] > 0.9 and cheap["bands of no width"] > 0.9
assert cheap["correlation with itself"] == 0.0 and cheap["MFI of 1000 coins an hour"] == 0.0
assert cheap["RSI"] == old["1.0"]["RSI"]
assert old["1.0"] == new["1.0"] == new["1e-05"]
PY
