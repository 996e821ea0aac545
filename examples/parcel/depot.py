"""The steps of `parcel.yaml`."""


def pick(parcel: str) -> str:
    return f"box of {parcel}"


def pack(box: str) -> str:
    return f"{box}, packed"


def undo(picked: str | None) -> str:
    return "nothing to put back" if picked is None else f"{picked}, put back"
