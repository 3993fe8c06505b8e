from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from bench.cells import parse_python
from bench.errors import Unavailable
from bench.matrix.images.packing import LEFT_OUT, Entry, Linked, digest_of, parse_ldd, refuse_unpackable, write_tar

SEVERAL = """\
/usr/bin/python3.11:
\tlinux-vdso.so.1 (0x00007ffd1e5f2000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f2a4a7f6000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f2a4a9e6000)
/x/_tkinter.so:
\tlibtk8.6.so => not found
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f2a4a7f6000)
/x/static:
\tstatically linked
"""
MUSL = """\
\t/lib/ld-musl-x86_64.so.1 (0x7f4e5c0a8000)
\tlibc.musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1 (0x7f4e5c0a8000)
"""


def test_ldd_of_several_files() -> None:
    libc = Path("/lib/x86_64-linux-gnu/libc.so.6")
    assert parse_ldd(SEVERAL, ["/usr/bin/python3.11", "/x/_tkinter.so", "/x/static"]) == {
        "/usr/bin/python3.11": Linked((libc, Path("/lib64/ld-linux-x86-64.so.2")), ()),
        "/x/_tkinter.so": Linked((libc,), ("libtk8.6.so",)),
        "/x/static": Linked((), ()),
    }


def test_ldd_of_one_file_has_no_heading() -> None:
    loader = Path("/lib/ld-musl-x86_64.so.1")
    assert parse_ldd(MUSL, ["/bin/sh"]) == {"/bin/sh": Linked((loader, loader), ())}


@pytest.mark.parametrize(
    "name",
    [
        "test/test_os.py",
        "ctypes/test/test_x.py",
        "lib2to3/tests/data/a.py",
        "idlelib/run.py",
        "tkinter/__init__.py",
        "site-packages/evil.pth",
        "config-3.12-x86_64-linux-gnu/libpython3.12.a",
        "__pycache__/os.cpython-312.opt-1.pyc",
        "lib-dynload/_tkinter.cpython-312-x86_64-linux-gnu.so",
        "lib-dynload/_testcapi.cpython-312-x86_64-linux-gnu.so",
        "EXTERNALLY-MANAGED",
    ],
)
def test_left_out(name: str) -> None:
    assert LEFT_OUT.search(name)


@pytest.mark.parametrize(
    "name",
    [
        "os.py",
        "unittest/mock.py",
        "__pycache__/os.cpython-312.pyc",
        "ensurepip/_bundled/pip-23.2.1-py3-none-any.whl",
        "lib-dynload/_multiprocessing.cpython-312-x86_64-linux-gnu.so",
        "lib-dynload/_contextvars.cpython-312-x86_64-linux-gnu.so",
        "doctest.py",
        "_sysconfigdata__linux_x86_64-linux-gnu.py",
    ],
)
def test_kept(name: str) -> None:
    assert not LEFT_OUT.search(name)


def entries(folder: Path) -> list[Entry]:
    (folder / "os.py").write_text("import sys\n")
    return [
        Entry("bin/sh", 0o755, source=folder / "os.py"),
        Entry("etc/passwd", 0o644, content=b"root"),
        Entry("tmp", 0o1777),
        Entry("usr/local/bin/python", 0o777, link="python3.12"),
    ]


def test_a_layer_has_every_parent_folder_once_and_is_roots(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    write_tar(entries(tmp_path), buffer)
    buffer.seek(0)

    with tarfile.open(fileobj=buffer) as archive:
        members = archive.getmembers()

    assert [member.name for member in members] == [
        *("bin", "bin/sh", "etc", "etc/passwd", "tmp", "usr", "usr/local", "usr/local/bin", "usr/local/bin/python")
    ]
    assert {(member.uid, member.gid) for member in members} == {(0, 0)}
    by_name = {member.name: member for member in members}
    assert by_name["tmp"].mode == 0o1777
    assert by_name["bin/sh"].mtime == int((tmp_path / "os.py").stat().st_mtime)
    assert by_name["usr/local/bin/python"].linkname == "python3.12"


def test_the_same_content_has_the_same_name_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    here, there = entries(tmp_path / "a"), entries(tmp_path / "b")

    assert digest_of(here) == digest_of(there)
    (tmp_path / "b" / "os.py").write_text("import io\n")
    assert digest_of(here) != digest_of(there)


def test_another_implementation_is_refused_with_what_to_do() -> None:
    with pytest.raises(Unavailable, match=r"pull pypy:3\.11-slim"):
        refuse_unpackable(parse_python("pypy3.11"))
