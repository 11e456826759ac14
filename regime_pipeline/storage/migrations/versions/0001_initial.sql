-- Frozen from the catalogue by `python -m regime_pipeline.storage.migrate freeze`.
CREATE SCHEMA IF NOT EXISTS raw;

CREATE SCHEMA IF NOT EXISTS market;

CREATE SCHEMA IF NOT EXISTS features;

CREATE SCHEMA IF NOT EXISTS regimes;

CREATE SCHEMA IF NOT EXISTS correlation;

CREATE SCHEMA IF NOT EXISTS signals;

CREATE SCHEMA IF NOT EXISTS alerts;

CREATE SCHEMA IF NOT EXISTS ops;

CREATE SCHEMA IF NOT EXISTS reporting;

CREATE TABLE alerts.delivery_attempts (
	event_id TEXT NOT NULL,
	endpoint TEXT NOT NULL,
	attempt BIGINT NOT NULL,
	attempted_at TIMESTAMP WITH TIME ZONE NOT NULL,
	latency_ms FLOAT(53),
	http_status BIGINT,
	outcome TEXT NOT NULL,
	error_class TEXT,
	response_excerpt TEXT,
	CONSTRAINT delivery_attempts_pk PRIMARY KEY (event_id, endpoint, attempt),
	CONSTRAINT delivery_attempts_attempt_ck0 CHECK ("attempt" >= 1),
	CONSTRAINT delivery_attempts_latency_ms_ck0 CHECK ("latency_ms" >= 0.0 AND "latency_ms" < 'Infinity'),
	CONSTRAINT delivery_attempts_http_status_ck0 CHECK ("http_status" >= 100),
	CONSTRAINT delivery_attempts_http_status_ck1 CHECK ("http_status" <= 599),
	CONSTRAINT delivery_attempts_outcome_ck0 CHECK ("outcome" IN ('delivered', 'failed', 'unknown'))
);

COMMENT ON TABLE alerts.delivery_attempts IS 'Every attempt to deliver, append only.';

COMMENT ON COLUMN alerts.delivery_attempts.event_id IS 'sha256 of event type, instrument or pair, episode start, kind, ordinal, level and method version: the same event always has the same id.';

COMMENT ON COLUMN alerts.delivery_attempts.endpoint IS 'Name of the endpoint, from the environment variable that set it.';

COMMENT ON COLUMN alerts.delivery_attempts.attempt IS 'Number of the attempt, from 1.';

COMMENT ON COLUMN alerts.delivery_attempts.attempted_at IS 'Start of the attempt.';

COMMENT ON COLUMN alerts.delivery_attempts.latency_ms IS 'Time until the answer.';

COMMENT ON COLUMN alerts.delivery_attempts.http_status IS 'Status of the answer.';

COMMENT ON COLUMN alerts.delivery_attempts.outcome IS 'How the attempt ended; unknown: fully sent, no answer.';

COMMENT ON COLUMN alerts.delivery_attempts.error_class IS 'Class of the failure.';

COMMENT ON COLUMN alerts.delivery_attempts.response_excerpt IS 'Start of the answer''s body, scrubbed, 2 kB at most.';

CREATE TABLE alerts.market_events (
	event_id TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	event_type TEXT NOT NULL,
	instrument TEXT NOT NULL,
	kind TEXT NOT NULL,
	ordinal BIGINT,
	alert_severity TEXT NOT NULL,
	level TEXT,
	episode_start TIMESTAMP WITH TIME ZONE NOT NULL,
	known_at TIMESTAMP WITH TIME ZONE NOT NULL,
	title TEXT NOT NULL,
	details JSONB NOT NULL,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT market_events_pk PRIMARY KEY (event_id, ts),
	CONSTRAINT market_events_event_type_ck0 CHECK ("event_type" IN ('LIQUIDATION_CASCADE', 'FUNDING_ANOMALY', 'FUNDING_REVERSAL', 'VOLATILITY_REGIME_CHANGE', 'CORRELATION_BREAK', 'REGIME_CONFIRMED', 'SYSTEM')),
	CONSTRAINT market_events_kind_ck0 CHECK ("kind" IN ('start', 'escalation', 'end', 'change')),
	CONSTRAINT market_events_ordinal_ck0 CHECK ("ordinal" >= 0),
	CONSTRAINT market_events_alert_severity_ck0 CHECK ("alert_severity" IN ('INFO', 'WARNING', 'CRITICAL')),
	CONSTRAINT market_events_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT market_events_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT market_events_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE alerts.market_events IS 'Market events of all six types; each is written once and never edited. ts is the row or print that caused it.';

COMMENT ON COLUMN alerts.market_events.event_id IS 'sha256 of event type, instrument or pair, episode start, kind, ordinal, level and method version: the same event always has the same id.';

COMMENT ON COLUMN alerts.market_events.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN alerts.market_events.event_type IS 'What happened.';

COMMENT ON COLUMN alerts.market_events.instrument IS 'Symbol, or A|B for a pair.';

COMMENT ON COLUMN alerts.market_events.kind IS 'Place in the episode.';

COMMENT ON COLUMN alerts.market_events.ordinal IS 'Ordinal of the alert within its episode.';

COMMENT ON COLUMN alerts.market_events.alert_severity IS 'Severity.';

COMMENT ON COLUMN alerts.market_events.level IS 'Level reached: a severity, a regime, a z level.';

COMMENT ON COLUMN alerts.market_events.episode_start IS 'First row of the episode that the row belongs to.';

COMMENT ON COLUMN alerts.market_events.known_at IS 'When it could be known: ts + 1h, or the print''s own time.';

COMMENT ON COLUMN alerts.market_events.title IS 'One line for a person.';

COMMENT ON COLUMN alerts.market_events.details IS 'The numbers behind the event.';

COMMENT ON COLUMN alerts.market_events.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN alerts.market_events.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN alerts.market_events.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN alerts.market_events.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN alerts.market_events.run_id IS 'Run that wrote this version.';

CREATE TABLE alerts.market_events_revisions (
	event_id TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	event_type TEXT,
	instrument TEXT,
	kind TEXT,
	ordinal BIGINT,
	alert_severity TEXT,
	level TEXT,
	episode_start TIMESTAMP WITH TIME ZONE,
	known_at TIMESTAMP WITH TIME ZONE,
	title TEXT,
	details JSONB,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT market_events_revisions_pk PRIMARY KEY (event_id, ts, revision)
);

COMMENT ON TABLE alerts.market_events_revisions IS 'Replaced versions of alerts.market_events.';

COMMENT ON COLUMN alerts.market_events_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE alerts.outbox (
	event_id TEXT NOT NULL,
	endpoint TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	event_type TEXT NOT NULL,
	alert_severity TEXT,
	body TEXT NOT NULL,
	state TEXT NOT NULL,
	reason TEXT,
	attempts BIGINT NOT NULL,
	next_at TIMESTAMP WITH TIME ZONE NOT NULL,
	deliver_before TIMESTAMP WITH TIME ZONE NOT NULL,
	lease_until TIMESTAMP WITH TIME ZONE,
	lease_token TEXT,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	finished_at TIMESTAMP WITH TIME ZONE,
	CONSTRAINT outbox_pk PRIMARY KEY (event_id, endpoint),
	CONSTRAINT outbox_event_type_ck0 CHECK ("event_type" IN ('LIQUIDATION_CASCADE', 'FUNDING_ANOMALY', 'FUNDING_REVERSAL', 'VOLATILITY_REGIME_CHANGE', 'CORRELATION_BREAK', 'REGIME_CONFIRMED', 'SYSTEM')),
	CONSTRAINT outbox_alert_severity_ck0 CHECK ("alert_severity" IN ('INFO', 'WARNING', 'CRITICAL')),
	CONSTRAINT outbox_state_ck0 CHECK ("state" IN ('pending', 'sending', 'delivered', 'failed', 'expired', 'suppressed', 'dead')),
	CONSTRAINT outbox_attempts_ck0 CHECK ("attempts" >= 0)
);

COMMENT ON TABLE alerts.outbox IS 'One row per event and endpoint, made in the event''s own transaction.';

COMMENT ON COLUMN alerts.outbox.event_id IS 'sha256 of event type, instrument or pair, episode start, kind, ordinal, level and method version: the same event always has the same id.';

COMMENT ON COLUMN alerts.outbox.endpoint IS 'Name of the endpoint, from the environment variable that set it.';

COMMENT ON COLUMN alerts.outbox.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN alerts.outbox.event_type IS 'What happened.';

COMMENT ON COLUMN alerts.outbox.alert_severity IS 'Severity.';

COMMENT ON COLUMN alerts.outbox.body IS 'The exact bytes that are signed and sent, UTF-8.';

COMMENT ON COLUMN alerts.outbox.state IS 'Where the delivery stands.';

COMMENT ON COLUMN alerts.outbox.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN alerts.outbox.attempts IS 'Attempts so far.';

COMMENT ON COLUMN alerts.outbox.next_at IS 'Not before this instant.';

COMMENT ON COLUMN alerts.outbox.deliver_before IS 'After this instant it expires instead.';

COMMENT ON COLUMN alerts.outbox.lease_until IS 'A worker holds the row until then.';

COMMENT ON COLUMN alerts.outbox.lease_token IS 'Who holds it; an outcome with another token is refused.';

COMMENT ON COLUMN alerts.outbox.created_at IS 'When the row was made.';

COMMENT ON COLUMN alerts.outbox.finished_at IS 'When the row reached its last state.';

CREATE TABLE correlation.asset_correlations (
	symbol_a TEXT NOT NULL,
	symbol_b TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	corr_7d FLOAT(53),
	corr_30d_base FLOAT(53),
	spearman_7d FLOAT(53),
	spearman_30d_base FLOAT(53),
	corr_ewma FLOAT(53),
	n_7d BIGINT,
	n_30d_base BIGINT,
	rel_drop FLOAT(53),
	abs_change FLOAT(53),
	break_z FLOAT(53),
	break_z_sd FLOAT(53),
	p_break FLOAT(53),
	is_break BOOLEAN,
	is_rise BOOLEAN,
	break_kind TEXT,
	corr_30d_legacy FLOAT(53),
	is_break_legacy BOOLEAN,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT asset_correlations_pk PRIMARY KEY (symbol_a, symbol_b, ts),
	CONSTRAINT asset_correlations_corr_7d_ck0 CHECK ("corr_7d" >= -1.0 AND "corr_7d" <= 1.0),
	CONSTRAINT asset_correlations_corr_30d_base_ck0 CHECK ("corr_30d_base" >= -1.0 AND "corr_30d_base" <= 1.0),
	CONSTRAINT asset_correlations_spearman_7d_ck0 CHECK ("spearman_7d" >= -1.0 AND "spearman_7d" <= 1.0),
	CONSTRAINT asset_correlations_spearman_30d_base_ck0 CHECK ("spearman_30d_base" >= -1.0 AND "spearman_30d_base" <= 1.0),
	CONSTRAINT asset_correlations_corr_ewma_ck0 CHECK ("corr_ewma" >= -1.0 AND "corr_ewma" <= 1.0),
	CONSTRAINT asset_correlations_n_7d_ck0 CHECK ("n_7d" >= 0),
	CONSTRAINT asset_correlations_n_7d_ck1 CHECK ("n_7d" <= 168),
	CONSTRAINT asset_correlations_n_30d_base_ck0 CHECK ("n_30d_base" >= 0),
	CONSTRAINT asset_correlations_n_30d_base_ck1 CHECK ("n_30d_base" <= 720),
	CONSTRAINT asset_correlations_rel_drop_ck0 CHECK ("rel_drop" > '-Infinity' AND "rel_drop" < 'Infinity'),
	CONSTRAINT asset_correlations_abs_change_ck0 CHECK ("abs_change" >= -2.0 AND "abs_change" <= 2.0),
	CONSTRAINT asset_correlations_break_z_ck0 CHECK ("break_z" > '-Infinity' AND "break_z" < 'Infinity'),
	CONSTRAINT asset_correlations_break_z_sd_ck0 CHECK ("break_z_sd" >= 0.0 AND "break_z_sd" < 'Infinity'),
	CONSTRAINT asset_correlations_p_break_ck0 CHECK ("p_break" >= 0.0 AND "p_break" <= 1.0),
	CONSTRAINT asset_correlations_break_kind_ck0 CHECK ("break_kind" IN ('DROP', 'RISE', 'SIGN_FLIP')),
	CONSTRAINT asset_correlations_corr_30d_legacy_ck0 CHECK ("corr_30d_legacy" >= -1.0 AND "corr_30d_legacy" <= 1.0),
	CONSTRAINT asset_correlations_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT asset_correlations_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT asset_correlations_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT asset_correlations_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE correlation.asset_correlations IS 'Correlation of hourly log returns of the spot series, one row per pair and hour, with the test against the pair''s own disjoint baseline.';

COMMENT ON COLUMN correlation.asset_correlations.symbol_a IS 'First symbol of the pair, alphabetically.';

COMMENT ON COLUMN correlation.asset_correlations.symbol_b IS 'Second symbol of the pair.';

COMMENT ON COLUMN correlation.asset_correlations.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN correlation.asset_correlations.corr_7d IS 'Pearson correlation of hourly log returns, rows h-167..h.';

COMMENT ON COLUMN correlation.asset_correlations.corr_30d_base IS 'Pearson correlation of the 720 h that end where the 7 d begin.';

COMMENT ON COLUMN correlation.asset_correlations.spearman_7d IS 'Spearman correlation, rows h-167..h.';

COMMENT ON COLUMN correlation.asset_correlations.spearman_30d_base IS 'Spearman correlation of the baseline.';

COMMENT ON COLUMN correlation.asset_correlations.corr_ewma IS 'EWMA correlation, half-life 84 h.';

COMMENT ON COLUMN correlation.asset_correlations.n_7d IS 'Pairs of returns in the 7 d window.';

COMMENT ON COLUMN correlation.asset_correlations.n_30d_base IS 'Pairs of returns in the baseline.';

COMMENT ON COLUMN correlation.asset_correlations.rel_drop IS '(base - current) / |base|.';

COMMENT ON COLUMN correlation.asset_correlations.abs_change IS 'current - base.';

COMMENT ON COLUMN correlation.asset_correlations.break_z IS 'Fisher z of Spearman, current against baseline, Bonett-Wright variances.';

COMMENT ON COLUMN correlation.asset_correlations.break_z_sd IS 'The pair''s own sd of break_z over 25 lagged weeks.';

COMMENT ON COLUMN correlation.asset_correlations.p_break IS 'p value of the change, false-discovery adjusted over the pairs of the hour.';

COMMENT ON COLUMN correlation.asset_correlations.is_break IS 'rel_drop > 0.5, base >= 0.3 and p_break < 0.05.';

COMMENT ON COLUMN correlation.asset_correlations.is_rise IS 'Rise by 0.3 or more with p_break < 0.05.';

COMMENT ON COLUMN correlation.asset_correlations.break_kind IS 'What kind of change.';

COMMENT ON COLUMN correlation.asset_correlations.corr_30d_legacy IS 'The seed''s normal: Pearson correlation of rows h-719..h, which contain the week judged.';

COMMENT ON COLUMN correlation.asset_correlations.is_break_legacy IS 'The seed''s break: corr_7d more than 50 % under corr_30d_legacy, without a least base or a test; without any change it fires in 37 % of samples around 0.05.';

COMMENT ON COLUMN correlation.asset_correlations.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN correlation.asset_correlations.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN correlation.asset_correlations.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN correlation.asset_correlations.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN correlation.asset_correlations.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN correlation.asset_correlations.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN correlation.asset_correlations.run_id IS 'Run that wrote this version.';

CREATE TABLE correlation.asset_correlations_revisions (
	symbol_a TEXT NOT NULL,
	symbol_b TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	corr_7d FLOAT(53),
	corr_30d_base FLOAT(53),
	spearman_7d FLOAT(53),
	spearman_30d_base FLOAT(53),
	corr_ewma FLOAT(53),
	n_7d BIGINT,
	n_30d_base BIGINT,
	rel_drop FLOAT(53),
	abs_change FLOAT(53),
	break_z FLOAT(53),
	break_z_sd FLOAT(53),
	p_break FLOAT(53),
	is_break BOOLEAN,
	is_rise BOOLEAN,
	break_kind TEXT,
	corr_30d_legacy FLOAT(53),
	is_break_legacy BOOLEAN,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT asset_correlations_revisions_pk PRIMARY KEY (symbol_a, symbol_b, ts, revision)
);

COMMENT ON TABLE correlation.asset_correlations_revisions IS 'Replaced versions of correlation.asset_correlations.';

COMMENT ON COLUMN correlation.asset_correlations_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE correlation.correlation_breaks (
	symbol_a TEXT NOT NULL,
	symbol_b TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	corr_7d FLOAT(53),
	corr_30d_base FLOAT(53),
	rel_drop FLOAT(53),
	p_break FLOAT(53),
	break_kind TEXT,
	break_severity TEXT,
	duration_hours BIGINT,
	event_kind TEXT,
	event_severity TEXT,
	event_ordinal BIGINT,
	episode_start TIMESTAMP WITH TIME ZONE,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT correlation_breaks_pk PRIMARY KEY (symbol_a, symbol_b, ts),
	CONSTRAINT correlation_breaks_corr_7d_ck0 CHECK ("corr_7d" >= -1.0 AND "corr_7d" <= 1.0),
	CONSTRAINT correlation_breaks_corr_30d_base_ck0 CHECK ("corr_30d_base" >= -1.0 AND "corr_30d_base" <= 1.0),
	CONSTRAINT correlation_breaks_rel_drop_ck0 CHECK ("rel_drop" > '-Infinity' AND "rel_drop" < 'Infinity'),
	CONSTRAINT correlation_breaks_p_break_ck0 CHECK ("p_break" >= 0.0 AND "p_break" <= 1.0),
	CONSTRAINT correlation_breaks_break_kind_ck0 CHECK ("break_kind" IN ('DROP', 'RISE', 'SIGN_FLIP')),
	CONSTRAINT correlation_breaks_break_severity_ck0 CHECK ("break_severity" IN ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')),
	CONSTRAINT correlation_breaks_duration_hours_ck0 CHECK ("duration_hours" >= 0),
	CONSTRAINT correlation_breaks_event_kind_ck0 CHECK ("event_kind" IN ('start', 'escalation', 'end', 'change')),
	CONSTRAINT correlation_breaks_event_severity_ck0 CHECK ("event_severity" IN ('INFO', 'WARNING', 'CRITICAL')),
	CONSTRAINT correlation_breaks_event_ordinal_ck0 CHECK ("event_ordinal" >= 0),
	CONSTRAINT correlation_breaks_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT correlation_breaks_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT correlation_breaks_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT correlation_breaks_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE correlation.correlation_breaks IS 'The hours of open break episodes, one row per pair and hour from is_break to the hour that ends it.';

COMMENT ON COLUMN correlation.correlation_breaks.symbol_a IS 'First symbol of the pair, alphabetically.';

COMMENT ON COLUMN correlation.correlation_breaks.symbol_b IS 'Second symbol of the pair.';

COMMENT ON COLUMN correlation.correlation_breaks.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN correlation.correlation_breaks.corr_7d IS 'Pearson correlation of hourly log returns, rows h-167..h.';

COMMENT ON COLUMN correlation.correlation_breaks.corr_30d_base IS 'Pearson correlation of the 720 h that end where the 7 d begin.';

COMMENT ON COLUMN correlation.correlation_breaks.rel_drop IS '(base - current) / |base|.';

COMMENT ON COLUMN correlation.correlation_breaks.p_break IS 'p value of the change, false-discovery adjusted over the pairs of the hour.';

COMMENT ON COLUMN correlation.correlation_breaks.break_kind IS 'What kind of change.';

COMMENT ON COLUMN correlation.correlation_breaks.break_severity IS 'Severity by rel_drop.';

COMMENT ON COLUMN correlation.correlation_breaks.duration_hours IS 'Hours since the episode began.';

COMMENT ON COLUMN correlation.correlation_breaks.event_kind IS 'What this row''s state machine announces; null for most rows.';

COMMENT ON COLUMN correlation.correlation_breaks.event_severity IS 'Alert severity of the announcement.';

COMMENT ON COLUMN correlation.correlation_breaks.event_ordinal IS 'Ordinal of the announcement within its episode.';

COMMENT ON COLUMN correlation.correlation_breaks.episode_start IS 'First row of the episode that the row belongs to.';

COMMENT ON COLUMN correlation.correlation_breaks.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN correlation.correlation_breaks.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN correlation.correlation_breaks.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN correlation.correlation_breaks.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN correlation.correlation_breaks.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN correlation.correlation_breaks.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN correlation.correlation_breaks.run_id IS 'Run that wrote this version.';

CREATE TABLE correlation.correlation_breaks_revisions (
	symbol_a TEXT NOT NULL,
	symbol_b TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	corr_7d FLOAT(53),
	corr_30d_base FLOAT(53),
	rel_drop FLOAT(53),
	p_break FLOAT(53),
	break_kind TEXT,
	break_severity TEXT,
	duration_hours BIGINT,
	event_kind TEXT,
	event_severity TEXT,
	event_ordinal BIGINT,
	episode_start TIMESTAMP WITH TIME ZONE,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT correlation_breaks_revisions_pk PRIMARY KEY (symbol_a, symbol_b, ts, revision)
);

COMMENT ON TABLE correlation.correlation_breaks_revisions IS 'Replaced versions of correlation.correlation_breaks.';

COMMENT ON COLUMN correlation.correlation_breaks_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE correlation.correlation_matrices (
	symbol_a TEXT NOT NULL,
	symbol_b TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	corr_7d FLOAT(53),
	n_7d BIGINT,
	corr_shrunk FLOAT(53),
	corr_clipped FLOAT(53),
	corr_vol_adjusted FLOAT(53),
	variance_ratio FLOAT(53),
	distance FLOAT(53),
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT correlation_matrices_pk PRIMARY KEY (symbol_a, symbol_b, ts),
	CONSTRAINT correlation_matrices_corr_7d_ck0 CHECK ("corr_7d" >= -1.0 AND "corr_7d" <= 1.0),
	CONSTRAINT correlation_matrices_n_7d_ck0 CHECK ("n_7d" >= 0),
	CONSTRAINT correlation_matrices_n_7d_ck1 CHECK ("n_7d" <= 168),
	CONSTRAINT correlation_matrices_corr_shrunk_ck0 CHECK ("corr_shrunk" >= -1.0 AND "corr_shrunk" <= 1.0),
	CONSTRAINT correlation_matrices_corr_clipped_ck0 CHECK ("corr_clipped" >= -1.0 AND "corr_clipped" <= 1.0),
	CONSTRAINT correlation_matrices_corr_vol_adjusted_ck0 CHECK ("corr_vol_adjusted" >= -1.0 AND "corr_vol_adjusted" <= 1.0),
	CONSTRAINT correlation_matrices_variance_ratio_ck0 CHECK ("variance_ratio" >= 0.0 AND "variance_ratio" < 'Infinity'),
	CONSTRAINT correlation_matrices_distance_ck0 CHECK ("distance" >= 0.0 AND "distance" <= 1.0),
	CONSTRAINT correlation_matrices_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT correlation_matrices_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT correlation_matrices_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT correlation_matrices_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE correlation.correlation_matrices IS 'The correlation matrix of the universe over the 168 h to the day''s last bar, one row per pair and day at 23:00: shrunk, cleaned, adjusted for volatility.';

COMMENT ON COLUMN correlation.correlation_matrices.symbol_a IS 'First symbol of the pair, alphabetically.';

COMMENT ON COLUMN correlation.correlation_matrices.symbol_b IS 'Second symbol of the pair.';

COMMENT ON COLUMN correlation.correlation_matrices.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN correlation.correlation_matrices.corr_7d IS 'Pearson correlation of hourly log returns, rows h-167..h.';

COMMENT ON COLUMN correlation.correlation_matrices.n_7d IS 'Pairs of returns in the 7 d window.';

COMMENT ON COLUMN correlation.correlation_matrices.corr_shrunk IS 'corr_7d drawn towards the mean correlation by `shrinkage`; the whole matrix is positive semi-definite.';

COMMENT ON COLUMN correlation.correlation_matrices.corr_clipped IS 'corr_7d without the eigenvalues that noise explains; null by definition up to 20 symbols.';

COMMENT ON COLUMN correlation.correlation_matrices.corr_vol_adjusted IS 'corr_7d as it would be at the variance of the baseline.';

COMMENT ON COLUMN correlation.correlation_matrices.variance_ratio IS '7 d variance over that of the 720 h before, of the pair''s symbol where it rose most.';

COMMENT ON COLUMN correlation.correlation_matrices.distance IS 'sqrt((1 - corr_shrunk) / 2).';

COMMENT ON COLUMN correlation.correlation_matrices.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN correlation.correlation_matrices.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN correlation.correlation_matrices.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN correlation.correlation_matrices.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN correlation.correlation_matrices.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN correlation.correlation_matrices.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN correlation.correlation_matrices.run_id IS 'Run that wrote this version.';

CREATE TABLE correlation.correlation_matrices_revisions (
	symbol_a TEXT NOT NULL,
	symbol_b TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	corr_7d FLOAT(53),
	n_7d BIGINT,
	corr_shrunk FLOAT(53),
	corr_clipped FLOAT(53),
	corr_vol_adjusted FLOAT(53),
	variance_ratio FLOAT(53),
	distance FLOAT(53),
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT correlation_matrices_revisions_pk PRIMARY KEY (symbol_a, symbol_b, ts, revision)
);

COMMENT ON TABLE correlation.correlation_matrices_revisions IS 'Replaced versions of correlation.correlation_matrices.';

COMMENT ON COLUMN correlation.correlation_matrices_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE correlation.lead_lag (
	symbol_a TEXT NOT NULL,
	symbol_b TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	best_lag_h BIGINT,
	lead_corr FLOAT(53),
	net_lead FLOAT(53),
	critical_value FLOAT(53),
	leader TEXT,
	lead_reason TEXT,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT lead_lag_pk PRIMARY KEY (symbol_a, symbol_b, ts),
	CONSTRAINT lead_lag_best_lag_h_ck0 CHECK ("best_lag_h" >= 1),
	CONSTRAINT lead_lag_best_lag_h_ck1 CHECK ("best_lag_h" <= 3),
	CONSTRAINT lead_lag_lead_corr_ck0 CHECK ("lead_corr" >= -1.0 AND "lead_corr" <= 1.0),
	CONSTRAINT lead_lag_net_lead_ck0 CHECK ("net_lead" >= -2.0 AND "net_lead" <= 2.0),
	CONSTRAINT lead_lag_critical_value_ck0 CHECK ("critical_value" >= 0.0 AND "critical_value" < 'Infinity'),
	CONSTRAINT lead_lag_lead_reason_ck0 CHECK ("lead_reason" IN ('no_significant_lead', 'not_judged')),
	CONSTRAINT lead_lag_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT lead_lag_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT lead_lag_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT lead_lag_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE correlation.lead_lag IS 'Who moves first within a pair, at lags of 1 to 3 h over the 168 h to the day''s last bar, against the largest lead that chance shows. One row per pair and day at 23:00.';

COMMENT ON COLUMN correlation.lead_lag.symbol_a IS 'First symbol of the pair, alphabetically.';

COMMENT ON COLUMN correlation.lead_lag.symbol_b IS 'Second symbol of the pair.';

COMMENT ON COLUMN correlation.lead_lag.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN correlation.lead_lag.best_lag_h IS 'Lag of the largest net lead.';

COMMENT ON COLUMN correlation.lead_lag.lead_corr IS 'Correlation of the earlier symbol''s return with the later one''s, best_lag_h on.';

COMMENT ON COLUMN correlation.lead_lag.net_lead IS 'How symbol_a leads symbol_b less how it follows, at best_lag_h; positive when a leads.';

COMMENT ON COLUMN correlation.lead_lag.critical_value IS 'What the largest |net_lead| of all pairs and lags exceeds in 5 % of worlds without leads.';

COMMENT ON COLUMN correlation.lead_lag.leader IS 'The symbol that moves first; null unless beyond critical_value.';

COMMENT ON COLUMN correlation.lead_lag.lead_reason IS 'Why there is no leader.';

COMMENT ON COLUMN correlation.lead_lag.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN correlation.lead_lag.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN correlation.lead_lag.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN correlation.lead_lag.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN correlation.lead_lag.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN correlation.lead_lag.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN correlation.lead_lag.run_id IS 'Run that wrote this version.';

CREATE TABLE correlation.lead_lag_revisions (
	symbol_a TEXT NOT NULL,
	symbol_b TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	best_lag_h BIGINT,
	lead_corr FLOAT(53),
	net_lead FLOAT(53),
	critical_value FLOAT(53),
	leader TEXT,
	lead_reason TEXT,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT lead_lag_revisions_pk PRIMARY KEY (symbol_a, symbol_b, ts, revision)
);

COMMENT ON TABLE correlation.lead_lag_revisions IS 'Replaced versions of correlation.lead_lag.';

COMMENT ON COLUMN correlation.lead_lag_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE correlation.market_structure (
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	n_symbols BIGINT NOT NULL,
	shrinkage FLOAT(53),
	corr_mean FLOAT(53),
	absorption_ratio FLOAT(53),
	n_absorbing BIGINT,
	eigenvalue_min FLOAT(53),
	is_psd_repaired BOOLEAN,
	leaf_order JSONB,
	linkage JSONB,
	leading_asset TEXT,
	critical_value FLOAT(53),
	lead_reason TEXT,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT market_structure_pk PRIMARY KEY (ts),
	CONSTRAINT market_structure_n_symbols_ck0 CHECK ("n_symbols" >= 0),
	CONSTRAINT market_structure_shrinkage_ck0 CHECK ("shrinkage" >= 0.0 AND "shrinkage" <= 1.0),
	CONSTRAINT market_structure_corr_mean_ck0 CHECK ("corr_mean" >= -1.0 AND "corr_mean" <= 1.0),
	CONSTRAINT market_structure_absorption_ratio_ck0 CHECK ("absorption_ratio" >= 0.0 AND "absorption_ratio" <= 1.0),
	CONSTRAINT market_structure_n_absorbing_ck0 CHECK ("n_absorbing" >= 1),
	CONSTRAINT market_structure_eigenvalue_min_ck0 CHECK ("eigenvalue_min" > '-Infinity' AND "eigenvalue_min" < 'Infinity'),
	CONSTRAINT market_structure_critical_value_ck0 CHECK ("critical_value" >= 0.0 AND "critical_value" < 'Infinity'),
	CONSTRAINT market_structure_lead_reason_ck0 CHECK ("lead_reason" IN ('no_significant_lead', 'not_judged')),
	CONSTRAINT market_structure_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT market_structure_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT market_structure_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT market_structure_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE correlation.market_structure IS 'What the matrix of the day says of the universe as a whole: common variance, clusters, who leads. One row per day at 23:00.';

COMMENT ON COLUMN correlation.market_structure.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN correlation.market_structure.n_symbols IS 'Symbols in the matrix.';

COMMENT ON COLUMN correlation.market_structure.shrinkage IS 'Weight of the constant-correlation target.';

COMMENT ON COLUMN correlation.market_structure.corr_mean IS 'Mean corr_7d over the pairs of the matrix.';

COMMENT ON COLUMN correlation.market_structure.absorption_ratio IS 'Share of the variance of the shrunk correlation matrix in its largest fifth of eigenvalues.';

COMMENT ON COLUMN correlation.market_structure.n_absorbing IS 'Eigenvalues behind absorption_ratio.';

COMMENT ON COLUMN correlation.market_structure.eigenvalue_min IS 'Smallest eigenvalue of the shrunk matrix before any repair.';

COMMENT ON COLUMN correlation.market_structure.is_psd_repaired IS 'Holes had made the shrunk matrix indefinite; the nearest correlation matrix took its place.';

COMMENT ON COLUMN correlation.market_structure.leaf_order IS 'Symbols in the order of the cluster tree''s leaves.';

COMMENT ON COLUMN correlation.market_structure.linkage IS 'Single-linkage merges [left, right, height, size]; numbers below n_symbols are the alphabetical symbols of leaf_order, then merges.';

COMMENT ON COLUMN correlation.market_structure.leading_asset IS 'Leader of the pair with the largest significant net lead; null when there is none.';

COMMENT ON COLUMN correlation.market_structure.critical_value IS 'What the largest |net_lead| of all pairs and lags exceeds in 5 % of worlds without leads.';

COMMENT ON COLUMN correlation.market_structure.lead_reason IS 'Why there is no leader.';

COMMENT ON COLUMN correlation.market_structure.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN correlation.market_structure.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN correlation.market_structure.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN correlation.market_structure.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN correlation.market_structure.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN correlation.market_structure.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN correlation.market_structure.run_id IS 'Run that wrote this version.';

CREATE TABLE correlation.market_structure_revisions (
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	n_symbols BIGINT,
	shrinkage FLOAT(53),
	corr_mean FLOAT(53),
	absorption_ratio FLOAT(53),
	n_absorbing BIGINT,
	eigenvalue_min FLOAT(53),
	is_psd_repaired BOOLEAN,
	leaf_order JSONB,
	linkage JSONB,
	leading_asset TEXT,
	critical_value FLOAT(53),
	lead_reason TEXT,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT market_structure_revisions_pk PRIMARY KEY (ts, revision)
);

COMMENT ON TABLE correlation.market_structure_revisions IS 'Replaced versions of correlation.market_structure.';

COMMENT ON COLUMN correlation.market_structure_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE correlation.pair_signals (
	symbol_a TEXT NOT NULL,
	symbol_b TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	hedge_ratio FLOAT(53),
	spread_intercept FLOAT(53),
	spread_sd FLOAT(53),
	coint_tau FLOAT(53),
	coint_critical_5pct FLOAT(53),
	coint_p FLOAT(53),
	is_cointegrated BOOLEAN,
	half_life_h FLOAT(53),
	spread_z FLOAT(53),
	pair_signal TEXT,
	n_obs BIGINT,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT pair_signals_pk PRIMARY KEY (symbol_a, symbol_b, ts),
	CONSTRAINT pair_signals_hedge_ratio_ck0 CHECK ("hedge_ratio" > '-Infinity' AND "hedge_ratio" < 'Infinity'),
	CONSTRAINT pair_signals_spread_intercept_ck0 CHECK ("spread_intercept" > '-Infinity' AND "spread_intercept" < 'Infinity'),
	CONSTRAINT pair_signals_spread_sd_ck0 CHECK ("spread_sd" >= 0.0 AND "spread_sd" < 'Infinity'),
	CONSTRAINT pair_signals_coint_tau_ck0 CHECK ("coint_tau" > '-Infinity' AND "coint_tau" < 'Infinity'),
	CONSTRAINT pair_signals_coint_critical_5pct_ck0 CHECK ("coint_critical_5pct" > '-Infinity' AND "coint_critical_5pct" < 'Infinity'),
	CONSTRAINT pair_signals_coint_p_ck0 CHECK ("coint_p" >= 0.0 AND "coint_p" <= 1.0),
	CONSTRAINT pair_signals_half_life_h_ck0 CHECK ("half_life_h" >= 0.0 AND "half_life_h" < 'Infinity'),
	CONSTRAINT pair_signals_spread_z_ck0 CHECK ("spread_z" > '-Infinity' AND "spread_z" < 'Infinity'),
	CONSTRAINT pair_signals_pair_signal_ck0 CHECK ("pair_signal" IN ('LONG_A_SHORT_B', 'SHORT_A_LONG_B', 'NONE')),
	CONSTRAINT pair_signals_n_obs_ck0 CHECK ("n_obs" >= 0),
	CONSTRAINT pair_signals_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT pair_signals_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT pair_signals_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT pair_signals_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE correlation.pair_signals IS 'Spread of log prices of a pair, hourly, judged by a cointegrating regression on the 90 d before the day.';

COMMENT ON COLUMN correlation.pair_signals.symbol_a IS 'First symbol of the pair, alphabetically.';

COMMENT ON COLUMN correlation.pair_signals.symbol_b IS 'Second symbol of the pair.';

COMMENT ON COLUMN correlation.pair_signals.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN correlation.pair_signals.hedge_ratio IS 'Slope of ln a on ln b over the 90 d before the day.';

COMMENT ON COLUMN correlation.pair_signals.spread_intercept IS 'Intercept of ln a on ln b, same fit.';

COMMENT ON COLUMN correlation.pair_signals.spread_sd IS 'sd of the fit''s residuals.';

COMMENT ON COLUMN correlation.pair_signals.coint_tau IS 'Augmented Dickey-Fuller statistic of the residuals, 8 lags, no constant.';

COMMENT ON COLUMN correlation.pair_signals.coint_critical_5pct IS '5 % point of coint_tau for two series and this many hours.';

COMMENT ON COLUMN correlation.pair_signals.coint_p IS 'Asymptotic p value of coint_tau.';

COMMENT ON COLUMN correlation.pair_signals.is_cointegrated IS 'coint_tau below coint_critical_5pct.';

COMMENT ON COLUMN correlation.pair_signals.half_life_h IS 'Half-life of a deviation by the residuals'' first-order autoregression; null where it does not revert.';

COMMENT ON COLUMN correlation.pair_signals.spread_z IS 'The hour''s spread from the day''s fit, in units of spread_sd.';

COMMENT ON COLUMN correlation.pair_signals.pair_signal IS 'What a reversion trade would hold; NONE without cointegration, a positive hedge ratio or |spread_z| >= 2. Analytics, no order.';

COMMENT ON COLUMN correlation.pair_signals.n_obs IS 'Observations behind the statistic.';

COMMENT ON COLUMN correlation.pair_signals.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN correlation.pair_signals.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN correlation.pair_signals.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN correlation.pair_signals.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN correlation.pair_signals.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN correlation.pair_signals.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN correlation.pair_signals.run_id IS 'Run that wrote this version.';

CREATE TABLE correlation.pair_signals_revisions (
	symbol_a TEXT NOT NULL,
	symbol_b TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	hedge_ratio FLOAT(53),
	spread_intercept FLOAT(53),
	spread_sd FLOAT(53),
	coint_tau FLOAT(53),
	coint_critical_5pct FLOAT(53),
	coint_p FLOAT(53),
	is_cointegrated BOOLEAN,
	half_life_h FLOAT(53),
	spread_z FLOAT(53),
	pair_signal TEXT,
	n_obs BIGINT,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT pair_signals_revisions_pk PRIMARY KEY (symbol_a, symbol_b, ts, revision)
);

COMMENT ON TABLE correlation.pair_signals_revisions IS 'Replaced versions of correlation.pair_signals.';

COMMENT ON COLUMN correlation.pair_signals_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE features.funding_anomalies (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	print_ts TIMESTAMP WITH TIME ZONE,
	funding_rate FLOAT(53),
	interval_hours BIGINT,
	rate_8h FLOAT(53),
	rate_annual FLOAT(53),
	z_score FLOAT(53),
	z_robust FLOAT(53),
	pctl_365d FLOAT(53),
	is_anomaly BOOLEAN,
	extreme_level TEXT,
	persistence_score FLOAT(53),
	z_score_legacy FLOAT(53),
	is_anomaly_legacy BOOLEAN,
	persistence_legacy FLOAT(53),
	reversal_probability FLOAT(53),
	reversal_n BIGINT,
	reversal_lo FLOAT(53),
	reversal_hi FLOAT(53),
	price_reversal_probability FLOAT(53),
	price_reversal_n BIGINT,
	n_obs BIGINT,
	predicted_rate FLOAT(53),
	predicted_rate_8h FLOAT(53),
	predicted_for TIMESTAMP WITH TIME ZONE,
	predicted_asof TIMESTAMP WITH TIME ZONE,
	predicted_reason TEXT,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT funding_anomalies_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT funding_anomalies_funding_rate_ck0 CHECK ("funding_rate" >= -1.0 AND "funding_rate" <= 1.0),
	CONSTRAINT funding_anomalies_interval_hours_ck0 CHECK ("interval_hours" >= 1),
	CONSTRAINT funding_anomalies_interval_hours_ck1 CHECK ("interval_hours" <= 24),
	CONSTRAINT funding_anomalies_rate_8h_ck0 CHECK ("rate_8h" > '-Infinity' AND "rate_8h" < 'Infinity'),
	CONSTRAINT funding_anomalies_rate_annual_ck0 CHECK ("rate_annual" > '-Infinity' AND "rate_annual" < 'Infinity'),
	CONSTRAINT funding_anomalies_z_score_ck0 CHECK ("z_score" > '-Infinity' AND "z_score" < 'Infinity'),
	CONSTRAINT funding_anomalies_z_robust_ck0 CHECK ("z_robust" > '-Infinity' AND "z_robust" < 'Infinity'),
	CONSTRAINT funding_anomalies_pctl_365d_ck0 CHECK ("pctl_365d" >= 0.0 AND "pctl_365d" <= 1.0),
	CONSTRAINT funding_anomalies_extreme_level_ck0 CHECK ("extreme_level" IN ('NORMAL', 'HIGH', 'LOW', 'EXTREME_HIGH', 'EXTREME_LOW')),
	CONSTRAINT funding_anomalies_persistence_score_ck0 CHECK ("persistence_score" >= 0.0 AND "persistence_score" <= 1.0),
	CONSTRAINT funding_anomalies_z_score_legacy_ck0 CHECK ("z_score_legacy" > '-Infinity' AND "z_score_legacy" < 'Infinity'),
	CONSTRAINT funding_anomalies_persistence_legacy_ck0 CHECK ("persistence_legacy" >= 0.0 AND "persistence_legacy" <= 1.0),
	CONSTRAINT funding_anomalies_reversal_probability_ck0 CHECK ("reversal_probability" >= 0.0 AND "reversal_probability" <= 1.0),
	CONSTRAINT funding_anomalies_reversal_n_ck0 CHECK ("reversal_n" >= 0),
	CONSTRAINT funding_anomalies_reversal_lo_ck0 CHECK ("reversal_lo" >= 0.0 AND "reversal_lo" <= 1.0),
	CONSTRAINT funding_anomalies_reversal_hi_ck0 CHECK ("reversal_hi" >= 0.0 AND "reversal_hi" <= 1.0),
	CONSTRAINT funding_anomalies_price_reversal_probability_ck0 CHECK ("price_reversal_probability" >= 0.0 AND "price_reversal_probability" <= 1.0),
	CONSTRAINT funding_anomalies_price_reversal_n_ck0 CHECK ("price_reversal_n" >= 0),
	CONSTRAINT funding_anomalies_n_obs_ck0 CHECK ("n_obs" >= 0),
	CONSTRAINT funding_anomalies_predicted_rate_ck0 CHECK ("predicted_rate" >= -1.0 AND "predicted_rate" <= 1.0),
	CONSTRAINT funding_anomalies_predicted_rate_8h_ck0 CHECK ("predicted_rate_8h" > '-Infinity' AND "predicted_rate_8h" < 'Infinity'),
	CONSTRAINT funding_anomalies_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT funding_anomalies_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT funding_anomalies_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT funding_anomalies_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE features.funding_anomalies IS 'The newest settled print known at each hour (event time < ts + 1h) and its statistics, one row per symbol and hour; stale after 1.5 intervals.';

COMMENT ON COLUMN features.funding_anomalies.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN features.funding_anomalies.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN features.funding_anomalies.print_ts IS 'Settlement behind the row.';

COMMENT ON COLUMN features.funding_anomalies.funding_rate IS 'Settled funding rate as a fraction of notional per funding interval.';

COMMENT ON COLUMN features.funding_anomalies.interval_hours IS 'Hours between settlements in force.';

COMMENT ON COLUMN features.funding_anomalies.rate_8h IS 'Funding rate per 8 hours.';

COMMENT ON COLUMN features.funding_anomalies.rate_annual IS 'rate_8h times 1095.';

COMMENT ON COLUMN features.funding_anomalies.z_score IS 'Lagged z of rate_8h over the prints of the 30 days before, scale floor applied.';

COMMENT ON COLUMN features.funding_anomalies.z_robust IS 'Lagged MAD z of rate_8h, scale floor applied.';

COMMENT ON COLUMN features.funding_anomalies.pctl_365d IS 'Mid-rank of rate_8h among the prints of 365 days.';

COMMENT ON COLUMN features.funding_anomalies.is_anomaly IS '|z_score| above the threshold (2.0 by default).';

COMMENT ON COLUMN features.funding_anomalies.extreme_level IS 'Level of z_score.';

COMMENT ON COLUMN features.funding_anomalies.persistence_score IS 'Duration-weighted share of the last 7 days that was anomalous on the present side.';

COMMENT ON COLUMN features.funding_anomalies.z_score_legacy IS 'The seed''s z of funding_rate: over 30 d of prints held forward to hours, its own value inside, which hides anomalies. Beside z_score for comparison only.';

COMMENT ON COLUMN features.funding_anomalies.is_anomaly_legacy IS '|z_score_legacy| above the threshold.';

COMMENT ON COLUMN features.funding_anomalies.persistence_legacy IS 'The seed''s persistence: share of those 720 hours beyond the threshold; by Chebyshev never above 0.25 at 2 sd.';

COMMENT ON COLUMN features.funding_anomalies.reversal_probability IS 'Odds that the anomalous z_score re-enters |z| < 1 within 24 h: past events of all symbols in the same state, shrunk to their base rate by ten events; null under 30.';

COMMENT ON COLUMN features.funding_anomalies.reversal_n IS 'Past events behind reversal_probability.';

COMMENT ON COLUMN features.funding_anomalies.reversal_lo IS '2.5 % point of the Beta distribution.';

COMMENT ON COLUMN features.funding_anomalies.reversal_hi IS '97.5 % point of the Beta distribution.';

COMMENT ON COLUMN features.funding_anomalies.price_reversal_probability IS 'Odds that the perpetual''s price moves against the side of the anomaly over 24 h, pooled in the same way.';

COMMENT ON COLUMN features.funding_anomalies.price_reversal_n IS 'Past events behind price_reversal_probability.';

COMMENT ON COLUMN features.funding_anomalies.n_obs IS 'Observations behind the statistic.';

COMMENT ON COLUMN features.funding_anomalies.predicted_rate IS 'The venue''s running estimate of the coming settlement; not a settled rate.';

COMMENT ON COLUMN features.funding_anomalies.predicted_rate_8h IS 'predicted_rate per 8 hours, by the interval in force; null without one.';

COMMENT ON COLUMN features.funding_anomalies.predicted_for IS 'Settlement that the estimate is about.';

COMMENT ON COLUMN features.funding_anomalies.predicted_asof IS 'When the estimate was seen.';

COMMENT ON COLUMN features.funding_anomalies.predicted_reason IS 'Why there is no predicted_rate; the row''s status is about the settled print.';

COMMENT ON COLUMN features.funding_anomalies.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN features.funding_anomalies.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN features.funding_anomalies.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN features.funding_anomalies.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN features.funding_anomalies.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN features.funding_anomalies.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN features.funding_anomalies.run_id IS 'Run that wrote this version.';

CREATE TABLE features.funding_anomalies_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	print_ts TIMESTAMP WITH TIME ZONE,
	funding_rate FLOAT(53),
	interval_hours BIGINT,
	rate_8h FLOAT(53),
	rate_annual FLOAT(53),
	z_score FLOAT(53),
	z_robust FLOAT(53),
	pctl_365d FLOAT(53),
	is_anomaly BOOLEAN,
	extreme_level TEXT,
	persistence_score FLOAT(53),
	z_score_legacy FLOAT(53),
	is_anomaly_legacy BOOLEAN,
	persistence_legacy FLOAT(53),
	reversal_probability FLOAT(53),
	reversal_n BIGINT,
	reversal_lo FLOAT(53),
	reversal_hi FLOAT(53),
	price_reversal_probability FLOAT(53),
	price_reversal_n BIGINT,
	n_obs BIGINT,
	predicted_rate FLOAT(53),
	predicted_rate_8h FLOAT(53),
	predicted_for TIMESTAMP WITH TIME ZONE,
	predicted_asof TIMESTAMP WITH TIME ZONE,
	predicted_reason TEXT,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT funding_anomalies_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE features.funding_anomalies_revisions IS 'Replaced versions of features.funding_anomalies.';

COMMENT ON COLUMN features.funding_anomalies_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE features.funding_outcomes (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	print_ts TIMESTAMP WITH TIME ZONE NOT NULL,
	z_score FLOAT(53),
	persistence_score FLOAT(53),
	reentered_24h BOOLEAN,
	return_24h FLOAT(53),
	price_reversed_24h BOOLEAN,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT funding_outcomes_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT funding_outcomes_z_score_ck0 CHECK ("z_score" > '-Infinity' AND "z_score" < 'Infinity'),
	CONSTRAINT funding_outcomes_persistence_score_ck0 CHECK ("persistence_score" >= 0.0 AND "persistence_score" <= 1.0),
	CONSTRAINT funding_outcomes_return_24h_ck0 CHECK ("return_24h" > '-Infinity' AND "return_24h" < 'Infinity'),
	CONSTRAINT funding_outcomes_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT funding_outcomes_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT funding_outcomes_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT funding_outcomes_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE features.funding_outcomes IS 'What followed in the 24 h after an anomalous print; ts is the end of those 24 h, from when on it is known.';

COMMENT ON COLUMN features.funding_outcomes.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN features.funding_outcomes.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN features.funding_outcomes.print_ts IS 'Settlement behind the row.';

COMMENT ON COLUMN features.funding_outcomes.z_score IS 'Lagged z of rate_8h over the prints of the 30 days before, scale floor applied.';

COMMENT ON COLUMN features.funding_outcomes.persistence_score IS 'Duration-weighted share of the last 7 days that was anomalous on the present side.';

COMMENT ON COLUMN features.funding_outcomes.reentered_24h IS 'A print of the 24 h after the anomaly has |z_score| under 1.';

COMMENT ON COLUMN features.funding_outcomes.return_24h IS 'Log return of the perpetual from the close before the print to the close 24 h later.';

COMMENT ON COLUMN features.funding_outcomes.price_reversed_24h IS 'return_24h has the opposite sign of z_score; null for a return of zero.';

COMMENT ON COLUMN features.funding_outcomes.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN features.funding_outcomes.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN features.funding_outcomes.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN features.funding_outcomes.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN features.funding_outcomes.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN features.funding_outcomes.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN features.funding_outcomes.run_id IS 'Run that wrote this version.';

CREATE TABLE features.funding_outcomes_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	print_ts TIMESTAMP WITH TIME ZONE,
	z_score FLOAT(53),
	persistence_score FLOAT(53),
	reentered_24h BOOLEAN,
	return_24h FLOAT(53),
	price_reversed_24h BOOLEAN,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT funding_outcomes_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE features.funding_outcomes_revisions IS 'Replaced versions of features.funding_outcomes.';

COMMENT ON COLUMN features.funding_outcomes_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE features.funding_prints (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	funding_rate FLOAT(53),
	interval_hours BIGINT,
	rate_8h FLOAT(53),
	rate_annual FLOAT(53),
	z_score FLOAT(53),
	z_robust FLOAT(53),
	median_rate_8h FLOAT(53),
	pctl_365d FLOAT(53),
	is_anomaly BOOLEAN,
	extreme_level TEXT,
	persistence_score FLOAT(53),
	z_score_legacy FLOAT(53),
	is_anomaly_legacy BOOLEAN,
	persistence_legacy FLOAT(53),
	run_sign BIGINT,
	is_reversal BOOLEAN,
	reversal_run_start TIMESTAMP WITH TIME ZONE,
	n_obs BIGINT,
	event_kind TEXT,
	event_severity TEXT,
	event_ordinal BIGINT,
	episode_start TIMESTAMP WITH TIME ZONE,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT funding_prints_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT funding_prints_funding_rate_ck0 CHECK ("funding_rate" >= -1.0 AND "funding_rate" <= 1.0),
	CONSTRAINT funding_prints_interval_hours_ck0 CHECK ("interval_hours" >= 1),
	CONSTRAINT funding_prints_interval_hours_ck1 CHECK ("interval_hours" <= 24),
	CONSTRAINT funding_prints_rate_8h_ck0 CHECK ("rate_8h" > '-Infinity' AND "rate_8h" < 'Infinity'),
	CONSTRAINT funding_prints_rate_annual_ck0 CHECK ("rate_annual" > '-Infinity' AND "rate_annual" < 'Infinity'),
	CONSTRAINT funding_prints_z_score_ck0 CHECK ("z_score" > '-Infinity' AND "z_score" < 'Infinity'),
	CONSTRAINT funding_prints_z_robust_ck0 CHECK ("z_robust" > '-Infinity' AND "z_robust" < 'Infinity'),
	CONSTRAINT funding_prints_median_rate_8h_ck0 CHECK ("median_rate_8h" > '-Infinity' AND "median_rate_8h" < 'Infinity'),
	CONSTRAINT funding_prints_pctl_365d_ck0 CHECK ("pctl_365d" >= 0.0 AND "pctl_365d" <= 1.0),
	CONSTRAINT funding_prints_extreme_level_ck0 CHECK ("extreme_level" IN ('NORMAL', 'HIGH', 'LOW', 'EXTREME_HIGH', 'EXTREME_LOW')),
	CONSTRAINT funding_prints_persistence_score_ck0 CHECK ("persistence_score" >= 0.0 AND "persistence_score" <= 1.0),
	CONSTRAINT funding_prints_z_score_legacy_ck0 CHECK ("z_score_legacy" > '-Infinity' AND "z_score_legacy" < 'Infinity'),
	CONSTRAINT funding_prints_persistence_legacy_ck0 CHECK ("persistence_legacy" >= 0.0 AND "persistence_legacy" <= 1.0),
	CONSTRAINT funding_prints_run_sign_ck0 CHECK ("run_sign" >= -1),
	CONSTRAINT funding_prints_run_sign_ck1 CHECK ("run_sign" <= 1),
	CONSTRAINT funding_prints_n_obs_ck0 CHECK ("n_obs" >= 0),
	CONSTRAINT funding_prints_event_kind_ck0 CHECK ("event_kind" IN ('start', 'escalation', 'end', 'change')),
	CONSTRAINT funding_prints_event_severity_ck0 CHECK ("event_severity" IN ('INFO', 'WARNING', 'CRITICAL')),
	CONSTRAINT funding_prints_event_ordinal_ck0 CHECK ("event_ordinal" >= 0),
	CONSTRAINT funding_prints_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT funding_prints_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT funding_prints_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT funding_prints_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE features.funding_prints IS 'Settled funding prints with the statistics that judge them; ts is the settlement. Announcements of anomalies and reversals are made here, at the print.';

COMMENT ON COLUMN features.funding_prints.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN features.funding_prints.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN features.funding_prints.funding_rate IS 'Settled funding rate as a fraction of notional per funding interval.';

COMMENT ON COLUMN features.funding_prints.interval_hours IS 'Hours between settlements in force.';

COMMENT ON COLUMN features.funding_prints.rate_8h IS 'Funding rate per 8 hours.';

COMMENT ON COLUMN features.funding_prints.rate_annual IS 'rate_8h times 1095.';

COMMENT ON COLUMN features.funding_prints.z_score IS 'Lagged z of rate_8h over the prints of the 30 days before, scale floor applied.';

COMMENT ON COLUMN features.funding_prints.z_robust IS 'Lagged MAD z of rate_8h, scale floor applied.';

COMMENT ON COLUMN features.funding_prints.median_rate_8h IS 'Median of the window behind z_score.';

COMMENT ON COLUMN features.funding_prints.pctl_365d IS 'Mid-rank of rate_8h among the prints of 365 days.';

COMMENT ON COLUMN features.funding_prints.is_anomaly IS '|z_score| above the threshold (2.0 by default).';

COMMENT ON COLUMN features.funding_prints.extreme_level IS 'Level of z_score.';

COMMENT ON COLUMN features.funding_prints.persistence_score IS 'Duration-weighted share of the last 7 days that was anomalous on the present side.';

COMMENT ON COLUMN features.funding_prints.z_score_legacy IS 'The seed''s z of funding_rate: over 30 d of prints held forward to hours, its own value inside, which hides anomalies. Beside z_score for comparison only.';

COMMENT ON COLUMN features.funding_prints.is_anomaly_legacy IS '|z_score_legacy| above the threshold.';

COMMENT ON COLUMN features.funding_prints.persistence_legacy IS 'The seed''s persistence: share of those 720 hours beyond the threshold; by Chebyshev never above 0.25 at 2 sd.';

COMMENT ON COLUMN features.funding_prints.run_sign IS 'Side of the open anomaly run: +1, -1; 0 with none.';

COMMENT ON COLUMN features.funding_prints.is_reversal IS 'A run ended here by a change of sign with |dz| >= 1.';

COMMENT ON COLUMN features.funding_prints.reversal_run_start IS 'First print of the run that reversed here.';

COMMENT ON COLUMN features.funding_prints.n_obs IS 'Observations behind the statistic.';

COMMENT ON COLUMN features.funding_prints.event_kind IS 'What this row''s state machine announces; null for most rows.';

COMMENT ON COLUMN features.funding_prints.event_severity IS 'Alert severity of the announcement.';

COMMENT ON COLUMN features.funding_prints.event_ordinal IS 'Ordinal of the announcement within its episode.';

COMMENT ON COLUMN features.funding_prints.episode_start IS 'First row of the episode that the row belongs to.';

COMMENT ON COLUMN features.funding_prints.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN features.funding_prints.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN features.funding_prints.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN features.funding_prints.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN features.funding_prints.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN features.funding_prints.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN features.funding_prints.run_id IS 'Run that wrote this version.';

CREATE TABLE features.funding_prints_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	funding_rate FLOAT(53),
	interval_hours BIGINT,
	rate_8h FLOAT(53),
	rate_annual FLOAT(53),
	z_score FLOAT(53),
	z_robust FLOAT(53),
	median_rate_8h FLOAT(53),
	pctl_365d FLOAT(53),
	is_anomaly BOOLEAN,
	extreme_level TEXT,
	persistence_score FLOAT(53),
	z_score_legacy FLOAT(53),
	is_anomaly_legacy BOOLEAN,
	persistence_legacy FLOAT(53),
	run_sign BIGINT,
	is_reversal BOOLEAN,
	reversal_run_start TIMESTAMP WITH TIME ZONE,
	n_obs BIGINT,
	event_kind TEXT,
	event_severity TEXT,
	event_ordinal BIGINT,
	episode_start TIMESTAMP WITH TIME ZONE,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT funding_prints_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE features.funding_prints_revisions IS 'Replaced versions of features.funding_prints.';

COMMENT ON COLUMN features.funding_prints_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE features.liquidation_cascades (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	total_liquidation_usd FLOAT(53),
	long_liquidations_usd FLOAT(53),
	short_liquidations_usd FLOAT(53),
	velocity_usd_per_hour FLOAT(53),
	severity BIGINT,
	is_cascade BOOLEAN,
	severity_pct BIGINT,
	liq_to_oi_bps FLOAT(53),
	long_share_frac FLOAT(53),
	dominance TEXT,
	event_count BIGINT,
	dominance_ci_low FLOAT(53),
	dominance_ci_high FLOAT(53),
	order_source TEXT,
	velocity_15m_usd_per_hour FLOAT(53),
	velocity_15m_peak_usd_per_hour FLOAT(53),
	velocity_legacy_usd_per_hour FLOAT(53),
	branching_ratio FLOAT(53),
	intensity_ratio FLOAT(53),
	cascade_state TEXT,
	hawkes_branching_long FLOAT(53),
	hawkes_branching_short FLOAT(53),
	hawkes_intensity_ratio_long FLOAT(53),
	hawkes_intensity_ratio_short FLOAT(53),
	excitation_source TEXT,
	support_levels JSONB,
	support_level_sources JSONB,
	resistance_levels JSONB,
	resistance_level_sources JSONB,
	coverage FLOAT(53),
	is_lower_bound BOOLEAN,
	event_kind TEXT,
	event_severity TEXT,
	event_ordinal BIGINT,
	episode_start TIMESTAMP WITH TIME ZONE,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT liquidation_cascades_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT liquidation_cascades_total_liquidation_usd_ck0 CHECK ("total_liquidation_usd" >= 0.0 AND "total_liquidation_usd" < 'Infinity'),
	CONSTRAINT liquidation_cascades_long_liquidations_usd_ck0 CHECK ("long_liquidations_usd" >= 0.0 AND "long_liquidations_usd" < 'Infinity'),
	CONSTRAINT liquidation_cascades_short_liquidations_usd_ck0 CHECK ("short_liquidations_usd" >= 0.0 AND "short_liquidations_usd" < 'Infinity'),
	CONSTRAINT liquidation_cascades_velocity_usd_per_hour_ck0 CHECK ("velocity_usd_per_hour" >= 0.0 AND "velocity_usd_per_hour" < 'Infinity'),
	CONSTRAINT liquidation_cascades_severity_ck0 CHECK ("severity" >= 0),
	CONSTRAINT liquidation_cascades_severity_ck1 CHECK ("severity" <= 5),
	CONSTRAINT liquidation_cascades_severity_pct_ck0 CHECK ("severity_pct" >= 0),
	CONSTRAINT liquidation_cascades_severity_pct_ck1 CHECK ("severity_pct" <= 5),
	CONSTRAINT liquidation_cascades_liq_to_oi_bps_ck0 CHECK ("liq_to_oi_bps" >= 0.0 AND "liq_to_oi_bps" < 'Infinity'),
	CONSTRAINT liquidation_cascades_long_share_frac_ck0 CHECK ("long_share_frac" >= 0.0 AND "long_share_frac" <= 1.0),
	CONSTRAINT liquidation_cascades_dominance_ck0 CHECK ("dominance" IN ('LONG', 'SHORT', 'BALANCED')),
	CONSTRAINT liquidation_cascades_event_count_ck0 CHECK ("event_count" >= 0),
	CONSTRAINT liquidation_cascades_dominance_ci_low_ck0 CHECK ("dominance_ci_low" >= 0.0 AND "dominance_ci_low" <= 1.0),
	CONSTRAINT liquidation_cascades_dominance_ci_high_ck0 CHECK ("dominance_ci_high" >= 0.0 AND "dominance_ci_high" <= 1.0),
	CONSTRAINT liquidation_cascades_velocity_15m_usd_per_hour_ck0 CHECK ("velocity_15m_usd_per_hour" >= 0.0 AND "velocity_15m_usd_per_hour" < 'Infinity'),
	CONSTRAINT liquidation_cascades_velocity_15m_peak_usd_per_hour_ck0 CHECK ("velocity_15m_peak_usd_per_hour" >= 0.0 AND "velocity_15m_peak_usd_per_hour" < 'Infinity'),
	CONSTRAINT liquidation_cascades_velocity_legacy_usd_per_hour_ck0 CHECK ("velocity_legacy_usd_per_hour" >= 0.0 AND "velocity_legacy_usd_per_hour" < 'Infinity'),
	CONSTRAINT liquidation_cascades_branching_ratio_ck0 CHECK ("branching_ratio" >= 0.0 AND "branching_ratio" <= 1.0),
	CONSTRAINT liquidation_cascades_intensity_ratio_ck0 CHECK ("intensity_ratio" >= 0.0 AND "intensity_ratio" < 'Infinity'),
	CONSTRAINT liquidation_cascades_cascade_state_ck0 CHECK ("cascade_state" IN ('NONE', 'BUILDING', 'ACTIVE', 'DECAYING')),
	CONSTRAINT liquidation_cascades_hawkes_branching_long_ck0 CHECK ("hawkes_branching_long" >= 0.0 AND "hawkes_branching_long" <= 1.0),
	CONSTRAINT liquidation_cascades_hawkes_branching_short_ck0 CHECK ("hawkes_branching_short" >= 0.0 AND "hawkes_branching_short" <= 1.0),
	CONSTRAINT liquidation_cascades_hawkes_intensity_ratio_long_ck0 CHECK ("hawkes_intensity_ratio_long" >= 1.0 AND "hawkes_intensity_ratio_long" < 'Infinity'),
	CONSTRAINT liquidation_cascades_hawkes_intensity_ratio_short_ck0 CHECK ("hawkes_intensity_ratio_short" >= 1.0 AND "hawkes_intensity_ratio_short" < 'Infinity'),
	CONSTRAINT liquidation_cascades_excitation_source_ck0 CHECK ("excitation_source" IN ('orders', 'buckets')),
	CONSTRAINT liquidation_cascades_coverage_ck0 CHECK ("coverage" >= 0.0 AND "coverage" <= 1.0),
	CONSTRAINT liquidation_cascades_event_kind_ck0 CHECK ("event_kind" IN ('start', 'escalation', 'end', 'change')),
	CONSTRAINT liquidation_cascades_event_severity_ck0 CHECK ("event_severity" IN ('INFO', 'WARNING', 'CRITICAL')),
	CONSTRAINT liquidation_cascades_event_ordinal_ck0 CHECK ("event_ordinal" >= 0),
	CONSTRAINT liquidation_cascades_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT liquidation_cascades_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT liquidation_cascades_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT liquidation_cascades_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE features.liquidation_cascades IS 'Liquidation cascades, one row per symbol and hour.';

COMMENT ON COLUMN features.liquidation_cascades.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN features.liquidation_cascades.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN features.liquidation_cascades.total_liquidation_usd IS 'Both sides of the bucket.';

COMMENT ON COLUMN features.liquidation_cascades.long_liquidations_usd IS 'Longs closed by force in the bucket.';

COMMENT ON COLUMN features.liquidation_cascades.short_liquidations_usd IS 'Shorts closed by force in the bucket.';

COMMENT ON COLUMN features.liquidation_cascades.velocity_usd_per_hour IS 'Liquidated USD per hour of the bucket.';

COMMENT ON COLUMN features.liquidation_cascades.severity IS 'Severity by USD against the threshold T: 1 Low .. 5 Extreme, 0 below.';

COMMENT ON COLUMN features.liquidation_cascades.is_cascade IS 'severity >= 3.';

COMMENT ON COLUMN features.liquidation_cascades.severity_pct IS 'Severity by the symbol''s own last 30 days: bands p90, p97, p99, p99.7, p99.95.';

COMMENT ON COLUMN features.liquidation_cascades.liq_to_oi_bps IS 'Liquidated USD against the open interest at the close of the hour before.';

COMMENT ON COLUMN features.liquidation_cascades.long_share_frac IS 'Longs'' share of the liquidated USD.';

COMMENT ON COLUMN features.liquidation_cascades.dominance IS 'Side that was liquidated, by USD share; null when too little was.';

COMMENT ON COLUMN features.liquidation_cascades.event_count IS 'Liquidation orders of order_source in the hour, a lower bound; null in an hour in which it told of no coin''s.';

COMMENT ON COLUMN features.liquidation_cascades.dominance_ci_low IS 'Lower end of the 95 % interval of the longs'' share of the hour''s orders.';

COMMENT ON COLUMN features.liquidation_cascades.dominance_ci_high IS 'Upper end of the 95 % interval of the longs'' share of the hour''s orders.';

COMMENT ON COLUMN features.liquidation_cascades.order_source IS 'Provider of the single orders behind the row''s order columns.';

COMMENT ON COLUMN features.liquidation_cascades.velocity_15m_usd_per_hour IS 'USD of the orders in the hour''s last 15 minutes, times four; a lower bound.';

COMMENT ON COLUMN features.liquidation_cascades.velocity_15m_peak_usd_per_hour IS 'The same for the heaviest quarter of the hour.';

COMMENT ON COLUMN features.liquidation_cascades.velocity_legacy_usd_per_hour IS 'The seed''s speed: USD of the hour''s orders over the time between the first and the last of them, without bound as they crowd; null under two times.';

COMMENT ON COLUMN features.liquidation_cascades.branching_ratio IS 'Share of the liquidated amount that follows from earlier ones, refitted daily on the 30 d before. From hourly buckets: a proxy, tier 3; slow swings of activity raise it.';

COMMENT ON COLUMN features.liquidation_cascades.intensity_ratio IS 'Decay-weighted mean of the last hours'' liquidations (0.8 per hour) over the mean of the 30 d before the day. From hourly buckets: a proxy, tier 3.';

COMMENT ON COLUMN features.liquidation_cascades.cascade_state IS 'By intensity_ratio: BUILDING from 2, ACTIVE from 4, DECAYING after it below 2, NONE below 1.';

COMMENT ON COLUMN features.liquidation_cascades.hawkes_branching_long IS 'Share of the longs'' liquidation orders that earlier ones set off, refitted daily on the orders of the 30 d before; null under 500.';

COMMENT ON COLUMN features.liquidation_cascades.hawkes_branching_short IS 'Share of the shorts'' liquidation orders that earlier ones set off, refitted daily on the orders of the 30 d before; null under 500.';

COMMENT ON COLUMN features.liquidation_cascades.hawkes_intensity_ratio_long IS 'Rate of the longs'' liquidation orders at ts + 1h over the background rate of the same fit.';

COMMENT ON COLUMN features.liquidation_cascades.hawkes_intensity_ratio_short IS 'Rate of the shorts'' liquidation orders at ts + 1h over the background rate of the same fit.';

COMMENT ON COLUMN features.liquidation_cascades.excitation_source IS 'Best measure of self-excitation that the row has: fits of single orders (hawkes_*), or the proxies from buckets alone.';

COMMENT ON COLUMN features.liquidation_cascades.support_levels IS 'Up to three prices below the perpetual''s close, nearest first.';

COMMENT ON COLUMN features.liquidation_cascades.support_level_sources IS 'Origin of each support level: swing or liquidation_cluster.';

COMMENT ON COLUMN features.liquidation_cascades.resistance_levels IS 'Up to three prices above the perpetual''s close, nearest first.';

COMMENT ON COLUMN features.liquidation_cascades.resistance_level_sources IS 'Origin of each resistance level: swing or liquidation_cluster.';

COMMENT ON COLUMN features.liquidation_cascades.coverage IS 'Share of the expected inputs that was present.';

COMMENT ON COLUMN features.liquidation_cascades.is_lower_bound IS 'The venue publishes only part of the events, so that the sum is a minimum.';

COMMENT ON COLUMN features.liquidation_cascades.event_kind IS 'What this row''s state machine announces; null for most rows.';

COMMENT ON COLUMN features.liquidation_cascades.event_severity IS 'Alert severity of the announcement.';

COMMENT ON COLUMN features.liquidation_cascades.event_ordinal IS 'Ordinal of the announcement within its episode.';

COMMENT ON COLUMN features.liquidation_cascades.episode_start IS 'First row of the episode that the row belongs to.';

COMMENT ON COLUMN features.liquidation_cascades.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN features.liquidation_cascades.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN features.liquidation_cascades.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN features.liquidation_cascades.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN features.liquidation_cascades.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN features.liquidation_cascades.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN features.liquidation_cascades.run_id IS 'Run that wrote this version.';

CREATE TABLE features.liquidation_cascades_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	total_liquidation_usd FLOAT(53),
	long_liquidations_usd FLOAT(53),
	short_liquidations_usd FLOAT(53),
	velocity_usd_per_hour FLOAT(53),
	severity BIGINT,
	is_cascade BOOLEAN,
	severity_pct BIGINT,
	liq_to_oi_bps FLOAT(53),
	long_share_frac FLOAT(53),
	dominance TEXT,
	event_count BIGINT,
	dominance_ci_low FLOAT(53),
	dominance_ci_high FLOAT(53),
	order_source TEXT,
	velocity_15m_usd_per_hour FLOAT(53),
	velocity_15m_peak_usd_per_hour FLOAT(53),
	velocity_legacy_usd_per_hour FLOAT(53),
	branching_ratio FLOAT(53),
	intensity_ratio FLOAT(53),
	cascade_state TEXT,
	hawkes_branching_long FLOAT(53),
	hawkes_branching_short FLOAT(53),
	hawkes_intensity_ratio_long FLOAT(53),
	hawkes_intensity_ratio_short FLOAT(53),
	excitation_source TEXT,
	support_levels JSONB,
	support_level_sources JSONB,
	resistance_levels JSONB,
	resistance_level_sources JSONB,
	coverage FLOAT(53),
	is_lower_bound BOOLEAN,
	event_kind TEXT,
	event_severity TEXT,
	event_ordinal BIGINT,
	episode_start TIMESTAMP WITH TIME ZONE,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT liquidation_cascades_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE features.liquidation_cascades_revisions IS 'Replaced versions of features.liquidation_cascades.';

COMMENT ON COLUMN features.liquidation_cascades_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE features.volatility_regimes (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	volatility_24h FLOAT(53),
	volatility_mean FLOAT(53),
	vol_ratio FLOAT(53),
	vol_regime TEXT,
	risk_multiplier FLOAT(53),
	size_scaler FLOAT(53),
	abs_stable BOOLEAN,
	volatility_24h_gk FLOAT(53),
	volatility_median_gk FLOAT(53),
	vol_ratio_gk FLOAT(53),
	vol_regime_gk TEXT,
	vol_regime_confirmed TEXT,
	risk_multiplier_confirmed FLOAT(53),
	regime_since TIMESTAMP WITH TIME ZONE,
	regime_age_h BIGINT,
	clustering_probability FLOAT(53),
	clustering_n BIGINT,
	vol_regime_sjm TEXT,
	sjm_penalty FLOAT(53),
	sjm_fitted_at TIMESTAMP WITH TIME ZONE,
	sjm_reason TEXT,
	har_skill FLOAT(53),
	predictability TEXT,
	n_bars BIGINT,
	event_kind TEXT,
	event_severity TEXT,
	event_ordinal BIGINT,
	episode_start TIMESTAMP WITH TIME ZONE,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT volatility_regimes_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT volatility_regimes_volatility_24h_ck0 CHECK ("volatility_24h" >= 0.0 AND "volatility_24h" < 'Infinity'),
	CONSTRAINT volatility_regimes_volatility_mean_ck0 CHECK ("volatility_mean" >= 0.0 AND "volatility_mean" < 'Infinity'),
	CONSTRAINT volatility_regimes_vol_ratio_ck0 CHECK ("vol_ratio" >= 0.0 AND "vol_ratio" < 'Infinity'),
	CONSTRAINT volatility_regimes_vol_regime_ck0 CHECK ("vol_regime" IN ('STABLE', 'HIGH_VOL', 'EXPLOSIVE', 'EXTREME')),
	CONSTRAINT volatility_regimes_risk_multiplier_ck0 CHECK ("risk_multiplier" >= 0.0 AND "risk_multiplier" < 'Infinity'),
	CONSTRAINT volatility_regimes_size_scaler_ck0 CHECK ("size_scaler" >= 0.0 AND "size_scaler" < 'Infinity'),
	CONSTRAINT volatility_regimes_volatility_24h_gk_ck0 CHECK ("volatility_24h_gk" >= 0.0 AND "volatility_24h_gk" < 'Infinity'),
	CONSTRAINT volatility_regimes_volatility_median_gk_ck0 CHECK ("volatility_median_gk" >= 0.0 AND "volatility_median_gk" < 'Infinity'),
	CONSTRAINT volatility_regimes_vol_ratio_gk_ck0 CHECK ("vol_ratio_gk" >= 0.0 AND "vol_ratio_gk" < 'Infinity'),
	CONSTRAINT volatility_regimes_vol_regime_gk_ck0 CHECK ("vol_regime_gk" IN ('STABLE', 'HIGH_VOL', 'EXPLOSIVE', 'EXTREME')),
	CONSTRAINT volatility_regimes_vol_regime_confirmed_ck0 CHECK ("vol_regime_confirmed" IN ('STABLE', 'HIGH_VOL', 'EXPLOSIVE', 'EXTREME')),
	CONSTRAINT volatility_regimes_risk_multiplier_confirmed_ck0 CHECK ("risk_multiplier_confirmed" >= 0.0 AND "risk_multiplier_confirmed" < 'Infinity'),
	CONSTRAINT volatility_regimes_regime_age_h_ck0 CHECK ("regime_age_h" >= 0),
	CONSTRAINT volatility_regimes_clustering_probability_ck0 CHECK ("clustering_probability" >= 0.0 AND "clustering_probability" <= 1.0),
	CONSTRAINT volatility_regimes_clustering_n_ck0 CHECK ("clustering_n" >= 0),
	CONSTRAINT volatility_regimes_vol_regime_sjm_ck0 CHECK ("vol_regime_sjm" IN ('STABLE', 'HIGH_VOL', 'EXPLOSIVE', 'EXTREME')),
	CONSTRAINT volatility_regimes_sjm_penalty_ck0 CHECK ("sjm_penalty" >= 0.0 AND "sjm_penalty" < 'Infinity'),
	CONSTRAINT volatility_regimes_sjm_reason_ck0 CHECK ("sjm_reason" IN ('no_observation', 'insufficient_history', 'zero_dispersion')),
	CONSTRAINT volatility_regimes_har_skill_ck0 CHECK ("har_skill" > '-Infinity' AND "har_skill" <= 1.0),
	CONSTRAINT volatility_regimes_predictability_ck0 CHECK ("predictability" IN ('HIGH', 'MEDIUM', 'LOW')),
	CONSTRAINT volatility_regimes_n_bars_ck0 CHECK ("n_bars" >= 0),
	CONSTRAINT volatility_regimes_n_bars_ck1 CHECK ("n_bars" <= 24),
	CONSTRAINT volatility_regimes_event_kind_ck0 CHECK ("event_kind" IN ('start', 'escalation', 'end', 'change')),
	CONSTRAINT volatility_regimes_event_severity_ck0 CHECK ("event_severity" IN ('INFO', 'WARNING', 'CRITICAL')),
	CONSTRAINT volatility_regimes_event_ordinal_ck0 CHECK ("event_ordinal" >= 0),
	CONSTRAINT volatility_regimes_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT volatility_regimes_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT volatility_regimes_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT volatility_regimes_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE features.volatility_regimes IS 'Volatility regimes of the spot series, one row per symbol and hour.';

COMMENT ON COLUMN features.volatility_regimes.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN features.volatility_regimes.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN features.volatility_regimes.volatility_24h IS 'Realised volatility of the last 24 hourly log returns, zero mean.';

COMMENT ON COLUMN features.volatility_regimes.volatility_mean IS 'Mean of volatility_24h over the 30 days that end 24 h earlier.';

COMMENT ON COLUMN features.volatility_regimes.vol_ratio IS 'volatility_24h / volatility_mean.';

COMMENT ON COLUMN features.volatility_regimes.vol_regime IS 'Class of vol_ratio.';

COMMENT ON COLUMN features.volatility_regimes.risk_multiplier IS 'Risk by vol_regime: 0.7, 1.2, 1.8, 2.5.';

COMMENT ON COLUMN features.volatility_regimes.size_scaler IS '1 / risk_multiplier, what a position would shrink to.';

COMMENT ON COLUMN features.volatility_regimes.abs_stable IS 'volatility_24h below the absolute threshold.';

COMMENT ON COLUMN features.volatility_regimes.volatility_24h_gk IS 'Range-based volatility of the last 24 bars. Reads 8-12 % low at sixty ticks a bar, which cancels in the ratio.';

COMMENT ON COLUMN features.volatility_regimes.volatility_median_gk IS 'Median of volatility_24h_gk over the 30 days that end 24 h earlier.';

COMMENT ON COLUMN features.volatility_regimes.vol_ratio_gk IS 'volatility_24h_gk / volatility_median_gk.';

COMMENT ON COLUMN features.volatility_regimes.vol_regime_gk IS 'Class of vol_ratio_gk.';

COMMENT ON COLUMN features.volatility_regimes.vol_regime_confirmed IS 'Class of vol_ratio_gk after hysteresis and confirmation; the one that alerts use.';

COMMENT ON COLUMN features.volatility_regimes.risk_multiplier_confirmed IS 'Risk by vol_regime_confirmed.';

COMMENT ON COLUMN features.volatility_regimes.regime_since IS 'First row of the confirmed regime; null when it is older than the lookback.';

COMMENT ON COLUMN features.volatility_regimes.regime_age_h IS 'Rows since the confirmed regime began, capped.';

COMMENT ON COLUMN features.volatility_regimes.clustering_probability IS 'Share of the year''s rows of this confirmed class that had it 24 h later too, with one pseudo count per class; null under 50 rows. Counts overlap, so it has no interval.';

COMMENT ON COLUMN features.volatility_regimes.clustering_n IS 'Rows behind clustering_probability.';

COMMENT ON COLUMN features.volatility_regimes.vol_regime_sjm IS 'State of a jump model of log volatilities, by rank of its four volatilities; never revised. The names are those of vol_regime, the borders are not: a rank says nothing of a ratio.';

COMMENT ON COLUMN features.volatility_regimes.sjm_penalty IS 'Cost of a change of state that the week''s fit was given.';

COMMENT ON COLUMN features.volatility_regimes.sjm_fitted_at IS 'Monday 00:00 UTC before which the model was fitted.';

COMMENT ON COLUMN features.volatility_regimes.sjm_reason IS 'Why there is no vol_regime_sjm.';

COMMENT ON COLUMN features.volatility_regimes.har_skill IS '1 - QLIKE loss of the daily HAR forecast over that of the 30 d mean, last 90 forecasts, held from one 23:00 row to the next.';

COMMENT ON COLUMN features.volatility_regimes.predictability IS 'Class of har_skill: HIGH from 0.20, MEDIUM from 0.05, else LOW.';

COMMENT ON COLUMN features.volatility_regimes.n_bars IS 'Bars present in the 24 h window.';

COMMENT ON COLUMN features.volatility_regimes.event_kind IS 'What this row''s state machine announces; null for most rows.';

COMMENT ON COLUMN features.volatility_regimes.event_severity IS 'Alert severity of the announcement.';

COMMENT ON COLUMN features.volatility_regimes.event_ordinal IS 'Ordinal of the announcement within its episode.';

COMMENT ON COLUMN features.volatility_regimes.episode_start IS 'First row of the episode that the row belongs to.';

COMMENT ON COLUMN features.volatility_regimes.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN features.volatility_regimes.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN features.volatility_regimes.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN features.volatility_regimes.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN features.volatility_regimes.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN features.volatility_regimes.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN features.volatility_regimes.run_id IS 'Run that wrote this version.';

CREATE TABLE features.volatility_regimes_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	volatility_24h FLOAT(53),
	volatility_mean FLOAT(53),
	vol_ratio FLOAT(53),
	vol_regime TEXT,
	risk_multiplier FLOAT(53),
	size_scaler FLOAT(53),
	abs_stable BOOLEAN,
	volatility_24h_gk FLOAT(53),
	volatility_median_gk FLOAT(53),
	vol_ratio_gk FLOAT(53),
	vol_regime_gk TEXT,
	vol_regime_confirmed TEXT,
	risk_multiplier_confirmed FLOAT(53),
	regime_since TIMESTAMP WITH TIME ZONE,
	regime_age_h BIGINT,
	clustering_probability FLOAT(53),
	clustering_n BIGINT,
	vol_regime_sjm TEXT,
	sjm_penalty FLOAT(53),
	sjm_fitted_at TIMESTAMP WITH TIME ZONE,
	sjm_reason TEXT,
	har_skill FLOAT(53),
	predictability TEXT,
	n_bars BIGINT,
	event_kind TEXT,
	event_severity TEXT,
	event_ordinal BIGINT,
	episode_start TIMESTAMP WITH TIME ZONE,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT volatility_regimes_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE features.volatility_regimes_revisions IS 'Replaced versions of features.volatility_regimes.';

COMMENT ON COLUMN features.volatility_regimes_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.candles_1h (
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	open FLOAT(53),
	high FLOAT(53),
	low FLOAT(53),
	close FLOAT(53),
	volume_base FLOAT(53),
	volume_quote FLOAT(53),
	taker_buy_base FLOAT(53),
	trade_count BIGINT,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT candles_1h_pk PRIMARY KEY (market, symbol, ts),
	CONSTRAINT candles_1h_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT candles_1h_open_ck0 CHECK ("open" > 0.0 AND "open" < 'Infinity'),
	CONSTRAINT candles_1h_high_ck0 CHECK ("high" > 0.0 AND "high" < 'Infinity'),
	CONSTRAINT candles_1h_low_ck0 CHECK ("low" > 0.0 AND "low" < 'Infinity'),
	CONSTRAINT candles_1h_close_ck0 CHECK ("close" > 0.0 AND "close" < 'Infinity'),
	CONSTRAINT candles_1h_volume_base_ck0 CHECK ("volume_base" >= 0.0 AND "volume_base" < 'Infinity'),
	CONSTRAINT candles_1h_volume_quote_ck0 CHECK ("volume_quote" >= 0.0 AND "volume_quote" < 'Infinity'),
	CONSTRAINT candles_1h_taker_buy_base_ck0 CHECK ("taker_buy_base" >= 0.0 AND "taker_buy_base" < 'Infinity'),
	CONSTRAINT candles_1h_trade_count_ck0 CHECK ("trade_count" >= 0),
	CONSTRAINT candles_1h_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT candles_1h_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT candles_1h_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT candles_1h_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.candles_1h IS 'One row per market, symbol and closed hour; an hour nobody observed is a row of nulls with status missing. Spot and perpetual each from the one venue the settings name.';

COMMENT ON COLUMN market.candles_1h.market IS 'Market type.';

COMMENT ON COLUMN market.candles_1h.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN market.candles_1h.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.candles_1h.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN market.candles_1h.open IS 'First price of the bar.';

COMMENT ON COLUMN market.candles_1h.high IS 'Highest price of the bar.';

COMMENT ON COLUMN market.candles_1h.low IS 'Lowest price of the bar.';

COMMENT ON COLUMN market.candles_1h.close IS 'Last price of the bar.';

COMMENT ON COLUMN market.candles_1h.volume_base IS 'Traded amount, base coin.';

COMMENT ON COLUMN market.candles_1h.volume_quote IS 'Traded value, quote currency.';

COMMENT ON COLUMN market.candles_1h.taker_buy_base IS 'Amount bought by takers.';

COMMENT ON COLUMN market.candles_1h.trade_count IS 'Trades in the bar.';

COMMENT ON COLUMN market.candles_1h.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.candles_1h.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.candles_1h.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.candles_1h.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.candles_1h.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.candles_1h.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.candles_1h.run_id IS 'Run that wrote this version.';

CREATE TABLE market.candles_1h_revisions (
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	open FLOAT(53),
	high FLOAT(53),
	low FLOAT(53),
	close FLOAT(53),
	volume_base FLOAT(53),
	volume_quote FLOAT(53),
	taker_buy_base FLOAT(53),
	trade_count BIGINT,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT candles_1h_revisions_pk PRIMARY KEY (market, symbol, ts, revision)
);

COMMENT ON TABLE market.candles_1h_revisions IS 'Replaced versions of market.candles_1h.';

COMMENT ON COLUMN market.candles_1h_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.candles_resampled (
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	timeframe TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	bar_open TIMESTAMP WITH TIME ZONE NOT NULL,
	open FLOAT(53),
	high FLOAT(53),
	low FLOAT(53),
	close FLOAT(53),
	volume_base FLOAT(53),
	volume_quote FLOAT(53),
	children BIGINT NOT NULL,
	is_filled BOOLEAN,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT candles_resampled_pk PRIMARY KEY (market, symbol, timeframe, ts),
	CONSTRAINT candles_resampled_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT candles_resampled_timeframe_ck0 CHECK ("timeframe" IN ('1h', '4h', '1d', '1w')),
	CONSTRAINT candles_resampled_open_ck0 CHECK ("open" > 0.0 AND "open" < 'Infinity'),
	CONSTRAINT candles_resampled_high_ck0 CHECK ("high" > 0.0 AND "high" < 'Infinity'),
	CONSTRAINT candles_resampled_low_ck0 CHECK ("low" > 0.0 AND "low" < 'Infinity'),
	CONSTRAINT candles_resampled_close_ck0 CHECK ("close" > 0.0 AND "close" < 'Infinity'),
	CONSTRAINT candles_resampled_volume_base_ck0 CHECK ("volume_base" >= 0.0 AND "volume_base" < 'Infinity'),
	CONSTRAINT candles_resampled_volume_quote_ck0 CHECK ("volume_quote" >= 0.0 AND "volume_quote" < 'Infinity'),
	CONSTRAINT candles_resampled_children_ck0 CHECK ("children" >= 0),
	CONSTRAINT candles_resampled_children_ck1 CHECK ("children" <= 168),
	CONSTRAINT candles_resampled_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT candles_resampled_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT candles_resampled_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT candles_resampled_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.candles_resampled IS '4h, 1d and 1w bars from the 1h bars, weeks from Monday 00:00 UTC. ts is the open of the bar''s last hour, the first row that may use it; bar_open is its start.';

COMMENT ON COLUMN market.candles_resampled.market IS 'Market type.';

COMMENT ON COLUMN market.candles_resampled.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN market.candles_resampled.timeframe IS 'Length of the bar or bucket.';

COMMENT ON COLUMN market.candles_resampled.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.candles_resampled.bar_open IS 'UTC open of the resampled bar (its ts is the last hour).';

COMMENT ON COLUMN market.candles_resampled.open IS 'First price of the bar.';

COMMENT ON COLUMN market.candles_resampled.high IS 'Highest price of the bar.';

COMMENT ON COLUMN market.candles_resampled.low IS 'Lowest price of the bar.';

COMMENT ON COLUMN market.candles_resampled.close IS 'Last price of the bar.';

COMMENT ON COLUMN market.candles_resampled.volume_base IS 'Traded amount, base coin.';

COMMENT ON COLUMN market.candles_resampled.volume_quote IS 'Traded value, quote currency.';

COMMENT ON COLUMN market.candles_resampled.children IS '1h bars present inside the bar.';

COMMENT ON COLUMN market.candles_resampled.is_filled IS 'A level carried over a gap of one bar.';

COMMENT ON COLUMN market.candles_resampled.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.candles_resampled.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.candles_resampled.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.candles_resampled.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.candles_resampled.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.candles_resampled.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.candles_resampled.run_id IS 'Run that wrote this version.';

CREATE TABLE market.candles_resampled_revisions (
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	timeframe TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	bar_open TIMESTAMP WITH TIME ZONE,
	open FLOAT(53),
	high FLOAT(53),
	low FLOAT(53),
	close FLOAT(53),
	volume_base FLOAT(53),
	volume_quote FLOAT(53),
	children BIGINT,
	is_filled BOOLEAN,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT candles_resampled_revisions_pk PRIMARY KEY (market, symbol, timeframe, ts, revision)
);

COMMENT ON TABLE market.candles_resampled_revisions IS 'Replaced versions of market.candles_resampled.';

COMMENT ON COLUMN market.candles_resampled_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.fear_greed (
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	fear_greed FLOAT(53),
	available_at TIMESTAMP WITH TIME ZONE,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT fear_greed_pk PRIMARY KEY (ts),
	CONSTRAINT fear_greed_fear_greed_ck0 CHECK ("fear_greed" >= 0.0 AND "fear_greed" <= 100.0),
	CONSTRAINT fear_greed_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT fear_greed_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT fear_greed_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT fear_greed_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.fear_greed IS 'Fear & Greed, one row per day; available_at says from when a row may be used.';

COMMENT ON COLUMN market.fear_greed.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.fear_greed.fear_greed IS 'Fear & Greed index, market wide.';

COMMENT ON COLUMN market.fear_greed.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN market.fear_greed.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.fear_greed.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.fear_greed.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.fear_greed.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.fear_greed.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.fear_greed.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.fear_greed.run_id IS 'Run that wrote this version.';

CREATE TABLE market.fear_greed_revisions (
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	fear_greed FLOAT(53),
	available_at TIMESTAMP WITH TIME ZONE,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT fear_greed_revisions_pk PRIMARY KEY (ts, revision)
);

COMMENT ON TABLE market.fear_greed_revisions IS 'Replaced versions of market.fear_greed.';

COMMENT ON COLUMN market.fear_greed_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.funding (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	funding_rate FLOAT(53) NOT NULL,
	interval_hours BIGINT,
	rate_8h FLOAT(53),
	rate_annual FLOAT(53),
	mark_price FLOAT(53),
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT funding_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT funding_funding_rate_ck0 CHECK ("funding_rate" >= -1.0 AND "funding_rate" <= 1.0),
	CONSTRAINT funding_interval_hours_ck0 CHECK ("interval_hours" >= 1),
	CONSTRAINT funding_interval_hours_ck1 CHECK ("interval_hours" <= 24),
	CONSTRAINT funding_rate_8h_ck0 CHECK ("rate_8h" > '-Infinity' AND "rate_8h" < 'Infinity'),
	CONSTRAINT funding_rate_annual_ck0 CHECK ("rate_annual" > '-Infinity' AND "rate_annual" < 'Infinity'),
	CONSTRAINT funding_mark_price_ck0 CHECK ("mark_price" > 0.0 AND "mark_price" < 'Infinity'),
	CONSTRAINT funding_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT funding_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT funding_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT funding_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.funding IS 'Settled funding prints of the primary perpetual, normalised to 8 h by the interval in force. ts is the settlement, rounded to the hour.';

COMMENT ON COLUMN market.funding.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN market.funding.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.funding.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN market.funding.funding_rate IS 'Settled funding rate as a fraction of notional per funding interval.';

COMMENT ON COLUMN market.funding.interval_hours IS 'Hours between settlements in force.';

COMMENT ON COLUMN market.funding.rate_8h IS 'Funding rate per 8 hours.';

COMMENT ON COLUMN market.funding.rate_annual IS 'rate_8h times 1095.';

COMMENT ON COLUMN market.funding.mark_price IS 'Mark price at settlement.';

COMMENT ON COLUMN market.funding.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.funding.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.funding.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.funding.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.funding.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.funding.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.funding.run_id IS 'Run that wrote this version.';

CREATE TABLE market.funding_predicted_1h (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	source TEXT,
	predicted_rate FLOAT(53),
	predicted_rate_8h FLOAT(53),
	interval_hours BIGINT,
	predicted_for TIMESTAMP WITH TIME ZONE,
	predicted_asof TIMESTAMP WITH TIME ZONE,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT funding_predicted_1h_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT funding_predicted_1h_predicted_rate_ck0 CHECK ("predicted_rate" >= -1.0 AND "predicted_rate" <= 1.0),
	CONSTRAINT funding_predicted_1h_predicted_rate_8h_ck0 CHECK ("predicted_rate_8h" > '-Infinity' AND "predicted_rate_8h" < 'Infinity'),
	CONSTRAINT funding_predicted_1h_interval_hours_ck0 CHECK ("interval_hours" >= 1),
	CONSTRAINT funding_predicted_1h_interval_hours_ck1 CHECK ("interval_hours" <= 24),
	CONSTRAINT funding_predicted_1h_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT funding_predicted_1h_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT funding_predicted_1h_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT funding_predicted_1h_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.funding_predicted_1h IS 'The newest running estimate of the coming settlement that was seen before ts + 1h, of the primary perpetual''s venue; null when none was seen for two hours or its settlement is past. Never an input of a settled statistic.';

COMMENT ON COLUMN market.funding_predicted_1h.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN market.funding_predicted_1h.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.funding_predicted_1h.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN market.funding_predicted_1h.source IS 'Provider that told us.';

COMMENT ON COLUMN market.funding_predicted_1h.predicted_rate IS 'The venue''s running estimate of the coming settlement; not a settled rate.';

COMMENT ON COLUMN market.funding_predicted_1h.predicted_rate_8h IS 'predicted_rate per 8 hours, by the interval in force; null without one.';

COMMENT ON COLUMN market.funding_predicted_1h.interval_hours IS 'Hours between settlements in force.';

COMMENT ON COLUMN market.funding_predicted_1h.predicted_for IS 'Settlement that the estimate is about.';

COMMENT ON COLUMN market.funding_predicted_1h.predicted_asof IS 'When the estimate was seen.';

COMMENT ON COLUMN market.funding_predicted_1h.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.funding_predicted_1h.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.funding_predicted_1h.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.funding_predicted_1h.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.funding_predicted_1h.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.funding_predicted_1h.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.funding_predicted_1h.run_id IS 'Run that wrote this version.';

CREATE TABLE market.funding_predicted_1h_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	source TEXT,
	predicted_rate FLOAT(53),
	predicted_rate_8h FLOAT(53),
	interval_hours BIGINT,
	predicted_for TIMESTAMP WITH TIME ZONE,
	predicted_asof TIMESTAMP WITH TIME ZONE,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT funding_predicted_1h_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE market.funding_predicted_1h_revisions IS 'Replaced versions of market.funding_predicted_1h.';

COMMENT ON COLUMN market.funding_predicted_1h_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.funding_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	funding_rate FLOAT(53),
	interval_hours BIGINT,
	rate_8h FLOAT(53),
	rate_annual FLOAT(53),
	mark_price FLOAT(53),
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT funding_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE market.funding_revisions IS 'Replaced versions of market.funding.';

COMMENT ON COLUMN market.funding_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.liquidations_1h (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	source TEXT,
	long_liquidations_usd FLOAT(53),
	short_liquidations_usd FLOAT(53),
	total_liquidation_usd FLOAT(53),
	coverage FLOAT(53),
	is_lower_bound BOOLEAN,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT liquidations_1h_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT liquidations_1h_long_liquidations_usd_ck0 CHECK ("long_liquidations_usd" >= 0.0 AND "long_liquidations_usd" < 'Infinity'),
	CONSTRAINT liquidations_1h_short_liquidations_usd_ck0 CHECK ("short_liquidations_usd" >= 0.0 AND "short_liquidations_usd" < 'Infinity'),
	CONSTRAINT liquidations_1h_total_liquidation_usd_ck0 CHECK ("total_liquidation_usd" >= 0.0 AND "total_liquidation_usd" < 'Infinity'),
	CONSTRAINT liquidations_1h_coverage_ck0 CHECK ("coverage" >= 0.0 AND "coverage" <= 1.0),
	CONSTRAINT liquidations_1h_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT liquidations_1h_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT liquidations_1h_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT liquidations_1h_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.liquidations_1h IS 'Hourly forced closures by side. An hour the aggregator omits is 0 where the same provider''s open interest and liquidations of another coin show that it was observing, else null.';

COMMENT ON COLUMN market.liquidations_1h.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN market.liquidations_1h.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.liquidations_1h.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN market.liquidations_1h.source IS 'Provider that told us.';

COMMENT ON COLUMN market.liquidations_1h.long_liquidations_usd IS 'Longs closed by force in the bucket.';

COMMENT ON COLUMN market.liquidations_1h.short_liquidations_usd IS 'Shorts closed by force in the bucket.';

COMMENT ON COLUMN market.liquidations_1h.total_liquidation_usd IS 'Both sides of the bucket.';

COMMENT ON COLUMN market.liquidations_1h.coverage IS 'Share of the expected inputs that was present.';

COMMENT ON COLUMN market.liquidations_1h.is_lower_bound IS 'The venue publishes only part of the events, so that the sum is a minimum.';

COMMENT ON COLUMN market.liquidations_1h.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.liquidations_1h.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.liquidations_1h.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.liquidations_1h.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.liquidations_1h.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.liquidations_1h.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.liquidations_1h.run_id IS 'Run that wrote this version.';

CREATE TABLE market.liquidations_1h_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	source TEXT,
	long_liquidations_usd FLOAT(53),
	short_liquidations_usd FLOAT(53),
	total_liquidation_usd FLOAT(53),
	coverage FLOAT(53),
	is_lower_bound BOOLEAN,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT liquidations_1h_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE market.liquidations_1h_revisions IS 'Replaced versions of market.liquidations_1h.';

COMMENT ON COLUMN market.liquidations_1h_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.open_interest (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	source TEXT,
	open_interest_base FLOAT(53),
	open_interest_usd FLOAT(53),
	is_filled BOOLEAN,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT open_interest_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT open_interest_open_interest_base_ck0 CHECK ("open_interest_base" >= 0.0 AND "open_interest_base" < 'Infinity'),
	CONSTRAINT open_interest_open_interest_usd_ck0 CHECK ("open_interest_usd" >= 0.0 AND "open_interest_usd" < 'Infinity'),
	CONSTRAINT open_interest_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT open_interest_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT open_interest_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT open_interest_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.open_interest IS 'Hourly one-sided open interest of the primary perpetual, in coins and USD, at the close of the bucket that starts at ts.';

COMMENT ON COLUMN market.open_interest.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN market.open_interest.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.open_interest.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN market.open_interest.source IS 'Provider that told us.';

COMMENT ON COLUMN market.open_interest.open_interest_base IS 'One-sided open interest in coins.';

COMMENT ON COLUMN market.open_interest.open_interest_usd IS 'One-sided open interest in US dollars.';

COMMENT ON COLUMN market.open_interest.is_filled IS 'A level carried over a gap of one bar.';

COMMENT ON COLUMN market.open_interest.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.open_interest.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.open_interest.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.open_interest.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.open_interest.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.open_interest.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.open_interest.run_id IS 'Run that wrote this version.';

CREATE TABLE market.open_interest_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	source TEXT,
	open_interest_base FLOAT(53),
	open_interest_usd FLOAT(53),
	is_filled BOOLEAN,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT open_interest_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE market.open_interest_revisions IS 'Replaced versions of market.open_interest.';

COMMENT ON COLUMN market.open_interest_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.order_book_1h (
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	n_snapshots BIGINT NOT NULL,
	mid FLOAT(53),
	spread_bps FLOAT(53),
	depth_10bps_bid_usd FLOAT(53),
	depth_10bps_ask_usd FLOAT(53),
	depth_25bps_bid_usd FLOAT(53),
	depth_25bps_ask_usd FLOAT(53),
	depth_50bps_bid_usd FLOAT(53),
	depth_50bps_ask_usd FLOAT(53),
	imbalance FLOAT(53),
	book_reach_bps FLOAT(53),
	is_lower_bound BOOLEAN,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT order_book_1h_pk PRIMARY KEY (market, symbol, ts),
	CONSTRAINT order_book_1h_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT order_book_1h_n_snapshots_ck0 CHECK ("n_snapshots" >= 0),
	CONSTRAINT order_book_1h_mid_ck0 CHECK ("mid" > 0.0 AND "mid" < 'Infinity'),
	CONSTRAINT order_book_1h_spread_bps_ck0 CHECK ("spread_bps" >= 0.0 AND "spread_bps" < 'Infinity'),
	CONSTRAINT order_book_1h_depth_10bps_bid_usd_ck0 CHECK ("depth_10bps_bid_usd" >= 0.0 AND "depth_10bps_bid_usd" < 'Infinity'),
	CONSTRAINT order_book_1h_depth_10bps_ask_usd_ck0 CHECK ("depth_10bps_ask_usd" >= 0.0 AND "depth_10bps_ask_usd" < 'Infinity'),
	CONSTRAINT order_book_1h_depth_25bps_bid_usd_ck0 CHECK ("depth_25bps_bid_usd" >= 0.0 AND "depth_25bps_bid_usd" < 'Infinity'),
	CONSTRAINT order_book_1h_depth_25bps_ask_usd_ck0 CHECK ("depth_25bps_ask_usd" >= 0.0 AND "depth_25bps_ask_usd" < 'Infinity'),
	CONSTRAINT order_book_1h_depth_50bps_bid_usd_ck0 CHECK ("depth_50bps_bid_usd" >= 0.0 AND "depth_50bps_bid_usd" < 'Infinity'),
	CONSTRAINT order_book_1h_depth_50bps_ask_usd_ck0 CHECK ("depth_50bps_ask_usd" >= 0.0 AND "depth_50bps_ask_usd" < 'Infinity'),
	CONSTRAINT order_book_1h_imbalance_ck0 CHECK ("imbalance" >= -1.0 AND "imbalance" <= 1.0),
	CONSTRAINT order_book_1h_book_reach_bps_ck0 CHECK ("book_reach_bps" >= 0.0 AND "book_reach_bps" < 'Infinity'),
	CONSTRAINT order_book_1h_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT order_book_1h_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT order_book_1h_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT order_book_1h_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.order_book_1h IS 'Hourly means over the valid snapshots of the primary venue''s book; fewer than 12 make the hour partial.';

COMMENT ON COLUMN market.order_book_1h.market IS 'Market type.';

COMMENT ON COLUMN market.order_book_1h.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN market.order_book_1h.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.order_book_1h.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN market.order_book_1h.n_snapshots IS 'Valid snapshots behind the hour''s means.';

COMMENT ON COLUMN market.order_book_1h.mid IS 'Half way between the best prices.';

COMMENT ON COLUMN market.order_book_1h.spread_bps IS '1e4 (best ask - best bid) / mid.';

COMMENT ON COLUMN market.order_book_1h.depth_10bps_bid_usd IS 'Resting value on the bid side within 10 bps of the mid; of the levels sent only.';

COMMENT ON COLUMN market.order_book_1h.depth_10bps_ask_usd IS 'Resting value on the ask side within 10 bps of the mid; of the levels sent only.';

COMMENT ON COLUMN market.order_book_1h.depth_25bps_bid_usd IS 'Resting value on the bid side within 25 bps of the mid; of the levels sent only.';

COMMENT ON COLUMN market.order_book_1h.depth_25bps_ask_usd IS 'Resting value on the ask side within 25 bps of the mid; of the levels sent only.';

COMMENT ON COLUMN market.order_book_1h.depth_50bps_bid_usd IS 'Resting value on the bid side within 50 bps of the mid; of the levels sent only.';

COMMENT ON COLUMN market.order_book_1h.depth_50bps_ask_usd IS 'Resting value on the ask side within 50 bps of the mid; of the levels sent only.';

COMMENT ON COLUMN market.order_book_1h.imbalance IS '(bid - ask) / (bid + ask) of the value within 25 bps.';

COMMENT ON COLUMN market.order_book_1h.book_reach_bps IS 'Distance from the mid to the last level of the nearer side; depths beyond are lower bounds.';

COMMENT ON COLUMN market.order_book_1h.is_lower_bound IS 'The venue publishes only part of the events, so that the sum is a minimum.';

COMMENT ON COLUMN market.order_book_1h.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.order_book_1h.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.order_book_1h.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.order_book_1h.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.order_book_1h.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.order_book_1h.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.order_book_1h.run_id IS 'Run that wrote this version.';

CREATE TABLE market.order_book_1h_revisions (
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	n_snapshots BIGINT,
	mid FLOAT(53),
	spread_bps FLOAT(53),
	depth_10bps_bid_usd FLOAT(53),
	depth_10bps_ask_usd FLOAT(53),
	depth_25bps_bid_usd FLOAT(53),
	depth_25bps_ask_usd FLOAT(53),
	depth_50bps_bid_usd FLOAT(53),
	depth_50bps_ask_usd FLOAT(53),
	imbalance FLOAT(53),
	book_reach_bps FLOAT(53),
	is_lower_bound BOOLEAN,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT order_book_1h_revisions_pk PRIMARY KEY (market, symbol, ts, revision)
);

COMMENT ON TABLE market.order_book_1h_revisions IS 'Replaced versions of market.order_book_1h.';

COMMENT ON COLUMN market.order_book_1h_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.positioning_1h (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	global_account_long_frac FLOAT(53),
	top_trader_account_long_frac FLOAT(53),
	top_trader_position_long_frac FLOAT(53),
	taker_buy_base FLOAT(53),
	taker_sell_base FLOAT(53),
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT positioning_1h_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT positioning_1h_global_account_long_frac_ck0 CHECK ("global_account_long_frac" >= 0.0 AND "global_account_long_frac" <= 1.0),
	CONSTRAINT positioning_1h_top_trader_account_long_frac_ck0 CHECK ("top_trader_account_long_frac" >= 0.0 AND "top_trader_account_long_frac" <= 1.0),
	CONSTRAINT positioning_1h_top_trader_position_long_frac_ck0 CHECK ("top_trader_position_long_frac" >= 0.0 AND "top_trader_position_long_frac" <= 1.0),
	CONSTRAINT positioning_1h_taker_buy_base_ck0 CHECK ("taker_buy_base" >= 0.0 AND "taker_buy_base" < 'Infinity'),
	CONSTRAINT positioning_1h_taker_sell_base_ck0 CHECK ("taker_sell_base" >= 0.0 AND "taker_sell_base" < 'Infinity'),
	CONSTRAINT positioning_1h_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT positioning_1h_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT positioning_1h_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT positioning_1h_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.positioning_1h IS 'Hourly long-short shares and taker volumes of the primary perpetual.';

COMMENT ON COLUMN market.positioning_1h.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN market.positioning_1h.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.positioning_1h.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN market.positioning_1h.global_account_long_frac IS 'Share of accounts that are long.';

COMMENT ON COLUMN market.positioning_1h.top_trader_account_long_frac IS 'Share of top-trader accounts that are long.';

COMMENT ON COLUMN market.positioning_1h.top_trader_position_long_frac IS 'Share of top-trader positions that is long.';

COMMENT ON COLUMN market.positioning_1h.taker_buy_base IS 'Amount bought by takers.';

COMMENT ON COLUMN market.positioning_1h.taker_sell_base IS 'Amount sold by takers.';

COMMENT ON COLUMN market.positioning_1h.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.positioning_1h.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.positioning_1h.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.positioning_1h.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.positioning_1h.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.positioning_1h.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.positioning_1h.run_id IS 'Run that wrote this version.';

CREATE TABLE market.positioning_1h_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	global_account_long_frac FLOAT(53),
	top_trader_account_long_frac FLOAT(53),
	top_trader_position_long_frac FLOAT(53),
	taker_buy_base FLOAT(53),
	taker_sell_base FLOAT(53),
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT positioning_1h_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE market.positioning_1h_revisions IS 'Replaced versions of market.positioning_1h.';

COMMENT ON COLUMN market.positioning_1h_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.proxies_1h (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	volume_spike_ratio FLOAT(53),
	funding_crowding_z FLOAT(53),
	estimated_long_liquidations_usd FLOAT(53),
	estimated_short_liquidations_usd FLOAT(53),
	market_fear_greed FLOAT(53),
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT proxies_1h_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT proxies_1h_volume_spike_ratio_ck0 CHECK ("volume_spike_ratio" >= 0.0 AND "volume_spike_ratio" < 'Infinity'),
	CONSTRAINT proxies_1h_funding_crowding_z_ck0 CHECK ("funding_crowding_z" > '-Infinity' AND "funding_crowding_z" < 'Infinity'),
	CONSTRAINT proxies_1h_estimated_long_liquidations_usd_ck0 CHECK ("estimated_long_liquidations_usd" >= 0.0 AND "estimated_long_liquidations_usd" < 'Infinity'),
	CONSTRAINT proxies_1h_estimated_short_liquidations_usd_ck0 CHECK ("estimated_short_liquidations_usd" >= 0.0 AND "estimated_short_liquidations_usd" < 'Infinity'),
	CONSTRAINT proxies_1h_market_fear_greed_ck0 CHECK ("market_fear_greed" >= 0.0 AND "market_fear_greed" <= 100.0),
	CONSTRAINT proxies_1h_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT proxies_1h_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT proxies_1h_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT proxies_1h_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.proxies_1h IS 'Substitutes under their own names, all of tier 3: no column of another table is ever filled from here.';

COMMENT ON COLUMN market.proxies_1h.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN market.proxies_1h.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.proxies_1h.volume_spike_ratio IS 'Volume of the hour over the median of the same hour of day in the 28 days before. A proxy for large-holder activity without a direction; not whale data.';

COMMENT ON COLUMN market.proxies_1h.funding_crowding_z IS 'Last settled 8 h funding against its own prior 30 days: median and scaled MAD, floored.';

COMMENT ON COLUMN market.proxies_1h.estimated_long_liquidations_usd IS 'What crowded longs lose on a falling hour: open interest x fall x Phi(crowding z). An estimate from funding, not observed liquidations.';

COMMENT ON COLUMN market.proxies_1h.estimated_short_liquidations_usd IS 'What crowded shorts lose on a rising hour: open interest x rise x Phi(-crowding z). An estimate from funding, not observed liquidations.';

COMMENT ON COLUMN market.proxies_1h.market_fear_greed IS 'The market-wide index usable in the hour, to stand beside a coin''s sentiment.';

COMMENT ON COLUMN market.proxies_1h.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.proxies_1h.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.proxies_1h.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.proxies_1h.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.proxies_1h.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.proxies_1h.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.proxies_1h.run_id IS 'Run that wrote this version.';

CREATE TABLE market.proxies_1h_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	volume_spike_ratio FLOAT(53),
	funding_crowding_z FLOAT(53),
	estimated_long_liquidations_usd FLOAT(53),
	estimated_short_liquidations_usd FLOAT(53),
	market_fear_greed FLOAT(53),
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT proxies_1h_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE market.proxies_1h_revisions IS 'Replaced versions of market.proxies_1h.';

COMMENT ON COLUMN market.proxies_1h_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.sentiment_1h (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	social_score FLOAT(53),
	social_mentions FLOAT(53),
	social_confidence FLOAT(53),
	news_score FLOAT(53),
	news_mentions FLOAT(53),
	news_confidence FLOAT(53),
	trader_score FLOAT(53),
	trader_mentions FLOAT(53),
	trader_confidence FLOAT(53),
	kinds_present BIGINT NOT NULL,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT sentiment_1h_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT sentiment_1h_social_score_ck0 CHECK ("social_score" >= 0.0 AND "social_score" <= 100.0),
	CONSTRAINT sentiment_1h_social_mentions_ck0 CHECK ("social_mentions" >= 0.0 AND "social_mentions" < 'Infinity'),
	CONSTRAINT sentiment_1h_social_confidence_ck0 CHECK ("social_confidence" >= 0.0 AND "social_confidence" <= 1.0),
	CONSTRAINT sentiment_1h_news_score_ck0 CHECK ("news_score" >= 0.0 AND "news_score" <= 100.0),
	CONSTRAINT sentiment_1h_news_mentions_ck0 CHECK ("news_mentions" >= 0.0 AND "news_mentions" < 'Infinity'),
	CONSTRAINT sentiment_1h_news_confidence_ck0 CHECK ("news_confidence" >= 0.0 AND "news_confidence" <= 1.0),
	CONSTRAINT sentiment_1h_trader_score_ck0 CHECK ("trader_score" >= 0.0 AND "trader_score" <= 100.0),
	CONSTRAINT sentiment_1h_trader_mentions_ck0 CHECK ("trader_mentions" >= 0.0 AND "trader_mentions" < 'Infinity'),
	CONSTRAINT sentiment_1h_trader_confidence_ck0 CHECK ("trader_confidence" >= 0.0 AND "trader_confidence" <= 1.0),
	CONSTRAINT sentiment_1h_kinds_present_ck0 CHECK ("kinds_present" >= 0),
	CONSTRAINT sentiment_1h_kinds_present_ck1 CHECK ("kinds_present" <= 3),
	CONSTRAINT sentiment_1h_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT sentiment_1h_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT sentiment_1h_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT sentiment_1h_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.sentiment_1h IS 'Hourly mood of each coin, one column set per kind, each kind from the one provider that the settings name for it. Fear & Greed is market wide and stays in market.fear_greed.';

COMMENT ON COLUMN market.sentiment_1h.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN market.sentiment_1h.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.sentiment_1h.social_score IS 'Mood of social sources, from the one provider named for them.';

COMMENT ON COLUMN market.sentiment_1h.social_mentions IS 'Posts behind the social score.';

COMMENT ON COLUMN market.sentiment_1h.social_confidence IS 'The provider''s trust in the social score.';

COMMENT ON COLUMN market.sentiment_1h.news_score IS 'Mood of news sources, from the one provider named for them.';

COMMENT ON COLUMN market.sentiment_1h.news_mentions IS 'Posts behind the news score.';

COMMENT ON COLUMN market.sentiment_1h.news_confidence IS 'The provider''s trust in the news score.';

COMMENT ON COLUMN market.sentiment_1h.trader_score IS 'Mood of trader sources, from the one provider named for them.';

COMMENT ON COLUMN market.sentiment_1h.trader_mentions IS 'Posts behind the trader score.';

COMMENT ON COLUMN market.sentiment_1h.trader_confidence IS 'The provider''s trust in the trader score.';

COMMENT ON COLUMN market.sentiment_1h.kinds_present IS 'Kinds of sentiment with a score.';

COMMENT ON COLUMN market.sentiment_1h.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.sentiment_1h.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.sentiment_1h.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.sentiment_1h.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.sentiment_1h.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.sentiment_1h.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.sentiment_1h.run_id IS 'Run that wrote this version.';

CREATE TABLE market.sentiment_1h_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	social_score FLOAT(53),
	social_mentions FLOAT(53),
	social_confidence FLOAT(53),
	news_score FLOAT(53),
	news_mentions FLOAT(53),
	news_confidence FLOAT(53),
	trader_score FLOAT(53),
	trader_mentions FLOAT(53),
	trader_confidence FLOAT(53),
	kinds_present BIGINT,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT sentiment_1h_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE market.sentiment_1h_revisions IS 'Replaced versions of market.sentiment_1h.';

COMMENT ON COLUMN market.sentiment_1h_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.trade_flow_1h (
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	flow_source TEXT,
	taker_buy_base FLOAT(53),
	taker_sell_base FLOAT(53),
	taker_buy_quote FLOAT(53),
	taker_sell_quote FLOAT(53),
	trade_count BIGINT,
	flow_imbalance FLOAT(53),
	large_trade_quote FLOAT(53),
	large_share FLOAT(53),
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT trade_flow_1h_pk PRIMARY KEY (market, symbol, ts),
	CONSTRAINT trade_flow_1h_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT trade_flow_1h_flow_source_ck0 CHECK ("flow_source" IN ('trades', 'candles')),
	CONSTRAINT trade_flow_1h_taker_buy_base_ck0 CHECK ("taker_buy_base" >= 0.0 AND "taker_buy_base" < 'Infinity'),
	CONSTRAINT trade_flow_1h_taker_sell_base_ck0 CHECK ("taker_sell_base" >= 0.0 AND "taker_sell_base" < 'Infinity'),
	CONSTRAINT trade_flow_1h_taker_buy_quote_ck0 CHECK ("taker_buy_quote" >= 0.0 AND "taker_buy_quote" < 'Infinity'),
	CONSTRAINT trade_flow_1h_taker_sell_quote_ck0 CHECK ("taker_sell_quote" >= 0.0 AND "taker_sell_quote" < 'Infinity'),
	CONSTRAINT trade_flow_1h_trade_count_ck0 CHECK ("trade_count" >= 0),
	CONSTRAINT trade_flow_1h_flow_imbalance_ck0 CHECK ("flow_imbalance" >= -1.0 AND "flow_imbalance" <= 1.0),
	CONSTRAINT trade_flow_1h_large_trade_quote_ck0 CHECK ("large_trade_quote" >= 0.0 AND "large_trade_quote" < 'Infinity'),
	CONSTRAINT trade_flow_1h_large_share_ck0 CHECK ("large_share" >= 0.0 AND "large_share" <= 1.0),
	CONSTRAINT trade_flow_1h_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT trade_flow_1h_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT trade_flow_1h_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT trade_flow_1h_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.trade_flow_1h IS 'Hourly volumes by the taker''s side of the primary venue, from single trades where the hour was fetched, else from the candle; flow_source says which.';

COMMENT ON COLUMN market.trade_flow_1h.market IS 'Market type.';

COMMENT ON COLUMN market.trade_flow_1h.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN market.trade_flow_1h.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.trade_flow_1h.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN market.trade_flow_1h.flow_source IS 'What the hour is made of: single trades, or the taker volumes of the candle.';

COMMENT ON COLUMN market.trade_flow_1h.taker_buy_base IS 'Amount bought by takers.';

COMMENT ON COLUMN market.trade_flow_1h.taker_sell_base IS 'Amount sold by takers.';

COMMENT ON COLUMN market.trade_flow_1h.taker_buy_quote IS 'Value bought by takers.';

COMMENT ON COLUMN market.trade_flow_1h.taker_sell_quote IS 'Value sold by takers.';

COMMENT ON COLUMN market.trade_flow_1h.trade_count IS 'Trades in the bar.';

COMMENT ON COLUMN market.trade_flow_1h.flow_imbalance IS '(bought - sold) / (bought + sold) by takers, in quote currency where known, else in coins.';

COMMENT ON COLUMN market.trade_flow_1h.large_trade_quote IS 'Value of trades larger than 99 % of those of the 24 h before the hour.';

COMMENT ON COLUMN market.trade_flow_1h.large_share IS 'Large trades in the hour''s traded value.';

COMMENT ON COLUMN market.trade_flow_1h.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.trade_flow_1h.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.trade_flow_1h.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.trade_flow_1h.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.trade_flow_1h.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.trade_flow_1h.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.trade_flow_1h.run_id IS 'Run that wrote this version.';

CREATE TABLE market.trade_flow_1h_revisions (
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	venue TEXT,
	flow_source TEXT,
	taker_buy_base FLOAT(53),
	taker_sell_base FLOAT(53),
	taker_buy_quote FLOAT(53),
	taker_sell_quote FLOAT(53),
	trade_count BIGINT,
	flow_imbalance FLOAT(53),
	large_trade_quote FLOAT(53),
	large_share FLOAT(53),
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT trade_flow_1h_revisions_pk PRIMARY KEY (market, symbol, ts, revision)
);

COMMENT ON TABLE market.trade_flow_1h_revisions IS 'Replaced versions of market.trade_flow_1h.';

COMMENT ON COLUMN market.trade_flow_1h_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE market.whale_flow_1h (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	source TEXT,
	inflow_usd FLOAT(53),
	outflow_usd FLOAT(53),
	net_flow_usd FLOAT(53),
	transfer_count BIGINT,
	stablecoin_net_flow_usd FLOAT(53),
	stablecoin_transfer_count BIGINT,
	coverage FLOAT(53),
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT whale_flow_1h_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT whale_flow_1h_inflow_usd_ck0 CHECK ("inflow_usd" >= 0.0 AND "inflow_usd" < 'Infinity'),
	CONSTRAINT whale_flow_1h_outflow_usd_ck0 CHECK ("outflow_usd" >= 0.0 AND "outflow_usd" < 'Infinity'),
	CONSTRAINT whale_flow_1h_net_flow_usd_ck0 CHECK ("net_flow_usd" > '-Infinity' AND "net_flow_usd" < 'Infinity'),
	CONSTRAINT whale_flow_1h_transfer_count_ck0 CHECK ("transfer_count" >= 0),
	CONSTRAINT whale_flow_1h_stablecoin_net_flow_usd_ck0 CHECK ("stablecoin_net_flow_usd" > '-Infinity' AND "stablecoin_net_flow_usd" < 'Infinity'),
	CONSTRAINT whale_flow_1h_stablecoin_transfer_count_ck0 CHECK ("stablecoin_transfer_count" >= 0),
	CONSTRAINT whale_flow_1h_coverage_ck0 CHECK ("coverage" >= 0.0 AND "coverage" <= 1.0),
	CONSTRAINT whale_flow_1h_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT whale_flow_1h_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT whale_flow_1h_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT whale_flow_1h_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE market.whale_flow_1h IS 'Large transfers onto and off exchanges over the 24 h that end with the hour. Moves between exchanges, inside one, and mints or burns are left out; a listing that was cut short or an hour without one makes the row partial, more than four such hours null.';

COMMENT ON COLUMN market.whale_flow_1h.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN market.whale_flow_1h.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN market.whale_flow_1h.source IS 'Provider that told us.';

COMMENT ON COLUMN market.whale_flow_1h.inflow_usd IS 'Coins moved onto exchanges in the last 24 h.';

COMMENT ON COLUMN market.whale_flow_1h.outflow_usd IS 'Coins taken off exchanges in the last 24 h.';

COMMENT ON COLUMN market.whale_flow_1h.net_flow_usd IS 'Inflow less outflow of the last 24 h: above 0 is coins offered for sale.';

COMMENT ON COLUMN market.whale_flow_1h.transfer_count IS 'Transfers in inflow and outflow.';

COMMENT ON COLUMN market.whale_flow_1h.stablecoin_net_flow_usd IS 'Outflow less inflow of all stablecoins in the last 24 h. The sign is the reverse of the coin''s, because stablecoins on exchanges buy: above 0 is buying power withdrawn.';

COMMENT ON COLUMN market.whale_flow_1h.stablecoin_transfer_count IS 'Stablecoin transfers in the stablecoin flow.';

COMMENT ON COLUMN market.whale_flow_1h.coverage IS 'Share of the expected inputs that was present.';

COMMENT ON COLUMN market.whale_flow_1h.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN market.whale_flow_1h.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN market.whale_flow_1h.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN market.whale_flow_1h.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN market.whale_flow_1h.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN market.whale_flow_1h.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN market.whale_flow_1h.run_id IS 'Run that wrote this version.';

CREATE TABLE market.whale_flow_1h_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	source TEXT,
	inflow_usd FLOAT(53),
	outflow_usd FLOAT(53),
	net_flow_usd FLOAT(53),
	transfer_count BIGINT,
	stablecoin_net_flow_usd FLOAT(53),
	stablecoin_transfer_count BIGINT,
	coverage FLOAT(53),
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT whale_flow_1h_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE market.whale_flow_1h_revisions IS 'Replaced versions of market.whale_flow_1h.';

COMMENT ON COLUMN market.whale_flow_1h_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE ops.breaker_state (
	source TEXT NOT NULL,
	host TEXT NOT NULL,
	key_fingerprint TEXT NOT NULL,
	breaker_state TEXT NOT NULL,
	failure_count BIGINT NOT NULL,
	success_count BIGINT NOT NULL,
	opening_count BIGINT NOT NULL,
	opened_at TIMESTAMP WITH TIME ZONE,
	open_until TIMESTAMP WITH TIME ZONE,
	paused_until TIMESTAMP WITH TIME ZONE,
	error_class TEXT,
	reason TEXT,
	probe_token TEXT,
	probe_until TIMESTAMP WITH TIME ZONE,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT breaker_state_pk PRIMARY KEY (source, host, key_fingerprint),
	CONSTRAINT breaker_state_breaker_state_ck0 CHECK ("breaker_state" IN ('closed', 'open', 'half_open')),
	CONSTRAINT breaker_state_failure_count_ck0 CHECK ("failure_count" >= 0),
	CONSTRAINT breaker_state_success_count_ck0 CHECK ("success_count" >= 0),
	CONSTRAINT breaker_state_opening_count_ck0 CHECK ("opening_count" >= 0)
);

COMMENT ON TABLE ops.breaker_state IS 'Whether a source is left alone, until when and why; shared by all processes.';

COMMENT ON COLUMN ops.breaker_state.source IS 'Provider that told us.';

COMMENT ON COLUMN ops.breaker_state.host IS 'Host and port that requests go to.';

COMMENT ON COLUMN ops.breaker_state.key_fingerprint IS 'Digest of the key that the row is about; empty: the host as a whole.';

COMMENT ON COLUMN ops.breaker_state.breaker_state IS 'closed: requests go; open: none until open_until; half_open: one at a time tries.';

COMMENT ON COLUMN ops.breaker_state.failure_count IS 'Passing failures in a row.';

COMMENT ON COLUMN ops.breaker_state.success_count IS 'Successful tries in a row while half open.';

COMMENT ON COLUMN ops.breaker_state.opening_count IS 'Openings since it was last closed.';

COMMENT ON COLUMN ops.breaker_state.opened_at IS 'When it last opened.';

COMMENT ON COLUMN ops.breaker_state.open_until IS 'Nothing is asked before.';

COMMENT ON COLUMN ops.breaker_state.paused_until IS 'Requests wait until then, as the provider asked.';

COMMENT ON COLUMN ops.breaker_state.error_class IS 'Class of the failure.';

COMMENT ON COLUMN ops.breaker_state.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN ops.breaker_state.probe_token IS 'Who tries now, while half open.';

COMMENT ON COLUMN ops.breaker_state.probe_until IS 'When the try is given up for lost.';

COMMENT ON COLUMN ops.breaker_state.updated_at IS 'When the row last changed, by the database''s clock.';

CREATE TABLE ops.coverage_spans (
	dataset TEXT NOT NULL,
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	span_start TIMESTAMP WITH TIME ZONE NOT NULL,
	span_end TIMESTAMP WITH TIME ZONE NOT NULL,
	coverage_state TEXT NOT NULL,
	coverage_reason TEXT,
	is_forward_only BOOLEAN NOT NULL,
	CONSTRAINT coverage_spans_pk PRIMARY KEY (dataset, source, venue, market, symbol, span_start),
	CONSTRAINT coverage_spans_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT coverage_spans_coverage_state_ck0 CHECK ("coverage_state" IN ('stored', 'venue_had_none', 'missed', 'plan_limit', 'beyond_retention', 'not_listed', 'not_yet', 'source_off', 'forward_only')),
	CONSTRAINT coverage_spans_rule0 CHECK (span_end > span_start)
);

COMMENT ON TABLE ops.coverage_spans IS 'Stretches of hours of one raw series that share a state: stored, missed, not to be had. Symbol `*` is a series about the whole market. The view `ops.coverage` has a row an hour.';

COMMENT ON COLUMN ops.coverage_spans.dataset IS 'Raw table the fetch is for.';

COMMENT ON COLUMN ops.coverage_spans.source IS 'Provider that told us.';

COMMENT ON COLUMN ops.coverage_spans.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN ops.coverage_spans.market IS 'Market type.';

COMMENT ON COLUMN ops.coverage_spans.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN ops.coverage_spans.span_start IS 'First hour of the stretch.';

COMMENT ON COLUMN ops.coverage_spans.span_end IS 'End of the stretch, exclusive; a full hour.';

COMMENT ON COLUMN ops.coverage_spans.coverage_state IS 'What became of the hours. stored: what is owed is there; venue_had_none: the source answered and has no row; missed: nobody asked, or the source failed; plan_limit: the key''s plan does not include it; beyond_retention: older than the source keeps; not_listed: the source does not know the symbol; not_yet: within the grace after the hour; source_off: no key or address is set; forward_only: not recorded while it happened, and cannot be asked for later.';

COMMENT ON COLUMN ops.coverage_spans.coverage_reason IS 'Why, in a few words; null where the hours are stored, unless the key''s plan kept some of the series'' endpoints from them: those are named.';

COMMENT ON COLUMN ops.coverage_spans.is_forward_only IS 'The series can only be collected as time goes: a past hour cannot be asked for.';

CREATE TABLE ops.database_identity (
	identity BIGSERIAL NOT NULL,
	origin TEXT NOT NULL,
	detail TEXT,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT database_identity_pk PRIMARY KEY (identity),
	CONSTRAINT database_identity_identity_ck0 CHECK ("identity" >= 1),
	CONSTRAINT database_identity_identity_ck1 CHECK ("identity" <= 1),
	CONSTRAINT database_identity_origin_ck0 CHECK ("origin" IN ('live', 'simulated', 'tape'))
);

COMMENT ON TABLE ops.database_identity IS 'What this database holds: live, simulated or replayed data. One row.';

COMMENT ON COLUMN ops.database_identity.identity IS 'Always 1: the table has one row.';

COMMENT ON COLUMN ops.database_identity.origin IS 'What kind of data the database holds; fixed by its first run.';

COMMENT ON COLUMN ops.database_identity.detail IS 'Which tape or seed.';

COMMENT ON COLUMN ops.database_identity.created_at IS 'When the row was made.';

CREATE TABLE ops.fetch_log (
	fetch_id TEXT NOT NULL,
	dataset TEXT NOT NULL,
	source TEXT NOT NULL,
	venue TEXT,
	market TEXT,
	symbol TEXT,
	endpoint_path TEXT,
	window_start TIMESTAMP WITH TIME ZONE NOT NULL,
	window_end TIMESTAMP WITH TIME ZONE NOT NULL,
	fetch_status TEXT NOT NULL,
	error_class TEXT,
	error_message TEXT,
	rows_stored BIGINT,
	rows_quarantined BIGINT,
	request_count BIGINT,
	duration_s FLOAT(53),
	source_tier BIGINT,
	fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
	run_id TEXT,
	CONSTRAINT fetch_log_pk PRIMARY KEY (fetch_id),
	CONSTRAINT fetch_log_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT fetch_log_fetch_status_ck0 CHECK ("fetch_status" IN ('ok', 'empty', 'partial', 'failed', 'skipped')),
	CONSTRAINT fetch_log_rows_stored_ck0 CHECK ("rows_stored" >= 0),
	CONSTRAINT fetch_log_rows_quarantined_ck0 CHECK ("rows_quarantined" >= 0),
	CONSTRAINT fetch_log_request_count_ck0 CHECK ("request_count" >= 0),
	CONSTRAINT fetch_log_duration_s_ck0 CHECK ("duration_s" >= 0.0 AND "duration_s" < 'Infinity'),
	CONSTRAINT fetch_log_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT fetch_log_source_tier_ck1 CHECK ("source_tier" <= 9)
);

COMMENT ON TABLE ops.fetch_log IS 'One row per dataset, source, symbol and window that was asked for.';

COMMENT ON COLUMN ops.fetch_log.fetch_id IS 'Id of the fetch.';

COMMENT ON COLUMN ops.fetch_log.dataset IS 'Raw table the fetch is for.';

COMMENT ON COLUMN ops.fetch_log.source IS 'Provider that told us.';

COMMENT ON COLUMN ops.fetch_log.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN ops.fetch_log.market IS 'Market type.';

COMMENT ON COLUMN ops.fetch_log.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN ops.fetch_log.endpoint_path IS 'Path of the provider''s endpoint, no query, no secret.';

COMMENT ON COLUMN ops.fetch_log.window_start IS 'Start of the window that was asked for.';

COMMENT ON COLUMN ops.fetch_log.window_end IS 'End of the window that was asked for, exclusive.';

COMMENT ON COLUMN ops.fetch_log.fetch_status IS 'ok: the source answered for the whole window; empty: it answered and has nothing; partial: part of the window is beyond the provider''s retention; failed; skipped.';

COMMENT ON COLUMN ops.fetch_log.error_class IS 'Class of the failure.';

COMMENT ON COLUMN ops.fetch_log.error_message IS 'What went wrong, secrets removed.';

COMMENT ON COLUMN ops.fetch_log.rows_stored IS 'Rows that passed the contract.';

COMMENT ON COLUMN ops.fetch_log.rows_quarantined IS 'Rows that did not.';

COMMENT ON COLUMN ops.fetch_log.request_count IS 'HTTP requests made.';

COMMENT ON COLUMN ops.fetch_log.duration_s IS 'How long it took.';

COMMENT ON COLUMN ops.fetch_log.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN ops.fetch_log.fetched_at IS 'When the request was sent.';

COMMENT ON COLUMN ops.fetch_log.run_id IS 'Run that wrote this version.';

CREATE INDEX fetch_log_dataset_window_end_ix ON ops.fetch_log (dataset, window_end);

CREATE TABLE ops.payloads (
	payload_id TEXT NOT NULL,
	source TEXT NOT NULL,
	endpoint_path TEXT NOT NULL,
	url TEXT NOT NULL,
	http_status BIGINT,
	http_date TIMESTAMP WITH TIME ZONE,
	byte_count BIGINT,
	landing_path TEXT NOT NULL,
	fetched_at TIMESTAMP WITH TIME ZONE NOT NULL,
	run_id TEXT,
	CONSTRAINT payloads_pk PRIMARY KEY (payload_id, url),
	CONSTRAINT payloads_http_status_ck0 CHECK ("http_status" >= 100),
	CONSTRAINT payloads_http_status_ck1 CHECK ("http_status" <= 599),
	CONSTRAINT payloads_byte_count_ck0 CHECK ("byte_count" >= 0)
);

COMMENT ON TABLE ops.payloads IS 'Index of the landing store: one row per distinct response body and request.';

COMMENT ON COLUMN ops.payloads.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN ops.payloads.source IS 'Provider that told us.';

COMMENT ON COLUMN ops.payloads.endpoint_path IS 'Path of the provider''s endpoint, no query, no secret.';

COMMENT ON COLUMN ops.payloads.url IS 'Request URL without secrets.';

COMMENT ON COLUMN ops.payloads.http_status IS 'Status of the answer.';

COMMENT ON COLUMN ops.payloads.http_date IS 'Server time of the response, from its Date header.';

COMMENT ON COLUMN ops.payloads.byte_count IS 'Size of the response body.';

COMMENT ON COLUMN ops.payloads.landing_path IS 'Path below the landing URL.';

COMMENT ON COLUMN ops.payloads.fetched_at IS 'When the request was sent.';

COMMENT ON COLUMN ops.payloads.run_id IS 'Run that wrote this version.';

CREATE TABLE ops.quality_blocks (
	table_name TEXT NOT NULL,
	check_id TEXT NOT NULL,
	series TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	source TEXT,
	venue TEXT,
	market TEXT,
	symbol TEXT NOT NULL,
	measured_value FLOAT(53),
	reason TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT quality_blocks_pk PRIMARY KEY (table_name, check_id, series, ts),
	CONSTRAINT quality_blocks_check_id_ck0 CHECK ("check_id" IN ('DQ01', 'DQ02', 'DQ03', 'DQ04', 'DQ05', 'DQ06', 'DQ07', 'DQ08', 'DQ09', 'DQ10', 'DQ11', 'DQ12', 'DQ13', 'DQ14', 'DQ15')),
	CONSTRAINT quality_blocks_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT quality_blocks_measured_value_ck0 CHECK ("measured_value" > '-Infinity' AND "measured_value" < 'Infinity'),
	CONSTRAINT quality_blocks_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE ops.quality_blocks IS 'Raw rows that are kept from being published, and the check that says so. They stay in their table; the market row of the hour is null with status quarantined.';

COMMENT ON COLUMN ops.quality_blocks.table_name IS 'Table that the row is about.';

COMMENT ON COLUMN ops.quality_blocks.check_id IS 'Data-quality check; docs/quality.md says what each one means.';

COMMENT ON COLUMN ops.quality_blocks.series IS 'Series that the row is about, its names joined by |; * for all of the table together.';

COMMENT ON COLUMN ops.quality_blocks.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN ops.quality_blocks.source IS 'Provider that told us.';

COMMENT ON COLUMN ops.quality_blocks.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN ops.quality_blocks.market IS 'Market type.';

COMMENT ON COLUMN ops.quality_blocks.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN ops.quality_blocks.measured_value IS 'Worst figure that the check measured, in its own unit.';

COMMENT ON COLUMN ops.quality_blocks.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN ops.quality_blocks.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN ops.quality_blocks.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN ops.quality_blocks.run_id IS 'Run that wrote this version.';

CREATE TABLE ops.quality_blocks_revisions (
	table_name TEXT NOT NULL,
	check_id TEXT NOT NULL,
	series TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	source TEXT,
	venue TEXT,
	market TEXT,
	symbol TEXT,
	measured_value FLOAT(53),
	reason TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT quality_blocks_revisions_pk PRIMARY KEY (table_name, check_id, series, ts, revision)
);

COMMENT ON TABLE ops.quality_blocks_revisions IS 'Replaced versions of ops.quality_blocks.';

COMMENT ON COLUMN ops.quality_blocks_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE ops.quality_checks (
	table_name TEXT NOT NULL,
	check_id TEXT NOT NULL,
	series TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	source TEXT,
	venue TEXT,
	market TEXT,
	symbol TEXT,
	check_severity TEXT NOT NULL,
	check_outcome TEXT NOT NULL,
	measured_value FLOAT(53),
	tolerance FLOAT(53),
	n_judged BIGINT NOT NULL,
	n_failed BIGINT NOT NULL,
	n_withheld BIGINT NOT NULL,
	failing_keys JSONB,
	penalty FLOAT(53) NOT NULL,
	reason TEXT,
	run_id TEXT,
	CONSTRAINT quality_checks_pk PRIMARY KEY (table_name, check_id, series, ts),
	CONSTRAINT quality_checks_check_id_ck0 CHECK ("check_id" IN ('DQ01', 'DQ02', 'DQ03', 'DQ04', 'DQ05', 'DQ06', 'DQ07', 'DQ08', 'DQ09', 'DQ10', 'DQ11', 'DQ12', 'DQ13', 'DQ14', 'DQ15')),
	CONSTRAINT quality_checks_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT quality_checks_check_severity_ck0 CHECK ("check_severity" IN ('WARN', 'BLOCK')),
	CONSTRAINT quality_checks_check_outcome_ck0 CHECK ("check_outcome" IN ('passed', 'failed', 'not_applicable')),
	CONSTRAINT quality_checks_measured_value_ck0 CHECK ("measured_value" > '-Infinity' AND "measured_value" < 'Infinity'),
	CONSTRAINT quality_checks_tolerance_ck0 CHECK ("tolerance" > '-Infinity' AND "tolerance" < 'Infinity'),
	CONSTRAINT quality_checks_n_judged_ck0 CHECK ("n_judged" >= 0),
	CONSTRAINT quality_checks_n_failed_ck0 CHECK ("n_failed" >= 0),
	CONSTRAINT quality_checks_n_withheld_ck0 CHECK ("n_withheld" >= 0),
	CONSTRAINT quality_checks_penalty_ck0 CHECK ("penalty" >= 0.0 AND "penalty" <= 1.0)
);

COMMENT ON TABLE ops.quality_checks IS 'One row per data-quality check, table and UTC day (ts), and one per series that fails it. A verdict looks at the day''s rows as they are stored when it is made and at a fixed stretch before them; it is made anew when rows of the day arrive or are mended, and when a refusal or a restatement of them is recorded later. No published value depends on it.';

COMMENT ON COLUMN ops.quality_checks.table_name IS 'Table that the row is about.';

COMMENT ON COLUMN ops.quality_checks.check_id IS 'Data-quality check; docs/quality.md says what each one means.';

COMMENT ON COLUMN ops.quality_checks.series IS 'Series that the row is about, its names joined by |; * for all of the table together.';

COMMENT ON COLUMN ops.quality_checks.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN ops.quality_checks.source IS 'Provider that told us.';

COMMENT ON COLUMN ops.quality_checks.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN ops.quality_checks.market IS 'Market type.';

COMMENT ON COLUMN ops.quality_checks.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN ops.quality_checks.check_severity IS 'How bad the failure is; of a check that did not fail, how bad it could be.';

COMMENT ON COLUMN ops.quality_checks.check_outcome IS 'not_applicable: nothing could be judged, reason says why; it is no pass.';

COMMENT ON COLUMN ops.quality_checks.measured_value IS 'Worst figure that the check measured, in its own unit.';

COMMENT ON COLUMN ops.quality_checks.tolerance IS 'Limit that the figure is held against; null: several.';

COMMENT ON COLUMN ops.quality_checks.n_judged IS 'Rows that could be judged.';

COMMENT ON COLUMN ops.quality_checks.n_failed IS 'Rows that failed.';

COMMENT ON COLUMN ops.quality_checks.n_withheld IS 'Rows kept from being published.';

COMMENT ON COLUMN ops.quality_checks.failing_keys IS 'Up to five failing rows, one text each; null: none.';

COMMENT ON COLUMN ops.quality_checks.penalty IS 'What the failure takes from the score, as a factor (1 - penalty).';

COMMENT ON COLUMN ops.quality_checks.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN ops.quality_checks.run_id IS 'Run that wrote this version.';

CREATE TABLE ops.quality_scores (
	table_name TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	quality_score FLOAT(53),
	failing_checks TEXT,
	n_checks BIGINT NOT NULL,
	n_not_applicable BIGINT NOT NULL,
	n_warn BIGINT NOT NULL,
	n_block BIGINT NOT NULL,
	n_withheld BIGINT NOT NULL,
	run_id TEXT,
	CONSTRAINT quality_scores_pk PRIMARY KEY (table_name, ts),
	CONSTRAINT quality_scores_quality_score_ck0 CHECK ("quality_score" >= 0.0 AND "quality_score" <= 100.0),
	CONSTRAINT quality_scores_n_checks_ck0 CHECK ("n_checks" >= 0),
	CONSTRAINT quality_scores_n_not_applicable_ck0 CHECK ("n_not_applicable" >= 0),
	CONSTRAINT quality_scores_n_warn_ck0 CHECK ("n_warn" >= 0),
	CONSTRAINT quality_scores_n_block_ck0 CHECK ("n_block" >= 0),
	CONSTRAINT quality_scores_n_withheld_ck0 CHECK ("n_withheld" >= 0)
);

COMMENT ON TABLE ops.quality_scores IS 'Data-quality score of each table and UTC day (ts), as of the last verdicts.';

COMMENT ON COLUMN ops.quality_scores.table_name IS 'Table that the row is about.';

COMMENT ON COLUMN ops.quality_scores.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN ops.quality_scores.quality_score IS '100 x product of (1 - penalty) over the checks of the table and day; null: none applied.';

COMMENT ON COLUMN ops.quality_scores.failing_checks IS 'Ids of the failed checks with commas between.';

COMMENT ON COLUMN ops.quality_scores.n_checks IS 'Checks that could be applied.';

COMMENT ON COLUMN ops.quality_scores.n_not_applicable IS 'Checks that could not.';

COMMENT ON COLUMN ops.quality_scores.n_warn IS 'Failed checks of severity WARN.';

COMMENT ON COLUMN ops.quality_scores.n_block IS 'Failed checks of severity BLOCK.';

COMMENT ON COLUMN ops.quality_scores.n_withheld IS 'Rows kept from being published.';

COMMENT ON COLUMN ops.quality_scores.run_id IS 'Run that wrote this version.';

CREATE TABLE ops.quarantine (
	quarantine_id TEXT NOT NULL,
	table_name TEXT NOT NULL,
	source TEXT,
	reason TEXT NOT NULL,
	row_data JSONB NOT NULL,
	payload_id TEXT,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	run_id TEXT,
	CONSTRAINT quarantine_pk PRIMARY KEY (quarantine_id)
);

COMMENT ON TABLE ops.quarantine IS 'Rows that broke a contract, with the reason; nothing is lost.';

COMMENT ON COLUMN ops.quarantine.quarantine_id IS 'Digest of the row and its reason.';

COMMENT ON COLUMN ops.quarantine.table_name IS 'Table that the row is about.';

COMMENT ON COLUMN ops.quarantine.source IS 'Provider that told us.';

COMMENT ON COLUMN ops.quarantine.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN ops.quarantine.row_data IS 'The row as it came.';

COMMENT ON COLUMN ops.quarantine.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN ops.quarantine.created_at IS 'When the row was made.';

COMMENT ON COLUMN ops.quarantine.run_id IS 'Run that wrote this version.';

CREATE TABLE ops.rate_budgets (
	source TEXT NOT NULL,
	host TEXT NOT NULL,
	key_fingerprint TEXT NOT NULL,
	budget_scope TEXT NOT NULL,
	budget_window_s FLOAT(53) NOT NULL,
	budget_window_start TIMESTAMP WITH TIME ZONE NOT NULL,
	budget_limit BIGINT NOT NULL,
	budget_used BIGINT NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT rate_budgets_pk PRIMARY KEY (source, host, key_fingerprint, budget_scope),
	CONSTRAINT rate_budgets_budget_window_s_ck0 CHECK ("budget_window_s" >= 0.0 AND "budget_window_s" < 'Infinity'),
	CONSTRAINT rate_budgets_budget_limit_ck0 CHECK ("budget_limit" >= 0),
	CONSTRAINT rate_budgets_budget_used_ck0 CHECK ("budget_used" >= 0)
);

COMMENT ON TABLE ops.rate_budgets IS 'How much of each provider''s rate limits all processes together have used.';

COMMENT ON COLUMN ops.rate_budgets.source IS 'Provider that told us.';

COMMENT ON COLUMN ops.rate_budgets.host IS 'Host and port that requests go to.';

COMMENT ON COLUMN ops.rate_budgets.key_fingerprint IS 'Digest of the key that the row is about; empty: the host as a whole.';

COMMENT ON COLUMN ops.rate_budgets.budget_scope IS 'Which of the provider''s limits: its name or a path.';

COMMENT ON COLUMN ops.rate_budgets.budget_window_s IS 'Length of the window the limit counts in.';

COMMENT ON COLUMN ops.rate_budgets.budget_window_start IS 'Start of the window that is counted.';

COMMENT ON COLUMN ops.rate_budgets.budget_limit IS 'What the provider grants per window.';

COMMENT ON COLUMN ops.rate_budgets.budget_used IS 'Reserved by any process or seen in the provider''s headers, in this window.';

COMMENT ON COLUMN ops.rate_budgets.updated_at IS 'When the row last changed, by the database''s clock.';

CREATE TABLE ops.reply_fields (
	source TEXT NOT NULL,
	endpoint_path TEXT NOT NULL,
	reply_field TEXT NOT NULL,
	first_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT reply_fields_pk PRIMARY KEY (source, endpoint_path, reply_field)
);

COMMENT ON TABLE ops.reply_fields IS 'Fields seen in the replies of each endpoint, so that a new one is noticed.';

COMMENT ON COLUMN ops.reply_fields.source IS 'Provider that told us.';

COMMENT ON COLUMN ops.reply_fields.endpoint_path IS 'Path of the provider''s endpoint, no query, no secret.';

COMMENT ON COLUMN ops.reply_fields.reply_field IS 'Path of a field in an endpoint''s replies.';

COMMENT ON COLUMN ops.reply_fields.first_seen_at IS 'When a reply first had it.';

CREATE TABLE raw.candles (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	timeframe TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	open FLOAT(53) NOT NULL,
	high FLOAT(53) NOT NULL,
	low FLOAT(53) NOT NULL,
	close FLOAT(53) NOT NULL,
	volume_base FLOAT(53),
	volume_quote FLOAT(53),
	taker_buy_base FLOAT(53),
	taker_buy_quote FLOAT(53),
	trade_count BIGINT,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT candles_pk PRIMARY KEY (source, venue, market, symbol, timeframe, ts),
	CONSTRAINT candles_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT candles_timeframe_ck0 CHECK ("timeframe" IN ('1h', '4h', '1d', '1w')),
	CONSTRAINT candles_open_ck0 CHECK ("open" > 0.0 AND "open" < 'Infinity'),
	CONSTRAINT candles_high_ck0 CHECK ("high" > 0.0 AND "high" < 'Infinity'),
	CONSTRAINT candles_low_ck0 CHECK ("low" > 0.0 AND "low" < 'Infinity'),
	CONSTRAINT candles_close_ck0 CHECK ("close" > 0.0 AND "close" < 'Infinity'),
	CONSTRAINT candles_volume_base_ck0 CHECK ("volume_base" >= 0.0 AND "volume_base" < 'Infinity'),
	CONSTRAINT candles_volume_quote_ck0 CHECK ("volume_quote" >= 0.0 AND "volume_quote" < 'Infinity'),
	CONSTRAINT candles_taker_buy_base_ck0 CHECK ("taker_buy_base" >= 0.0 AND "taker_buy_base" < 'Infinity'),
	CONSTRAINT candles_taker_buy_quote_ck0 CHECK ("taker_buy_quote" >= 0.0 AND "taker_buy_quote" < 'Infinity'),
	CONSTRAINT candles_trade_count_ck0 CHECK ("trade_count" >= 0),
	CONSTRAINT candles_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT candles_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT candles_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT candles_revision_ck0 CHECK ("revision" >= 0),
	CONSTRAINT candles_rule0 CHECK (low <= open),
	CONSTRAINT candles_rule1 CHECK (low <= close),
	CONSTRAINT candles_rule2 CHECK (high >= open),
	CONSTRAINT candles_rule3 CHECK (high >= close)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.candles IS 'Closed bars of every venue and market, as each provider reports them. ts is the bar open.';

COMMENT ON COLUMN raw.candles.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.candles.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN raw.candles.market IS 'Market type.';

COMMENT ON COLUMN raw.candles.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.candles.timeframe IS 'Length of the bar or bucket.';

COMMENT ON COLUMN raw.candles.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.candles.open IS 'First price of the bar.';

COMMENT ON COLUMN raw.candles.high IS 'Highest price of the bar.';

COMMENT ON COLUMN raw.candles.low IS 'Lowest price of the bar.';

COMMENT ON COLUMN raw.candles.close IS 'Last price of the bar.';

COMMENT ON COLUMN raw.candles.volume_base IS 'Traded amount, base coin.';

COMMENT ON COLUMN raw.candles.volume_quote IS 'Traded value, quote currency.';

COMMENT ON COLUMN raw.candles.taker_buy_base IS 'Amount bought by takers.';

COMMENT ON COLUMN raw.candles.taker_buy_quote IS 'Value bought by takers.';

COMMENT ON COLUMN raw.candles.trade_count IS 'Trades in the bar.';

COMMENT ON COLUMN raw.candles.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.candles.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.candles.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.candles.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.candles.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.candles.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.candles.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.candles_revisions (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	timeframe TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	open FLOAT(53),
	high FLOAT(53),
	low FLOAT(53),
	close FLOAT(53),
	volume_base FLOAT(53),
	volume_quote FLOAT(53),
	taker_buy_base FLOAT(53),
	taker_buy_quote FLOAT(53),
	trade_count BIGINT,
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT candles_revisions_pk PRIMARY KEY (source, venue, market, symbol, timeframe, ts, revision)
);

COMMENT ON TABLE raw.candles_revisions IS 'Replaced versions of raw.candles.';

COMMENT ON COLUMN raw.candles_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.coin_markets (
	source TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	price_usd FLOAT(53),
	market_cap_usd FLOAT(53),
	market_cap_rank BIGINT,
	volume_24h_usd FLOAT(53),
	price_change_24h_frac FLOAT(53),
	open_interest_usd FLOAT(53),
	open_interest_base FLOAT(53),
	funding_rate_oi_weighted FLOAT(53),
	long_short_ratio_24h FLOAT(53),
	long_liquidations_24h_usd FLOAT(53),
	short_liquidations_24h_usd FLOAT(53),
	sentiment_score FLOAT(53),
	galaxy_score FLOAT(53),
	alt_rank BIGINT,
	social_dominance_frac FLOAT(53),
	social_volume_24h FLOAT(53),
	interaction_count FLOAT(53),
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT coin_markets_pk PRIMARY KEY (source, symbol, ts),
	CONSTRAINT coin_markets_price_usd_ck0 CHECK ("price_usd" > 0.0 AND "price_usd" < 'Infinity'),
	CONSTRAINT coin_markets_market_cap_usd_ck0 CHECK ("market_cap_usd" >= 0.0 AND "market_cap_usd" < 'Infinity'),
	CONSTRAINT coin_markets_market_cap_rank_ck0 CHECK ("market_cap_rank" >= 1),
	CONSTRAINT coin_markets_volume_24h_usd_ck0 CHECK ("volume_24h_usd" >= 0.0 AND "volume_24h_usd" < 'Infinity'),
	CONSTRAINT coin_markets_price_change_24h_frac_ck0 CHECK ("price_change_24h_frac" >= -1.0 AND "price_change_24h_frac" < 'Infinity'),
	CONSTRAINT coin_markets_open_interest_usd_ck0 CHECK ("open_interest_usd" >= 0.0 AND "open_interest_usd" < 'Infinity'),
	CONSTRAINT coin_markets_open_interest_base_ck0 CHECK ("open_interest_base" >= 0.0 AND "open_interest_base" < 'Infinity'),
	CONSTRAINT coin_markets_funding_rate_oi_weighted_ck0 CHECK ("funding_rate_oi_weighted" >= -1.0 AND "funding_rate_oi_weighted" <= 1.0),
	CONSTRAINT coin_markets_long_short_ratio_24h_ck0 CHECK ("long_short_ratio_24h" >= 0.0 AND "long_short_ratio_24h" < 'Infinity'),
	CONSTRAINT coin_markets_long_liquidations_24h_usd_ck0 CHECK ("long_liquidations_24h_usd" >= 0.0 AND "long_liquidations_24h_usd" < 'Infinity'),
	CONSTRAINT coin_markets_short_liquidations_24h_usd_ck0 CHECK ("short_liquidations_24h_usd" >= 0.0 AND "short_liquidations_24h_usd" < 'Infinity'),
	CONSTRAINT coin_markets_sentiment_score_ck0 CHECK ("sentiment_score" >= 0.0 AND "sentiment_score" <= 100.0),
	CONSTRAINT coin_markets_galaxy_score_ck0 CHECK ("galaxy_score" >= 0.0 AND "galaxy_score" <= 100.0),
	CONSTRAINT coin_markets_alt_rank_ck0 CHECK ("alt_rank" >= 1),
	CONSTRAINT coin_markets_social_dominance_frac_ck0 CHECK ("social_dominance_frac" >= 0.0 AND "social_dominance_frac" <= 1.0),
	CONSTRAINT coin_markets_social_volume_24h_ck0 CHECK ("social_volume_24h" >= 0.0 AND "social_volume_24h" < 'Infinity'),
	CONSTRAINT coin_markets_interaction_count_ck0 CHECK ("interaction_count" >= 0.0 AND "interaction_count" < 'Infinity'),
	CONSTRAINT coin_markets_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT coin_markets_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT coin_markets_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT coin_markets_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.coin_markets IS 'What aggregators show about a coin at the moment of asking, stamped with that hour. Forward only: a past hour cannot be asked for.';

COMMENT ON COLUMN raw.coin_markets.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.coin_markets.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.coin_markets.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.coin_markets.price_usd IS 'Price shown.';

COMMENT ON COLUMN raw.coin_markets.market_cap_usd IS 'Market capitalisation.';

COMMENT ON COLUMN raw.coin_markets.market_cap_rank IS 'Rank by capitalisation.';

COMMENT ON COLUMN raw.coin_markets.volume_24h_usd IS 'Volume of the last 24 h.';

COMMENT ON COLUMN raw.coin_markets.price_change_24h_frac IS 'Price change over 24 h.';

COMMENT ON COLUMN raw.coin_markets.open_interest_usd IS 'One-sided open interest in US dollars.';

COMMENT ON COLUMN raw.coin_markets.open_interest_base IS 'One-sided open interest in coins.';

COMMENT ON COLUMN raw.coin_markets.funding_rate_oi_weighted IS 'Running funding rate over exchanges, weighted by open interest.';

COMMENT ON COLUMN raw.coin_markets.long_short_ratio_24h IS 'Longs over shorts of 24 h taker volume.';

COMMENT ON COLUMN raw.coin_markets.long_liquidations_24h_usd IS 'Longs closed by force in 24 h.';

COMMENT ON COLUMN raw.coin_markets.short_liquidations_24h_usd IS 'Shorts closed by force in 24 h.';

COMMENT ON COLUMN raw.coin_markets.sentiment_score IS 'Mood, 50 is neutral; null when the provider gives no verdict.';

COMMENT ON COLUMN raw.coin_markets.galaxy_score IS 'LunarCrush Galaxy Score.';

COMMENT ON COLUMN raw.coin_markets.alt_rank IS 'LunarCrush AltRank, 1 is best.';

COMMENT ON COLUMN raw.coin_markets.social_dominance_frac IS 'Share of all crypto talk.';

COMMENT ON COLUMN raw.coin_markets.social_volume_24h IS 'Posts of the last 24 h.';

COMMENT ON COLUMN raw.coin_markets.interaction_count IS 'Reactions to those posts.';

COMMENT ON COLUMN raw.coin_markets.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.coin_markets.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.coin_markets.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.coin_markets.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.coin_markets.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.coin_markets.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.coin_markets.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.coin_markets_revisions (
	source TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	price_usd FLOAT(53),
	market_cap_usd FLOAT(53),
	market_cap_rank BIGINT,
	volume_24h_usd FLOAT(53),
	price_change_24h_frac FLOAT(53),
	open_interest_usd FLOAT(53),
	open_interest_base FLOAT(53),
	funding_rate_oi_weighted FLOAT(53),
	long_short_ratio_24h FLOAT(53),
	long_liquidations_24h_usd FLOAT(53),
	short_liquidations_24h_usd FLOAT(53),
	sentiment_score FLOAT(53),
	galaxy_score FLOAT(53),
	alt_rank BIGINT,
	social_dominance_frac FLOAT(53),
	social_volume_24h FLOAT(53),
	interaction_count FLOAT(53),
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT coin_markets_revisions_pk PRIMARY KEY (source, symbol, ts, revision)
);

COMMENT ON TABLE raw.coin_markets_revisions IS 'Replaced versions of raw.coin_markets.';

COMMENT ON COLUMN raw.coin_markets_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.dashboard_signals (
	source TEXT NOT NULL,
	symbol TEXT NOT NULL,
	component TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	signal_score FLOAT(53) NOT NULL,
	signal_confidence FLOAT(53),
	signal_direction TEXT,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT dashboard_signals_pk PRIMARY KEY (source, symbol, component, ts),
	CONSTRAINT dashboard_signals_component_ck0 CHECK ("component" IN ('momentum', 'technical', 'volume', 'orderflow', 'orderbook', 'sentiment', 'price_action', 'beta_exp', 'confluence', 'whale_act', 'liquidation')),
	CONSTRAINT dashboard_signals_signal_score_ck0 CHECK ("signal_score" >= 0.0 AND "signal_score" <= 100.0),
	CONSTRAINT dashboard_signals_signal_confidence_ck0 CHECK ("signal_confidence" >= 0.0 AND "signal_confidence" <= 1.0),
	CONSTRAINT dashboard_signals_signal_direction_ck0 CHECK ("signal_direction" IN ('bullish', 'bearish', 'neutral')),
	CONSTRAINT dashboard_signals_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT dashboard_signals_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT dashboard_signals_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT dashboard_signals_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.dashboard_signals IS 'Ready-made scores of an outside signal service, beside ours and never mixed with them. ts is the hour they are about. Forward only.';

COMMENT ON COLUMN raw.dashboard_signals.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.dashboard_signals.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.dashboard_signals.component IS 'Signal component that is scored.';

COMMENT ON COLUMN raw.dashboard_signals.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.dashboard_signals.signal_score IS 'The service''s own score; ours are in schema signals.';

COMMENT ON COLUMN raw.dashboard_signals.signal_confidence IS 'The service''s own confidence.';

COMMENT ON COLUMN raw.dashboard_signals.signal_direction IS 'The service''s own verdict.';

COMMENT ON COLUMN raw.dashboard_signals.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.dashboard_signals.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.dashboard_signals.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.dashboard_signals.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.dashboard_signals.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.dashboard_signals.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.dashboard_signals.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.dashboard_signals_revisions (
	source TEXT NOT NULL,
	symbol TEXT NOT NULL,
	component TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	signal_score FLOAT(53),
	signal_confidence FLOAT(53),
	signal_direction TEXT,
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT dashboard_signals_revisions_pk PRIMARY KEY (source, symbol, component, ts, revision)
);

COMMENT ON TABLE raw.dashboard_signals_revisions IS 'Replaced versions of raw.dashboard_signals.';

COMMENT ON COLUMN raw.dashboard_signals_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.fear_greed (
	source TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	fear_greed FLOAT(53) NOT NULL,
	classification TEXT,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT fear_greed_pk PRIMARY KEY (source, ts),
	CONSTRAINT fear_greed_fear_greed_ck0 CHECK ("fear_greed" >= 0.0 AND "fear_greed" <= 100.0),
	CONSTRAINT fear_greed_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT fear_greed_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT fear_greed_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT fear_greed_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.fear_greed IS 'Fear & Greed index, daily, market wide. ts is the day it is published for.';

COMMENT ON COLUMN raw.fear_greed.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.fear_greed.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.fear_greed.fear_greed IS 'Fear & Greed index, market wide.';

COMMENT ON COLUMN raw.fear_greed.classification IS 'The provider''s own word for the index value.';

COMMENT ON COLUMN raw.fear_greed.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.fear_greed.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.fear_greed.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.fear_greed.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.fear_greed.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.fear_greed.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.fear_greed.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.fear_greed_revisions (
	source TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	fear_greed FLOAT(53),
	classification TEXT,
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT fear_greed_revisions_pk PRIMARY KEY (source, ts, revision)
);

COMMENT ON TABLE raw.fear_greed_revisions IS 'Replaced versions of raw.fear_greed.';

COMMENT ON COLUMN raw.fear_greed_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.funding_predictions (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	predicted_rate FLOAT(53) NOT NULL,
	predicted_for TIMESTAMP WITH TIME ZONE,
	interval_hours BIGINT,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT funding_predictions_pk PRIMARY KEY (source, venue, market, symbol, ts),
	CONSTRAINT funding_predictions_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT funding_predictions_predicted_rate_ck0 CHECK ("predicted_rate" >= -1.0 AND "predicted_rate" <= 1.0),
	CONSTRAINT funding_predictions_interval_hours_ck0 CHECK ("interval_hours" >= 1),
	CONSTRAINT funding_predictions_interval_hours_ck1 CHECK ("interval_hours" <= 24),
	CONSTRAINT funding_predictions_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT funding_predictions_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT funding_predictions_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT funding_predictions_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.funding_predictions IS 'The venue''s running estimate of the coming settlement, stamped with the hour it was asked in; available_at says when it was seen. Forward only: a past estimate cannot be asked for.';

COMMENT ON COLUMN raw.funding_predictions.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.funding_predictions.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN raw.funding_predictions.market IS 'Market type.';

COMMENT ON COLUMN raw.funding_predictions.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.funding_predictions.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.funding_predictions.predicted_rate IS 'The venue''s running estimate of the coming settlement; not a settled rate.';

COMMENT ON COLUMN raw.funding_predictions.predicted_for IS 'Settlement that the estimate is about.';

COMMENT ON COLUMN raw.funding_predictions.interval_hours IS 'Hours between settlements in force.';

COMMENT ON COLUMN raw.funding_predictions.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.funding_predictions.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.funding_predictions.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.funding_predictions.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.funding_predictions.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.funding_predictions.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.funding_predictions.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.funding_predictions_revisions (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	predicted_rate FLOAT(53),
	predicted_for TIMESTAMP WITH TIME ZONE,
	interval_hours BIGINT,
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT funding_predictions_revisions_pk PRIMARY KEY (source, venue, market, symbol, ts, revision)
);

COMMENT ON TABLE raw.funding_predictions_revisions IS 'Replaced versions of raw.funding_predictions.';

COMMENT ON COLUMN raw.funding_predictions_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.funding_rates (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	funding_rate FLOAT(53) NOT NULL,
	interval_hours BIGINT,
	mark_price FLOAT(53),
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT funding_rates_pk PRIMARY KEY (source, venue, market, symbol, ts),
	CONSTRAINT funding_rates_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT funding_rates_funding_rate_ck0 CHECK ("funding_rate" >= -1.0 AND "funding_rate" <= 1.0),
	CONSTRAINT funding_rates_interval_hours_ck0 CHECK ("interval_hours" >= 1),
	CONSTRAINT funding_rates_interval_hours_ck1 CHECK ("interval_hours" <= 24),
	CONSTRAINT funding_rates_mark_price_ck0 CHECK ("mark_price" > 0.0 AND "mark_price" < 'Infinity'),
	CONSTRAINT funding_rates_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT funding_rates_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT funding_rates_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT funding_rates_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.funding_rates IS 'Settled funding prints. ts is the settlement time rounded to the minute.';

COMMENT ON COLUMN raw.funding_rates.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.funding_rates.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN raw.funding_rates.market IS 'Market type.';

COMMENT ON COLUMN raw.funding_rates.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.funding_rates.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.funding_rates.funding_rate IS 'Settled funding rate as a fraction of notional per funding interval.';

COMMENT ON COLUMN raw.funding_rates.interval_hours IS 'Hours between settlements in force.';

COMMENT ON COLUMN raw.funding_rates.mark_price IS 'Mark price at settlement.';

COMMENT ON COLUMN raw.funding_rates.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.funding_rates.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.funding_rates.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.funding_rates.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.funding_rates.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.funding_rates.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.funding_rates.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.funding_rates_revisions (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	funding_rate FLOAT(53),
	interval_hours BIGINT,
	mark_price FLOAT(53),
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT funding_rates_revisions_pk PRIMARY KEY (source, venue, market, symbol, ts, revision)
);

COMMENT ON TABLE raw.funding_rates_revisions IS 'Replaced versions of raw.funding_rates.';

COMMENT ON COLUMN raw.funding_rates_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.legacy_signals (
	source TEXT NOT NULL,
	symbol TEXT NOT NULL,
	component TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	legacy_score FLOAT(53) NOT NULL,
	legacy_direction TEXT,
	legacy_strength FLOAT(53),
	legacy_confidence FLOAT(53),
	legacy_price FLOAT(53),
	cross_check TEXT NOT NULL,
	is_repaired BOOLEAN NOT NULL,
	file_name TEXT NOT NULL,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT legacy_signals_pk PRIMARY KEY (source, symbol, component, ts),
	CONSTRAINT legacy_signals_component_ck0 CHECK ("component" IN ('momentum', 'technical', 'volume', 'orderflow', 'orderbook', 'sentiment', 'price_action', 'beta_exp', 'confluence', 'whale_act', 'liquidation')),
	CONSTRAINT legacy_signals_legacy_score_ck0 CHECK ("legacy_score" >= 0.0 AND "legacy_score" <= 100.0),
	CONSTRAINT legacy_signals_legacy_direction_ck0 CHECK ("legacy_direction" IN ('BULLISH', 'NEUTRAL', 'BEARISH')),
	CONSTRAINT legacy_signals_legacy_strength_ck0 CHECK ("legacy_strength" >= 0.0 AND "legacy_strength" <= 1.0),
	CONSTRAINT legacy_signals_legacy_confidence_ck0 CHECK ("legacy_confidence" >= 0.0 AND "legacy_confidence" <= 1.0),
	CONSTRAINT legacy_signals_legacy_price_ck0 CHECK ("legacy_price" > 0.0 AND "legacy_price" < 'Infinity'),
	CONSTRAINT legacy_signals_cross_check_ck0 CHECK ("cross_check" IN ('agrees', 'differs', 'no_reference')),
	CONSTRAINT legacy_signals_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT legacy_signals_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT legacy_signals_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT legacy_signals_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.legacy_signals IS 'Signal scores of the replaced systems, migrated from their JSON files; filled by `regime migrate-signals`. ts is when the file says that the signal was made.';

COMMENT ON COLUMN raw.legacy_signals.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.legacy_signals.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.legacy_signals.component IS 'Signal component that is scored.';

COMMENT ON COLUMN raw.legacy_signals.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.legacy_signals.legacy_score IS 'Score as the replaced system computed it, by rules of its own; ours are in schema signals.';

COMMENT ON COLUMN raw.legacy_signals.legacy_direction IS 'Direction as written in the file.';

COMMENT ON COLUMN raw.legacy_signals.legacy_strength IS 'Strength as written; words are weak 0.25, moderate 0.5, strong 0.75, very strong 1.';

COMMENT ON COLUMN raw.legacy_signals.legacy_confidence IS 'Confidence as written.';

COMMENT ON COLUMN raw.legacy_signals.legacy_price IS 'Price that the record carries, in the quote currency; checked against stored candles.';

COMMENT ON COLUMN raw.legacy_signals.cross_check IS 'Against the stored score of a better tier for the same component and hour: differs is more than 25 points away.';

COMMENT ON COLUMN raw.legacy_signals.is_repaired IS 'The file could be read only after a repair.';

COMMENT ON COLUMN raw.legacy_signals.file_name IS 'File below the folder that was migrated.';

COMMENT ON COLUMN raw.legacy_signals.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.legacy_signals.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.legacy_signals.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.legacy_signals.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.legacy_signals.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.legacy_signals.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.legacy_signals.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.legacy_signals_revisions (
	source TEXT NOT NULL,
	symbol TEXT NOT NULL,
	component TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	legacy_score FLOAT(53),
	legacy_direction TEXT,
	legacy_strength FLOAT(53),
	legacy_confidence FLOAT(53),
	legacy_price FLOAT(53),
	cross_check TEXT,
	is_repaired BOOLEAN,
	file_name TEXT,
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT legacy_signals_revisions_pk PRIMARY KEY (source, symbol, component, ts, revision)
);

COMMENT ON TABLE raw.legacy_signals_revisions IS 'Replaced versions of raw.legacy_signals.';

COMMENT ON COLUMN raw.legacy_signals_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.liquidation_events (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	closure_id TEXT NOT NULL,
	position_side TEXT NOT NULL,
	price FLOAT(53) NOT NULL,
	quantity_base FLOAT(53) NOT NULL,
	liquidation_usd FLOAT(53) NOT NULL,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT liquidation_events_pk PRIMARY KEY (source, venue, market, symbol, ts, closure_id),
	CONSTRAINT liquidation_events_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT liquidation_events_position_side_ck0 CHECK ("position_side" IN ('long', 'short')),
	CONSTRAINT liquidation_events_price_ck0 CHECK ("price" > 0.0 AND "price" < 'Infinity'),
	CONSTRAINT liquidation_events_quantity_base_ck0 CHECK ("quantity_base" >= 0.0 AND "quantity_base" < 'Infinity'),
	CONSTRAINT liquidation_events_liquidation_usd_ck0 CHECK ("liquidation_usd" >= 0.0 AND "liquidation_usd" < 'Infinity'),
	CONSTRAINT liquidation_events_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT liquidation_events_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT liquidation_events_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT liquidation_events_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.liquidation_events IS 'Forced closures one by one. ts is the time of the closing order; venues publish part of them only.';

COMMENT ON COLUMN raw.liquidation_events.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.liquidation_events.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN raw.liquidation_events.market IS 'Market type.';

COMMENT ON COLUMN raw.liquidation_events.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.liquidation_events.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.liquidation_events.closure_id IS 'Digest of what identifies an event that its venue does not number.';

COMMENT ON COLUMN raw.liquidation_events.position_side IS 'Side of the position that was closed by force.';

COMMENT ON COLUMN raw.liquidation_events.price IS 'Price of the event.';

COMMENT ON COLUMN raw.liquidation_events.quantity_base IS 'Amount of the event, base coin.';

COMMENT ON COLUMN raw.liquidation_events.liquidation_usd IS 'Value closed by force.';

COMMENT ON COLUMN raw.liquidation_events.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.liquidation_events.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.liquidation_events.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.liquidation_events.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.liquidation_events.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.liquidation_events.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.liquidation_events.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.liquidation_events_revisions (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	closure_id TEXT NOT NULL,
	position_side TEXT,
	price FLOAT(53),
	quantity_base FLOAT(53),
	liquidation_usd FLOAT(53),
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT liquidation_events_revisions_pk PRIMARY KEY (source, venue, market, symbol, ts, closure_id, revision)
);

COMMENT ON TABLE raw.liquidation_events_revisions IS 'Replaced versions of raw.liquidation_events.';

COMMENT ON COLUMN raw.liquidation_events_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.liquidations (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	timeframe TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	long_liquidations_usd FLOAT(53) NOT NULL,
	short_liquidations_usd FLOAT(53) NOT NULL,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT liquidations_pk PRIMARY KEY (source, venue, market, symbol, timeframe, ts),
	CONSTRAINT liquidations_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT liquidations_timeframe_ck0 CHECK ("timeframe" IN ('1h', '4h', '1d', '1w')),
	CONSTRAINT liquidations_long_liquidations_usd_ck0 CHECK ("long_liquidations_usd" >= 0.0 AND "long_liquidations_usd" < 'Infinity'),
	CONSTRAINT liquidations_short_liquidations_usd_ck0 CHECK ("short_liquidations_usd" >= 0.0 AND "short_liquidations_usd" < 'Infinity'),
	CONSTRAINT liquidations_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT liquidations_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT liquidations_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT liquidations_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.liquidations IS 'Forced closures in USD by hourly bucket and side. ts is the bucket''s start.';

COMMENT ON COLUMN raw.liquidations.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.liquidations.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN raw.liquidations.market IS 'Market type.';

COMMENT ON COLUMN raw.liquidations.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.liquidations.timeframe IS 'Length of the bar or bucket.';

COMMENT ON COLUMN raw.liquidations.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.liquidations.long_liquidations_usd IS 'Longs closed by force in the bucket.';

COMMENT ON COLUMN raw.liquidations.short_liquidations_usd IS 'Shorts closed by force in the bucket.';

COMMENT ON COLUMN raw.liquidations.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.liquidations.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.liquidations.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.liquidations.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.liquidations.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.liquidations.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.liquidations.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.liquidations_revisions (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	timeframe TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	long_liquidations_usd FLOAT(53),
	short_liquidations_usd FLOAT(53),
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT liquidations_revisions_pk PRIMARY KEY (source, venue, market, symbol, timeframe, ts, revision)
);

COMMENT ON TABLE raw.liquidations_revisions IS 'Replaced versions of raw.liquidations.';

COMMENT ON COLUMN raw.liquidations_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.open_interest (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	open_interest_base FLOAT(53),
	open_interest_usd FLOAT(53),
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT open_interest_pk PRIMARY KEY (source, venue, market, symbol, ts),
	CONSTRAINT open_interest_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT open_interest_open_interest_base_ck0 CHECK ("open_interest_base" >= 0.0 AND "open_interest_base" < 'Infinity'),
	CONSTRAINT open_interest_open_interest_usd_ck0 CHECK ("open_interest_usd" >= 0.0 AND "open_interest_usd" < 'Infinity'),
	CONSTRAINT open_interest_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT open_interest_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT open_interest_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT open_interest_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.open_interest IS 'Open interest by hourly bucket, one-sided. ts is the bucket''s start; the value is its close.';

COMMENT ON COLUMN raw.open_interest.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.open_interest.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN raw.open_interest.market IS 'Market type.';

COMMENT ON COLUMN raw.open_interest.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.open_interest.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.open_interest.open_interest_base IS 'One-sided open interest in coins.';

COMMENT ON COLUMN raw.open_interest.open_interest_usd IS 'One-sided open interest in US dollars.';

COMMENT ON COLUMN raw.open_interest.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.open_interest.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.open_interest.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.open_interest.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.open_interest.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.open_interest.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.open_interest.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.open_interest_revisions (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	open_interest_base FLOAT(53),
	open_interest_usd FLOAT(53),
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT open_interest_revisions_pk PRIMARY KEY (source, venue, market, symbol, ts, revision)
);

COMMENT ON TABLE raw.open_interest_revisions IS 'Replaced versions of raw.open_interest.';

COMMENT ON COLUMN raw.open_interest_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.order_book (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	book_ts TIMESTAMP WITH TIME ZONE,
	book_age_s FLOAT(53) NOT NULL,
	best_bid FLOAT(53),
	best_ask FLOAT(53),
	mid FLOAT(53),
	microprice FLOAT(53),
	spread_bps FLOAT(53),
	depth_10bps_bid_usd FLOAT(53),
	depth_10bps_ask_usd FLOAT(53),
	depth_25bps_bid_usd FLOAT(53),
	depth_25bps_ask_usd FLOAT(53),
	depth_50bps_bid_usd FLOAT(53),
	depth_50bps_ask_usd FLOAT(53),
	imbalance FLOAT(53),
	bid_levels BIGINT NOT NULL,
	ask_levels BIGINT NOT NULL,
	book_reach_bps FLOAT(53),
	is_lower_bound BOOLEAN,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT order_book_pk PRIMARY KEY (source, venue, market, symbol, ts),
	CONSTRAINT order_book_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT order_book_book_age_s_ck0 CHECK ("book_age_s" >= 0.0 AND "book_age_s" < 'Infinity'),
	CONSTRAINT order_book_best_bid_ck0 CHECK ("best_bid" > 0.0 AND "best_bid" < 'Infinity'),
	CONSTRAINT order_book_best_ask_ck0 CHECK ("best_ask" > 0.0 AND "best_ask" < 'Infinity'),
	CONSTRAINT order_book_mid_ck0 CHECK ("mid" > 0.0 AND "mid" < 'Infinity'),
	CONSTRAINT order_book_microprice_ck0 CHECK ("microprice" > 0.0 AND "microprice" < 'Infinity'),
	CONSTRAINT order_book_spread_bps_ck0 CHECK ("spread_bps" >= 0.0 AND "spread_bps" < 'Infinity'),
	CONSTRAINT order_book_depth_10bps_bid_usd_ck0 CHECK ("depth_10bps_bid_usd" >= 0.0 AND "depth_10bps_bid_usd" < 'Infinity'),
	CONSTRAINT order_book_depth_10bps_ask_usd_ck0 CHECK ("depth_10bps_ask_usd" >= 0.0 AND "depth_10bps_ask_usd" < 'Infinity'),
	CONSTRAINT order_book_depth_25bps_bid_usd_ck0 CHECK ("depth_25bps_bid_usd" >= 0.0 AND "depth_25bps_bid_usd" < 'Infinity'),
	CONSTRAINT order_book_depth_25bps_ask_usd_ck0 CHECK ("depth_25bps_ask_usd" >= 0.0 AND "depth_25bps_ask_usd" < 'Infinity'),
	CONSTRAINT order_book_depth_50bps_bid_usd_ck0 CHECK ("depth_50bps_bid_usd" >= 0.0 AND "depth_50bps_bid_usd" < 'Infinity'),
	CONSTRAINT order_book_depth_50bps_ask_usd_ck0 CHECK ("depth_50bps_ask_usd" >= 0.0 AND "depth_50bps_ask_usd" < 'Infinity'),
	CONSTRAINT order_book_imbalance_ck0 CHECK ("imbalance" >= -1.0 AND "imbalance" <= 1.0),
	CONSTRAINT order_book_bid_levels_ck0 CHECK ("bid_levels" >= 0),
	CONSTRAINT order_book_ask_levels_ck0 CHECK ("ask_levels" >= 0),
	CONSTRAINT order_book_book_reach_bps_ck0 CHECK ("book_reach_bps" >= 0.0 AND "book_reach_bps" < 'Infinity'),
	CONSTRAINT order_book_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT order_book_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT order_book_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT order_book_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.order_book IS 'Snapshots of order books, summed around the mid. ts is the instant of sampling; collected as time goes, a past that was not sampled is gone.';

COMMENT ON COLUMN raw.order_book.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.order_book.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN raw.order_book.market IS 'Market type.';

COMMENT ON COLUMN raw.order_book.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.order_book.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.order_book.book_ts IS 'The venue''s time of the book; null where it sends none.';

COMMENT ON COLUMN raw.order_book.book_age_s IS 'Sampling instant minus the venue''s time of the book; 0 where it sends none.';

COMMENT ON COLUMN raw.order_book.best_bid IS 'Highest price bid.';

COMMENT ON COLUMN raw.order_book.best_ask IS 'Lowest price asked.';

COMMENT ON COLUMN raw.order_book.mid IS 'Half way between the best prices.';

COMMENT ON COLUMN raw.order_book.microprice IS 'Best prices weighted by the size on the other side.';

COMMENT ON COLUMN raw.order_book.spread_bps IS '1e4 (best ask - best bid) / mid.';

COMMENT ON COLUMN raw.order_book.depth_10bps_bid_usd IS 'Resting value on the bid side within 10 bps of the mid; of the levels sent only.';

COMMENT ON COLUMN raw.order_book.depth_10bps_ask_usd IS 'Resting value on the ask side within 10 bps of the mid; of the levels sent only.';

COMMENT ON COLUMN raw.order_book.depth_25bps_bid_usd IS 'Resting value on the bid side within 25 bps of the mid; of the levels sent only.';

COMMENT ON COLUMN raw.order_book.depth_25bps_ask_usd IS 'Resting value on the ask side within 25 bps of the mid; of the levels sent only.';

COMMENT ON COLUMN raw.order_book.depth_50bps_bid_usd IS 'Resting value on the bid side within 50 bps of the mid; of the levels sent only.';

COMMENT ON COLUMN raw.order_book.depth_50bps_ask_usd IS 'Resting value on the ask side within 50 bps of the mid; of the levels sent only.';

COMMENT ON COLUMN raw.order_book.imbalance IS '(bid - ask) / (bid + ask) of the value within 25 bps.';

COMMENT ON COLUMN raw.order_book.bid_levels IS 'Price levels on the bid side that were sent.';

COMMENT ON COLUMN raw.order_book.ask_levels IS 'Price levels on the ask side that were sent.';

COMMENT ON COLUMN raw.order_book.book_reach_bps IS 'Distance from the mid to the last level of the nearer side; depths beyond are lower bounds.';

COMMENT ON COLUMN raw.order_book.is_lower_bound IS 'The venue publishes only part of the events, so that the sum is a minimum.';

COMMENT ON COLUMN raw.order_book.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.order_book.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.order_book.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.order_book.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.order_book.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.order_book.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.order_book.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.order_book_revisions (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	book_ts TIMESTAMP WITH TIME ZONE,
	book_age_s FLOAT(53),
	best_bid FLOAT(53),
	best_ask FLOAT(53),
	mid FLOAT(53),
	microprice FLOAT(53),
	spread_bps FLOAT(53),
	depth_10bps_bid_usd FLOAT(53),
	depth_10bps_ask_usd FLOAT(53),
	depth_25bps_bid_usd FLOAT(53),
	depth_25bps_ask_usd FLOAT(53),
	depth_50bps_bid_usd FLOAT(53),
	depth_50bps_ask_usd FLOAT(53),
	imbalance FLOAT(53),
	bid_levels BIGINT,
	ask_levels BIGINT,
	book_reach_bps FLOAT(53),
	is_lower_bound BOOLEAN,
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT order_book_revisions_pk PRIMARY KEY (source, venue, market, symbol, ts, revision)
);

COMMENT ON TABLE raw.order_book_revisions IS 'Replaced versions of raw.order_book.';

COMMENT ON COLUMN raw.order_book_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.positioning (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	metric TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	value FLOAT(53) NOT NULL,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT positioning_pk PRIMARY KEY (source, venue, market, symbol, metric, ts),
	CONSTRAINT positioning_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT positioning_metric_ck0 CHECK ("metric" IN ('global_account_long_frac', 'top_trader_account_long_frac', 'top_trader_position_long_frac', 'taker_buy_base', 'taker_sell_base')),
	CONSTRAINT positioning_value_ck0 CHECK ("value" >= 0.0 AND "value" < 'Infinity'),
	CONSTRAINT positioning_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT positioning_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT positioning_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT positioning_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.positioning IS 'Long-short shares and taker volumes, one row per metric. ts is the bucket''s start.';

COMMENT ON COLUMN raw.positioning.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.positioning.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN raw.positioning.market IS 'Market type.';

COMMENT ON COLUMN raw.positioning.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.positioning.metric IS 'What a positioning row measures.';

COMMENT ON COLUMN raw.positioning.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.positioning.value IS 'Value of the metric: a fraction, or coins for taker volumes.';

COMMENT ON COLUMN raw.positioning.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.positioning.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.positioning.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.positioning.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.positioning.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.positioning.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.positioning.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.positioning_revisions (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	metric TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	value FLOAT(53),
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT positioning_revisions_pk PRIMARY KEY (source, venue, market, symbol, metric, ts, revision)
);

COMMENT ON TABLE raw.positioning_revisions IS 'Replaced versions of raw.positioning.';

COMMENT ON COLUMN raw.positioning_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.reference_prices (
	source TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	reference_price FLOAT(53) NOT NULL,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT reference_prices_pk PRIMARY KEY (source, symbol, ts),
	CONSTRAINT reference_prices_reference_price_ck0 CHECK ("reference_price" > 0.0 AND "reference_price" < 'Infinity'),
	CONSTRAINT reference_prices_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT reference_prices_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT reference_prices_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT reference_prices_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.reference_prices IS 'Hourly reference rates, a 24 h volume-weighted mean over venues: for comparison, never a last price. ts is the bucket''s start.';

COMMENT ON COLUMN raw.reference_prices.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.reference_prices.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.reference_prices.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.reference_prices.reference_price IS 'Volume-weighted rate over many venues and 24 h at the bucket''s end: it lags the last price.';

COMMENT ON COLUMN raw.reference_prices.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.reference_prices.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.reference_prices.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.reference_prices.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.reference_prices.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.reference_prices.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.reference_prices.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.reference_prices_revisions (
	source TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	reference_price FLOAT(53),
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT reference_prices_revisions_pk PRIMARY KEY (source, symbol, ts, revision)
);

COMMENT ON TABLE raw.reference_prices_revisions IS 'Replaced versions of raw.reference_prices.';

COMMENT ON COLUMN raw.reference_prices_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.sentiment (
	source TEXT NOT NULL,
	sentiment_scope TEXT NOT NULL,
	sentiment_kind TEXT NOT NULL,
	symbol TEXT NOT NULL,
	item TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	sentiment_score FLOAT(53),
	mention_count FLOAT(53),
	interaction_count FLOAT(53),
	source_confidence FLOAT(53),
	headline TEXT,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT sentiment_pk PRIMARY KEY (source, sentiment_scope, sentiment_kind, symbol, item, ts),
	CONSTRAINT sentiment_sentiment_scope_ck0 CHECK ("sentiment_scope" IN ('symbol', 'market')),
	CONSTRAINT sentiment_sentiment_kind_ck0 CHECK ("sentiment_kind" IN ('social', 'news', 'trader')),
	CONSTRAINT sentiment_sentiment_score_ck0 CHECK ("sentiment_score" >= 0.0 AND "sentiment_score" <= 100.0),
	CONSTRAINT sentiment_mention_count_ck0 CHECK ("mention_count" >= 0.0 AND "mention_count" < 'Infinity'),
	CONSTRAINT sentiment_interaction_count_ck0 CHECK ("interaction_count" >= 0.0 AND "interaction_count" < 'Infinity'),
	CONSTRAINT sentiment_source_confidence_ck0 CHECK ("source_confidence" >= 0.0 AND "source_confidence" <= 1.0),
	CONSTRAINT sentiment_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT sentiment_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT sentiment_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT sentiment_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.sentiment IS 'Mood by source, kind and scope. ts is the start of an hourly bucket, the hour a reading was taken in, or a post''s publication. The Fear & Greed index has a table of its own.';

COMMENT ON COLUMN raw.sentiment.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.sentiment.sentiment_scope IS 'What the reading is about: one coin, or the market as a whole (symbol is then `*`).';

COMMENT ON COLUMN raw.sentiment.sentiment_kind IS 'Whose mood it is.';

COMMENT ON COLUMN raw.sentiment.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.sentiment.item IS '`aggregate` for a reading over many posts, else the provider''s id of the one post.';

COMMENT ON COLUMN raw.sentiment.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.sentiment.sentiment_score IS 'Mood, 50 is neutral; null when the provider gives no verdict.';

COMMENT ON COLUMN raw.sentiment.mention_count IS 'Posts behind the reading.';

COMMENT ON COLUMN raw.sentiment.interaction_count IS 'Reactions to those posts.';

COMMENT ON COLUMN raw.sentiment.source_confidence IS 'The provider''s own trust in its reading.';

COMMENT ON COLUMN raw.sentiment.headline IS 'Title of a single post, one line.';

COMMENT ON COLUMN raw.sentiment.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.sentiment.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.sentiment.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.sentiment.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.sentiment.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.sentiment.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.sentiment.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.sentiment_revisions (
	source TEXT NOT NULL,
	sentiment_scope TEXT NOT NULL,
	sentiment_kind TEXT NOT NULL,
	symbol TEXT NOT NULL,
	item TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	sentiment_score FLOAT(53),
	mention_count FLOAT(53),
	interaction_count FLOAT(53),
	source_confidence FLOAT(53),
	headline TEXT,
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT sentiment_revisions_pk PRIMARY KEY (source, sentiment_scope, sentiment_kind, symbol, item, ts, revision)
);

COMMENT ON TABLE raw.sentiment_revisions IS 'Replaced versions of raw.sentiment.';

COMMENT ON COLUMN raw.sentiment_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.trade_flow (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	taker_buy_base FLOAT(53) NOT NULL,
	taker_sell_base FLOAT(53) NOT NULL,
	taker_buy_quote FLOAT(53) NOT NULL,
	taker_sell_quote FLOAT(53) NOT NULL,
	taker_buy_count BIGINT,
	taker_sell_count BIGINT,
	size_counts JSONB,
	size_values JSONB,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT trade_flow_pk PRIMARY KEY (source, venue, market, symbol, ts),
	CONSTRAINT trade_flow_market_ck0 CHECK ("market" IN ('spot', 'perp', 'index')),
	CONSTRAINT trade_flow_taker_buy_base_ck0 CHECK ("taker_buy_base" >= 0.0 AND "taker_buy_base" < 'Infinity'),
	CONSTRAINT trade_flow_taker_sell_base_ck0 CHECK ("taker_sell_base" >= 0.0 AND "taker_sell_base" < 'Infinity'),
	CONSTRAINT trade_flow_taker_buy_quote_ck0 CHECK ("taker_buy_quote" >= 0.0 AND "taker_buy_quote" < 'Infinity'),
	CONSTRAINT trade_flow_taker_sell_quote_ck0 CHECK ("taker_sell_quote" >= 0.0 AND "taker_sell_quote" < 'Infinity'),
	CONSTRAINT trade_flow_taker_buy_count_ck0 CHECK ("taker_buy_count" >= 0),
	CONSTRAINT trade_flow_taker_sell_count_ck0 CHECK ("taker_sell_count" >= 0),
	CONSTRAINT trade_flow_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT trade_flow_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT trade_flow_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT trade_flow_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.trade_flow IS 'Single trades summed by hour and side of the taker; only hours fetched from end to end. ts is the hour''s start.';

COMMENT ON COLUMN raw.trade_flow.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.trade_flow.venue IS 'Exchange the observation is about; `aggregate` over several.';

COMMENT ON COLUMN raw.trade_flow.market IS 'Market type.';

COMMENT ON COLUMN raw.trade_flow.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN raw.trade_flow.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.trade_flow.taker_buy_base IS 'Amount bought by takers.';

COMMENT ON COLUMN raw.trade_flow.taker_sell_base IS 'Amount sold by takers.';

COMMENT ON COLUMN raw.trade_flow.taker_buy_quote IS 'Value bought by takers.';

COMMENT ON COLUMN raw.trade_flow.taker_sell_quote IS 'Value sold by takers.';

COMMENT ON COLUMN raw.trade_flow.taker_buy_count IS 'Trades in which the taker bought.';

COMMENT ON COLUMN raw.trade_flow.taker_sell_count IS 'Trades in which the taker sold.';

COMMENT ON COLUMN raw.trade_flow.size_counts IS 'Trades per bin of their value: quarter octaves from 1 USD, 96 bins.';

COMMENT ON COLUMN raw.trade_flow.size_values IS 'Traded value per bin of size_counts.';

COMMENT ON COLUMN raw.trade_flow.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.trade_flow.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.trade_flow.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.trade_flow.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.trade_flow.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.trade_flow.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.trade_flow.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.trade_flow_revisions (
	source TEXT NOT NULL,
	venue TEXT NOT NULL,
	market TEXT NOT NULL,
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	taker_buy_base FLOAT(53),
	taker_sell_base FLOAT(53),
	taker_buy_quote FLOAT(53),
	taker_sell_quote FLOAT(53),
	taker_buy_count BIGINT,
	taker_sell_count BIGINT,
	size_counts JSONB,
	size_values JSONB,
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT trade_flow_revisions_pk PRIMARY KEY (source, venue, market, symbol, ts, revision)
);

COMMENT ON TABLE raw.trade_flow_revisions IS 'Replaced versions of raw.trade_flow.';

COMMENT ON COLUMN raw.trade_flow_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE raw.whale_transfers (
	source TEXT NOT NULL,
	blockchain TEXT NOT NULL,
	transaction_hash TEXT NOT NULL,
	transfer_id TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	coin TEXT NOT NULL,
	transaction_type TEXT,
	transfer_amount FLOAT(53),
	transfer_usd FLOAT(53) NOT NULL,
	from_address TEXT,
	from_owner TEXT,
	from_owner_type TEXT NOT NULL,
	to_address TEXT,
	to_owner TEXT,
	to_owner_type TEXT NOT NULL,
	listing_complete BOOLEAN NOT NULL,
	source_tier BIGINT NOT NULL,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE NOT NULL,
	pit_grade TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT whale_transfers_pk PRIMARY KEY (source, blockchain, transaction_hash, transfer_id, ts),
	CONSTRAINT whale_transfers_transfer_amount_ck0 CHECK ("transfer_amount" >= 0.0 AND "transfer_amount" < 'Infinity'),
	CONSTRAINT whale_transfers_transfer_usd_ck0 CHECK ("transfer_usd" >= 0.0 AND "transfer_usd" <= 1000000000000.0),
	CONSTRAINT whale_transfers_from_owner_type_ck0 CHECK ("from_owner_type" IN ('exchange', 'unknown', 'other')),
	CONSTRAINT whale_transfers_to_owner_type_ck0 CHECK ("to_owner_type" IN ('exchange', 'unknown', 'other')),
	CONSTRAINT whale_transfers_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT whale_transfers_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT whale_transfers_pit_grade_ck0 CHECK ("pit_grade" IN ('observed', 'assumed')),
	CONSTRAINT whale_transfers_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE raw.whale_transfers IS 'Large transfers on chain. ts is the block''s time. Owner labels are corrected by providers later; the label of any past moment is in the revisions.';

COMMENT ON COLUMN raw.whale_transfers.source IS 'Provider that told us.';

COMMENT ON COLUMN raw.whale_transfers.blockchain IS 'Chain that the transfer is on.';

COMMENT ON COLUMN raw.whale_transfers.transaction_hash IS 'Hash of the transaction; it may hold several transfers.';

COMMENT ON COLUMN raw.whale_transfers.transfer_id IS 'The provider''s id of the transfer; where it gives none, a digest of its ends and amount.';

COMMENT ON COLUMN raw.whale_transfers.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN raw.whale_transfers.coin IS 'Coin moved, upper case, as the provider names it.';

COMMENT ON COLUMN raw.whale_transfers.transaction_type IS 'transfer, mint, burn, lock ... as the provider says.';

COMMENT ON COLUMN raw.whale_transfers.transfer_amount IS 'Amount moved.';

COMMENT ON COLUMN raw.whale_transfers.transfer_usd IS 'Value moved at the time.';

COMMENT ON COLUMN raw.whale_transfers.from_address IS 'Sending address.';

COMMENT ON COLUMN raw.whale_transfers.from_owner IS 'Whose address it is, as labelled now; labels are corrected.';

COMMENT ON COLUMN raw.whale_transfers.from_owner_type IS 'Kind of the sender.';

COMMENT ON COLUMN raw.whale_transfers.to_address IS 'Receiving address.';

COMMENT ON COLUMN raw.whale_transfers.to_owner IS 'Whose address it is, as labelled now; labels are corrected.';

COMMENT ON COLUMN raw.whale_transfers.to_owner_type IS 'Kind of the receiver.';

COMMENT ON COLUMN raw.whale_transfers.listing_complete IS 'Whether the listing that the row is from was read to its end.';

COMMENT ON COLUMN raw.whale_transfers.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN raw.whale_transfers.payload_id IS 'Landing-store id (sha256) of the response bytes.';

COMMENT ON COLUMN raw.whale_transfers.available_at IS 'When the value could be known: arrival for rows seen live, else close + declared lag.';

COMMENT ON COLUMN raw.whale_transfers.pit_grade IS 'Whether the arrival was seen or is assumed from a declared lag.';

COMMENT ON COLUMN raw.whale_transfers.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN raw.whale_transfers.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN raw.whale_transfers.run_id IS 'Run that wrote this version.';

CREATE TABLE raw.whale_transfers_revisions (
	source TEXT NOT NULL,
	blockchain TEXT NOT NULL,
	transaction_hash TEXT NOT NULL,
	transfer_id TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	coin TEXT,
	transaction_type TEXT,
	transfer_amount FLOAT(53),
	transfer_usd FLOAT(53),
	from_address TEXT,
	from_owner TEXT,
	from_owner_type TEXT,
	to_address TEXT,
	to_owner TEXT,
	to_owner_type TEXT,
	listing_complete BOOLEAN,
	source_tier BIGINT,
	payload_id TEXT,
	available_at TIMESTAMP WITH TIME ZONE,
	pit_grade TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT whale_transfers_revisions_pk PRIMARY KEY (source, blockchain, transaction_hash, transfer_id, ts, revision)
);

COMMENT ON TABLE raw.whale_transfers_revisions IS 'Replaced versions of raw.whale_transfers.';

COMMENT ON COLUMN raw.whale_transfers_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE regimes.timeframe_confidence (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	primary_regime TEXT,
	agreement_count BIGINT,
	confidence FLOAT(53),
	confidence_kind TEXT,
	confidence_lo FLOAT(53),
	confidence_hi FLOAT(53),
	confidence_n BIGINT,
	confidence_base FLOAT(53),
	confidence_base_n BIGINT,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT timeframe_confidence_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT timeframe_confidence_primary_regime_ck0 CHECK ("primary_regime" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_confidence_agreement_count_ck0 CHECK ("agreement_count" >= 0),
	CONSTRAINT timeframe_confidence_agreement_count_ck1 CHECK ("agreement_count" <= 4),
	CONSTRAINT timeframe_confidence_confidence_ck0 CHECK ("confidence" >= 0.0 AND "confidence" <= 1.0),
	CONSTRAINT timeframe_confidence_confidence_kind_ck0 CHECK ("confidence_kind" IN ('heuristic', 'calibrated')),
	CONSTRAINT timeframe_confidence_confidence_lo_ck0 CHECK ("confidence_lo" >= 0.0 AND "confidence_lo" <= 1.0),
	CONSTRAINT timeframe_confidence_confidence_hi_ck0 CHECK ("confidence_hi" >= 0.0 AND "confidence_hi" <= 1.0),
	CONSTRAINT timeframe_confidence_confidence_n_ck0 CHECK ("confidence_n" >= 0),
	CONSTRAINT timeframe_confidence_confidence_base_ck0 CHECK ("confidence_base" >= 0.0 AND "confidence_base" <= 1.0),
	CONSTRAINT timeframe_confidence_confidence_base_n_ck0 CHECK ("confidence_base_n" >= 0),
	CONSTRAINT timeframe_confidence_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT timeframe_confidence_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT timeframe_confidence_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT timeframe_confidence_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE regimes.timeframe_confidence IS 'Confidence in each hour''s primary regime: the share of earlier cases of the same pattern that held for a day, all symbols together; the agreement score until there are 200 cases.';

COMMENT ON COLUMN regimes.timeframe_confidence.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN regimes.timeframe_confidence.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN regimes.timeframe_confidence.primary_regime IS 'primary_raw once it held for three consecutive rows. Without any direction: IGNITION 1.1 %, COOLING 14.6 %, CHOP 22.9 %, NEUTRAL 61.4 %.';

COMMENT ON COLUMN regimes.timeframe_confidence.agreement_count IS 'Size of the largest group of equal labels, NEUTRAL left out. Without any direction: 2 or more in 41.5 %, 3 or more in 8.0 % of the rows.';

COMMENT ON COLUMN regimes.timeframe_confidence.confidence IS 'Reliability of the row''s main value.';

COMMENT ON COLUMN regimes.timeframe_confidence.confidence_kind IS 'heuristic: the agreement score; calibrated: the share of earlier cases that held (regimes.timeframe_confidence).';

COMMENT ON COLUMN regimes.timeframe_confidence.confidence_lo IS '2.5 % point of the Beta distribution.';

COMMENT ON COLUMN regimes.timeframe_confidence.confidence_hi IS '97.5 % point of the Beta distribution.';

COMMENT ON COLUMN regimes.timeframe_confidence.confidence_n IS 'Earlier cases with the row''s pattern.';

COMMENT ON COLUMN regimes.timeframe_confidence.confidence_base IS 'Share of all earlier cases that held, which small patterns are drawn to.';

COMMENT ON COLUMN regimes.timeframe_confidence.confidence_base_n IS 'All earlier cases.';

COMMENT ON COLUMN regimes.timeframe_confidence.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN regimes.timeframe_confidence.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN regimes.timeframe_confidence.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN regimes.timeframe_confidence.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN regimes.timeframe_confidence.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN regimes.timeframe_confidence.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN regimes.timeframe_confidence.run_id IS 'Run that wrote this version.';

CREATE TABLE regimes.timeframe_confidence_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	primary_regime TEXT,
	agreement_count BIGINT,
	confidence FLOAT(53),
	confidence_kind TEXT,
	confidence_lo FLOAT(53),
	confidence_hi FLOAT(53),
	confidence_n BIGINT,
	confidence_base FLOAT(53),
	confidence_base_n BIGINT,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT timeframe_confidence_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE regimes.timeframe_confidence_revisions IS 'Replaced versions of regimes.timeframe_confidence.';

COMMENT ON COLUMN regimes.timeframe_confidence_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE regimes.timeframe_outcomes (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	case_ts TIMESTAMP WITH TIME ZONE NOT NULL,
	primary_regime TEXT,
	agreement_count BIGINT,
	persisted_24h BOOLEAN,
	return_24h FLOAT(53),
	held_24h BOOLEAN,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT timeframe_outcomes_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT timeframe_outcomes_primary_regime_ck0 CHECK ("primary_regime" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_outcomes_agreement_count_ck0 CHECK ("agreement_count" >= 0),
	CONSTRAINT timeframe_outcomes_agreement_count_ck1 CHECK ("agreement_count" <= 4),
	CONSTRAINT timeframe_outcomes_return_24h_ck0 CHECK ("return_24h" > '-Infinity' AND "return_24h" < 'Infinity'),
	CONSTRAINT timeframe_outcomes_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT timeframe_outcomes_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT timeframe_outcomes_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT timeframe_outcomes_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE regimes.timeframe_outcomes IS 'What became of the directed primaries of the 23:00 rows a day later; ts is the later row, at whose end it is known.';

COMMENT ON COLUMN regimes.timeframe_outcomes.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN regimes.timeframe_outcomes.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN regimes.timeframe_outcomes.case_ts IS 'Row whose primary regime is the case.';

COMMENT ON COLUMN regimes.timeframe_outcomes.primary_regime IS 'primary_raw once it held for three consecutive rows. Without any direction: IGNITION 1.1 %, COOLING 14.6 %, CHOP 22.9 %, NEUTRAL 61.4 %.';

COMMENT ON COLUMN regimes.timeframe_outcomes.agreement_count IS 'Size of the largest group of equal labels, NEUTRAL left out. Without any direction: 2 or more in 41.5 %, 3 or more in 8.0 % of the rows.';

COMMENT ON COLUMN regimes.timeframe_outcomes.persisted_24h IS 'The primary regime was the same a day later.';

COMMENT ON COLUMN regimes.timeframe_outcomes.return_24h IS 'Log return of the perpetual from the close before the print to the close 24 h later.';

COMMENT ON COLUMN regimes.timeframe_outcomes.held_24h IS 'The primary persisted, or the spot close moved with its sign; null when neither is so and one is unknown.';

COMMENT ON COLUMN regimes.timeframe_outcomes.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN regimes.timeframe_outcomes.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN regimes.timeframe_outcomes.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN regimes.timeframe_outcomes.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN regimes.timeframe_outcomes.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN regimes.timeframe_outcomes.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN regimes.timeframe_outcomes.run_id IS 'Run that wrote this version.';

CREATE TABLE regimes.timeframe_outcomes_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	case_ts TIMESTAMP WITH TIME ZONE,
	primary_regime TEXT,
	agreement_count BIGINT,
	persisted_24h BOOLEAN,
	return_24h FLOAT(53),
	held_24h BOOLEAN,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT timeframe_outcomes_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE regimes.timeframe_outcomes_revisions IS 'Replaced versions of regimes.timeframe_outcomes.';

COMMENT ON COLUMN regimes.timeframe_outcomes_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE regimes.timeframe_regimes (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	regime_1h TEXT,
	regime_4h TEXT,
	regime_1d TEXT,
	regime_1w TEXT,
	primary_raw TEXT,
	primary_regime TEXT,
	primary_legacy TEXT,
	frames_available BIGINT,
	agreement_count BIGINT,
	compatible_count BIGINT,
	agreement_score FLOAT(53),
	confidence FLOAT(53),
	confidence_kind TEXT,
	n_eff_votes FLOAT(53),
	agreement_legacy BIGINT,
	is_confirmed BOOLEAN,
	cooling_kind TEXT,
	regime_symmetric_1h TEXT,
	regime_symmetric_4h TEXT,
	regime_symmetric_1d TEXT,
	regime_symmetric_1w TEXT,
	price_z_1h FLOAT(53),
	trend_z_1h FLOAT(53),
	volume_z_1h FLOAT(53),
	heat_1h FLOAT(53),
	efficiency_1h FLOAT(53),
	price_z_4h FLOAT(53),
	trend_z_4h FLOAT(53),
	volume_z_4h FLOAT(53),
	heat_4h FLOAT(53),
	efficiency_4h FLOAT(53),
	price_z_1d FLOAT(53),
	trend_z_1d FLOAT(53),
	volume_z_1d FLOAT(53),
	heat_1d FLOAT(53),
	efficiency_1d FLOAT(53),
	price_z_1w FLOAT(53),
	trend_z_1w FLOAT(53),
	volume_z_1w FLOAT(53),
	heat_1w FLOAT(53),
	efficiency_1w FLOAT(53),
	event_kind TEXT,
	event_severity TEXT,
	event_ordinal BIGINT,
	episode_start TIMESTAMP WITH TIME ZONE,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT timeframe_regimes_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT timeframe_regimes_regime_1h_ck0 CHECK ("regime_1h" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_regimes_regime_4h_ck0 CHECK ("regime_4h" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_regimes_regime_1d_ck0 CHECK ("regime_1d" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_regimes_regime_1w_ck0 CHECK ("regime_1w" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_regimes_primary_raw_ck0 CHECK ("primary_raw" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_regimes_primary_regime_ck0 CHECK ("primary_regime" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_regimes_primary_legacy_ck0 CHECK ("primary_legacy" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_regimes_frames_available_ck0 CHECK ("frames_available" >= 0),
	CONSTRAINT timeframe_regimes_frames_available_ck1 CHECK ("frames_available" <= 4),
	CONSTRAINT timeframe_regimes_agreement_count_ck0 CHECK ("agreement_count" >= 0),
	CONSTRAINT timeframe_regimes_agreement_count_ck1 CHECK ("agreement_count" <= 4),
	CONSTRAINT timeframe_regimes_compatible_count_ck0 CHECK ("compatible_count" >= 0),
	CONSTRAINT timeframe_regimes_compatible_count_ck1 CHECK ("compatible_count" <= 4),
	CONSTRAINT timeframe_regimes_agreement_score_ck0 CHECK ("agreement_score" >= 0.0 AND "agreement_score" <= 1.0),
	CONSTRAINT timeframe_regimes_confidence_ck0 CHECK ("confidence" >= 0.0 AND "confidence" <= 1.0),
	CONSTRAINT timeframe_regimes_confidence_kind_ck0 CHECK ("confidence_kind" IN ('heuristic', 'calibrated')),
	CONSTRAINT timeframe_regimes_n_eff_votes_ck0 CHECK ("n_eff_votes" >= 1.0 AND "n_eff_votes" <= 4.0),
	CONSTRAINT timeframe_regimes_agreement_legacy_ck0 CHECK ("agreement_legacy" >= 0),
	CONSTRAINT timeframe_regimes_agreement_legacy_ck1 CHECK ("agreement_legacy" <= 4),
	CONSTRAINT timeframe_regimes_cooling_kind_ck0 CHECK ("cooling_kind" IN ('FADE', 'CAPITULATION')),
	CONSTRAINT timeframe_regimes_regime_symmetric_1h_ck0 CHECK ("regime_symmetric_1h" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_regimes_regime_symmetric_4h_ck0 CHECK ("regime_symmetric_4h" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_regimes_regime_symmetric_1d_ck0 CHECK ("regime_symmetric_1d" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_regimes_regime_symmetric_1w_ck0 CHECK ("regime_symmetric_1w" IN ('SPOT_IGNITION', 'SPOT_COOLING', 'SPOT_CHOP', 'SPOT_NEUTRAL')),
	CONSTRAINT timeframe_regimes_price_z_1h_ck0 CHECK ("price_z_1h" > '-Infinity' AND "price_z_1h" < 'Infinity'),
	CONSTRAINT timeframe_regimes_trend_z_1h_ck0 CHECK ("trend_z_1h" > '-Infinity' AND "trend_z_1h" < 'Infinity'),
	CONSTRAINT timeframe_regimes_volume_z_1h_ck0 CHECK ("volume_z_1h" > '-Infinity' AND "volume_z_1h" < 'Infinity'),
	CONSTRAINT timeframe_regimes_heat_1h_ck0 CHECK ("heat_1h" >= 0.0 AND "heat_1h" <= 100.0),
	CONSTRAINT timeframe_regimes_efficiency_1h_ck0 CHECK ("efficiency_1h" >= 0.0 AND "efficiency_1h" <= 1.0),
	CONSTRAINT timeframe_regimes_price_z_4h_ck0 CHECK ("price_z_4h" > '-Infinity' AND "price_z_4h" < 'Infinity'),
	CONSTRAINT timeframe_regimes_trend_z_4h_ck0 CHECK ("trend_z_4h" > '-Infinity' AND "trend_z_4h" < 'Infinity'),
	CONSTRAINT timeframe_regimes_volume_z_4h_ck0 CHECK ("volume_z_4h" > '-Infinity' AND "volume_z_4h" < 'Infinity'),
	CONSTRAINT timeframe_regimes_heat_4h_ck0 CHECK ("heat_4h" >= 0.0 AND "heat_4h" <= 100.0),
	CONSTRAINT timeframe_regimes_efficiency_4h_ck0 CHECK ("efficiency_4h" >= 0.0 AND "efficiency_4h" <= 1.0),
	CONSTRAINT timeframe_regimes_price_z_1d_ck0 CHECK ("price_z_1d" > '-Infinity' AND "price_z_1d" < 'Infinity'),
	CONSTRAINT timeframe_regimes_trend_z_1d_ck0 CHECK ("trend_z_1d" > '-Infinity' AND "trend_z_1d" < 'Infinity'),
	CONSTRAINT timeframe_regimes_volume_z_1d_ck0 CHECK ("volume_z_1d" > '-Infinity' AND "volume_z_1d" < 'Infinity'),
	CONSTRAINT timeframe_regimes_heat_1d_ck0 CHECK ("heat_1d" >= 0.0 AND "heat_1d" <= 100.0),
	CONSTRAINT timeframe_regimes_efficiency_1d_ck0 CHECK ("efficiency_1d" >= 0.0 AND "efficiency_1d" <= 1.0),
	CONSTRAINT timeframe_regimes_price_z_1w_ck0 CHECK ("price_z_1w" > '-Infinity' AND "price_z_1w" < 'Infinity'),
	CONSTRAINT timeframe_regimes_trend_z_1w_ck0 CHECK ("trend_z_1w" > '-Infinity' AND "trend_z_1w" < 'Infinity'),
	CONSTRAINT timeframe_regimes_volume_z_1w_ck0 CHECK ("volume_z_1w" > '-Infinity' AND "volume_z_1w" < 'Infinity'),
	CONSTRAINT timeframe_regimes_heat_1w_ck0 CHECK ("heat_1w" >= 0.0 AND "heat_1w" <= 100.0),
	CONSTRAINT timeframe_regimes_efficiency_1w_ck0 CHECK ("efficiency_1w" >= 0.0 AND "efficiency_1w" <= 1.0),
	CONSTRAINT timeframe_regimes_event_kind_ck0 CHECK ("event_kind" IN ('start', 'escalation', 'end', 'change')),
	CONSTRAINT timeframe_regimes_event_severity_ck0 CHECK ("event_severity" IN ('INFO', 'WARNING', 'CRITICAL')),
	CONSTRAINT timeframe_regimes_event_ordinal_ck0 CHECK ("event_ordinal" >= 0),
	CONSTRAINT timeframe_regimes_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT timeframe_regimes_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT timeframe_regimes_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT timeframe_regimes_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE regimes.timeframe_regimes IS 'Regime labels on 1h, 4h, 1d and 1w bars of the spot series and their agreement, one row per symbol and hour.';

COMMENT ON COLUMN regimes.timeframe_regimes.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN regimes.timeframe_regimes.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN regimes.timeframe_regimes.regime_1h IS 'Label of the newest closed 1h bar. Without any direction: IGNITION 4.8 %, COOLING 15.0 %, CHOP 27.5 %, NEUTRAL 52.7 %.';

COMMENT ON COLUMN regimes.timeframe_regimes.regime_4h IS 'Label of the newest closed 4h bar. Without any direction: IGNITION 4.7 %, COOLING 15.2 %, CHOP 27.3 %, NEUTRAL 52.7 %.';

COMMENT ON COLUMN regimes.timeframe_regimes.regime_1d IS 'Label of the newest closed 1d bar. Without any direction: IGNITION 4.4 %, COOLING 15.9 %, CHOP 27.3 %, NEUTRAL 52.3 %.';

COMMENT ON COLUMN regimes.timeframe_regimes.regime_1w IS 'Label of the newest closed 1w bar. Without any direction: IGNITION 3.1 %, COOLING 16.9 %, CHOP 16.5 %, NEUTRAL 63.5 %.';

COMMENT ON COLUMN regimes.timeframe_regimes.primary_raw IS 'Label held by at least half of the available frames, before confirmation.';

COMMENT ON COLUMN regimes.timeframe_regimes.primary_regime IS 'primary_raw once it held for three consecutive rows. Without any direction: IGNITION 1.1 %, COOLING 14.6 %, CHOP 22.9 %, NEUTRAL 61.4 %.';

COMMENT ON COLUMN regimes.timeframe_regimes.primary_legacy IS 'The 1h label, the seed''s primary.';

COMMENT ON COLUMN regimes.timeframe_regimes.frames_available IS 'Frames that have a label.';

COMMENT ON COLUMN regimes.timeframe_regimes.agreement_count IS 'Size of the largest group of equal labels, NEUTRAL left out. Without any direction: 2 or more in 41.5 %, 3 or more in 8.0 % of the rows.';

COMMENT ON COLUMN regimes.timeframe_regimes.compatible_count IS 'Frames not opposed to the primary; null for a NEUTRAL or CHOP primary.';

COMMENT ON COLUMN regimes.timeframe_regimes.agreement_score IS 'Mean agreement with the primary: 1 same, 0.5 neither, 0 opposed.';

COMMENT ON COLUMN regimes.timeframe_regimes.confidence IS 'Reliability of the row''s main value.';

COMMENT ON COLUMN regimes.timeframe_regimes.confidence_kind IS 'heuristic: the agreement score; calibrated: the share of earlier cases that held (regimes.timeframe_confidence).';

COMMENT ON COLUMN regimes.timeframe_regimes.n_eff_votes IS 'Independent votes that the available frames amount to, by the correlation of their signed labels over the 90 d before: the number of frames at most.';

COMMENT ON COLUMN regimes.timeframe_regimes.agreement_legacy IS 'The seed''s count: frames not opposed to the 1h label, NEUTRAL and CHOP counted as agreeing; null without all four. Its sample of two equal labels, one opposed, one NEUTRAL reads 3.';

COMMENT ON COLUMN regimes.timeframe_regimes.is_confirmed IS 'The confirmation rule holds at this row.';

COMMENT ON COLUMN regimes.timeframe_regimes.cooling_kind IS 'Of a 1h COOLING label: capitulation when volume_z >= 1.5, else fade.';

COMMENT ON COLUMN regimes.timeframe_regimes.regime_symmetric_1h IS 'The 1h label with the gates of heat and volume on both sides. Without any direction: IGNITION 4.8 %, COOLING 5.0 %, CHOP 27.5 %, NEUTRAL 62.7 %.';

COMMENT ON COLUMN regimes.timeframe_regimes.regime_symmetric_4h IS 'The 4h label with the gates of heat and volume on both sides. Without any direction: IGNITION 4.7 %, COOLING 4.7 %, CHOP 27.3 %, NEUTRAL 63.2 %.';

COMMENT ON COLUMN regimes.timeframe_regimes.regime_symmetric_1d IS 'The 1d label with the gates of heat and volume on both sides. Without any direction: IGNITION 4.4 %, COOLING 5.1 %, CHOP 27.3 %, NEUTRAL 63.1 %.';

COMMENT ON COLUMN regimes.timeframe_regimes.regime_symmetric_1w IS 'The 1w label with the gates of heat and volume on both sides. Without any direction: IGNITION 3.1 %, COOLING 5.5 %, CHOP 16.5 %, NEUTRAL 74.9 %.';

COMMENT ON COLUMN regimes.timeframe_regimes.price_z_1h IS 'Lagged z of the log close over the 1h window.';

COMMENT ON COLUMN regimes.timeframe_regimes.trend_z_1h IS 'k-bar 1h return over lagged sigma root k.';

COMMENT ON COLUMN regimes.timeframe_regimes.volume_z_1h IS 'Lagged MAD z of log volume, 1h bars.';

COMMENT ON COLUMN regimes.timeframe_regimes.heat_1h IS 'Trend and volume heat of the 1h bar.';

COMMENT ON COLUMN regimes.timeframe_regimes.efficiency_1h IS 'Efficiency ratio over k 1h bars.';

COMMENT ON COLUMN regimes.timeframe_regimes.price_z_4h IS 'Lagged z of the log close over the 4h window.';

COMMENT ON COLUMN regimes.timeframe_regimes.trend_z_4h IS 'k-bar 4h return over lagged sigma root k.';

COMMENT ON COLUMN regimes.timeframe_regimes.volume_z_4h IS 'Lagged MAD z of log volume, 4h bars.';

COMMENT ON COLUMN regimes.timeframe_regimes.heat_4h IS 'Trend and volume heat of the 4h bar.';

COMMENT ON COLUMN regimes.timeframe_regimes.efficiency_4h IS 'Efficiency ratio over k 4h bars.';

COMMENT ON COLUMN regimes.timeframe_regimes.price_z_1d IS 'Lagged z of the log close over the 1d window.';

COMMENT ON COLUMN regimes.timeframe_regimes.trend_z_1d IS 'k-bar 1d return over lagged sigma root k.';

COMMENT ON COLUMN regimes.timeframe_regimes.volume_z_1d IS 'Lagged MAD z of log volume, 1d bars.';

COMMENT ON COLUMN regimes.timeframe_regimes.heat_1d IS 'Trend and volume heat of the 1d bar.';

COMMENT ON COLUMN regimes.timeframe_regimes.efficiency_1d IS 'Efficiency ratio over k 1d bars.';

COMMENT ON COLUMN regimes.timeframe_regimes.price_z_1w IS 'Lagged z of the log close over the 1w window.';

COMMENT ON COLUMN regimes.timeframe_regimes.trend_z_1w IS 'k-bar 1w return over lagged sigma root k.';

COMMENT ON COLUMN regimes.timeframe_regimes.volume_z_1w IS 'Lagged MAD z of log volume, 1w bars.';

COMMENT ON COLUMN regimes.timeframe_regimes.heat_1w IS 'Trend and volume heat of the 1w bar.';

COMMENT ON COLUMN regimes.timeframe_regimes.efficiency_1w IS 'Efficiency ratio over k 1w bars.';

COMMENT ON COLUMN regimes.timeframe_regimes.event_kind IS 'What this row''s state machine announces; null for most rows.';

COMMENT ON COLUMN regimes.timeframe_regimes.event_severity IS 'Alert severity of the announcement.';

COMMENT ON COLUMN regimes.timeframe_regimes.event_ordinal IS 'Ordinal of the announcement within its episode.';

COMMENT ON COLUMN regimes.timeframe_regimes.episode_start IS 'First row of the episode that the row belongs to.';

COMMENT ON COLUMN regimes.timeframe_regimes.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN regimes.timeframe_regimes.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN regimes.timeframe_regimes.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN regimes.timeframe_regimes.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN regimes.timeframe_regimes.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN regimes.timeframe_regimes.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN regimes.timeframe_regimes.run_id IS 'Run that wrote this version.';

CREATE TABLE regimes.timeframe_regimes_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	regime_1h TEXT,
	regime_4h TEXT,
	regime_1d TEXT,
	regime_1w TEXT,
	primary_raw TEXT,
	primary_regime TEXT,
	primary_legacy TEXT,
	frames_available BIGINT,
	agreement_count BIGINT,
	compatible_count BIGINT,
	agreement_score FLOAT(53),
	confidence FLOAT(53),
	confidence_kind TEXT,
	n_eff_votes FLOAT(53),
	agreement_legacy BIGINT,
	is_confirmed BOOLEAN,
	cooling_kind TEXT,
	regime_symmetric_1h TEXT,
	regime_symmetric_4h TEXT,
	regime_symmetric_1d TEXT,
	regime_symmetric_1w TEXT,
	price_z_1h FLOAT(53),
	trend_z_1h FLOAT(53),
	volume_z_1h FLOAT(53),
	heat_1h FLOAT(53),
	efficiency_1h FLOAT(53),
	price_z_4h FLOAT(53),
	trend_z_4h FLOAT(53),
	volume_z_4h FLOAT(53),
	heat_4h FLOAT(53),
	efficiency_4h FLOAT(53),
	price_z_1d FLOAT(53),
	trend_z_1d FLOAT(53),
	volume_z_1d FLOAT(53),
	heat_1d FLOAT(53),
	efficiency_1d FLOAT(53),
	price_z_1w FLOAT(53),
	trend_z_1w FLOAT(53),
	volume_z_1w FLOAT(53),
	heat_1w FLOAT(53),
	efficiency_1w FLOAT(53),
	event_kind TEXT,
	event_severity TEXT,
	event_ordinal BIGINT,
	episode_start TIMESTAMP WITH TIME ZONE,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT timeframe_regimes_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE regimes.timeframe_regimes_revisions IS 'Replaced versions of regimes.timeframe_regimes.';

COMMENT ON COLUMN regimes.timeframe_regimes_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE signals.components (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	momentum_score FLOAT(53),
	momentum_direction TEXT,
	momentum_strength FLOAT(53),
	momentum_confidence FLOAT(53),
	momentum_status TEXT,
	momentum_reason TEXT,
	momentum_raw FLOAT(53),
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT components_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT components_momentum_score_ck0 CHECK ("momentum_score" >= 0.0 AND "momentum_score" <= 100.0),
	CONSTRAINT components_momentum_direction_ck0 CHECK ("momentum_direction" IN ('BULLISH', 'NEUTRAL', 'BEARISH')),
	CONSTRAINT components_momentum_strength_ck0 CHECK ("momentum_strength" >= 0.0 AND "momentum_strength" <= 1.0),
	CONSTRAINT components_momentum_confidence_ck0 CHECK ("momentum_confidence" >= 0.0 AND "momentum_confidence" <= 1.0),
	CONSTRAINT components_momentum_status_ck0 CHECK ("momentum_status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT components_momentum_raw_ck0 CHECK ("momentum_raw" > '-Infinity' AND "momentum_raw" < 'Infinity'),
	CONSTRAINT components_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT components_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT components_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT components_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE signals.components IS 'Signal components of the primary perpetual, one row per symbol and hour, columns per component. The row''s status is the worst of its components''.';

COMMENT ON COLUMN signals.components.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN signals.components.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN signals.components.momentum_score IS 'Mean of 4, 24 and 72 h returns over lagged volatility, 50 neutral.';

COMMENT ON COLUMN signals.components.momentum_direction IS 'Reading of momentum_score.';

COMMENT ON COLUMN signals.components.momentum_strength IS '|score - 50| / 50.';

COMMENT ON COLUMN signals.components.momentum_confidence IS 'Data coverage x sample adequacy.';

COMMENT ON COLUMN signals.components.momentum_status IS 'Status of momentum_score.';

COMMENT ON COLUMN signals.components.momentum_reason IS 'Why momentum_status is not ok.';

COMMENT ON COLUMN signals.components.momentum_raw IS 'Volatility-scaled mean return behind momentum_score.';

COMMENT ON COLUMN signals.components.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN signals.components.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN signals.components.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN signals.components.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN signals.components.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN signals.components.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN signals.components.run_id IS 'Run that wrote this version.';

CREATE TABLE signals.components_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	momentum_score FLOAT(53),
	momentum_direction TEXT,
	momentum_strength FLOAT(53),
	momentum_confidence FLOAT(53),
	momentum_status TEXT,
	momentum_reason TEXT,
	momentum_raw FLOAT(53),
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT components_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE signals.components_revisions IS 'Replaced versions of signals.components.';

COMMENT ON COLUMN signals.components_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE TABLE signals.futures_scores (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	futures_score FLOAT(53),
	futures_signal TEXT,
	score_uncovered FLOAT(53),
	score_fixed50 FLOAT(53),
	coverage_pct BIGINT,
	confidence FLOAT(53),
	confidence_level TEXT,
	factor_agreement FLOAT(53),
	freshness FLOAT(53),
	top_factors JSONB,
	liquidations_factor FLOAT(53),
	liquidations_factor_status TEXT,
	liquidations_factor_reason TEXT,
	funding_factor FLOAT(53),
	funding_factor_status TEXT,
	funding_factor_reason TEXT,
	momentum_factor FLOAT(53),
	momentum_factor_status TEXT,
	momentum_factor_reason TEXT,
	long_short_factor FLOAT(53),
	long_short_factor_status TEXT,
	long_short_factor_reason TEXT,
	smart_money_factor FLOAT(53),
	smart_money_factor_status TEXT,
	smart_money_factor_reason TEXT,
	oi_trend_factor FLOAT(53),
	oi_trend_factor_status TEXT,
	oi_trend_factor_reason TEXT,
	social_factor FLOAT(53),
	social_factor_status TEXT,
	social_factor_reason TEXT,
	fear_greed_factor FLOAT(53),
	fear_greed_factor_status TEXT,
	fear_greed_factor_reason TEXT,
	status TEXT NOT NULL,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT NOT NULL,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT,
	run_id TEXT,
	CONSTRAINT futures_scores_pk PRIMARY KEY (symbol, ts),
	CONSTRAINT futures_scores_futures_score_ck0 CHECK ("futures_score" >= 0.0 AND "futures_score" <= 100.0),
	CONSTRAINT futures_scores_futures_signal_ck0 CHECK ("futures_signal" IN ('LONG', 'NEUTRAL', 'SHORT')),
	CONSTRAINT futures_scores_score_uncovered_ck0 CHECK ("score_uncovered" >= 0.0 AND "score_uncovered" <= 100.0),
	CONSTRAINT futures_scores_score_fixed50_ck0 CHECK ("score_fixed50" >= 0.0 AND "score_fixed50" <= 100.0),
	CONSTRAINT futures_scores_coverage_pct_ck0 CHECK ("coverage_pct" >= 0),
	CONSTRAINT futures_scores_coverage_pct_ck1 CHECK ("coverage_pct" <= 100),
	CONSTRAINT futures_scores_confidence_ck0 CHECK ("confidence" >= 0.0 AND "confidence" <= 1.0),
	CONSTRAINT futures_scores_confidence_level_ck0 CHECK ("confidence_level" IN ('high', 'medium', 'low')),
	CONSTRAINT futures_scores_factor_agreement_ck0 CHECK ("factor_agreement" >= 0.0 AND "factor_agreement" <= 1.0),
	CONSTRAINT futures_scores_freshness_ck0 CHECK ("freshness" >= 0.0 AND "freshness" <= 1.0),
	CONSTRAINT futures_scores_liquidations_factor_ck0 CHECK ("liquidations_factor" >= 0.0 AND "liquidations_factor" <= 100.0),
	CONSTRAINT futures_scores_liquidations_factor_status_ck0 CHECK ("liquidations_factor_status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT futures_scores_funding_factor_ck0 CHECK ("funding_factor" >= 0.0 AND "funding_factor" <= 100.0),
	CONSTRAINT futures_scores_funding_factor_status_ck0 CHECK ("funding_factor_status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT futures_scores_momentum_factor_ck0 CHECK ("momentum_factor" >= 0.0 AND "momentum_factor" <= 100.0),
	CONSTRAINT futures_scores_momentum_factor_status_ck0 CHECK ("momentum_factor_status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT futures_scores_long_short_factor_ck0 CHECK ("long_short_factor" >= 0.0 AND "long_short_factor" <= 100.0),
	CONSTRAINT futures_scores_long_short_factor_status_ck0 CHECK ("long_short_factor_status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT futures_scores_smart_money_factor_ck0 CHECK ("smart_money_factor" >= 0.0 AND "smart_money_factor" <= 100.0),
	CONSTRAINT futures_scores_smart_money_factor_status_ck0 CHECK ("smart_money_factor_status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT futures_scores_oi_trend_factor_ck0 CHECK ("oi_trend_factor" >= 0.0 AND "oi_trend_factor" <= 100.0),
	CONSTRAINT futures_scores_oi_trend_factor_status_ck0 CHECK ("oi_trend_factor_status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT futures_scores_social_factor_ck0 CHECK ("social_factor" >= 0.0 AND "social_factor" <= 100.0),
	CONSTRAINT futures_scores_social_factor_status_ck0 CHECK ("social_factor_status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT futures_scores_fear_greed_factor_ck0 CHECK ("fear_greed_factor" >= 0.0 AND "fear_greed_factor" <= 100.0),
	CONSTRAINT futures_scores_fear_greed_factor_status_ck0 CHECK ("fear_greed_factor_status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT futures_scores_status_ck0 CHECK ("status" IN ('ok', 'partial', 'stale', 'missing', 'insufficient_history', 'not_applicable', 'quarantined')),
	CONSTRAINT futures_scores_source_tier_ck0 CHECK ("source_tier" >= 1),
	CONSTRAINT futures_scores_source_tier_ck1 CHECK ("source_tier" <= 9),
	CONSTRAINT futures_scores_revision_ck0 CHECK ("revision" >= 0)
)
 PARTITION BY RANGE (ts);

COMMENT ON TABLE signals.futures_scores IS 'The 8-factor futures score, one row per symbol and hour.';

COMMENT ON COLUMN signals.futures_scores.symbol IS 'Canonical symbol, BASE/QUOTE.';

COMMENT ON COLUMN signals.futures_scores.ts IS 'UTC open of the bar, or the event time; see the table.';

COMMENT ON COLUMN signals.futures_scores.futures_score IS 'Weighted mean of the available factors.';

COMMENT ON COLUMN signals.futures_scores.futures_signal IS 'LONG at 65 and above, SHORT at 35 and below; null under 70 % coverage.';

COMMENT ON COLUMN signals.futures_scores.score_uncovered IS 'The weighted mean whatever the coverage; not for decisions.';

COMMENT ON COLUMN signals.futures_scores.score_fixed50 IS 'The seed''s composite, missing factors read as 50; for comparison only.';

COMMENT ON COLUMN signals.futures_scores.coverage_pct IS 'Weight of the available factors.';

COMMENT ON COLUMN signals.futures_scores.confidence IS 'Reliability of the row''s main value.';

COMMENT ON COLUMN signals.futures_scores.confidence_level IS 'high from 0.75, medium from 0.5.';

COMMENT ON COLUMN signals.futures_scores.factor_agreement IS '|sum w(s-50)| / sum w|s-50|.';

COMMENT ON COLUMN signals.futures_scores.freshness IS 'Weighted freshness of the factors.';

COMMENT ON COLUMN signals.futures_scores.top_factors IS 'The three factors that move the score most, with reasons.';

COMMENT ON COLUMN signals.futures_scores.liquidations_factor IS 'Sub-score of the liquidations factor.';

COMMENT ON COLUMN signals.futures_scores.liquidations_factor_status IS 'Status of the liquidations factor.';

COMMENT ON COLUMN signals.futures_scores.liquidations_factor_reason IS 'Why the liquidations factor is not ok.';

COMMENT ON COLUMN signals.futures_scores.funding_factor IS 'Sub-score of the funding factor.';

COMMENT ON COLUMN signals.futures_scores.funding_factor_status IS 'Status of the funding factor.';

COMMENT ON COLUMN signals.futures_scores.funding_factor_reason IS 'Why the funding factor is not ok.';

COMMENT ON COLUMN signals.futures_scores.momentum_factor IS 'Sub-score of the momentum factor.';

COMMENT ON COLUMN signals.futures_scores.momentum_factor_status IS 'Status of the momentum factor.';

COMMENT ON COLUMN signals.futures_scores.momentum_factor_reason IS 'Why the momentum factor is not ok.';

COMMENT ON COLUMN signals.futures_scores.long_short_factor IS 'Sub-score of the long_short factor.';

COMMENT ON COLUMN signals.futures_scores.long_short_factor_status IS 'Status of the long_short factor.';

COMMENT ON COLUMN signals.futures_scores.long_short_factor_reason IS 'Why the long_short factor is not ok.';

COMMENT ON COLUMN signals.futures_scores.smart_money_factor IS 'Sub-score of the smart_money factor.';

COMMENT ON COLUMN signals.futures_scores.smart_money_factor_status IS 'Status of the smart_money factor.';

COMMENT ON COLUMN signals.futures_scores.smart_money_factor_reason IS 'Why the smart_money factor is not ok.';

COMMENT ON COLUMN signals.futures_scores.oi_trend_factor IS 'Sub-score of the oi_trend factor.';

COMMENT ON COLUMN signals.futures_scores.oi_trend_factor_status IS 'Status of the oi_trend factor.';

COMMENT ON COLUMN signals.futures_scores.oi_trend_factor_reason IS 'Why the oi_trend factor is not ok.';

COMMENT ON COLUMN signals.futures_scores.social_factor IS 'Sub-score of the social factor.';

COMMENT ON COLUMN signals.futures_scores.social_factor_status IS 'Status of the social factor.';

COMMENT ON COLUMN signals.futures_scores.social_factor_reason IS 'Why the social factor is not ok.';

COMMENT ON COLUMN signals.futures_scores.fear_greed_factor IS 'Sub-score of the fear_greed factor.';

COMMENT ON COLUMN signals.futures_scores.fear_greed_factor_status IS 'Status of the fear_greed factor.';

COMMENT ON COLUMN signals.futures_scores.fear_greed_factor_reason IS 'Why the fear_greed factor is not ok.';

COMMENT ON COLUMN signals.futures_scores.status IS 'Whether the row''s main value can be used; anything but ok or partial means null.';

COMMENT ON COLUMN signals.futures_scores.reason IS 'Why the status is not ok; null when it is.';

COMMENT ON COLUMN signals.futures_scores.source_tier IS 'Worst origin among the inputs: 1 primary, 2 secondary, 3 derived proxy / repaired / historical file, 4 cache, 9 synthetic.';

COMMENT ON COLUMN signals.futures_scores.method_version IS 'Definition and thresholds behind the value: code version + digest of the parameters.';

COMMENT ON COLUMN signals.futures_scores.ingested_at IS 'When this version of the row was first stored.';

COMMENT ON COLUMN signals.futures_scores.revision IS '0 for the first version of a row, then 1, 2, ...';

COMMENT ON COLUMN signals.futures_scores.run_id IS 'Run that wrote this version.';

CREATE TABLE signals.futures_scores_revisions (
	symbol TEXT NOT NULL,
	ts TIMESTAMP WITH TIME ZONE NOT NULL,
	futures_score FLOAT(53),
	futures_signal TEXT,
	score_uncovered FLOAT(53),
	score_fixed50 FLOAT(53),
	coverage_pct BIGINT,
	confidence FLOAT(53),
	confidence_level TEXT,
	factor_agreement FLOAT(53),
	freshness FLOAT(53),
	top_factors JSONB,
	liquidations_factor FLOAT(53),
	liquidations_factor_status TEXT,
	liquidations_factor_reason TEXT,
	funding_factor FLOAT(53),
	funding_factor_status TEXT,
	funding_factor_reason TEXT,
	momentum_factor FLOAT(53),
	momentum_factor_status TEXT,
	momentum_factor_reason TEXT,
	long_short_factor FLOAT(53),
	long_short_factor_status TEXT,
	long_short_factor_reason TEXT,
	smart_money_factor FLOAT(53),
	smart_money_factor_status TEXT,
	smart_money_factor_reason TEXT,
	oi_trend_factor FLOAT(53),
	oi_trend_factor_status TEXT,
	oi_trend_factor_reason TEXT,
	social_factor FLOAT(53),
	social_factor_status TEXT,
	social_factor_reason TEXT,
	fear_greed_factor FLOAT(53),
	fear_greed_factor_status TEXT,
	fear_greed_factor_reason TEXT,
	status TEXT,
	reason TEXT,
	source_tier BIGINT,
	method_version TEXT,
	ingested_at TIMESTAMP WITH TIME ZONE,
	revision BIGINT NOT NULL,
	run_id TEXT,
	superseded_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT futures_scores_revisions_pk PRIMARY KEY (symbol, ts, revision)
);

COMMENT ON TABLE signals.futures_scores_revisions IS 'Replaced versions of signals.futures_scores.';

COMMENT ON COLUMN signals.futures_scores_revisions.superseded_at IS 'When the version stopped being the newest; it began at ingested_at.';

CREATE VIEW ops.coverage AS
SELECT s.dataset, s.source, s.venue, s.market, s.symbol, h.ts,
    s.coverage_state IN ('stored', 'missed', 'venue_had_none') AS expected,
    s.coverage_state = 'stored' AS stored,
    s.coverage_state, s.coverage_reason, s.is_forward_only
FROM ops.coverage_spans s
CROSS JOIN LATERAL generate_series(
    s.span_start, s.span_end - interval '1 hour', interval '1 hour') AS h(ts);

COMMENT ON VIEW ops.coverage IS 'One row per raw series and hour. expected: a row, or for events an answer, is owed for the hour; stored: it is there; coverage_state and coverage_reason say what became of it.';

CREATE FUNCTION ops.ensure_partition(parent regclass, month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first timestamp := date_trunc('month', month::timestamp);
    space text;
    name text;
    part text;
BEGIN
    SELECT n.nspname, c.relname INTO space, name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = parent AND c.relkind = 'p';
    IF NOT FOUND THEN
        RAISE EXCEPTION '% is not a partitioned table', parent;
    END IF;
    part := name || to_char(first, '_"y"YYYY"m"MM');
    PERFORM pg_advisory_xact_lock(hashtextextended('regime:partitions:' || space || '.' || name, 0));
    IF to_regclass(format('%I.%I', space, part)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- made apart and then attached: unlike PARTITION OF, readers and writers go on meanwhile
    EXECUTE format(
        'CREATE TABLE %I.%I (LIKE %I.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)',
        space, part, space, name);
    EXECUTE format(
        'ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
        space, name, space, part,
        first AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC');
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION ops.ensure_partition(regclass, date) FROM PUBLIC;
