from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.matrix.images.pip_settings import IN_BUILD, PipSettings, config_files, read_settings

WEAK = "[global]\nindex-url = https://weak/simple\ntimeout = 20\nfind-links = /srv/wheels\n"
STRONG = "[global]\nindex_url = https://user:secret@strong/simple\nextra-index-url =\n    https://a\n    https://b\n"


def test_stronger_files_win_over_weaker_ones_and_options_are_kept() -> None:
    options = read_settings({}, [WEAK, STRONG]).options

    assert options == {
        "index-url": "https://user:secret@strong/simple",
        "extra-index-url": "https://a https://b",
        "timeout": "20",
    }


def test_the_install_section_of_a_weak_file_wins_over_global_of_a_strong_one() -> None:
    settings = read_settings({}, ["[install]\nretries = 9\n", "[global]\nretries = 1\n"])
    assert settings.options["retries"] == "9"


def test_the_environment_wins_over_files_and_folders_of_the_host_are_dropped() -> None:
    environment = {"PIP_INDEX_URL": "https://env/simple", "PIP_DEFAULT_TIMEOUT": "7", "PIP_FIND_LINKS": "/opt/wheels"}
    assert read_settings(environment, [WEAK]).options == {"index-url": "https://env/simple", "timeout": "7"}


@pytest.mark.parametrize(
    ("environment", "text", "expected"),
    [
        ({"PIP_CERT": "a.pem", "SSL_CERT_FILE": "b.pem"}, "", b"a"),
        ({"SSL_CERT_FILE": "b.pem"}, "[global]\ncert = a.pem\n", b"a"),
        ({"SSL_CERT_FILE": "b.pem", "REQUESTS_CA_BUNDLE": "a.pem"}, "", b"a"),
        ({"SSL_CERT_FILE": "b.pem"}, "", b"b"),
        ({}, "", None),
    ],
)
def test_the_bundle_is_pips_own_else_that_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], text: str, expected: bytes | None
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / f"{name}.pem").write_text(name)

    settings = read_settings(environment, [text])

    assert settings.bundle == expected
    assert "cert" not in settings.options


def test_a_bundle_that_is_not_there_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match=r"/no/such\.pem"):
        read_settings({"PIP_CERT": "/no/such.pem"}, [])


def test_a_file_that_is_no_configuration_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="configuration cannot be read"):
        read_settings({}, ["index-url = https://a\n"])


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


def test_configuration_files_are_in_pips_order_and_devnull_means_none() -> None:
    named = config_files({"PIP_CONFIG_FILE": "/named.conf", "XDG_CONFIG_HOME": "/xdg"})

    assert named[-1] == Path("/named.conf")
    assert named.index(Path("/etc/pip.conf")) < named.index(Path("/xdg/pip/pip.conf")) < len(named) - 2
    assert config_files({"PIP_CONFIG_FILE": os.devnull}) == []
