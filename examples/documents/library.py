"""The steps of `documents.yaml`."""


class ModelUnavailable(Exception):
    """The model has no time; the text goes in as it is."""


def fetch(id: str) -> str:
    if id.startswith("lost"):
        raise FileNotFoundError(id)
    return f"text of {id}"


def enrich(text: str) -> str:
    if "busy" in text:
        raise ModelUnavailable(text)
    return f"{text}, enriched"


def store(text: str) -> str:
    return text
