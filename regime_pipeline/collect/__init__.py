"""The live collector: venues' streams to segment files, and from those to rows, spans and proofs.

Belongs here: connections as data (``plan``, ``venues``), sockets (``session``), segment files
(``segments``), what was covered to the second (``watch``), rows of what segments hold (``decode``,
``store``, ``hours``), the process (``collector``). Does not belong here: parsers of messages
(``providers``), Dagster (``orchestration``), reading a command line (``cli``).

Stored rows come from segments only: storing as it happens, replaying and proving are one code path.
"""
