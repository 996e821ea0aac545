"""What steps take and give back: semaphores in which order, how much at once, and where it fits."""
