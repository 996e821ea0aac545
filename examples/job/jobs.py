"""The step of `job.yaml`."""


def status(job: str, tries: int) -> dict[str, str]:
    """As a service would say it; this one is done when asked for the third time."""
    return {"job": job, "state": "done" if tries >= 2 else "running"}
