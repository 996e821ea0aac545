import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-diagnostics",
        action="store_true",
        help="write what is printed into tests/engine/authoring/bad; review the diff",
    )
