"""The step of `hello.yaml`."""


def greet(name: str) -> dict[str, object]:
    text = f"hello, {name}"
    return {"text": text, "length": len(text)}
