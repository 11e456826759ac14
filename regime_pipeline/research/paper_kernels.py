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
    rules, hours, month_ends, seen, held, account, met, is_met, at, came_to, did
):
    """Move a state over hours, in place, up to the first one whose orders meet a book that is not given.

    Args:
        rules: limits by the numbers ``R_``.
        hours: since 1970, one after the other.
        month_ends: the first hour of the month after each hour's.
        seen: (hours, ``SEEN``, symbols).
        held: (``HELD``, symbols), changed.
        account: (``ACCOUNT``,), changed.
        met: (symbols, 3): base coin filled, mean price, mid of the book that orders of hour ``at`` meet.
        is_met: whether ``met`` is given.
        at: index of the hour to begin with.
        came_to: (hours, ``CAME_TO``), filled in.
        did: (hours, ``DID``, symbols), filled in; zeros where nothing was ordered.

    Returns:
        The index of the hour that waits for its books; the number of hours when all are done.
    """
    symbols = held.shape[1]
    target, grouped = np.empty(symbols), np.empty(symbols)
    for h in range(at, hours.shape[0]):
        now, row, cells = seen[h], came_to[h], did[h]
        if not (is_met and h == at):
            for k in range(symbols):
                if held[lay.WANTED, k] != 0.0 and now[lay.BOOK, k] == lay.BOOK_IN_TIME:
                    return h
        row[lay.TRADED_NOW], row[lay.FEES_NOW] = _fill(now, held, account, met, cells)
        row[lay.PAID_NOW] = _settle(now, held, account)
        equity = _mark(now, held, account)
        row[lay.GROSS], row[lay.NET] = _weigh(held, equity, cells)
        if account[lay.STOPPED_UNTIL] != 0.0 and hours[h] + 1 >= account[lay.STOPPED_UNTIL]:
            account[lay.STOPPED_UNTIL], account[lay.PEAK] = 0.0, equity
        account[lay.PEAK] = max(account[lay.PEAK], equity)
        drawdown = 1.0 - equity / account[lay.PEAK]
        if account[lay.STOPPED_UNTIL] == 0.0 and drawdown >= rules[lay.R_STOP]:
            account[lay.STOPPED_UNTIL] = month_ends[h]
        if equity > 0.0:
            limits = _aim(rules, now, held, target, grouped)
            if account[lay.STOPPED_UNTIL] != 0.0:
                target[:] = 0.0
                limits |= lay.L_STOPPED
            elif drawdown >= rules[lay.R_HALVE]:
                target /= 2.0
                limits |= lay.L_DRAWDOWN
            row[lay.LIMITS] = limits | _order(rules, now, held, equity, target, cells)
        account[lay.EQUITY_H] += equity
        account[lay.GROSS_H] += row[lay.GROSS]
        row[lay.EQUITY], row[lay.AT_CASH], row[lay.DRAWDOWN] = equity, account[lay.CASH], drawdown
        row[lay.AT_TIER], row[lay.HOLDING] = account[lay.WORST_TIER], account[lay.HOLD]
    return hours.shape[0]


@ieee_kernel
def _fill(now, held, account, met, cells):  # type: ignore[no-untyped-def]
    """Fill what was decided at the end of the hour before; value that changed hands, and fees."""
    fees = traded = 0.0
    tier = account[lay.WORST_TIER]
    for k in range(held.shape[1]):
        if now[lay.BOOK, k] != lay.NO_BOOK:
            held[lay.BOOKED, k] = 1.0
        if now[lay.TIER, k] > tier or math.isnan(tier):
            tier = now[lay.TIER, k]
        wanted = held[lay.WANTED, k]
        if wanted == 0.0:
            continue
        side, size = (1.0 if wanted > 0.0 else -1.0), abs(wanted)
        filled, price, mid, why = 0.0, math.nan, math.nan, lay.WHOLE
        is_assumed = False
        if now[lay.BOOK, k] == lay.BOOK_IN_TIME:
            filled, price, mid = met[k, 0], met[k, 1], met[k, 2]
            if filled < size:
                why = lay.TOO_SHALLOW
        elif held[lay.BOOKED, k] != 0.0:
            why = lay.NO_BOOK_THEN
        else:
            mid = held[lay.DECIDED_MID, k]
            is_assumed = math.isfinite(now[lay.HALF_SPREAD, k]) and mid > 0.0
            if is_assumed:
                filled, price = size, mid * (1.0 + side * now[lay.HALF_SPREAD, k] / 1e4)
                tier = max(tier, lay.ASSUMED_TIER)
            else:
                why = lay.NO_SPREAD
        fee = 0.0
        if filled > 0.0:
            worth = filled * price
            fee = worth * now[lay.FEE, k] / 1e4
            account[lay.CASH] -= side * worth + fee
            held[lay.QUANTITY, k] += side * filled
            traded += worth
            fees += fee
            account[lay.ASSUMED_FILLS if is_assumed else lay.BOOK_FILLS] += 1.0
        cells[lay.ORDER, k], cells[lay.FILLED, k], cells[lay.VWAP, k] = wanted, filled, price
        cells[lay.MID_THEN, k], cells[lay.MID_NOW, k] = held[lay.DECIDED_MID, k], mid
        cells[lay.FEE_USD, k], cells[lay.WHY, k], cells[lay.IS_ASSUMED, k] = fee, why, is_assumed
        held[lay.WANTED, k], held[lay.DECIDED_MID, k] = 0.0, math.nan
    account[lay.WORST_TIER] = tier
    account[lay.TRADED] += traded
    account[lay.FEES] += fees
    return traded, fees


@ieee_kernel
def _settle(now, held, account):  # type: ignore[no-untyped-def]
    """Pay the funding of the hour; how much."""
    paid = 0.0
    for k in range(held.shape[1]):
        rate = now[lay.FUNDING, k]
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
def _mark(now, held, account):  # type: ignore[no-untyped-def]
    """Take the prices at the end of the hour; the equity, and what holding all in equal parts came to."""
    equity = account[lay.CASH]
    moves, known = 0.0, 0
    for k in range(held.shape[1]):
        close = now[lay.CLOSE, k]
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
def _weigh(held, equity, cells):  # type: ignore[no-untyped-def]
    """Weights at the end of the hour; the sum of their sizes, and their sum."""
    gross = net = 0.0
    for k in range(held.shape[1]):
        weight = 0.0
        if equity > 0.0 and held[lay.QUANTITY, k] != 0.0:
            weight = held[lay.QUANTITY, k] * held[lay.MARK, k] / equity
        cells[lay.BASE, k], cells[lay.AT_MARK, k] = held[lay.QUANTITY, k], held[lay.MARK, k]
        cells[lay.WEIGHT, k] = weight
        gross += abs(weight)
        net += weight
    return gross, net


@ieee_kernel
def _aim(rules, now, held, target, grouped):  # type: ignore[no-untyped-def]
    """Weights by side and risk, within the limits; the bits of those that held."""
    for k in range(held.shape[1]):
        side = now[lay.ASKED, k]
        if math.isfinite(side):
            held[lay.SIDE, k], held[lay.SILENT_H, k] = side, 0.0
        else:
            held[lay.SILENT_H, k] += 1.0
            if held[lay.SILENT_H, k] >= rules[lay.R_NULL_H]:
                held[lay.SIDE, k] = 0.0
        risk = now[lay.MULTIPLIER, k]
        target[k] = held[lay.SIDE, k] * rules[lay.R_WEIGHT] / (risk if risk > 1.0 else 1.0)
    return limit(rules, target, now[lay.CLUSTER], grouped)


@ieee_kernel
def _order(rules, now, held, equity, target, cells):  # type: ignore[no-untyped-def]
    """Decide the orders that lead to the targets; the bits of limits that held."""
    limits = 0
    for k in range(held.shape[1]):
        weight, close = cells[lay.WEIGHT, k], now[lay.CLOSE, k]
        is_fresh = math.isfinite(close)
        is_known = (
            is_fresh and math.isfinite(now[lay.MULTIPLIER, k]) and math.isfinite(now[lay.ASKED, k])
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
        most = rules[lay.R_DEPTH] * now[lay.DEPTH, k] / price
        if abs(order) > most:  # false where no book is known
            order = math.copysign(most, order)
            limits |= lay.L_DEPTH
        held[lay.WANTED, k], held[lay.DECIDED_MID, k] = order, price
        cells[lay.TARGET, k], cells[lay.NEXT, k], cells[lay.NEXT_SIDE, k] = (
            target[k],
            order,
            held[lay.SIDE, k],
        )
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
