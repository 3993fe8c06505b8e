"""The settings of this host's pip (indexes, proxies, certificates), for pip inside a build.

`pip config list` is asked for them. They travel as a file of shell variables and a certificate bundle, which only the
stage that runs pip sees. They may hold passwords: nothing here is printed, put into a build argument or kept in an
image.
"""

from __future__ import annotations

import ast
import importlib.machinery
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.errors import UsageError
from bench.matrix.images.engine import without_secrets

TAKEN = ("index-url", "extra-index-url", "trusted-host", "proxy", "cert", "timeout", "retries")
"""The options that builds take over. `find-links` is not one: its folders are the host's."""

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
IN_BUILD = "/forkbench-build"
"""Where the build context's `docker` folder is while pip runs."""

_LOCAL_HOSTS = ("localhost", "::1")
_SEVERAL = ("extra-index-url", "trusted-host")
_SECTIONS = ("global", "install", ":env:")
"""The sections that `pip install` obeys, weakest first; `:env:` stands for the variables `PIP_*`."""

_CONFIG_LIST = ("-vvv", "--log", os.devnull, "config", "list")
"""Verbose, since a configured `quiet` silences the answer too; and not into a configured log, which would keep it."""


@dataclass(frozen=True)
class PipSettings:
    """Options of pip by their long names, proxy variables, and the certificate bundle's content."""

    options: Mapping[str, str] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)
    bundle: bytes | None = None

    @property
    def needs_host_network(self) -> bool:
        """Whether a proxy or an index listens on this host's loopback, which a build's own network cannot reach."""
        urls = [self.options.get(name, "") for name in ("index-url", "extra-index-url", "proxy")]
        urls += [value for name, value in self.proxies.items() if name != "no_proxy"]
        return any(_is_loopback(url) for text in urls for url in text.split())

    def files(self) -> dict[str, bytes]:
        """Return the files for the build context's `docker` folder."""
        variables = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in self.options.items()}
        for name, value in self.proxies.items():
            variables |= {name: value, name.upper(): value}
        files = {}
        if self.bundle is not None:
            files["ca.pem"] = self.bundle
            variables |= {"PIP_CERT": f"{IN_BUILD}/ca.pem", "SSL_CERT_FILE": f"{IN_BUILD}/ca.pem"}
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())]
        return files | {"pip.env": "".join(lines).encode()}


def host_settings(environment: Mapping[str, str] = os.environ) -> PipSettings:
    """Return the settings that pip uses on this host. Where there is no pip, only the environment's count.

    Raises:
        UsageError: if pip cannot read its configuration, or a named certificate bundle is not there.
    """
    return read_settings(list_configuration(environment), environment)


def list_configuration(environment: Mapping[str, str]) -> str:
    """Return the lines `SECTION.OPTION=REPR` that `pip config list` prints in this environment.

    Raises:
        UsageError: if pip cannot read its configuration.
    """
    command = _pip_command(environment)
    if command is None:
        found = {name.removeprefix("PIP_"): value for name, value in environment.items() if name.startswith("PIP_")}
        return "".join(f":env:.{name.lower()}={value!r}\n" for name, value in found.items())
    # A module of the current folder must not stand in for one that pip imports (obeyed by Python 3.11 and newer).
    variables = {**environment, "PYTHONIOENCODING": "utf-8", "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [*command, *_CONFIG_LIST],
        capture_output=True,
        encoding="utf-8",
        stdin=subprocess.DEVNULL,
        check=False,
        env=variables,
    )
    if done.returncode:
        # Without the lines that pip quotes from the file: they may hold a password.
        lines = [line.strip() for line in done.stderr.splitlines() if not line.startswith(("'", "\t"))]
        raise UsageError(f"pip's configuration cannot be read: {without_secrets(' '.join(lines))}")
    return done.stdout


def _pip_command(environment: Mapping[str, str]) -> list[str] | None:
    # Of the path alone: the finder that setuptools puts before it warns of a distutils that somebody has imported.
    if importlib.machinery.PathFinder.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip", path=environment.get("PATH"))
    return None if found is None else [found]


def read_settings(listing: str, environment: Mapping[str, str]) -> PipSettings:
    """Read what `pip config list` printed, and the variables that pip's HTTP library obeys.

    Raises:
        UsageError: if a named certificate bundle is not there.
    """
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for section, key, value in re.findall(r"^(global|install|:env:)\.([\w-]+)=(['\"].*)$", listing, re.MULTILINE):
        name = key.replace("_", "-").replace("default-timeout", "timeout")
        if name in TAKEN and (text := str(ast.literal_eval(value)).strip()):
            found[section][name] = " ".join(text.split()) if name in _SEVERAL else text
    options = {name: text for section in _SECTIONS for name, text in found[section].items()}
    certificate = options.pop("cert", None) or environment.get("REQUESTS_CA_BUNDLE") or environment.get("SSL_CERT_FILE")
    proxies = {name: text for name in PROXIES if (text := environment.get(name) or environment.get(name.upper(), ""))}
    return PipSettings(options, proxies, _bundle(certificate) if certificate else None)


def _bundle(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"pip's certificate bundle {path}: {error.strerror}; correct `cert` or PIP_CERT") from error


def _is_loopback(url: str) -> bool:
    host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    return host in _LOCAL_HOSTS or host.startswith("127.")
