"""The compiled loop that moves paper positions over hours.

Belongs here: the arithmetic of one hour after the other: fills, funding, marks, drawdown, targets, limits,
new orders. Does not belong here: where things stand in the arrays (``paper_layout``), what they mean
(``paper``), walking through a book (``fills``). Importing this module imports numba.

Every sum runs over the symbols in their order, so that the same hours give the same bytes whatever part of
them is walked at once. NaN is unknown.
"""

from __future__ import annotations

import math

import numpy as np

from regime_pipeline.numerics.compiled import ieee_kernel
from regime_pipeline.research import paper_layout as lay

_HAIR = 1.0 + 1e-12


@ieee_kernel
def walk(  # type: ignore[no-untyped-def]
    rules,
    hours,
    months,
    seen,
    held,
    account,
    met,
    is_met,
    at,
    came_to,
    ends,
    due,
    decided,
    counts,
):
    """Move a state over hours, in place, up to the first one whose orders meet a book that is not given.

    Args:
        rules: limits by the numbers ``R_``.
        hours: since 1970, one after the other.
        months: the first hours of the months that begin after the first of the hours.
        seen: (hours, ``SEEN``, symbols).
        held: (``HELD``, symbols), changed.
        account: (``ACCOUNT``,), changed.
        met: (symbols, 3): base coin filled, mean price, mid of the book that orders of hour ``at`` meet.
        is_met: whether ``met`` is given.
        at: index of the hour to begin with.
        came_to: (hours, ``CAME_TO``), filled in.
        ends: (hours, ``ENDS``, symbols), filled in.
        due: (hours x symbols, ``DUE``), a row filled in for each order that was due.
        decided: (hours x symbols, ``DECIDED``), a row for each that was decided.
        counts: (2,) how many rows of both are filled in, counted on.

    Returns:
        The index of the hour that waits for its books; the number of hours when all are done.
    """
    symbols = held.shape[1]
    target, grouped, weights = np.empty(symbols), np.empty(symbols), np.empty(symbols)
    for h in range(at, hours.shape[0]):
        if not (is_met and h == at):
            for k in range(symbols):
                if held[lay.WANTED, k] != 0.0 and seen[h, lay.BOOK, k] == lay.BOOK_IN_TIME:
                    return h
        came_to[h, lay.TRADED_NOW], came_to[h, lay.FEES_NOW] = _fill(
            seen, h, held, account, met, due, counts
        )
        came_to[h, lay.PAID_NOW] = _settle(seen, h, held, account)
        equity = _mark(seen, h, held, account)
        came_to[h, lay.GROSS], came_to[h, lay.NET] = _weigh(h, held, equity, weights, ends)
        if account[lay.STOPPED_UNTIL] != 0.0 and hours[h] + 1 >= account[lay.STOPPED_UNTIL]:
            account[lay.STOPPED_UNTIL], account[lay.PEAK] = 0.0, equity
        account[lay.PEAK] = max(account[lay.PEAK], equity)
        drawdown = 1.0 - equity / account[lay.PEAK]
        if account[lay.STOPPED_UNTIL] == 0.0 and drawdown >= rules[lay.R_STOP]:
            account[lay.STOPPED_UNTIL] = months[np.searchsorted(months, hours[h], "right")]
        if equity > 0.0:
            limits = _aim(rules, seen, h, held, target, grouped)
            if account[lay.STOPPED_UNTIL] != 0.0:
                target[:] = 0.0
                limits |= lay.L_STOPPED
            elif drawdown >= rules[lay.R_HALVE]:
                target /= 2.0
                limits |= lay.L_DRAWDOWN
            came_to[h, lay.LIMITS] = limits | _order(
                rules, seen, h, held, equity, target, weights, decided, counts
            )
        account[lay.EQUITY_H] += equity
        account[lay.GROSS_H] += came_to[h, lay.GROSS]
        came_to[h, lay.EQUITY], came_to[h, lay.AT_CASH], came_to[h, lay.DRAWDOWN] = (
            equity,
            account[lay.CASH],
            drawdown,
        )
        came_to[h, lay.AT_TIER], came_to[h, lay.HOLDING] = (
            account[lay.WORST_TIER],
            account[lay.HOLD],
        )
    return hours.shape[0]


@ieee_kernel
def _fill(seen, h, held, account, met, due, counts):  # type: ignore[no-untyped-def]
    """Fill what was decided at the end of the hour before; value that changed hands, and fees."""
    fees = traded = 0.0
    tier = account[lay.WORST_TIER]
    for k in range(held.shape[1]):
        if seen[h, lay.BOOK, k] != lay.NO_BOOK:
            held[lay.BOOKED, k] = 1.0
        if seen[h, lay.TIER, k] > tier or math.isnan(tier):
            tier = seen[h, lay.TIER, k]
        wanted = held[lay.WANTED, k]
        if wanted == 0.0:
            continue
        side, size = (1.0 if wanted > 0.0 else -1.0), abs(wanted)
        filled, price, mid, why = 0.0, math.nan, math.nan, lay.WHOLE
        is_assumed = False
        if seen[h, lay.BOOK, k] == lay.BOOK_IN_TIME:
            filled, price, mid = met[k, 0], met[k, 1], met[k, 2]
            if filled < size:
                why = lay.TOO_SHALLOW
        elif held[lay.BOOKED, k] != 0.0:
            why = lay.NO_BOOK_THEN
        else:
            mid = held[lay.DECIDED_MID, k]
            is_assumed = math.isfinite(seen[h, lay.HALF_SPREAD, k]) and mid > 0.0
            if is_assumed:
                filled, price = size, mid * (1.0 + side * seen[h, lay.HALF_SPREAD, k] / 1e4)
                tier = max(tier, lay.ASSUMED_TIER)
            else:
                why = lay.NO_SPREAD
        fee = 0.0
        if filled > 0.0:
            worth = filled * price
            fee = worth * seen[h, lay.FEE, k] / 1e4
            account[lay.CASH] -= side * worth + fee
            held[lay.QUANTITY, k] += side * filled
            traded += worth
            fees += fee
            account[lay.ASSUMED_FILLS if is_assumed else lay.BOOK_FILLS] += 1.0
        row = due[counts[0]]
        counts[0] += 1
        row[lay.HOUR], row[lay.SYMBOL], row[lay.ORDER] = h, k, wanted
        row[lay.FILLED], row[lay.VWAP] = filled, price
        row[lay.MID_THEN], row[lay.MID_NOW] = held[lay.DECIDED_MID, k], mid
        row[lay.FEE_USD], row[lay.WHY], row[lay.IS_ASSUMED] = fee, why, is_assumed
        held[lay.WANTED, k], held[lay.DECIDED_MID, k] = 0.0, math.nan
    account[lay.WORST_TIER] = tier
    account[lay.TRADED] += traded
    account[lay.FEES] += fees
    return traded, fees


@ieee_kernel
def _settle(seen, h, held, account):  # type: ignore[no-untyped-def]
    """Pay the funding of the hour; how much."""
    paid = 0.0
    for k in range(held.shape[1]):
        rate = seen[h, lay.FUNDING, k]
        if (
            math.isfinite(rate)
            and held[lay.QUANTITY, k] != 0.0
            and math.isfinite(held[lay.MARK, k])
        ):
            paid += held[lay.QUANTITY, k] * held[lay.MARK, k] * rate
    account[lay.CASH] -= paid
    account[lay.PAID] += paid
    return paid


@ieee_kernel
def _mark(seen, h, held, account):  # type: ignore[no-untyped-def]
    """Take the prices at the end of the hour; the equity, and what holding all in equal parts came to."""
    equity = account[lay.CASH]
    moves, known = 0.0, 0
    for k in range(held.shape[1]):
        close = seen[h, lay.CLOSE, k]
        if math.isfinite(close):
            held[lay.MARK, k] = close
            if math.isfinite(held[lay.LAST_CLOSE, k]):
                moves += close / held[lay.LAST_CLOSE, k] - 1.0
                known += 1
        held[lay.LAST_CLOSE, k] = close
        if held[lay.QUANTITY, k] != 0.0:
            equity += held[lay.QUANTITY, k] * held[lay.MARK, k]
    if known > 0:
        account[lay.HOLD] *= 1.0 + moves / known
    return equity


@ieee_kernel
def _weigh(h, held, equity, weights, ends):  # type: ignore[no-untyped-def]
    """Weights at the end of the hour; the sum of their sizes, and their sum."""
    gross = net = 0.0
    part = 1.0 / equity if equity > 0.0 else 0.0
    for k in range(held.shape[1]):
        weight = 0.0
        if held[lay.QUANTITY, k] != 0.0:
            weight = held[lay.QUANTITY, k] * held[lay.MARK, k] * part
        ends[h, lay.BASE, k], ends[h, lay.AT_MARK, k] = held[lay.QUANTITY, k], held[lay.MARK, k]
        weights[k] = weight
        gross += abs(weight)
        net += weight
    return gross, net


@ieee_kernel
def _aim(rules, seen, h, held, target, grouped):  # type: ignore[no-untyped-def]
    """Weights by side and risk, within the limits; the bits of those that held."""
    for k in range(held.shape[1]):
        side = seen[h, lay.ASKED, k]
        if math.isfinite(side):
            held[lay.SIDE, k], held[lay.SILENT_H, k] = side, 0.0
        else:
            held[lay.SILENT_H, k] += 1.0
            if held[lay.SILENT_H, k] >= rules[lay.R_NULL_H]:
                held[lay.SIDE, k] = 0.0
        risk = seen[h, lay.MULTIPLIER, k]
        target[k] = held[lay.SIDE, k] * rules[lay.R_WEIGHT]
        if risk > 1.0:
            target[k] /= risk
    return limit(rules, target, seen[h, lay.CLUSTER], grouped)


@ieee_kernel
def _order(rules, seen, h, held, equity, target, weights, decided, counts):  # type: ignore[no-untyped-def]
    """Decide the orders that lead to the targets; the bits of limits that held."""
    limits = 0
    for k in range(held.shape[1]):
        weight, close = weights[k], seen[h, lay.CLOSE, k]
        is_fresh = math.isfinite(close)
        is_known = (
            is_fresh
            and math.isfinite(seen[h, lay.MULTIPLIER, k])
            and math.isfinite(seen[h, lay.ASKED, k])
        )
        if not is_known and abs(target[k]) > abs(weight):
            target[k] = weight
            limits |= lay.L_STALE
        price, change = held[lay.MARK, k], target[k] - weight
        closes = target[k] == 0.0 and held[lay.QUANTITY, k] != 0.0
        if not is_fresh or not price > 0.0 or (abs(change) < rules[lay.R_LEAST] and not closes):
            continue
        order = -held[lay.QUANTITY, k] if closes else change * equity / price
        if order == 0.0:
            continue
        most = rules[lay.R_DEPTH] * seen[h, lay.DEPTH, k]
        if abs(order) * price > most:  # false where no book is known
            order = math.copysign(most / price, order)
            limits |= lay.L_DEPTH
        held[lay.WANTED, k], held[lay.DECIDED_MID, k] = order, price
        row = decided[counts[1]]
        counts[1] += 1
        row[lay.HOUR], row[lay.SYMBOL], row[lay.BEFORE] = h, k, weight
        row[lay.TARGET], row[lay.NEXT], row[lay.NEXT_PRICE] = target[k], order, price
        row[lay.NEXT_SIDE] = held[lay.SIDE, k]
    return limits


@ieee_kernel
def limit(rules, target, cluster, grouped):  # type: ignore[no-untyped-def]
    """Scale weights down together where they pass a limit, in place; the bits of those that held.

    Args:
        rules: limits by the numbers ``R_``.
        target: (symbols,) weights.
        cluster: (symbols,) the smallest index of a symbol of the same group.
        grouped: (symbols,) scratch.
    """
    symbols = target.shape[0]
    hit = 0
    grouped[:] = 0.0
    for k in range(symbols):
        if abs(target[k]) > rules[lay.R_SYMBOL]:
            target[k] = math.copysign(rules[lay.R_SYMBOL], target[k])
            hit |= lay.L_SYMBOL
        grouped[int(cluster[k])] += abs(target[k])
    net = gross = 0.0
    for k in range(symbols):
        size = grouped[int(cluster[k])]
        if size > rules[lay.R_CLUSTER] * _HAIR:
            target[k] *= rules[lay.R_CLUSTER] / size
            hit |= lay.L_CLUSTER
        net += target[k]
    if abs(net) > rules[lay.R_NET] * _HAIR:
        target *= rules[lay.R_NET] / abs(net)
        hit |= lay.L_NET
    for k in range(symbols):
        gross += abs(target[k])
    if gross > rules[lay.R_GROSS] * _HAIR:
        target *= rules[lay.R_GROSS] / gross
        hit |= lay.L_GROSS
    return hit
