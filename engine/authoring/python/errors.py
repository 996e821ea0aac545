"""Errors and ways out: `try`, `raise`, and what leaves loops and functions through a `finally`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from .frame import Expr, Finally, Handler, Loop, Trying
from .graph import Way
from .names import slug
from .offered import Offered
from .pieces import either_way, error_of, first_line


class Errors(Offered):
    """Compiles what catches errors, raises them, and leaves."""

    finals = False
    """Whether a `finally` may have changed where a `return` goes."""

    def statements(self, body: Sequence[ast.stmt]) -> None:
        """Compile statements; the last layer knows all of them."""
        raise NotImplementedError

    # -- leaving

    def _break_statement(self, node: ast.Break) -> None:
        self.leave("break", self._innermost())

    def _continue_statement(self, node: ast.Continue) -> None:
        self.leave("continue", self._innermost())

    def _innermost(self) -> Loop:
        return next(each for each in reversed(self.frames) if isinstance(each, Loop))

    def leave(self, how: str, loop: Loop | None) -> None:
        """Let control go to the end of the function or of a loop, through what is in between."""
        if not self.scope.reachable:
            return
        for frame in reversed(self.frames):
            if isinstance(frame, Finally):
                frame.exits[how] = loop
                self.decide(how, self.source.tree, raises=False, assign={frame.name: how})
                frame.ways += self.scope.take()
                break
            if frame is loop:
                assert loop is not None
                if how == "break":
                    loop.breaks += self.scope.take()
                    if self.bound is not None:
                        loop.bound.append(self.bound)
                else:
                    loop.continues += self.scope.take()
                break
        self.scope.take()  # of a return: these ways lead to the end
        self.bound = None

    # -- raising

    def _raise_statement(self, node: ast.Raise) -> None:
        error = node.exc
        named = error.id if isinstance(error, ast.Name) else None
        if error is None or named in self.caught_names():
            if error is None and not self.caught:
                raise self.refuse("HS415", node, "`raise` alone stands within `except`", None)
            variable = self.caught[-1]
            if named is not None:
                variable = self.names[named].text.split(".")[2]
            path = f"$.vars.{variable}"
            self.fail("raise", node, error_of(path))
            return
        call = error if isinstance(error, ast.Call) else None
        kind = self.resolve(error if call is None else call.func)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise self.refuse(
                "HS415",
                node,
                "what is raised is a class of errors, or one with a text",
                'raise ValueError("why"), or hs.fail("Rejected", "why")',
            )
        message: Any = ""
        if call is not None:
            if len(call.args) > 1 or call.keywords:
                raise self.refuse("HS415", call, "an error carries one text", "an f-string")
            if call.args:
                found = self.value(call.args[0])
                word = "repr_strict" if issubclass(kind, KeyError) else "str_strict"
                if found.type is str and word == "str_strict":
                    message = found.data
                else:
                    message = f"${{ {word}({found.text}) }}"
        if not self.scope.reachable:
            return
        bases = [each.__name__ for each in kind.__mro__[1:-2]]
        told = {"type": kind.__name__, "message": message}
        self.fail(slug("raise", kind.__name__), node, {**told, "bases": bases} if bases else told)

    # -- errors

    def _try_statement(self, node: ast.Try) -> None:
        final = Finally(self.variable("exit")) if node.finalbody else None
        if final is not None:
            self.finals = True
            self.frames.append(final)
        before = self.bound
        handlers = [Handler(each, self._kinds(each)) for each in node.handlers]
        trying = Trying(handlers)
        self.frames.append(trying)
        self.statements(node.body)
        self.frames.pop()
        self.statements(node.orelse)
        ended, there = self.scope.take(), self.bound
        for handler in handlers:
            if handler.ways:
                self.bound = before
                self._handled(handler)
                ended += self.scope.take()
                there = either_way(there, self.bound)
        self.scope.pending, self.bound = ended, there
        if final is not None:
            self.frames.pop()
            self._finally(node, final, before)

    def _kinds(self, node: ast.ExceptHandler) -> tuple[type, ...]:
        if node.type is None:
            raise self.refuse(
                "HS415",
                first_line(node),
                "a bare `except` would catch cancelling",
                "except Exception:",
            )
        nodes = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        kinds: list[type] = []
        for each in nodes:
            kind = self.resolve(each)
            if kind in (BaseException, KeyboardInterrupt, SystemExit, GeneratorExit):
                raise self.refuse("HS415", each, "cancelling is never caught", "except Exception:")
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                cure = "name the class, as `except ValueError`"
                raise self.refuse("HS415", each, "this is no class of errors", cure)
            kinds.append(kind)
        return tuple(kinds)

    def _handled(self, handler: Handler) -> None:
        node = handler.node
        bare = any(isinstance(each, ast.Raise) for each in ast.walk(node))
        if node.name is None and not bare:
            self.scope.pending = [way for _, way in handler.ways]
            self.statements(node.body)
            return
        variable = self.variable(node.name or "error")
        self.scope.pending = self.landed(handler.ways, {variable: error_of}, node)
        names = dict(self.names)
        if node.name is not None:
            self.names[node.name] = Expr(
                f"$.vars.{variable}.message", BaseException, safe=True, path=True
            )
            self.bound = None if self.bound is None else self.bound | {node.name}
        self.caught.append(variable)
        self.statements(node.body)
        self.caught.pop()
        if node.name is not None:
            self.names.pop(node.name, None)
            if node.name in names:
                self.names[node.name] = names[node.name]
            self.bound = None if self.bound is None else self.bound - {node.name}

    def _finally(self, node: ast.Try, final: Finally, before: frozenset[str] | None) -> None:
        there, goes_on = self.bound, self.scope.reachable
        if goes_on:
            self.decide("finally", node, raises=False, assign={final.name: "next"})
        ways = self.scope.take() + final.ways
        error = self.variable("error") if final.errors else ""
        if final.errors:
            told = {error: error_of, final.name: lambda path: "raise"}
            ways += self.landed(final.errors, told, node)
        if not ways:
            return
        self.scope.pending, self.bound = ways, before
        self.statements(node.finalbody)
        if not self.scope.reachable:
            return
        added = self.bound or frozenset()
        exits = [*(["raise"] if final.errors else []), *final.exits]
        if exits:
            tests = [Way(when=f'$.vars.{final.name} == "{each}"') for each in exits]
            if goes_on:
                tests.append(Way())
            else:
                tests[-1].when = None
            self.decide("after_finally", node, ways=tests, raises=False)
            for each, way in zip(exits, tests, strict=False):
                self.scope.pending, self.bound = [way], added
                if each == "raise":
                    path = f"$.vars.{error}"
                    self.fail("raise", node, error_of(path))
                else:
                    self.leave(each, final.exits[each])
            self.scope.pending = [tests[-1]] if goes_on else []
        self.bound = None if not goes_on or there is None else there | added
