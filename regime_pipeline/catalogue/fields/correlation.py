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
    Field("break_kind", Kind.TEXT, "What kind of change.", allowed=("DROP", "RISE", "SIGN_FLIP")),
    Field(
        "break_severity",
        Kind.TEXT,
        "Severity by rel_drop.",
        allowed=("LOW", "MEDIUM", "HIGH", "CRITICAL"),
    ),
    Field("duration_hours", Kind.INTEGER, "Hours since the episode began.", "h", 0),
)
