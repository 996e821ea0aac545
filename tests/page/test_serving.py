"""What is handed out, and with which headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from heliostat.api.page.serving import PAGE_HEADERS

from .site import Server

PAGE = Path(__file__).parents[2] / "api" / "page"


@pytest.fixture(scope="module")
def door(files: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=files.url) as client:
        yield client


def test_the_page_allows_nothing_from_elsewhere_and_nothing_inline(door: httpx.Client) -> None:
    for path in ("/", "/page/js/app.js", "/page/css/theme.css", "/page/icon.svg"):
        answer = door.get(path)
        assert answer.status_code == 200
        assert (
            dict(answer.headers).items() >= {k.lower(): v for k, v in PAGE_HEADERS.items()}.items()
        )
    policy = PAGE_HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_no_file_names_another_address(door: httpx.Client) -> None:
    for file in [PAGE / "index.html", *PAGE.glob("css/*.css"), *PAGE.glob("js/**/*.js")]:
        named = set(re.findall(r"https?://[^\s\"'`)]+", file.read_text()))
        assert named <= {"http://www.w3.org/2000/svg"}, file


def test_nothing_but_the_pages_files_is_handed_out(door: httpx.Client) -> None:
    for path in ("serving.py", "__init__.py", "../http/app.py", "%2e%2e/__init__.py", "js", "x.js"):
        assert door.get(f"/page/{path}").status_code == 404


def test_a_file_that_is_known_is_not_sent_again(door: httpx.Client) -> None:
    first = door.get("/page/js/app.js")
    again = door.get("/page/js/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("vendored", ["d3", "dagre"])
def test_vendored_code_comes_with_its_licence(door: httpx.Client, vendored: str) -> None:
    licence = door.get(f"/page/vendor/{vendored}/LICENSE")
    assert licence.status_code == 200
    assert licence.headers["content-type"].startswith("text/plain")
    assert re.search("Permission", licence.text)
    assert f"`{vendored}/" in (PAGE / "vendor" / "README.md").read_text()
