from __future__ import annotations

from regime_pipeline.settings import Params, Settings, SignalParams, method_version
from regime_pipeline.storage.database import Database
from regime_pipeline.storage.parameters import remember
from regime_pipeline.windows import utc


def test_a_changed_weight_is_a_new_row_beside_the_old_one(database: Database) -> None:
    plain = Settings(_env_file=None)
    tilted = SignalParams(weights={"momentum": 2.0})
    changed = Settings(params=Params(signals=tilted), _env_file=None)
    remember(database, plain, utc("2024-06-01"))
    remember(database, changed, utc("2024-06-02"))
    remember(database, plain, utc("2024-06-03"))
    with database.connect() as connection:
        rows = connection.execute(
            "SELECT params_id, parameters, first_used_at FROM ops.parameter_versions "
            "ORDER BY first_used_at"
        ).fetchall()
    assert [row[0] for row in rows] == [plain.params_id, changed.params_id]
    assert [row[2] for row in rows] == [utc("2024-06-01"), utc("2024-06-02")]
    kept = rows[1][1]["signals"]
    assert kept["values"]["weights"] == {"momentum": 2.0}
    assert method_version("confluence/1", tilted).endswith(f"+{kept['digest']}")
