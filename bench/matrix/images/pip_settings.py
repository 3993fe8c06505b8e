"""What pip of this host is told about indexes, proxies and certificates, for pip inside a build.

The settings travel as a file of shell variables and a certificate bundle, which only the stage that runs pip sees.
They may hold passwords: nothing here is printed, put into a build argument or kept in an image.
"""

from __future__ import annotations

import configparser
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.errors import UsageError

TAKEN = ("index-url", "extra-index-url", "trusted-host", "proxy", "cert", "timeout", "retries")
"""The options that builds take over. `find-links` is not one: its folders are the host's."""

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
IN_BUILD = "/forkbench-build"
"""Where the build context's `docker` folder is while pip runs."""

_LOCAL_HOSTS = ("localhost", "::1")
_SEVERAL = ("extra-index-url", "trusted-host")


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
        """Give the files for the build context's `docker` folder."""
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
    """Read the settings that pip would use on this host: its configuration files, then its environment.

    Raises:
        UsageError: if a configuration file cannot be read as one, or a named certificate bundle is not there.
    """
    return read_settings(environment, (text for path in config_files(environment) if (text := _text(path))))


def config_files(environment: Mapping[str, str]) -> list[Path]:
    """List where pip looks for configuration, weakest first, as its documentation gives the order."""
    named = environment.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = Path("~").expanduser()
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    system = [Path(folder, "pip/pip.conf") for folder in environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    user = [home / ".pip/pip.conf", config / "pip/pip.conf"]
    if sys.platform == "darwin":
        user.insert(1, home / "Library/Application Support/pip/pip.conf")
    files = [*reversed(system), Path("/etc/pip.conf"), *user, Path(sys.prefix, "pip.conf")]
    return [*files, Path(named)] if named else files


def read_settings(environment: Mapping[str, str], texts: Iterable[str]) -> PipSettings:
    """Merge configuration files' texts, weakest first, and the environment, which is stronger than all of them.

    Raises:
        UsageError: as `host_settings` does.
    """
    options: dict[str, str] = {}
    for section in _sections(texts):
        options |= section
    options |= _from_environment(environment)
    certificate = options.pop("cert", None) or environment.get("REQUESTS_CA_BUNDLE") or environment.get("SSL_CERT_FILE")
    proxies = {name: value for name in PROXIES if (value := environment.get(name) or environment.get(name.upper(), ""))}
    return PipSettings(options, proxies, _bundle(certificate) if certificate else None)


def _sections(texts: Iterable[str]) -> list[dict[str, str]]:
    """Give the options of each `[global]` section, then those of each `[install]`, which are stronger."""
    parsers = [_parse(text) for text in texts]
    sections = [parser[name] for name in ("global", "install") for parser in parsers if parser.has_section(name)]
    return [
        {name: " ".join(value.split()) for key, value in section.items() if (name := _option(key)) in TAKEN}
        for section in sections
    ]


def _parse(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise UsageError(f"pip's configuration cannot be read: {error.message.splitlines()[0]}") from error
    return parser


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for variable, value in environment.items():
        name = _option(variable.removeprefix("PIP_").lower())
        if variable.startswith("PIP_") and name in TAKEN and value.strip():
            found[name] = " ".join(value.split()) if name in _SEVERAL else value.strip()
    return found


def _option(key: str) -> str:
    name = key.strip().lower().replace("_", "-")
    return "timeout" if name == "default-timeout" else name


def _bundle(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"pip's certificate bundle {path}: {error.strerror}; correct `cert` or PIP_CERT") from error


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _is_loopback(url: str) -> bool:
    host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    return host in _LOCAL_HOSTS or host.startswith("127.")
