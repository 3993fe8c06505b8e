"""Which system calls reach nothing that processes share: pure, from a call's name, arguments, and what they name.

The list is closed: what is not known to be harmless is not. Each entry has its reason beside it.
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

USER, LOOKS, TRUSTED, IMPORTS = range(4)
"""Where a process is: in the user's code; in a point that has taken no step; in a point whose step it is, or in our own
machinery; in an import by the user's code."""

NAMING = 4
"""Added to the above while `tempfile` chooses a name by chance: steps leave such names out."""


def words(text: str) -> list[str]:
    """Return the words of a text: a table of names is easier to read without a quote around each."""
    return text.split()


class Call(NamedTuple):
    """A system call as its process is about to make it.

    Attributes:
        name: of the call.
        args: its six arguments, as numbers.
        where: `USER`, `LOOKS` or `TRUSTED`, perhaps with `NAMING`.
        path: the path among its arguments; empty where it has none.
        file: what the descriptor is of that is its first argument, or the one that it makes way for, as
            `/proc/PID/fd` has it; empty where that is nothing.
        own: whether this process has opened that descriptor itself, in this schedule or one before.
        pid: the process.
    """

    name: str
    args: tuple[int, ...] = (0, 0, 0, 0, 0, 0)
    where: int = USER
    path: str = ""
    file: str = ""
    own: bool = False
    pid: int = 0


# Of the process itself: its memory, threads, signals, identity and limits.
_OF_ITSELF = words("""
brk munmap mremap madvise mprotect mlock munlock mlock2 mlockall munlockall mincore mbind get_mempolicy set_mempolicy
pkey_alloc pkey_free pkey_mprotect set_robust_list get_robust_list set_tid_address arch_prctl prctl rseq membarrier
getcpu restart_syscall exit exit_group rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending sigaltstack
getpid getppid gettid getpgrp getpgid getsid getuid geteuid getgid getegid getresuid getresgid getgroups uname
getrlimit setrlimit prlimit64 getpriority setpriority capget personality umask getcwd chdir fchdir
sched_getaffinity sched_setaffinity sched_getscheduler sched_getparam sched_get_priority_max sched_get_priority_min
""")

# Giving way, and waiting for real time, which keep no two processes apart: the baton does.
_WAITS = words("sched_yield nanosleep clock_nanosleep")

# Readings of clocks, which are points where they reach the user's code; that of a process's own time is not here.
_CLOCKS = words("gettimeofday time clock_getres")

# What glibc asks for to choose how much memory to sort in.
_OF_GLIBC = ["sysinfo"]

# Objects that no other process knows, until they are handed on; descriptors of one's own; and what is only made
# durable, or read ahead.
_PRIVATE = words("""
pipe pipe2 epoll_create epoll_create1 memfd_create dup fsync fdatasync sync sync_file_range readahead fadvise64
""")

ALWAYS = frozenset((*_OF_ITSELF, *_WAITS, *_CLOCKS, *_OF_GLIBC, *_PRIVATE))
"""Harmless whatever their arguments."""

OF_POINTS = frozenset(
    words("""
    fstat newfstatat stat lstat statx fstatfs readlink readlinkat access faccessat faccessat2 getsockname getsockopt
    ppoll
    """)
)
"""What points look at to find out which object a step is of. They say by a step what they do with it."""

OF_SYSTEM = (
    "/usr/lib/",
    "/usr/lib64/",
    "/usr/share/",
    "/lib/",
    "/lib64/",
    "/etc/",
    "/sys/",
    "/proc/self/",
    "/proc/cpuinfo",
    "/proc/stat",
    "/proc/meminfo",
    "/dev/null",
)
"""Beginnings of paths to what only the system's administrator changes, or that is of the process itself."""

_WRITES = 0o3 | 0o100 | 0o1000
"""O_WRONLY, O_RDWR, O_CREAT and O_TRUNC of open(2)."""

_ANONYMOUS, _PRIVATE_MAP, _MAP_TYPE = 0x20, 0x02, 0x0F
_FUTEX_PRIVATE = 128
_OF_DESCRIPTORS = frozenset({0, 1, 2, 3, 1030})
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL and F_DUPFD_CLOEXEC of fcntl(2): they concern the process's own table."""

_OF_TERMINALS = frozenset({0x5401, 0x802C542A, 0x5413, 0x5450, 0x5451})
"""TCGETS, TCGETS2, TIOCGWINSZ, FIONCLEX and FIOCLEX of ioctl(2): whether it is a terminal; whether `exec` closes it."""

_ASKING = _OF_DESCRIPTORS | {5, 36, 1032}
"""Beside those, F_GETLK, F_OFD_GETLK and F_GETPIPE_SZ of fcntl(2)."""

_WAITING_BYTES, _WHERE_IT_IS = 0x541B, (0, 1)
"""FIONREAD of ioctl(2); no way from SEEK_CUR, of lseek(2)."""

_CPU_TIMES = frozenset({2, 3})
"""CLOCK_PROCESS_CPUTIME_ID and CLOCK_THREAD_CPUTIME_ID."""


class Rules:
    """The rules that depend on arguments.

    Args:
        system: beginnings of paths beside `OF_SYSTEM`: the interpreter's own files, and installed packages.
        output: what the descriptors 1 and 2 of every process are.
        is_new: returns whether a file has changed since the exploration began, given its path and the process.
    """

    def __init__(
        self,
        system: tuple[str, ...] = (),
        output: frozenset[str] = frozenset(),
        is_new: Callable[[str, int], bool] = lambda path, pid: False,  # noqa: ARG005  # as it is called
    ) -> None:
        self.system, self.output, self.is_new = (*OF_SYSTEM, *system), output, is_new
        rules: dict[str, Callable[[Call], bool]] = {}
        for names, rule in (
            ("mmap", self._maps_privately),
            ("futex", lambda call: bool(call.args[1] & _FUTEX_PRIVATE)),
            ("read pread64 readv fstat fstatfs getdents64", self._is_of_system_or_nameless),
            ("write writev", lambda call: call.file in self.output or _is_nameless(call)),
            ("pwrite64 ftruncate fallocate", _is_nameless),
            ("lseek", lambda call: call.own or self._is_of_system(call)),
            ("close dup2 dup3", _closes_nothing_shared),
            ("open openat", self._only_reads),
            ("stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat", self._is_of_system),
            ("ioctl", lambda call: call.args[1] in _OF_TERMINALS),
            ("fcntl", lambda call: call.args[1] in _OF_DESCRIPTORS),
            ("getrandom", lambda call: bool(call.where & NAMING)),
            ("kill tgkill tkill", lambda call: call.args[0] == call.pid),
            ("poll ppoll", lambda call: not call.args[1]),
            ("select pselect6", lambda call: not call.args[0]),
            ("clock_gettime", lambda call: call.args[0] not in _CPU_TIMES),
        ):
            rules.update(dict.fromkeys(names.split(), rule))
        self.by_name: Mapping[str, Callable[[Call], bool]] = rules

    def is_harmless(self, call: Call) -> bool:
        """Return whether a call reaches nothing that processes share, or does so in a step."""
        where = call.where & ~NAMING
        if where == TRUSTED or call.name in ALWAYS:
            return True
        if where == IMPORTS:  # what modules are read from is nobody's to write, unless somebody has
            return not call.path.endswith(".py") or not self.is_new(call.path, call.pid)
        if where == LOOKS and (call.name in OF_POINTS or _only_looks(call)):
            return True
        rule = self.by_name.get(call.name)
        return rule is not None and rule(call)

    def _is_of_system(self, call: Call) -> bool:
        """Return whether it is about a file that no test changes; of a path that is relative, nothing is known."""
        return (call.path or call.file).startswith((*self.system, f"/proc/{call.pid}/"))

    def _is_of_system_or_nameless(self, call: Call) -> bool:
        return self._is_of_system(call) or _is_nameless(call)

    def _only_reads(self, call: Call) -> bool:
        flags = call.args[1] if call.name == "open" else call.args[2]
        return call.path == "/dev/null" or (not flags & _WRITES and self._is_of_system(call))

    def _maps_privately(self, call: Call) -> bool:
        # To map memory is no access to it.
        return bool(call.args[3] & _ANONYMOUS) or call.args[3] & _MAP_TYPE == _PRIVATE_MAP


def _only_looks(call: Call) -> bool:
    """Return whether a point may make a call, without a step, to find out what a descriptor is of, or what is ready."""
    match call.name:
        case "fcntl":
            return call.args[1] in _ASKING
        case "ioctl":
            return call.args[1] == _WAITING_BYTES
        case "poll":
            return call.args[2] == 0
        case "lseek":
            return call.args[1:3] == _WHERE_IT_IS
    return False


def _is_nameless(call: Call) -> bool:
    """Return whether it is about a file that this process has opened itself and that has no name, as of `tempfile`.

    No other process can open it; one that has it open has taken a step for that, or was named.
    """
    return call.own and call.file.endswith(" (deleted)")


def _closes_nothing_shared(call: Call) -> bool:
    """Return whether no other process sees a descriptor closed: locks on files are points, and so are pipes' ends."""
    return not call.file or call.file.startswith("/")


WITH_PATH: Mapping[str, int] = {
    **dict.fromkeys(words("open stat lstat access readlink creat unlink rmdir mkdir rename truncate chmod"), 0),
    **dict.fromkeys(words("openat newfstatat statx faccessat faccessat2 readlinkat unlinkat mkdirat renameat"), 1),
}
"""By name, which argument is the path."""

WITH_FILE: Mapping[str, int] = {
    **dict.fromkeys(words("read pread64 readv write writev pwrite64 ftruncate fallocate lseek fstat fstatfs"), 0),
    **dict.fromkeys(words("getdents64 close ioctl fcntl"), 0),
    **dict.fromkeys(words("newfstatat statx"), 0),
    **dict.fromkeys(words("dup2 dup3"), 1),
}
"""By name, which argument is the descriptor that the call is about."""

OPENS = frozenset(
    words("""
    open openat openat2 creat pipe pipe2 socket socketpair accept accept4 eventfd eventfd2 epoll_create epoll_create1
    memfd_create
    """)
)
"""Calls whose result is a descriptor of a description that no other process has; of pipes and pairs that is not it."""

HANDS_ON = frozenset({"clone", "clone3", "fork", "vfork", "sendmsg", "sendmmsg"})
"""Calls after which another process may have the same descriptors."""


def text(call: Call, function: str, place: str) -> str:
    """Return how a call is named: the function that makes it, or the call itself, and the user's line."""
    name = f"{function} ({call.name})" if function and not function.endswith(f".{call.name}") else function or call.name
    return f"{name}, {place}" if place else name
