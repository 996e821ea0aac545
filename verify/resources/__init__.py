"""What steps take and give back: semaphores in which order, how much at once, and where it fits.

`order` and `waiting` decide whether waiting for permits can go on for ever, `deadlock` puts that
into the verdict about deadlocks. `demands`, `peaks` and `cluster` are what the analysis `resources`
tells; `giving` shows that no permit is lost.
"""
