"""Columns of the correlation tables."""

from __future__ import annotations

from regime_pipeline.catalogue.model import Field, Kind


def _corr(name: str, what: str) -> Field:
    return Field(name, Kind.FLOAT, what, "correlation", -1, 1)


FIELDS = (
    Field("symbol_a", Kind.TEXT, "First symbol of the pair, alphabetically."),
    Field("symbol_b", Kind.TEXT, "Second symbol of the pair."),
    _corr("corr_7d", "Pearson correlation of hourly log returns, rows h-167..h."),
    _corr("corr_30d_base", "Pearson correlation of the 720 h that end where the 7 d begin."),
    _corr("spearman_7d", "Spearman correlation, rows h-167..h."),
    _corr("spearman_30d_base", "Spearman correlation of the baseline."),
    _corr("corr_ewma", "EWMA correlation, half-life 84 h."),
    Field("n_7d", Kind.INTEGER, "Pairs of returns in the 7 d window.", None, 0, 168),
    Field("n_30d_base", Kind.INTEGER, "Pairs of returns in the baseline.", None, 0, 720),
    Field("rel_drop", Kind.FLOAT, "(base - current) / |base|.", "fraction"),
    Field("abs_change", Kind.FLOAT, "current - base.", "correlation", -2, 2),
    Field(
        "break_z",
        Kind.FLOAT,
        "Fisher z of Spearman, current against baseline, Bonett-Wright variances.",
        "sd",
        source="Bonett & Wright 2000",
    ),
    Field("break_z_sd", Kind.FLOAT, "The pair's own sd of break_z over 25 lagged weeks.", "sd", 0),
    Field(
        "p_break",
        Kind.FLOAT,
        "p value of the change, false-discovery adjusted over the pairs of the hour.",
        "probability",
        0,
        1,
        source="Benjamini & Hochberg 1995",
    ),
    Field("is_break", Kind.BOOLEAN, "rel_drop > 0.5, base >= 0.3 and p_break < 0.05."),
    Field("is_rise", Kind.BOOLEAN, "Rise by 0.3 or more with p_break < 0.05."),
    _corr(
        "corr_30d_legacy",
        "The legacy normal: Pearson correlation of rows h-719..h, which contain the week judged.",
    ),
    Field(
        "is_break_legacy",
        Kind.BOOLEAN,
        "The legacy break: corr_7d more than 50 % under corr_30d_legacy, without a least base or a "
        "test; without any change it fires in 37 % of samples around 0.05.",
    ),
    Field("break_kind", Kind.TEXT, "What kind of change.", allowed=("DROP", "RISE", "SIGN_FLIP")),
    Field(
        "break_severity",
        Kind.TEXT,
        "Severity by rel_drop.",
        allowed=("LOW", "MEDIUM", "HIGH", "CRITICAL"),
    ),
    Field("duration_hours", Kind.INTEGER, "Hours since the episode began.", "h", 0),
    Field(
        "corr_shrunk",
        Kind.FLOAT,
        "corr_7d drawn towards the mean correlation by `shrinkage`; the whole matrix is positive "
        "semi-definite.",
        "correlation",
        -1,
        1,
        source="Ledoit & Wolf 2004",
    ),
    Field(
        "corr_clipped",
        Kind.FLOAT,
        "corr_7d without the eigenvalues that noise explains; null by definition up to 20 symbols.",
        "correlation",
        -1,
        1,
        source="Laloux et al. 1999",
    ),
    Field(
        "corr_vol_adjusted",
        Kind.FLOAT,
        "corr_7d as it would be at the variance of the baseline.",
        "correlation",
        -1,
        1,
        source="Forbes & Rigobon 2002",
    ),
    Field(
        "variance_ratio",
        Kind.FLOAT,
        "7 d variance over that of the 720 h before, of the pair's symbol where it rose most.",
        "ratio",
        0,
    ),
    Field(
        "distance",
        Kind.FLOAT,
        "sqrt((1 - corr_shrunk) / 2).",
        "distance",
        0,
        1,
        source="Lopez de Prado 2016",
    ),
    Field(
        "shrinkage",
        Kind.FLOAT,
        "Weight of the constant-correlation target.",
        "fraction",
        0,
        1,
        source="Ledoit & Wolf 2004",
    ),
    _corr("corr_mean", "Mean corr_7d over the pairs of the matrix."),
    Field(
        "absorption_ratio",
        Kind.FLOAT,
        "Share of the variance of the shrunk correlation matrix in its largest fifth of eigenvalues.",
        "fraction",
        0,
        1,
        source="Kritzman et al. 2011",
    ),
    Field("n_absorbing", Kind.INTEGER, "Eigenvalues behind absorption_ratio.", None, 1),
    Field("n_symbols", Kind.INTEGER, "Symbols in the matrix.", None, 0),
    Field(
        "eigenvalue_min",
        Kind.FLOAT,
        "Smallest eigenvalue of the shrunk matrix before any repair.",
        "eigenvalue",
    ),
    Field(
        "is_psd_repaired",
        Kind.BOOLEAN,
        "Holes had made the shrunk matrix indefinite; the nearest correlation matrix took its place.",
        source="Higham 2002",
    ),
    Field("leaf_order", Kind.JSON, "Symbols in the order of the cluster tree's leaves."),
    Field(
        "linkage",
        Kind.JSON,
        "Single-linkage merges [left, right, height, size]; numbers below n_symbols are the "
        "alphabetical symbols of leaf_order, then merges.",
        source="Lopez de Prado 2016",
    ),
    Field("best_lag_h", Kind.INTEGER, "Lag of the largest net lead.", "h", 1, 3),
    _corr(
        "lead_corr",
        "Correlation of the earlier symbol's return with the later one's, best_lag_h on.",
    ),
    Field(
        "net_lead",
        Kind.FLOAT,
        "How symbol_a leads symbol_b less how it follows, at best_lag_h; positive when a leads.",
        "correlation",
        -2,
        2,
    ),
    Field(
        "critical_value",
        Kind.FLOAT,
        "What the largest |net_lead| of all pairs and lags exceeds in 5 % of worlds without leads.",
        "correlation",
        0,
    ),
    Field("leader", Kind.TEXT, "The symbol that moves first; null unless beyond critical_value."),
    Field(
        "leading_asset",
        Kind.TEXT,
        "Leader of the pair with the largest significant net lead; null when there is none.",
    ),
    Field(
        "lead_reason",
        Kind.TEXT,
        "Why there is no leader.",
        allowed=("no_significant_lead", "not_judged"),
    ),
    Field(
        "hedge_ratio", Kind.FLOAT, "Slope of ln a on ln b over the 90 d before the day.", "ratio"
    ),
    Field("spread_intercept", Kind.FLOAT, "Intercept of ln a on ln b, same fit.", "log price"),
    Field("spread_sd", Kind.FLOAT, "sd of the fit's residuals.", "log price", 0),
    Field(
        "coint_tau",
        Kind.FLOAT,
        "Augmented Dickey-Fuller statistic of the residuals, 8 lags, no constant.",
        "t",
        source="Engle & Granger 1987",
    ),
    Field(
        "coint_critical_5pct",
        Kind.FLOAT,
        "5 % point of coint_tau for two series and this many hours.",
        "t",
        source="MacKinnon 2010, table 2",
    ),
    Field(
        "coint_p",
        Kind.FLOAT,
        "Asymptotic p value of coint_tau.",
        "probability",
        0,
        1,
        source="MacKinnon 1994",
    ),
    Field("is_cointegrated", Kind.BOOLEAN, "coint_tau below coint_critical_5pct."),
    Field(
        "half_life_h",
        Kind.FLOAT,
        "Half-life of a deviation by the residuals' first-order autoregression; null where it does "
        "not revert.",
        "h",
        0,
    ),
    Field(
        "spread_z", Kind.FLOAT, "The hour's spread from the day's fit, in units of spread_sd.", "sd"
    ),
    Field(
        "pair_signal",
        Kind.TEXT,
        "What a reversion trade would hold; NONE without cointegration, a positive hedge ratio or "
        "|spread_z| >= 2. Analytics, no order.",
        allowed=("LONG_A_SHORT_B", "SHORT_A_LONG_B", "NONE"),
    ),
)
