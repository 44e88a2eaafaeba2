"""The sealed profile: what a create call always holds, and what it can never hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from roadmap_labs.engine import profile, seccomp
from roadmap_labs.engine.protocol import (
    Attachment,
    ContainerSpec,
    FolderMount,
    Limits,
    NetworkSpec,
    VolumeMount,
)
from roadmap_labs.errors import Problem

FULL = ContainerSpec(
    "one",
    "image",
    {"a": "b"},
    Attachment("net", "10.213.0.5", ("catalog-1", "catalog")),
    command=("run",),
    environment={"PORT": "8000"},
    user="10001:10001",
    working_dir="/app",
    volumes=(VolumeMount("source", "/app", read_only=True),),
    folders=(FolderMount("/home/ada/shop", "/app"),),
    tmpfs={"/tmp": "size=16m"},
    publish={8000: None, 9000: 9001},
)


def host_config(spec: ContainerSpec = FULL) -> dict[str, Any]:
    config: dict[str, Any] = profile.create_body(spec, seccomp.profile_text())["HostConfig"]
    return config


def test_every_container_is_sealed() -> None:
    config = host_config(ContainerSpec("one", "image", {}))
    assert config["CapDrop"] == ["ALL"]
    assert config["SecurityOpt"][0] == "no-new-privileges:true"
    assert config["ReadonlyRootfs"] is True
    assert config["Memory"] == config["MemorySwap"] == Limits().memory_bytes
    assert config["PidsLimit"] == Limits().processes
    assert config["NetworkMode"] == "none"
    assert {"Name": "core", "Soft": 0, "Hard": 0} in config["Ulimits"]
    assert config["LogConfig"]["Type"] == "local"
    assert config["CgroupnsMode"] == "private"


def test_whole_spec_reaches_the_body() -> None:
    body = profile.create_body(FULL, "{}")
    assert body["Hostname"] == "catalog-1"
    assert body["Healthcheck"] == {"Test": ["NONE"]}
    assert body["NetworkingConfig"]["EndpointsConfig"]["net"] == {
        "Aliases": ["catalog-1", "catalog"],
        "IPAMConfig": {"IPv4Address": "10.213.0.5"},
    }
    config = body["HostConfig"]
    assert config["PortBindings"] == {
        "8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
        "9000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9001"}],
    }
    assert config["Tmpfs"] == {"/tmp": "rw,noexec,nosuid,nodev,size=16m"}
    assert [mount["ReadOnly"] for mount in config["Mounts"]] == [True, True]


def test_outside_names_are_the_only_way_to_a_resolver() -> None:
    assert host_config()["Dns"] == ["127.0.0.1"]
    assert "ndots:1" in host_config()["DnsOptions"], (
        "or the name of a peer that is gone costs a second on Docker 20.10"
    )
    open_spec = ContainerSpec("one", "image", {}, Attachment("net"), outside_names=True)
    assert "Dns" not in host_config(open_spec)


def test_image_keeps_its_user_and_command() -> None:
    body = profile.create_body(ContainerSpec("one", "image", {}), "{}")
    assert not {"User", "Cmd", "Entrypoint", "WorkingDir"} & set(body)


def test_loader_can_not_run() -> None:
    body = profile.create_body(ContainerSpec("one", "image", {}, command=("sh",), loader=True), "{}")
    assert body["Cmd"] == []
    assert body["Entrypoint"] != []
    assert body["HostConfig"]["ReadonlyRootfs"] is True


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "unknown key": lambda config: config.update(Devices=[]),
    "privileged": lambda config: config.update(Privileged=True),
    "capability": lambda config: config.update(CapAdd=["NET_RAW"]),
    "capabilities kept": lambda config: config.update(CapDrop=[]),
    "writable root": lambda config: config.update(ReadonlyRootfs=False),
    "host network": lambda config: config.update(NetworkMode="host"),
    "default network": lambda config: config.update(NetworkMode="default"),
    "pid namespace": lambda config: config.update(PidMode="host"),
    "ipc": lambda config: config.update(IpcMode="host"),
    "restart": lambda config: config.update(RestartPolicy={"Name": "always"}),
    "new privileges": lambda config: config["SecurityOpt"].remove("no-new-privileges:true"),
    "no seccomp": lambda config: config.update(SecurityOpt=["no-new-privileges:true", "seccomp=unconfined"]),
    "more security": lambda config: config["SecurityOpt"].append("apparmor=unconfined"),
    "all addresses": lambda config: config["PortBindings"]["8000/tcp"][0].update(HostIp=""),
    "writable folder": lambda config: config["Mounts"][1].update(ReadOnly=False),
    "engine socket": lambda config: config["Mounts"][1].update(Source="/var/run/docker.sock"),
    "whole host": lambda config: config["Mounts"][1].update(Source="/"),
    "path as a volume": lambda config: config["Mounts"][0].update(Source="/etc"),
    "swap": lambda config: config.update(MemorySwap=-1),
    "no memory limit": lambda config: config.update(Memory=0, MemorySwap=0),
    "no process limit": lambda config: config.pop("PidsLimit"),
    "host's cgroups": lambda config: config.update(CgroupnsMode="host"),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_anything_else_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    config = host_config()
    profile.refuse_unknown(config)
    change(config)
    with pytest.raises(Problem):
        profile.refuse_unknown(config)


def test_isolated_gateway_asks_for_all_that_the_engine_knows() -> None:
    spec = NetworkSpec("n", {}, "10.213.0.0/28", internal=True, isolated_gateway=True)
    old = profile.network_body(spec, isolated_mode=False)["options"]
    new = profile.network_body(spec, isolated_mode=True)["options"]
    assert old["com.docker.network.bridge.inhibit_ipv4"] == "true"
    assert set(new) - set(old) == {
        "com.docker.network.bridge.gateway_mode_ipv4",
        "com.docker.network.bridge.gateway_mode_ipv6",
    }


def test_seccomp_profile_leaves_the_dangerous_calls_out() -> None:
    allowed = {
        name
        for rule in seccomp.profile()["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and not rule["args"]
        for name in rule["names"]
    }
    refused = """
        ptrace process_vm_readv process_vm_writev mount umount2 pivot_root unshare setns clone clone3 socket keyctl
        add_key request_key bpf userfaultfd perf_event_open io_uring_setup io_uring_enter init_module kexec_load
        open_by_handle_at name_to_handle_at reboot swapon settimeofday clock_settime socketcall personality
        fsopen fsmount move_mount open_tree memfd_secret pidfd_getfd kcmp fanotify_init vmsplice
    """
    assert not allowed & set(refused.split())
    assert seccomp.profile()["defaultAction"] == "SCMP_ACT_ERRNO"
