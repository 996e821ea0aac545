"""How long executions take: durations of steps, totals, the critical path, deadlines."""
