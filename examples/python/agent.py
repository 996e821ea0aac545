"""An agent: a model chooses the next move, tools make it, people answer or stop it.

The model here follows rules, so that the example runs anywhere; `think` is where yours is asked.
Each move is recorded: after a crash the agent goes on with the next one and asks nothing twice.
"""

from typing import Literal

from pydantic import BaseModel

import heliostat as hs


class Move(BaseModel):
    kind: Literal["look_up", "add", "ask", "answer"]
    words: str


PRICES = {"tea": 3, "cake": 4}


@hs.step(timeout="60s", retry=hs.Retry(max_attempts=4, initial="1s"))
def think(task: str, seen: list[str]) -> Move:
    wanted = [word for word in task.split() if word in PRICES]
    if not wanted:
        heard = [each.removeprefix("user: ") for each in seen if each.startswith("user: ")]
        return Move(kind="answer", words=heard[-1]) if heard else Move(kind="ask", words="of what?")
    if len(seen) < len(wanted):
        return Move(kind="look_up", words=wanted[len(seen)])
    if len(seen) == len(wanted):
        return Move(kind="add", words=" ".join(seen))
    return Move(kind="answer", words=f"{task}: {seen[-1]}")


@hs.step(timeout="10s")
def look_up(item: str) -> str:
    return str(PRICES[item])


@hs.step(timeout="10s")
def add(numbers: str) -> str:
    return str(sum(int(number) for number in numbers.split()))


@hs.step
def show(question: str) -> None:
    print(f"the agent asks: {question}")


@hs.block
def tool(move: Move) -> str:
    """What a tool says; a tool that fails says so to the model, and nothing else is lost."""
    try:
        return look_up(move.words) if move.kind == "look_up" else add(move.words)
    except hs.Timeout:
        return f"{move.kind} took too long"
    except Exception as error:
        return f"{move.kind} failed: {error}"


@hs.workflow
def agent(task: str) -> str:
    seen: list[str] = []
    for _ in range(20):
        move = think(task, seen)
        if move.kind == "answer":
            return move.words
        if move.kind == "ask":
            show(move.words)
            said = hs.wait(
                answer=hs.on_signal("answer"), stop=hs.on_signal("stop"), late=hs.after("1d")
            )
            if said.name == "stop":
                return "stopped"
            seen.append(f"user: {said.data}" if said.name == "answer" else "user: nothing")
        else:
            seen.append(tool(move))
    hs.fail("TooManyMoves", f"no answer after 20 moves: {task}")


if __name__ == "__main__":
    handle = agent.start("something")
    handle.signal("answer", "tea")
    print(handle.result())
