"""What a verdict rests on, in a form that `checker.py` re-verifies without the engines."""
