"""Gives a container build this machine's pip settings.

Writes them to the file named by the only argument, and prints, one a line, the volume options that
put that file and the folders and certificates it speaks of into the container.
"""

import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

SETTINGS = ("index-url", "extra-index-url", "find-links", "no-index", "cert", "trusted-host", "timeout")


def effective_settings() -> dict[str, str]:
    """What `pip config` has for `SETTINGS`; the environment wins over files, as it does in pip."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    scopes: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        scope, _, name = key.partition(".")
        if scope in scopes and name in SETTINGS:
            scopes[scope][name] = shlex.split(value)[0]
    return {**scopes["global"], **scopes["install"], **scopes[":env:"]}


def local_paths(settings: dict[str, str]) -> list[Path]:
    """The files and folders on this machine that `settings` name."""
    paths = [Path(settings["cert"])] if "cert" in settings else []
    for name in ("find-links", "index-url", "extra-index-url"):
        for place in settings.get(name, "").split():
            url = urlsplit(place)
            if url.scheme == "file":
                # An index's pages may point to files beside it.
                paths.append(Path(unquote(url.path)).parent)
            elif place.startswith("/"):
                paths.append(Path(place))
    return sorted({path for path in paths if path.exists() and path != Path("/")})


def main() -> None:
    """Write the settings, print the options."""
    target = Path(sys.argv[1])
    settings = effective_settings()
    target.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    target.chmod(0o644)
    for source, place in [(target, Path("/etc/pip.conf")), *((path, path) for path in local_paths(settings))]:
        print(f"--volume={source}:{place}:ro")


if __name__ == "__main__":
    main()
