"""Which kernel calls a container may make: what ordinary servers need, everything else is refused. Pure.

The table is an allow-list. Left out on purpose: ptrace and its kin, mounts, namespaces, keyrings, bpf,
userfaultfd, io_uring, perf events, modules, clocks, file handles, every socket family but the four below.
"""

from __future__ import annotations

import functools
import json
from typing import Any

_FILES = """
    access cachestat chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat
    faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync
    fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd
    getdents getdents64 getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl
    lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat
    mknod mknodat newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev
    pwritev2 read readahead readlink readlinkat readv removexattr rename renameat renameat2 rmdir sendfile
    setxattr splice stat statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask
    unlink unlinkat utime utimensat utimes write writev
"""
_MEMORY = """
    brk get_mempolicy madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap
    mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
"""
_LIFE = """
    alarm arch_prctl capget capset execve execveat exit exit_group fork get_robust_list getcpu getegid
    geteuid getgid getgroups getitimer getpgid getpgrp getpid getppid getpriority getresgid getresuid
    getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set kill landlock_add_rule
    landlock_create_ruleset landlock_restrict_self nanosleep pause pidfd_open pidfd_send_signal prctl
    prlimit64 restart_syscall riscv_flush_icache riscv_hwprobe rseq rt_sigaction rt_sigpending
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp set_robust_list set_tid_address setfsgid setfsuid setgid
    setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid
    sigaltstack signalfd signalfd4 sysinfo tgkill times tkill uname vfork wait4 waitid
"""
_TIME = """
    clock_getres clock_gettime clock_nanosleep gettimeofday time timer_create timer_delete
    timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
"""
_WAITING = """
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old
    eventfd eventfd2 futex futex_requeue futex_wait futex_waitv futex_wake io_cancel io_destroy
    io_getevents io_pgetevents io_setup io_submit poll ppoll pselect6 select
"""
_TALKING = """
    accept accept4 bind connect getpeername getrandom getsockname getsockopt listen mq_getsetattr
    mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd recvfrom recvmmsg
    recvmsg semctl semget semop semtimedop sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget
    shutdown
"""
_ALLOWED = (_FILES, _MEMORY, _LIFE, _TIME, _WAITING, _TALKING)

# A program that sees "no such call" falls back to the older one; "not permitted" would stop it.
_NOT_THERE = "clone3 io_uring_setup io_uring_enter io_uring_register"

_UNIX, _INET, _INET6, _NETLINK, _ROUTE = 1, 2, 10, 16, 0
# CLONE_NEW: mount, cgroup, uts, ipc, user, pid, net
_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_PERSONALITY_LINUX, _PERSONALITY_ASK = 0, 0xFFFFFFFF
_NO_SUCH_CALL = 38  # ENOSYS


@functools.cache
def profile_text() -> str:
    """The profile as the engine's seccomp= option takes it."""
    return json.dumps(profile(), separators=(",", ":"))


def profile() -> dict[str, Any]:
    """The profile as an object."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        # Native calls only: the 32-bit table has socketcall, whose arguments no filter can see.
        "archMap": [
            {"architecture": f"SCMP_ARCH_{name}", "subArchitectures": []}
            for name in ("X86_64", "AARCH64", "RISCV64")
        ],
        "syscalls": [
            _rule(sorted({name for group in _ALLOWED for name in group.split()})),
            *(_rule(["socket"], (0, family)) for family in (_UNIX, _INET, _INET6)),
            _rule(["socket"], (0, _NETLINK), (2, _ROUTE)),
            _rule(["socketpair"], (0, _UNIX)),
            *(_rule(["personality"], (0, value)) for value in (_PERSONALITY_LINUX, _PERSONALITY_ASK)),
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": _NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
            },
            {"names": _NOT_THERE.split(), "action": "SCMP_ACT_ERRNO", "errnoRet": _NO_SUCH_CALL},
        ],
    }


def _rule(names: list[str], *equal: tuple[int, int]) -> dict[str, Any]:
    """Allow these calls where all the named arguments have exactly these values."""
    arguments = [{"index": index, "value": value, "op": "SCMP_CMP_EQ"} for index, value in equal]
    return {"names": names, "action": "SCMP_ACT_ALLOW", "args": arguments}
