"""Runs a program under the system calls that a systemd unit leaves it: `python confined.py UNIT PROGRAM ARGUMENTS...`

What `SystemCallFilter=` and `RestrictAddressFamilies=` of the unit say is put before the program as systemd does it, as
a filter in the kernel (seccomp); neither root nor systemd is needed. Which calls a group has was asked of systemd 252
(`systemd-analyze syscall-filter`); later ones allow some more.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys
from pathlib import Path

# A call, and its numbers on x86-64 and on 64-bit ARM.
_NOT_FOR_SERVICES = """
fsconfig 431 431, fsmount 432 432, fsopen 430 430, fspick 433 433, futex_requeue 456 456, futex_wait 455 455,
futex_wake 454 454, landlock_add_rule 445 445, landlock_create_ruleset 444 444, landlock_restrict_self 446 446,
lookup_dcookie 212 18, map_shadow_stack 453 453, memfd_secret 447 447, mincore 27 232, modify_ldt 154 -, mount 165 40,
mount_setattr 442 442, move_mount 429 429, open_tree 428 428, perf_event_open 298 241, pidfd_getfd 438 438,
pkey_alloc 330 289, pkey_free 331 290, pkey_mprotect 329 288, process_mrelease 448 448, ptrace 101 117, seccomp 317 277,
sysfs 139 -, syslog 103 116, umount2 166 39, uselib 134 -, ustat 136 -
"""
_PRIVILEGED = """
_sysctl 156 -, acct 163 89, adjtimex 159 171, bpf 321 280, capset 126 91, chown 92 -, chroot 161 51,
clock_adjtime 305 266, clock_settime 227 112, delete_module 176 106, fanotify_init 300 262, fanotify_mark 301 263,
fchown 93 55, fchownat 260 54, finit_module 313 273, init_module 175 105, ioperm 173 -, iopl 172 -,
kexec_file_load 320 294, kexec_load 246 104, lchown 94 -, nfsservctl 180 42, open_by_handle_at 304 265,
pivot_root 155 41, quotactl 179 60, quotactl_fd 443 443, reboot 169 142, setdomainname 171 162, setfsuid 122 151,
setgroups 116 159, sethostname 170 161, setresuid 117 147, setreuid 113 145, settimeofday 164 170, setuid 105 146,
swapoff 168 225, swapon 167 224, vhangup 153 58
"""
_RESOURCES = """
ioprio_set 251 30, mbind 237 235, migrate_pages 256 238, move_pages 279 239, sched_setaffinity 203 122,
sched_setattr 314 274, sched_setparam 142 118, sched_setscheduler 144 119, set_mempolicy 238 237,
set_mempolicy_home_node 450 450, setpriority 141 140, setrlimit 160 164
"""
_FORBIDDEN_BY = {"@system-service": _NOT_FOR_SERVICES, "~@privileged": _PRIVILEGED, "~@resources": _RESOURCES}

_MACHINES = {"x86_64": (0xC000003E, 0, 41), "aarch64": (0xC00000B7, 1, 198)}
"""Name -> its number for the kernel, the column of a call's number, the number of `socket`."""

_LOAD, _IS, _ANSWER = 0x20, 0x15, 0x06  # BPF: a word of the call, jump if it is equal, end with that answer
_NUMBER, _MACHINE, _FIRST = 0, 4, 16  # where in the call its number, the machine's, and its first argument are
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NO_NEW_PRIVILEGES, _SET_FILTER, _FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def forbidden(unit: Path, column: int) -> list[int]:
    """Numbers of the calls that the unit's filter takes away; a group that is not known here is a KeyError."""
    calls = "".join(f",{_FORBIDDEN_BY[group]}" for group in groups(unit))
    words = [call.split() for call in calls.split(",") if call.strip()]
    return [int(numbers[column]) for _, *numbers in words if numbers[column] != "-"]


def groups(unit: Path) -> list[str]:
    """Of calls that are allowed, and with `~` of those that are taken away again."""
    found: list[str] = []
    for value in _values(unit, "SystemCallFilter"):
        sign = "~" if value.startswith("~") else ""
        found += [sign + group for group in value.removeprefix("~").split()]
    return found


def families(unit: Path) -> list[int]:
    """The address families that sockets may have."""
    return [getattr(socket, name) for value in _values(unit, "RestrictAddressFamilies") for name in value.split()]


def confine(unit: Path) -> None:
    """From now on this process, and each that it starts, has the calls that the unit leaves."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(_filter(unit))
    program = _Program(len(code) // 8, code)
    for asked in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SET_FILTER, _FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*asked):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _filter(unit: Path) -> list[bytes]:
    machine, column, socket_call = _MACHINES[platform.machine()]
    error = getattr(errno, _values(unit, "SystemCallErrorNumber")[0])
    code = [_step(_LOAD, _MACHINE), _step(_IS, machine, no=0, yes=1), _step(_ANSWER, _KILL), _step(_LOAD, _NUMBER)]
    for number in forbidden(unit, column):
        code += [_step(_IS, number, no=1), _step(_ANSWER, _ERROR | error)]
    allowed = families(unit)
    code += [_step(_IS, socket_call, no=len(allowed) + 2), _step(_LOAD, _FIRST)]
    code += [_step(_IS, family, yes=len(allowed) - n) for n, family in enumerate(allowed)]
    return [*code, _step(_ANSWER, _ERROR | errno.EAFNOSUPPORT), _step(_ANSWER, _ALLOW)]


def _step(what: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """One instruction; `yes` and `no` are how many after it are passed over."""
    return struct.pack("=HBBI", what, yes, no, value)


def _values(unit: Path, key: str) -> list[str]:
    lines = unit.read_text("utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


if __name__ == "__main__":
    confine(Path(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - what the test names
