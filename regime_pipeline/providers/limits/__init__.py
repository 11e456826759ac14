"""Rate budgets, leases and circuit breakers, shared between processes."""
