"""Services behind Apprise: an extra that is named where it is absent, over real HTTP where it is there."""

from __future__ import annotations

import importlib.util
import json

import pytest

from regime_pipeline.alerts import services
from regime_pipeline.alerts.dispatch import dispatch_due
from regime_pipeline.alerts.endpoints import ConfigurationError, endpoints
from regime_pipeline.settings import Settings
from regime_pipeline.windows import FixedClock
from regime_pipeline_tests.alerts.receivers import NOW, event, put
from regime_pipeline_tests.alerts.test_delivery import outbox

needs_apprise = pytest.mark.skipif(
    importlib.util.find_spec("apprise") is None, reason="the extra alerts-apprise is not installed"
)


def settings_with(url: str, tmp_path) -> Settings:
    file = tmp_path / "alerts.toml"
    file.write_text(f'[endpoints.phone]\nurl = "{url}"\n')
    return Settings(_env_file=None, home=tmp_path, alerts_file=file)


def test_without_the_library_the_extra_is_named_in_one_line(tmp_path, monkeypatch):
    def absent() -> None:
        raise ModuleNotFoundError("apprise")

    monkeypatch.setattr(services, "_library", absent)
    with pytest.raises(ConfigurationError) as refused:
        endpoints(settings_with("pover://user@token", tmp_path))
    assert "pip install 'regime-pipeline[alerts-apprise]'" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "token" not in str(refused.value)


@needs_apprise
def test_an_address_that_apprise_does_not_know_or_that_is_not_encrypted_is_refused(
    tmp_path, caplog
):
    for url, fault in (
        ("htps://x.example/sesame", "does not know"),
        ("json://x.example/a", "not encrypted"),
    ):
        with pytest.raises(ConfigurationError, match=fault):
            endpoints(settings_with(url, tmp_path))
    assert "sesame" not in caplog.text


@needs_apprise
def test_a_service_gets_title_and_text_and_its_refusal_is_tried_again(database, receiver, tmp_path):
    receiver.statuses = [500, 302]
    settings = settings_with(receiver.url.replace("http://", "json://"), tmp_path)
    put(database, settings, event())
    at = NOW
    for _ in range(3):
        dispatch_due(database, settings, FixedClock(at))
        at = at.replace(minute=at.minute + 3)
    assert [state for _, state, _, _ in outbox(database)] == ["delivered"]
    assert len(receiver.requests) == 3
    said = json.loads(receiver.requests[-1][1])
    assert said["title"] == "BTC/USDT liquidation cascade"
    assert "aaaaaaaa" in said["message"]
