"""Where things stand in the arrays that paper positions are walked in.

Belongs here: numbers of rows and columns, codes, bits. Does not belong here: what is done with them
(``paper_kernels``, ``paper``). Importing this module loads nothing.
"""

from __future__ import annotations

# what an hour brings, by symbol
CLOSE, ASKED, MULTIPLIER, DEPTH, FUNDING, FEE, HALF_SPREAD, CLUSTER, BOOK, TIER = range(10)
SEEN = 10
NO_BOOK, BOOK_IN_TIME, OTHER_BOOK = 0.0, 1.0, 2.0
# what is known of the hours before, by symbol
QUANTITY, MARK, SIDE, SILENT_H, WANTED, DECIDED_MID, BOOKED, LAST_CLOSE = range(8)
HELD = 8
# and in all
CASH, PEAK, STOPPED_UNTIL, TRADED, FEES, PAID, EQUITY_H, GROSS_H = range(8)
BOOK_FILLS, ASSUMED_FILLS, WORST_TIER, HOLD, BEGAN_H = range(8, 13)
ACCOUNT = 13
# what an hour came to, in all
EQUITY, AT_CASH, GROSS, NET, DRAWDOWN, FEES_NOW, PAID_NOW = range(7)
TRADED_NOW, LIMITS, AT_TIER, HOLDING = range(7, 11)
CAME_TO = 11
# and by symbol
BASE, AT_MARK = range(2)
ENDS = 2
# an order that was due
HOUR, SYMBOL, ORDER, FILLED, VWAP, MID_THEN, MID_NOW, FEE_USD, WHY, IS_ASSUMED = range(10)
DUE = 10
# an order that was decided, after its hour and symbol
BEFORE, TARGET, NEXT, NEXT_PRICE, NEXT_SIDE = range(2, 7)
DECIDED = 7
WHOLE, NO_BOOK_THEN, TOO_SHALLOW, NO_SPREAD = 0.0, 1.0, 2.0, 3.0
# limits, bit by bit, in the order in which they are held
L_SYMBOL, L_CLUSTER, L_NET, L_GROSS = 1, 2, 4, 8
L_STOPPED, L_DRAWDOWN, L_STALE, L_DEPTH = 16, 32, 64, 128
# the rules
R_WEIGHT, R_SYMBOL, R_CLUSTER, R_NET, R_GROSS = range(5)
R_HALVE, R_STOP, R_LEAST, R_DEPTH, R_NULL_H = range(5, 10)
RULES = 10

ASSUMED_TIER = 3.0
