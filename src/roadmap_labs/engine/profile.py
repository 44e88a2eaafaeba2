"""One ContainerSpec -> the body of the engine's create call, under the sealed profile, and a last look at it.

Pure. Knows nothing of clients; what is not written here can't be asked of an engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from roadmap_labs.engine.protocol import Attachment, ContainerSpec, Limits, NetworkSpec
from roadmap_labs.errors import Problem

_BRIDGE = "com.docker.network.bridge."
# A loader's root stays read-only too: archives may still be put into its volumes. This file exists nowhere.
_NEVER = "/this-container-is-never-started"


def create_body(spec: ContainerSpec, seccomp: str, *, private_cgroups: bool = True) -> dict[str, Any]:
    """The whole JSON body; `seccomp` is the profile's text."""
    host = _host_config(spec, seccomp)
    if private_cgroups:
        host["CgroupnsMode"] = "private"
    refuse_unknown(host)
    body: dict[str, Any] = {
        "Image": spec.image,
        "Labels": dict(spec.labels),
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "OpenStdin": False,
        "Tty": False,
        "HostConfig": host,
    }
    optional: dict[str, Any] = {
        "Cmd": list(spec.command) if spec.command is not None else None,
        "User": spec.user,
        "WorkingDir": spec.working_dir,
        "StopSignal": spec.stop_signal,
        "ExposedPorts": {f"{port}/tcp": {} for port in spec.publish} or None,
    }
    body |= {key: value for key, value in optional.items() if value is not None}
    if spec.loader:
        body |= {"Entrypoint": [_NEVER], "Cmd": []}
    leg = spec.attachment
    if leg is not None:
        body["NetworkingConfig"] = {"EndpointsConfig": {leg.network: endpoint_body(leg)}}
        if leg.aliases:
            body["Hostname"] = leg.aliases[0]
    return body


def endpoint_body(leg: Attachment) -> dict[str, Any]:
    """One leg on a network, as the create call and the connect call take it."""
    body: dict[str, Any] = {"Aliases": list(leg.aliases)}
    if leg.address is not None:
        body["IPAMConfig"] = {"IPv4Address": leg.address}
    return body


def _host_config(spec: ContainerSpec, seccomp: str) -> dict[str, Any]:
    return {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={seccomp}"],
        "Privileged": False,
        "ReadonlyRootfs": True,
        "Init": not spec.loader,  # an init would start, and only then miss the program
        "IpcMode": "private",
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "OomScoreAdj": 500,
        "Tmpfs": {target: _tmpfs(options) for target, options in spec.tmpfs.items()},
        "Mounts": _mounts(spec),
        **_limits(spec.limits),
        **_network(spec),
    }


def _tmpfs(options: str) -> str:
    return f"rw,noexec,nosuid,nodev,{options}" if options else "rw,noexec,nosuid,nodev"


def _mounts(spec: ContainerSpec) -> list[dict[str, Any]]:
    volumes = [
        {"Type": "volume", "Source": each.volume, "Target": each.target, "ReadOnly": each.read_only}
        for each in spec.volumes
    ]
    folders = [
        {"Type": "bind", "Source": each.folder, "Target": each.target, "ReadOnly": True}
        for each in spec.folders
    ]
    return volumes + folders


def _limits(limits: Limits) -> dict[str, Any]:
    ulimits = {"core": 0, "nofile": limits.open_files, "fsize": limits.file_bytes}
    return {
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,
        "PidsLimit": limits.processes,
        "NanoCpus": int(limits.cpus * 1_000_000_000),
        "CpuShares": 256,
        "ShmSize": limits.shm_bytes,
        "Ulimits": [{"Name": name, "Soft": value, "Hard": value} for name, value in ulimits.items()],
        "LogConfig": {
            "Type": "local",
            # One file only, or compression, makes the start fail on some engines.
            "Config": {"max-size": str(limits.log_bytes), "max-file": "2", "compress": "false"},
        },
    }


def _network(spec: ContainerSpec) -> dict[str, Any]:
    if spec.share_network_of is not None:
        return {"NetworkMode": f"container:{spec.share_network_of}"}
    if spec.attachment is None:
        return {"NetworkMode": "none"}
    shape: dict[str, Any] = {"NetworkMode": spec.attachment.network}
    if spec.publish:
        shape["PortBindings"] = {
            f"{inside}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(outside or "")}]
            for inside, outside in spec.publish.items()
        }
    if not spec.outside_names:
        # Peers are answered by the engine itself; any other name fails and never leaves the machine. The name of a peer
        # that is gone has no dot: where `ndots` is set the engine answers it as well, instead of asking further
        # (libnetwork's resolver). Without it Docker 20.10 says nothing, and the program waits the second of `timeout`.
        options = ["timeout:1", "attempts:1", "ndots:1"]
        shape |= {"Dns": ["127.0.0.1"], "DnsOptions": options, "DnsSearch": ["."]}
    return shape


_FREE = """
    SecurityOpt Init OomScoreAdj Tmpfs Mounts Memory MemorySwap PidsLimit NanoCpus CpuShares ShmSize Ulimits
    LogConfig NetworkMode PortBindings Dns DnsOptions DnsSearch CgroupnsMode
"""
_FIXED: Mapping[str, object] = {
    "CapDrop": ["ALL"],
    "Privileged": False,
    "ReadonlyRootfs": True,
    "IpcMode": "private",
    "RestartPolicy": {"Name": "no"},
    "AutoRemove": False,
}


def refuse_unknown(host_config: Mapping[str, Any]) -> None:
    """Raise `Problem` where a host configuration holds anything outside the allow-list."""
    wrong = [f"{key} is not allowed" for key in sorted(set(host_config) - set(_FIXED) - set(_FREE.split()))]
    wrong += [f"{key} must be {value}" for key, value in _FIXED.items() if host_config.get(key) != value]
    wrong += _wrong_security(host_config.get("SecurityOpt") or [])
    wrong += _wrong_network(host_config)
    wrong += [
        f"mount {mount.get('Source')} must be a volume or a read-only folder"
        for mount in host_config.get("Mounts") or []
        if not _mount_is_fine(mount)
    ]
    if host_config.get("CgroupnsMode", "private") != "private":
        wrong.append("CgroupnsMode must be private")
    if not 0 < host_config.get("Memory", 0) == host_config.get("MemorySwap"):
        wrong.append("Memory and MemorySwap must be one limit")
    if not host_config.get("PidsLimit", 0) > 0:
        wrong.append("PidsLimit is missing")
    if wrong:
        raise Problem("A container was asked for outside the sealed profile: " + "; ".join(wrong))


def _wrong_security(options: list[str]) -> list[str]:
    wrong = [] if "no-new-privileges:true" in options else ["no-new-privileges is missing"]
    seccomp = [option for option in options if option.startswith("seccomp=")]
    if len(seccomp) != 1 or not seccomp[0].startswith("seccomp={"):
        wrong.append("the seccomp profile must be ours")
    if len(options) != 2:
        wrong.append("SecurityOpt holds something unknown")
    return wrong


def _wrong_network(host_config: Mapping[str, Any]) -> list[str]:
    wrong = []
    if host_config.get("NetworkMode", "") in ("", "default", "bridge", "host"):
        wrong.append("NetworkMode must be one of our own networks")
    for bindings in (host_config.get("PortBindings") or {}).values():
        if any(binding.get("HostIp") != "127.0.0.1" for binding in bindings):
            wrong.append("ports may be published on 127.0.0.1 only")
    return wrong


def _mount_is_fine(mount: Mapping[str, Any]) -> bool:
    source = str(mount.get("Source", ""))
    if mount.get("Type") == "volume":
        return bool(source) and "/" not in source
    if mount.get("Type") != "bind" or mount.get("ReadOnly") is not True:
        return False
    return source.startswith("/") and source != "/" and not source.endswith(".sock")


def network_body(spec: NetworkSpec, *, isolated_mode: bool) -> dict[str, Any]:
    """Keywords of the SDK's create_network but the IPAM; `isolated_mode`: the engine knows that option."""
    options = {
        _BRIDGE + "enable_icc": _yes(spec.peers_may_talk),
        _BRIDGE + "enable_ip_masquerade": _yes(spec.masquerade and not spec.internal),
        _BRIDGE + "host_binding_ipv4": "127.0.0.1",
    }
    if spec.isolated_gateway:
        options[_BRIDGE + "inhibit_ipv4"] = "true"
        if isolated_mode:
            options |= {_BRIDGE + "gateway_mode_ipv4": "isolated", _BRIDGE + "gateway_mode_ipv6": "isolated"}
    return {
        "name": spec.name,
        "driver": "bridge",
        "options": options,
        "internal": spec.internal,
        "labels": dict(spec.labels),
        "check_duplicate": True,
        "enable_ipv6": False,
    }


def _yes(value: bool) -> str:
    return "true" if value else "false"
