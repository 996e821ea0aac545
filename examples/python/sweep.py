"""A sweep over hyper-parameters: trials with a CPU each, until one is good enough."""

from pydantic import BaseModel

import heliostat as hs


class Settings(BaseModel):
    rate: float
    epochs: int = 20


class State(BaseModel):
    weight: float = 0.0
    bias: float = 0.0
    loss: float = 1e9


class Trial(BaseModel):
    settings: Settings
    epoch: int
    loss: float


class NotGoodEnough(Exception): ...


POINTS = [(x / 10, 3 * x / 10 - 1) for x in range(-20, 21)]  # of the line that is to be found


@hs.step(num_cpus=1, timeout="10m", retry=hs.Retry(max_attempts=3, on=[hs.RunnerLost]))
def train(state: State, settings: Settings) -> State:
    """One epoch of gradient descent; the state is what a real one would keep as a checkpoint."""
    weight, bias = state.weight, state.bias
    for x, y in POINTS:
        error = weight * x + bias - y
        weight, bias = weight - settings.rate * error * x, bias - settings.rate * error
    loss = sum((weight * x + bias - y) ** 2 for x, y in POINTS) / len(POINTS)
    return State(weight=weight, bias=bias, loss=min(loss, 1e9))


@hs.block
def trial(settings: Settings, goal: float) -> Trial:
    state = State()
    for epoch in range(settings.epochs):
        state = train(state, settings)
        if state.loss <= goal:
            return Trial(settings=settings, epoch=epoch, loss=state.loss)
    raise NotGoodEnough(f"{settings.rate}: {state.loss}")


@hs.workflow
def sweep(grid: list[Settings], goal: float) -> Trial:
    """The first trial that reaches the goal wins; the others are stopped, and free their CPUs."""
    trials = hs.map((trial(settings, goal) for settings in grid), concurrency=4, completion="any")
    won = [each for each in trials if each is not None]
    return won[0]


if __name__ == "__main__":
    print(sweep.run([Settings(rate=rate) for rate in (0.0001, 0.001, 0.05, 2.0)], goal=0.01))
