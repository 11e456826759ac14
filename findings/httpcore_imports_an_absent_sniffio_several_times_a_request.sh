#!/usr/bin/env bash
# httpx (AsyncClient) -> httpcore -> anyio, without sniffio.
#
# httpcore asks sniffio, inside a function, which async library runs. Since anyio no longer brings
# sniffio along (it did up to 4.11), a plain `pip install httpx` has none, and Python does not
# remember a failed import: every lock, event and shield of httpcore walks the whole import path
# again. Nothing fails and nothing warns; it only costs processor time at every request, more the
# longer sys.path is. Installing sniffio, which no installed package asks for, ends it.
#
# Versions: httpx 0.28.1, httpcore 1.0.9, anyio 4.16.0, h11 0.16.0, sniffio 1.3.1, Python 3.11.
# Seen: without sniffio at least 4 import attempts a request, all of them failing; with it none
# after the first. Exit code 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3.11}" -m venv env
env/bin/pip install --quiet --disable-pip-version-check \
  httpx==0.28.1 httpcore==1.0.9 anyio==4.16.0 h11==0.16.0

cat > ask.py <<'PY'
import asyncio
import contextlib
import sys

import httpx

REQUESTS = 50


class Counter:
    """First on the import path: counts who looks for sniffio and finds nothing itself."""

    looked = 0

    def find_spec(self, name, path=None, target=None):
        if name == "sniffio":
            Counter.looked += 1
        return None


async def serve(reader, writer):
    with contextlib.suppress(asyncio.CancelledError):  # the loop ends while the client is idle
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get(f"http://127.0.0.1:{port}/")
        sys.meta_path.insert(0, Counter())
        for _ in range(REQUESTS):
            (await client.get(f"http://127.0.0.1:{port}/")).raise_for_status()
    server.close()
    print(f"{Counter.looked / REQUESTS:.1f}")


asyncio.run(main())
PY

without=$(env/bin/python ask.py)
env/bin/pip install --quiet --disable-pip-version-check sniffio==1.3.1
with=$(env/bin/python ask.py)
echo "import attempts a request: $without without sniffio, $with with it"
env/bin/python -c "import sys; sys.exit(not (float('$without') >= 4 and float('$with') == 0))"
