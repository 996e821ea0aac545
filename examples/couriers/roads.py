"""The step of `ride.yaml`."""


def hand_over(courier: str, order: str) -> str:
    return f"{order} by {courier}"
