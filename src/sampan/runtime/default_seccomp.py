"""The seccomp profile of containers that ask for none: what an ordinary program needs of the kernel, and no more.

It allows what Docker's default profile of 2026 allows, so that an image works here as it works there; the names are
kept in the order of the alphabet. Everything else fails with EPERM: among it io_uring, the kernel's key rings, bpf,
userfaultfd, new namespaces and mounts, and sockets of families that have a history of holes or reach past the network
namespace (AF_ALG, AF_VSOCK). Some of it comes back with the capability that is about it.

Two things it can't do, as Docker's can't: clone3 hides its flags in memory, so it fails with ENOSYS and C libraries use
clone instead; and a 32-bit program on x86_64 reaches every socket family through socketcall.
"""

from __future__ import annotations

from sampan.linux.seccomp import Argument, Profile, Rule
from sampan.runtime.seccomp_selection import Condition, ConditionalRule, Kernel, select

_ALWAYS = """
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
    clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
    clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
    epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
    exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2
    fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
    fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait
    futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid
    getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid
    getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname
    getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1
    inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl
    ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32
    lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat
    lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock
    mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64
    mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
    name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
    pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease
    pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall
    riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
    sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
    select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto
    set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
    setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
    setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown
    sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64
    statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink
    unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
"""
# Before 4.8 a tracer could change a system call after the filter had seen it.
_TRACING = "process_vm_readv process_vm_writev ptrace"
_BY_ARCHITECTURE = {
    ("arm", "arm64"): "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    ("amd64", "x32"): "arch_prctl",
    ("amd64", "x32", "x86"): "modify_ldt",
}
_BY_CAPABILITY = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
        lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
        sethostname setns syslog umount umount2 unshare
    """,
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module init_module finit_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}
# Socket families by number (socket.h). Left out are DECnet 12, Econet 19, ATM SVC 20, IrDA 23, WANPIPE 25, ISDN 34 and
# CAIF 37, which the kernel has dropped or is about to, ALG 38 and VSOCK 40.
_FIRST_FAMILIES_END = 12
_FAMILIES = (13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45)
# Linux, Linux 32, UNAME26 with each of them, and the question (personality(2)).
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
# CLONE_NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET (sched.h)
_NEW_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}
_ENOSYS = 38


def default_profile(capabilities: frozenset[str], machine: str, kernel: Kernel) -> Profile:
    """The default profile for a process whose bounding set is `capabilities` ("CAP_CHOWN", …).

    `machine` is as uname(2) has it, `kernel` is its version's first two numbers.
    """
    return Profile(
        default_action="SCMP_ACT_ERRNO",
        default_errno=1,  # EPERM
        architectures=_ARCHITECTURES.get(machine, ()),
        rules=select(_rules(), capabilities, machine, kernel),
    )


def _rules() -> list[ConditionalRule]:
    without_admin = Condition(capabilities=("CAP_SYS_ADMIN",))
    no_new_namespace = Argument(0, _NEW_NAMESPACES, 0, "SCMP_CMP_MASKED_EQ")
    return [
        ConditionalRule(_allow(_ALWAYS)),
        ConditionalRule(_allow(_TRACING), includes=Condition(min_kernel=(4, 8))),
        ConditionalRule(_allow("socket", Argument(0, _FIRST_FAMILIES_END, 0, "SCMP_CMP_LT"))),
        *(ConditionalRule(_allow("socket", Argument(0, family))) for family in _FAMILIES),
        *(ConditionalRule(_allow("personality", Argument(0, persona))) for persona in _PERSONALITIES),
        *(
            ConditionalRule(_allow(names), Condition(architectures=arches))
            for arches, names in _BY_ARCHITECTURE.items()
        ),
        *(ConditionalRule(_allow(names), Condition(capabilities=(cap,))) for cap, names in _BY_CAPABILITY.items()),
        ConditionalRule(_allow("clone", no_new_namespace), excludes=without_admin),
        ConditionalRule(Rule(("clone3",), "SCMP_ACT_ERRNO", _ENOSYS), excludes=without_admin),
    ]


def _allow(names: str, *arguments: Argument) -> Rule:
    return Rule(tuple(names.split()), "SCMP_ACT_ALLOW", None, arguments)
