"""A client made of an OpenAPI document, and of nothing else: no word of it knows heliostat.

Each operation is a method by its id. What is sent and what comes back is held against the
document's schemas, so that a promise which the document does not keep fails here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema


class Undocumented(AssertionError):
    """The server does what its document does not say."""


class Refused(Exception):
    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status, body)
        self.status, self.body = status, body


class Generated:
    def __init__(self, url: str, document_path: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=90)
        self.document = self._http.get(document_path).raise_for_status().json()
        assert self.document["openapi"].startswith("3.1")
        self.operations = {
            operation["operationId"]: (method, path, operation)
            for path, methods in self.document["paths"].items()
            for method, operation in methods.items()
        }

    def close(self) -> None:
        self._http.close()

    def __getattr__(self, name: str) -> Any:
        if name not in self.operations:
            raise AttributeError(f"the document has no operation {name}")
        method, path, operation = self.operations[name]

        def call(body: Any = None, **arguments: Any) -> Any:
            return self._call(method, path, operation, body, arguments)

        return call

    def _call(
        self, method: str, path: str, operation: Any, body: Any, arguments: Mapping[str, Any]
    ) -> Any:
        left = dict(arguments)
        query, headers = {}, {}
        for parameter in map(self._resolved, operation.get("parameters", ())):
            key = parameter["name"].replace("-", "_")
            if key not in left:
                assert not parameter.get("required"), f"{parameter['name']} is required"
                continue
            value = left.pop(key)
            self._check(value, parameter["schema"], f"parameter {parameter['name']}")
            match parameter["in"]:
                case "path":
                    path = path.replace(f"{{{parameter['name']}}}", quote(str(value), safe=""))
                case "query":
                    query[parameter["name"]] = value
                case "header":
                    headers[parameter["name"]] = value
        assert not left, f"the document knows no {', '.join(left)}"
        if body is not None:
            content = self._resolved(operation["requestBody"])["content"]["application/json"]
            self._check(body, content["schema"], "the body")
        answer = self._http.request(method, path, params=query, headers=headers, json=body)
        return self._answer(operation, answer)

    def _answer(self, operation: Any, answer: httpx.Response) -> Any:
        known = operation["responses"].get(str(answer.status_code))
        if known is None:
            raise Undocumented(f"{operation['operationId']} answers {answer.status_code}")
        value = answer.json()
        content = self._resolved(known).get("content", {})
        if "application/json" in content and "schema" in content["application/json"]:
            self._check(value, content["application/json"]["schema"], "the answer")
        if answer.status_code >= 400:
            raise Refused(answer.status_code, value)
        return value

    def _check(self, value: Any, schema: Any, what: str) -> None:
        whole = {**schema, "components": self.document["components"]}
        try:
            jsonschema.Draft202012Validator(whole).validate(value)
        except jsonschema.ValidationError as error:
            raise Undocumented(f"{what} is not as documented: {error.message}") from error

    def _resolved(self, part: Any) -> Any:
        while "$ref" in part:
            found = self.document
            for name in part["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            part = found
        return part
