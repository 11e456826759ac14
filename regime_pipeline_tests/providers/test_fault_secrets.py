"""Faults 89 to 91: no secret and no foreign line break anywhere but where it belongs."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from html import escape as html_escape
from pathlib import Path
from urllib.parse import quote

import orjson
import pytest
from pydantic import SecretStr, ValidationError

from regime_pipeline.alerts.kinds import VARIABLES
from regime_pipeline.net.redact import LONGEST, Redactor
from regime_pipeline.providers.documents import load
from regime_pipeline.providers.errors import GENERIC, ProviderError
from regime_pipeline.providers.fetch.fetch import fetch
from regime_pipeline.providers.http import HttpClient
from regime_pipeline.providers.limits.breaker import Policy
from regime_pipeline.providers.limits.gate import HostGate, key_fingerprints
from regime_pipeline.providers.limits.store import PostgresStore
from regime_pipeline.settings import Settings
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.warehouse import Warehouse
from regime_pipeline.windows import FixedClock
from regime_pipeline_tests.faultserver import Fault, FaultServer, Seen
from regime_pipeline_tests.providers.conftest import NOW
from regime_pipeline_tests.providers.test_fetch import WINDOW

SLOTS = (
    *(n for n, f in Settings.model_fields.items() if f.annotation == SecretStr | None),
    *(variable.lower() for variable in VARIABLES),
)
CANARIES = {name: f"canary-{number:02d}-9d1c4e7ab2" for number, name in enumerate(SLOTS)}
CANARIES["webhook_secret"] = "canary/webhook/9d1c4e7ab2".ljust(32, "x")  # base64 of 24 bytes
CANARIES["previous_webhook_secret"] = "canary/previous/9d1c4e7ab2".ljust(32, "x")
WEBHOOKS = {n: f"https://discord.com/api/webhooks/1/{c}" for n, c in CANARIES.items()}
SECRETS = {
    n: SecretStr(
        f"postgresql://me:{c}@127.0.0.1:9/x"
        if n == "database_url"
        else WEBHOOKS[n]
        if n.startswith("webhooks")
        else c
    )
    for n, c in CANARIES.items()
}


def echo(seen: Seen) -> bytes:
    """What a chatty provider says: everything it was sent, and every key there is."""
    said = {"code": "400", "msg": f"bad {seen.headers} {seen.target} {[*CANARIES.values()]}"}
    return orjson.dumps(said)


def rows(_: Seen) -> bytes:
    """Rows that cannot be read and hold keys where numbers belong."""
    key = CANARIES["coinglass_api_key"]
    row = {"time": int(NOW.timestamp() * 1000) - 7_200_000}
    bad = {n: key for n in ("long_liquidation_usd", "short_liquidation_usd")}
    return orjson.dumps({"code": "0", "data": [{**row, **bad}]})


def html(seen: Seen) -> bytes:
    return b"<html>" + echo(seen)


ERRORS = {
    **{f"status {n}": Fault(n, echo) for n in (400, 401, 403, 404, 418, 429, 451, 500, 503)},
    "envelope": Fault(200, echo),
    "html": Fault(200, html),
    "redirect": Fault(
        302, echo, {"Location": f"http://127.0.0.1:9/?k={CANARIES['coinglass_api_key']}"}
    ),
    "cut": Fault(200, echo, cut_after=30),
    "reset": Fault(200, echo, reset_after=30),
    "bad gzip": Fault(200, echo, {"Content-Encoding": "gzip"}),
    "coding": Fault(200, echo, {"Content-Encoding": CANARIES["coinglass_api_key"]}),
    "header": Fault(429, echo, {"Retry-After": CANARIES["coinglass_api_key"]}),
    "silence": Fault(silent=True),
    "rows": Fault(200, rows),
}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def hits(text: str) -> list[str]:
    return [name for name, canary in CANARIES.items() if canary in text]


def test_fault_89_every_slot_is_known_to_the_redactor(make_settings) -> None:
    assert "coinglass_api_key" in SLOTS
    settings = make_settings(**SECRETS)
    assert hits(repr(settings) + str(settings) + settings.model_dump_json()) == []
    assert hits(Redactor.of(settings).text([s.get_secret_value() for s in SECRETS.values()])) == []


@pytest.mark.slow
def test_fault_89_no_error_path_shows_a_key(
    server: FaultServer,
    make_settings: Callable[..., Settings],
    make_client: Callable[..., HttpClient],
    warehouse: Warehouse,
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    logging.getLogger("regime_pipeline").setLevel(logging.DEBUG)
    caplog.set_level(logging.INFO)
    told: list[str] = []
    states: list[str] = []
    for number, fault in enumerate(ERRORS.values()):
        server.scripts[f"/{number}"] = fault
        settings = make_settings(
            **SECRETS,
            sources=("coinglass",),
            coinglass_api_url=f"{server.url}/{number}",
            http_attempts=2,
            http_deadline_s=0.4,
        )
        store, keys = PostgresStore(database.connect), key_fingerprints(settings)
        client = make_client(settings, gate=HostGate(store, keys=keys, pace=False))
        try:
            client.get(
                "coinglass", settings.coinglass_api_url, "/x", {}, parse=load, errors=GENERIC
            )
        except ProviderError as error:
            told.append("".join(traceback.format_exception(error)) + repr(error.__dict__))
        with database.connect() as connection:
            opened = connection.execute("select t::text from ops.breaker_state t").fetchall()
            states += [r[0] for r in opened]
            connection.execute("delete from ops.breaker_state")  # else nothing more is asked
        gate = HostGate(store, keys=keys, pace=False)
        got = fetch(
            "liquidations",
            WINDOW,
            settings=settings,
            client=make_client(settings, gate=gate),
            clock=FixedClock(NOW),
            symbols=("BTC/USDT",),
        )
        warehouse.quarantine("raw.liquidations", got.quarantined, source=None, run_id=None)
        warehouse.record("ops.fetch_log", got.log)
        warehouse.record("ops.payloads", got.payloads)
    assert server.seen[0].headers.get("cg-api-key") is None
    sent = {s.headers.get("cg-api-key") for s in server.seen}
    assert CANARIES["coinglass_api_key"] in sent, "the key went where it belongs"
    counts = {}
    with database.connect() as connection:
        names = connection.execute(
            "select relname from pg_class c join pg_namespace n on n.oid = relnamespace "
            "where nspname = 'ops' and relkind = 'r'"
        ).fetchall()
        for (name,) in names:
            found = connection.execute(f"select t::text from ops.{name} t").fetchall()
            counts[name] = len(found)
            assert hits("\n".join(r[0] for r in found)) == [], name
    assert counts["fetch_log"] >= len(ERRORS)
    assert counts["quarantine"] >= 1
    assert any("451" in state for state in states)
    assert hits("\n".join(states)) == []
    assert hits("\n".join(told)) == []
    assert hits(caplog.text) == []
    printed = capfd.readouterr()
    assert hits(printed.out + printed.err) == []
    for file in tmp_path.rglob("*"):
        assert hits(str(file)) == []
        if file.is_file() and file.suffix != ".zst":
            assert hits(file.read_bytes().decode("latin-1")) == []


def test_fault_89_crashing_parser_tells_no_body(
    server: FaultServer, make_settings, make_client
) -> None:
    server.scripts["/x"] = Fault(200, echo)

    def parse(body: bytes) -> None:
        raise ValueError(body.decode())

    with pytest.raises(ProviderError) as caught:
        make_client(make_settings(**SECRETS)).get(
            "okx", server.url, "/x", {}, parse=parse, errors=GENERIC
        )
    assert hits("".join(traceback.format_exception(caught.value))) == []


LONG_KEY = "q7Rw/9xKd+2mZt5LbV8s<Yh3Nc6Jf1Pg4Au0EoXi"


def fragments(text: str, length: int = 8) -> list[str]:
    """Pieces of the key that a text shows."""
    return [p for i in range(len(LONG_KEY) - length + 1) if (p := LONG_KEY[i : i + length]) in text]


SPELLINGS: dict[str, Callable[[str], Fault]] = {
    "message of an envelope": lambda pad: Fault(200, _json({"code": "400", "msg": pad + LONG_KEY})),
    "message with escapes": lambda pad: Fault(
        200, _json({"code": "400", "msg": pad + LONG_KEY}).replace(b"/", b"\\/")
    ),
    "web page": lambda pad: Fault(200, f"<html>{pad}{html_escape(LONG_KEY)}".encode()),
    "plain text of a status": lambda pad: Fault(500, f"{pad}{LONG_KEY}".encode()),
    "link of a status": lambda pad: Fault(403, f"{pad}/x?k={quote(LONG_KEY, safe='')}".encode()),
    "where a number belongs": lambda pad: Fault(
        200, _row(pad[:-170] + LONG_KEY if len(pad) > 170 else LONG_KEY)
    ),
    "name of a coding": lambda pad: Fault(200, b"[]", {"Content-Encoding": pad[:8] + LONG_KEY}),
}


def _json(said: object) -> bytes:
    return orjson.dumps(said)


def _row(value: str) -> bytes:
    row = {"time": int(NOW.timestamp() * 1000) - 7_200_000, "long_liquidation_usd": value}
    return orjson.dumps({"code": "0", "data": [{**row, "short_liquidation_usd": "1"}]})


@pytest.mark.slow
@pytest.mark.parametrize("pad", [160, 180, 195])
@pytest.mark.parametrize("where", SPELLINGS)
def test_fault_89_a_key_across_the_cut_of_a_message_shows_no_part_of_itself(
    where: str, pad: int, server: FaultServer, make_settings, make_client
) -> None:
    server.scripts["/"] = SPELLINGS[where]("." * pad)
    settings = make_settings(
        sources=("coinglass",),
        coinglass_api_url=server.url,
        coinglass_api_key=SecretStr(LONG_KEY),
        http_attempts=1,
    )
    got = fetch(
        "liquidations",
        WINDOW,
        settings=settings,
        client=make_client(settings),
        clock=FixedClock(NOW),
        symbols=("BTC/USDT",),
    )
    told = got.log.to_json() + got.quarantined.to_json() + got.payloads.to_json()
    assert fragments(told) == []
    assert len(got.quarantined) or got.log["error_message"].notna().all(), "it was told"


def test_fault_89_a_short_word_for_a_key_does_not_break_replies(make_settings) -> None:
    redactor = Redactor.of(make_settings(coinglass_api_key=SecretStr("volume")))
    assert redactor.body(b'{"volume": 1}') == b'{"volume": 1}'
    assert "volume" not in redactor.text("the key volume was refused")


@pytest.mark.parametrize(
    "value", ["changeme", "your_api_key", "None", "abc123def\r\n", " abc123def", "abc\x1b[31mdef"]
)
def test_fault_90_placeholder_or_torn_key_is_refused_without_repeating_it(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COINGLASS_API_KEY", value)
    with pytest.raises(ValidationError) as caught:
        Settings(_env_file=None)  # type: ignore[call-arg]
    text = "".join(traceback.format_exception(caught.value))
    assert "COINGLASS_API_KEY" in text
    assert value == "None" or value not in text


@pytest.mark.parametrize("value", ["", "  "])
def test_fault_90_blank_key_is_no_key_and_nothing_is_sent(
    value: str, server: FaultServer, make_settings, make_client
) -> None:
    settings = make_settings(
        sources=("coinglass",), coinglass_api_url=server.url, coinglass_api_key=SecretStr(value)
    )
    got = fetch(
        "liquidations",
        WINDOW,
        settings=settings,
        client=make_client(settings, gate=HostGate(keys=key_fingerprints(settings))),
        clock=FixedClock(NOW),
        symbols=("BTC/USDT",),
    )
    assert set(got.log["error_class"]) == {"NotConfigured"}
    assert "COINGLASS_API_KEY" in got.log["error_message"].iloc[0]
    assert server.seen == []


INJECTIONS = {
    "newline": "ok\n2024-08-06 CRITICAL root: all is lost",
    "crlf": "ok\r\nSet-Cookie: x",
    "ansi": "\x1b[2J\x1b[31mred\x1b[0m",
    "unicode": "a\u2028b\u202ec\u0000d\ud83d\ude00".encode("utf-16", "surrogatepass").decode(
        "utf-16"
    ),
    "megabyte": "A" * 2**20,
}


@pytest.mark.parametrize("kind", INJECTIONS)
def test_fault_91_foreign_text_is_one_short_printable_line(
    kind: str,
    server: FaultServer,
    make_settings,
    make_client,
    warehouse: Warehouse,
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = orjson.dumps({"code": "50001", "msg": INJECTIONS[kind]})
    server.scripts["/"] = Fault(200, body)
    settings = make_settings(sources=("okx",), okx_api_url=server.url, http_attempts=1)
    gate = HostGate(policy=Policy(failures=1))
    got = fetch(
        "candles",
        WINDOW,
        settings=settings,
        client=make_client(settings, gate=gate),
        clock=FixedClock(NOW),
        symbols=("BTC/USDT",),
    )
    warehouse.record("ops.fetch_log", got.log)
    lines = [*got.log["error_message"], *(r.getMessage() for r in caplog.records)]
    assert len(lines) >= 2
    for line in lines:
        assert line.isprintable()
        assert len(line) <= LONGEST


def test_fault_91_secret_beside_a_megabyte_is_still_removed() -> None:
    secret = "s3cr3t-canary-value"
    text = Redactor([secret]).text(" " * 7995 + secret + "A" * 2**20)
    assert "s3cr" not in text
    assert len(text) <= LONGEST
