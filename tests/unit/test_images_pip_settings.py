from __future__ import annotations

import importlib.machinery
import os
import subprocess
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.matrix.images.pip_settings import IN_BUILD, PipSettings, host_settings, list_configuration, read_settings

WEAK = "[global]\nindex-url = https://weak/simple\ntimeout = 20\nfind-links = /srv/wheels\nquiet = 3\n"
STRONG = "[global]\nindex_url = https://user:secret@strong/simple\nextra-index-url =\n    https://a\n    https://b\n"


@pytest.fixture
def user(tmp_path: Path) -> dict[str, str]:
    """An environment without settings of pip, of a user with two files of them; the stronger is named `xdg/pip`."""
    for folder, text in ((".pip", f"{WEAK}log = {tmp_path / 'pip.log'}\n"), ("xdg/pip", STRONG)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "pip.conf").write_text(text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {**kept, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}


def test_stronger_files_win_over_weaker_ones_and_options_are_kept(user: dict[str, str], tmp_path: Path) -> None:
    options = host_settings(user).options

    assert {name: options.get(name) for name in ("index-url", "extra-index-url", "timeout")} == {
        "index-url": "https://user:secret@strong/simple",
        "extra-index-url": "https://a https://b",
        "timeout": "20",
    }
    assert "find-links" not in options
    assert not (tmp_path / "pip.log").exists(), "pip's answer holds a password, and would be kept in its log"


def test_the_install_section_wins_over_global_whichever_file_it_is_in() -> None:
    settings = read_settings("global.retries='1'\ninstall.retries='9'\ninstall.timeout=''\nglobal.timeout='3'\n", {})
    assert settings.options == {"retries": "9", "timeout": "3"}


def test_the_environment_wins_over_files_and_folders_of_the_host_are_dropped(user: dict[str, str]) -> None:
    user |= {"PIP_INDEX_URL": "https://env/simple", "PIP_DEFAULT_TIMEOUT": "7", "PIP_FIND_LINKS": "/opt/wheels"}
    options = host_settings(user).options

    assert (options["index-url"], options["timeout"]) == ("https://env/simple", "7")
    assert "find-links" not in options


def test_where_there_is_no_pip_the_environment_counts_alone(
    user: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.machinery.PathFinder, "find_spec", lambda _: None)
    user |= {"PATH": "/nowhere", "PIP_INDEX_URL": "https://it's.env/simple", "PIP_DEFAULT_TIMEOUT": "7", "PIP_CERT": ""}

    assert host_settings(user).options == {"index-url": "https://it's.env/simple", "timeout": "7"}


def test_a_pip_on_the_path_is_asked_where_this_interpreter_has_none(
    user: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.machinery.PathFinder, "find_spec", lambda _: None)
    (tmp_path / "pip").write_text("#!/bin/sh\necho \"global.proxy='http://p:1'\"\n")
    (tmp_path / "pip").chmod(0o755)

    assert host_settings({**user, "PATH": f"{tmp_path}:/usr/bin:/bin"}).options == {"proxy": "http://p:1"}


@pytest.mark.parametrize(
    ("environment", "listing", "expected"),
    [
        ({}, ":env:.cert='a.pem'\nglobal.cert='b.pem'\n", b"a"),
        ({"SSL_CERT_FILE": "b.pem"}, ":env:.cert='a.pem'\n", b"a"),
        ({"SSL_CERT_FILE": "b.pem"}, "global.cert='a.pem'\n", b"a"),
        ({"SSL_CERT_FILE": "b.pem", "REQUESTS_CA_BUNDLE": "a.pem"}, "", b"a"),
        ({"SSL_CERT_FILE": "b.pem"}, "", b"b"),
        ({}, "", None),
    ],
)
def test_the_bundle_is_pips_own_else_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], listing: str, expected: bytes | None
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / f"{name}.pem").write_text(name)

    settings = read_settings(listing, environment)

    assert settings.bundle == expected
    assert "cert" not in settings.options


def test_a_bundle_that_is_not_there_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match=r"/no/such\.pem"):
        read_settings(":env:.cert='/no/such.pem'\n", {})


def test_a_file_that_is_no_configuration_is_the_users_mistake_and_is_not_quoted(user: dict[str, str]) -> None:
    Path(user["XDG_CONFIG_HOME"], "pip", "pip.conf").write_text("index-url = https://a/?token=secret\n")

    with pytest.raises(UsageError, match=r"configuration cannot be read: .*pip\.conf") as caught:
        host_settings(user)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (PipSettings({"proxy": "http://localhost:3128"}), True),
        (PipSettings({"index-url": "http://127.0.0.1:3141/root/pypi"}), True),
        (PipSettings({"extra-index-url": "https://a http://[::1]:80/x"}), True),
        (PipSettings({}, {"https_proxy": "127.0.0.1:3128"}), True),
        (PipSettings({}, {"no_proxy": "localhost"}), False),
        (PipSettings({"index-url": "https://localhost.example/simple"}), False),
        (PipSettings(), False),
    ],
)
def test_only_what_listens_on_the_loopback_needs_the_hosts_network(settings: PipSettings, expected: bool) -> None:
    assert settings.needs_host_network is expected


def test_a_shell_reads_the_settings_back_whatever_is_in_them(tmp_path: Path) -> None:
    url = 'https://user:pa$$\'word "`id`"@host/simple'
    files = PipSettings({"index-url": url}, {"https_proxy": "http://p:1"}, b"PEM").files()
    (tmp_path / "pip.env").write_bytes(files["pip.env"])

    script = f'. {tmp_path}/pip.env; printf "%s|" "$PIP_INDEX_URL" "$HTTPS_PROXY" "$https_proxy" "$PIP_CERT"'
    said = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True, env={})

    assert said.stdout == f"{url}|http://p:1|http://p:1|{IN_BUILD}/ca.pem|"
    assert files["ca.pem"] == b"PEM"


def test_devnull_in_place_of_a_configuration_file_means_none(user: dict[str, str]) -> None:
    listing = list_configuration({**user, "PIP_CONFIG_FILE": os.devnull})
    assert ":env:.config-file='/dev/null'" in listing
    assert "global." not in listing
