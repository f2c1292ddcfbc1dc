"""Files that pages load: our own style and script, and htmx and uPlot as `make setup` brought them. Read once, at the start.

Decides under which address each is served and for how long a browser may keep it. Nothing is ever loaded from another host.
"""
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from cambist.ops.web.guards import Ask, Fault, Reply

OWN = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
BROUGHT = {"htmx.js": "htmx.org/dist/htmx.min.js", "uplot.js": "uplot/dist/uPlot.iife.min.js", "uplot.css": "uplot/dist/uPlot.min.css"}
YEAR = "public, max-age=31536000, immutable"


class NoAssets(RuntimeError):
    """What `make setup` brings is not there."""


class Asset(NamedTuple):
    body: str
    media_type: str
    mark: str                                           # a hash of its content: a changed file has another address


def node_modules() -> Path:
    """CAMBIST_NODE_MODULES, or node_modules beside pyproject.toml. Raises NoAssets."""
    named = os.environ.get("CAMBIST_NODE_MODULES")
    found = Path(named) if named else next((up / "node_modules" for up in Path(__file__).resolve().parents if (up / "pyproject.toml").is_file()), None)
    if found is None or not found.is_dir():
        where = f"CAMBIST_NODE_MODULES names {named}, which is no folder" if named else "there is no node_modules beside pyproject.toml"
        raise NoAssets(f"htmx and uPlot are missing: {where}; `make setup` brings them")
    return found


class Assets:
    """Every file pages may load. `folders`: an app's own, beside the shared one. Raises NoAssets."""

    def __init__(self, *folders: Path) -> None:
        modules = node_modules()
        files = {path.name: path for folder in (OWN, *folders) for path in sorted(folder.iterdir()) if path.suffix in TYPES}
        files |= {name: modules / where for name, where in BROUGHT.items()}
        self._by_name: dict[str, Asset] = {}
        for name, path in files.items():
            try:
                body = path.read_text(encoding="utf-8")
            except OSError as error:
                raise NoAssets(f"{path} cannot be read ({error.strerror}); `make setup` brings it") from error
            self._by_name[name] = Asset(body, TYPES[Path(name).suffix], hashlib.sha256(body.encode()).hexdigest()[:16])

    def address(self, name: str) -> str:
        """Of a file, for a page; changes with its content."""
        return f"/static/{name}?v={self._by_name[name].mark}"

    async def serve(self, ask: Ask) -> Reply:
        asset = self._by_name.get(ask.values["name"])
        if asset is None:
            raise Fault(404, "NOT_FOUND", "There is no such file.")
        kept = YEAR if ask.query.get("v") == asset.mark else "no-cache"
        return Reply(asset.body, headers={"Cache-Control": kept}, media_type=asset.media_type)
