"""The page's own files: what a browser loads before it asks anything."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from service.web import browsers

ROOT = Path(__file__).parent / "page"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class _File:
    stamp: tuple[int, int]
    content: bytes
    etag: str


class PageFiles:
    """Files of one folder, read when they are first asked for and again when they change."""

    def __init__(self, root: Path, hosts: browsers.Hosts, others: Mapping[str, Path] | None = None) -> None:
        """Args:
        others: files from elsewhere by the names they are asked for under, such as `vendor/uPlot.js`.
        """
        self._root, self._hosts, self._others = root, hosts, others or {}
        self._read: dict[Path, _File] = {}

    def routes(self) -> list[Route]:
        """`/` and `/assets/...`."""
        return [Route("/", self._index), Route("/assets/{path:path}", self._asset)]

    async def _index(self, request: Request) -> Response:
        return await self._answer(request, "index.html")

    async def _asset(self, request: Request) -> Response:
        return await self._answer(request, request.path_params["path"])

    async def _answer(self, request: Request, name: str) -> Response:
        try:
            self._hosts.check(request)
        except browsers.Refused as refused:
            return PlainTextResponse(f"{refused}\n", refused.status, browsers.HEADERS)
        path = self._others.get(name, self._root / name)
        kind = _TYPES.get(path.suffix)
        # Off the event loop: it may wait for a disk.
        file = await asyncio.to_thread(self._file, path) if kind and _is_plain(name) else None
        if kind is None or file is None:
            return PlainTextResponse("no such file\n", 404, browsers.HEADERS)
        # Asked for again each time, and not sent again: a new version of the server has its own files.
        headers = {**browsers.HEADERS, "etag": file.etag, "cache-control": "no-cache"}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=kind, headers=headers)

    def _file(self, path: Path) -> _File | None:
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            file = self._read.get(path)
            if file is None or file.stamp != stamp:
                content = path.read_bytes()
                file = _File(stamp, content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
                self._read[path] = file
        except OSError:
            return None
        return file


def _is_plain(name: str) -> bool:
    """Whether a name stays in its folder."""
    return not any(part in ("", "..", ".") or "\\" in part or "\0" in part for part in name.split("/"))
