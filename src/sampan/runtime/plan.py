"""From an OCI runtime specification to a LaunchPlan; every refusal of a start is here and in the `plan_…` modules.

Pure: nothing of the host is looked at, so what is wrong with a document is known before anything is taken, and all of
it is said at once. What only the kernel can refuse fails later, in the step that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.errors import SampanError
from sampan.linux import seccomp as filters
from sampan.linux import seccomp_profile as profiles
from sampan.runtime.launch_plan import (
    CgroupPlan,
    HookPlan,
    HooksPlan,
    IdMap,
    LaunchPlan,
    NamespaceJoin,
    NamespacesPlan,
    ProcessPlan,
    RootPlan,
    SeccompPlan,
    TimeOffset,
)
from sampan.runtime.plan_mounts import plan_maps, plan_mounts, plan_root, propagated
from sampan.runtime.plan_problems import Problems
from sampan.runtime.plan_process import process_plan
from sampan.runtime.plan_resources import plan_devices, plan_limits
from sampan.runtime.plan_sysctl import plan_sysctl

if TYPE_CHECKING:
    from sampan.oci.runtime_spec import Hook, Linux, Personality, Process, RuntimeSpec, Seccomp

KINDS = {
    "cgroup": "cgroup",
    "ipc": "ipc",
    "mount": "mnt",
    "network": "net",
    "pid": "pid",
    "time": "time",
    "user": "user",
    "uts": "uts",
}
_CLOCKS = ("monotonic", "boottime")
_DOMAINS = {"LINUX": 0x0000, "LINUX32": 0x0008}  # PER_LINUX, PER_LINUX32 (personality(2))
_HOST_NAME_MAX = 64
_ONLY_ROOT = IdMap(0, 0, 1)  # of a user namespace without mappings, as crun maps it


def plan_launch(
    spec: RuntimeSpec,
    *,
    id: str,
    bundle: str,
    root: RootPlan | None = None,
    user_spec: str | None = None,
    extra_groups: tuple[str, ...] = (),
    init: bool = False,
    seccomp: SeccompPlan | None = None,
    pivot: bool = True,
    new_keyring: bool = False,
) -> LaunchPlan:
    """The plan of the container `id` that `spec` describes; `bundle` is an absolute path.

    `root` takes the place of spec.root, and `seccomp`, already compiled, that of linux.seccomp. `user_spec` and
    `extra_groups` are Docker's USER and --group-add, `init` its --init. Raises InvalidArgument or NotImplementedHere
    with everything that is wrong (config.md and config-linux.md of the specification).
    """
    problems = Problems()
    _check_whole(spec, problems)
    if seccomp is None and spec.linux and spec.linux.seccomp:
        seccomp = _seccomp(spec.linux.seccomp, problems)
    plan = _assemble(
        spec,
        problems,
        id=id,
        bundle=bundle,
        root=propagated(root, spec, problems) if root else plan_root(spec, bundle, problems, pivot=pivot),
        process=process_plan(
            _process(spec, problems), problems, user_spec=user_spec, extra_groups=extra_groups, seccomp=seccomp
        ),
        init=init,
        new_keyring=new_keyring,
    )
    problems.refuse()
    return plan


def _assemble(
    spec: RuntimeSpec,
    problems: Problems,
    *,
    id: str,
    bundle: str,
    root: RootPlan,
    process: ProcessPlan,
    init: bool,
    new_keyring: bool,
) -> LaunchPlan:
    linux = spec.linux
    devices, own_dev = plan_devices(spec, problems)
    namespaces = _namespaces(linux, problems)
    kinds = namespaces.new | {one.kind for one in namespaces.join}
    _check_names(spec, kinds, problems)
    return LaunchPlan(
        id=id,
        bundle=bundle,
        root=root,
        process=process,
        namespaces=namespaces,
        cgroup=CgroupPlan(cgroup_path(spec, id, problems), plan_limits(linux.resources if linux else None, problems)),
        mounts=plan_mounts(spec, bundle, problems),
        devices=devices,
        masked_paths=linux.masked_paths if linux else (),
        readonly_paths=linux.readonly_paths if linux else (),
        sysctl=plan_sysctl(linux.sysctl, kinds, spec.domainname, problems) if linux else (),
        hostname=spec.hostname,
        domainname=spec.domainname,
        hooks=_hooks(spec, problems),
        annotations=tuple(spec.annotations.items()),
        init=init,
        personality=_personality(linux.personality, problems) if linux and linux.personality else None,
        new_keyring=new_keyring,
        own_dev=own_dev,
    )


def _check_whole(spec: RuntimeSpec, problems: Problems) -> None:
    numbers = spec.oci_version.partition("-")[0].partition("+")[0].split(".")
    if len(numbers) != 3 or not all(number.isascii() and number.isdecimal() for number in numbers):
        problems.invalid(f"ociVersion {spec.oci_version!r} is not a semantic version", "as in 1.2.0")
    elif int(numbers[0]) > 1:
        problems.unsupported(f"ociVersion {spec.oci_version} is not supported", "use a version of 1.x")
    if spec.linux and spec.linux.intel_rdt is not None:
        problems.unsupported(
            "linux.intelRdt (Intel Resource Director Technology) is not supported", "leave linux.intelRdt out"
        )
    for name in ("masked_paths", "readonly_paths"):
        for path in getattr(spec.linux, name) if spec.linux else ():
            if not path.startswith("/") or "\0" in path:
                field = "maskedPaths" if name == "masked_paths" else "readonlyPaths"
                problems.invalid(f"linux.{field}: {path!r} is not an absolute path")


def _process(spec: RuntimeSpec, problems: Problems) -> Process:
    """The process, or a stand-in after the refusal: the module of the structs is not needed otherwise."""
    if spec.process is not None:
        return spec.process
    problems.invalid("process is missing", "name the program to run in process.args")
    problems.refuse()
    raise AssertionError


def _namespaces(linux: Linux | None, problems: Problems) -> NamespacesPlan:
    """Which are made and which are joined."""
    new: set[str] = set()
    join: dict[str, NamespaceJoin] = {}
    for one in linux.namespaces if linux else ():
        kind = KINDS.get(one.type)
        if kind is None:
            problems.invalid(f"linux.namespaces: unknown type {one.type!r}", f"one of {', '.join(KINDS)}")
        elif kind in new or kind in join:
            problems.invalid(f"linux.namespaces: {one.type} is given twice")
        elif not one.path:
            new.add(kind)
        elif not one.path.startswith("/") or "\0" in one.path:
            problems.invalid(f"linux.namespaces: the path of {one.type} must be absolute, not {one.path!r}")
        else:
            join[kind] = NamespaceJoin(kind, one.path)
    if linux is None:
        return NamespacesPlan(frozenset(new), tuple(join.values()))
    uid_maps = plan_maps(linux.uid_mappings, "linux.uidMappings", problems)
    gid_maps = plan_maps(linux.gid_mappings, "linux.gidMappings", problems)
    if "user" in new and not uid_maps and not gid_maps:
        uid_maps = gid_maps = (_ONLY_ROOT,)
    elif "user" in new and not (uid_maps and gid_maps):
        problems.invalid("linux.uidMappings and linux.gidMappings must be given together")
    elif (uid_maps or gid_maps) and "user" not in new and "user" not in join:
        problems.invalid("linux.uidMappings and linux.gidMappings need a user namespace", "add it to linux.namespaces")
    return NamespacesPlan(
        new=frozenset(new),
        join=tuple(join.values()),
        uid_maps=uid_maps if "user" in new else (),
        gid_maps=gid_maps if "user" in new else (),
        time_offsets=_time_offsets(linux, problems, has_own_clocks="time" in new),
    )


def _time_offsets(linux: Linux, problems: Problems, *, has_own_clocks: bool) -> tuple[TimeOffset, ...]:
    for clock, offset in linux.time_offsets.items():
        if clock not in _CLOCKS:
            problems.invalid(f"linux.timeOffsets: unknown clock {clock!r}", f"one of {', '.join(_CLOCKS)}")
        if not 0 <= offset.nanosecs < 1_000_000_000:
            problems.invalid(f"linux.timeOffsets.{clock}: nanosecs {offset.nanosecs} is not between 0 and 999999999")
        if not -(2**63) <= offset.secs < 2**63:
            problems.invalid(f"linux.timeOffsets.{clock}: secs {offset.secs} is not a 64-bit number")
    if linux.time_offsets and not has_own_clocks:
        problems.invalid("linux.timeOffsets needs a new time namespace", "add it to linux.namespaces without a path")
    return tuple(TimeOffset(clock, offset.secs, offset.nanosecs) for clock, offset in linux.time_offsets.items())


def _check_names(spec: RuntimeSpec, kinds: frozenset[str], problems: Problems) -> None:
    for name, value in (("hostname", spec.hostname), ("domainname", spec.domainname)):
        if not value:
            continue
        if "uts" not in kinds:
            problems.invalid(f"{name} {value!r} needs a uts namespace", "add it to linux.namespaces")
        if len(value.encode()) > _HOST_NAME_MAX or "\0" in value:
            problems.invalid(f"{name} {value!r} is longer than {_HOST_NAME_MAX} bytes or has a NUL byte")


def cgroup_path(spec: RuntimeSpec, id: str, problems: Problems | None = None) -> str:
    """Where the container's cgroup is, below each hierarchy's root: as asked (relative paths too), or /ID."""
    asked = (spec.linux.cgroups_path if spec.linux else "") or id
    parts = [part for part in asked.split("/") if part]
    if problems is not None and (not parts or any(part in {".", ".."} or "\0" in part for part in parts)):
        problems.invalid(f"linux.cgroupsPath {asked!r} has parts that name no cgroup")
    return "/" + "/".join(parts)


def _seccomp(asked: Seccomp, problems: Problems) -> SeccompPlan | None:
    """The compiled filter, or None after a refusal."""
    profile = profiles.Profile(
        default_action=asked.default_action,
        default_errno=asked.default_errno_ret,
        architectures=asked.architectures,
        flags=asked.flags,
        rules=tuple(
            profiles.Rule(
                rule.names,
                rule.action,
                rule.errno_ret,
                tuple(profiles.Argument(one.index, one.value, one.value_two, one.op) for one in rule.args),
            )
            for rule in asked.syscalls
        ),
    )
    notifies = any(rule.action == "SCMP_ACT_NOTIFY" for rule in profile.rules)
    if notifies and not asked.listener_path:
        problems.invalid("linux.seccomp: SCMP_ACT_NOTIFY needs a listenerPath")
    if asked.listener_metadata and not asked.listener_path:
        problems.invalid("linux.seccomp: listenerMetadata needs a listenerPath")
    if notifies and asked.listener_path and not asked.listener_path.startswith("/"):
        problems.invalid(f"linux.seccomp.listenerPath must be an absolute path, not {asked.listener_path!r}")
    for index, rule in enumerate(asked.syscalls):
        if not rule.names:
            problems.invalid(f"linux.seccomp.syscalls[{index}] has no names")
    try:
        return SeccompPlan(
            program=filters.compile_profile(profile),
            flags=int(profiles.filter_flags(profile)),
            listener_path=asked.listener_path if notifies else "",
            metadata=asked.listener_metadata,
        )
    except SampanError as error:
        problems.add(type(error)(f"linux.seccomp: {error.sentence}", remedy=error.remedy))
        return None


def _hooks(spec: RuntimeSpec, problems: Problems) -> HooksPlan:
    hooks = spec.hooks
    if hooks is None:
        return HooksPlan()
    return HooksPlan(
        prestart=_plan_hooks("prestart", hooks.prestart, problems),
        create_runtime=_plan_hooks("createRuntime", hooks.create_runtime, problems),
        create_container=_plan_hooks("createContainer", hooks.create_container, problems),
        start_container=_plan_hooks("startContainer", hooks.start_container, problems),
        poststart=_plan_hooks("poststart", hooks.poststart, problems),
        poststop=_plan_hooks("poststop", hooks.poststop, problems),
    )


def _plan_hooks(kind: str, hooks: tuple[Hook, ...], problems: Problems) -> tuple[HookPlan, ...]:
    for index, hook in enumerate(hooks):
        where = f"hooks.{kind}[{index}]"
        if not hook.path.startswith("/"):
            problems.invalid(f"{where}: the path must be absolute, not {hook.path!r}")
        if hook.timeout is not None and hook.timeout <= 0:
            problems.invalid(f"{where}: timeout {hook.timeout} is not greater than zero")
        if "\0" in hook.path + "".join(hook.args) + "".join(hook.env):
            problems.invalid(f"{where}: there is a NUL byte in it")
    return tuple(HookPlan(hook.path, hook.args, hook.env, hook.timeout or 0) for hook in hooks)


def _personality(asked: Personality, problems: Problems) -> int:
    if asked.domain not in _DOMAINS:
        problems.invalid(f"linux.personality: unknown domain {asked.domain!r}", f"one of {', '.join(_DOMAINS)}")
    for flag in asked.flags:
        problems.invalid(f"linux.personality: unknown flag {flag!r}", "the specification has no flags yet")
    return _DOMAINS.get(asked.domain, 0)
