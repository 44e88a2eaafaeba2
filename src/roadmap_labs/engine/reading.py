"""The engine's JSON -> the nouns of protocol.py. Pure; knows nothing of calls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from roadmap_labs.engine.endpoint import Endpoint
from roadmap_labs.engine.protocol import ContainerState, EngineFacts, Found, ImageState

if TYPE_CHECKING:
    import requests


def facts(about: Mapping[str, Any], version: Mapping[str, Any], endpoint: Endpoint, api: str) -> EngineFacts:
    """GET /info and GET /version together."""
    return EngineFacts(
        version=str(version.get("Version", "")),
        api_version=api,
        endpoint=endpoint.url,
        context=endpoint.context,
        operating_system=str(about.get("OperatingSystem", "")),
        architecture=str(about.get("Architecture", "")),
        cpus=int(about.get("NCPU", 0)),
        memory_bytes=int(about.get("MemTotal", 0)),
        cgroup_version=str(about.get("CgroupVersion", "1")),
        data_root=str(about.get("DockerRootDir", "")),
        storage_driver=str(about.get("Driver", "")),
        runtimes=tuple(sorted(about.get("Runtimes") or {})),
        security_options=tuple(about.get("SecurityOptions") or ()),
        server_time=str(about.get("SystemTime", "")),
    )


def container(seen: Mapping[str, Any]) -> ContainerState:
    """GET /containers/ID/json"""
    state = seen["State"]
    networks = seen.get("NetworkSettings") or {}
    return ContainerState(
        id=seen["Id"],
        name=seen["Name"].lstrip("/"),
        image=seen["Image"],
        labels=dict(seen["Config"].get("Labels") or {}),
        status=state["Status"],
        exit_code=int(state.get("ExitCode") or 0),
        out_of_memory=bool(state.get("OOMKilled")),
        started_at=_moment(state.get("StartedAt")),
        finished_at=_moment(state.get("FinishedAt")),
        pid=int(state.get("Pid") or 0),
        addresses=_addresses(networks.get("Networks") or {}),
        published=_published(networks.get("Ports") or {}),
        error=str(state.get("Error") or ""),
        host_config=seen.get("HostConfig") or {},
    )


def _moment(text: str | None) -> str:
    return "" if not text or text.startswith("0001-") else text


def _addresses(networks: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    found = {}
    for key, leg in networks.items():
        address = leg.get("IPAddress") or (leg.get("IPAMConfig") or {}).get("IPv4Address")
        if address:
            found[str(leg.get("NetworkID") or key)] = str(address)
    return found


def _published(ports: Mapping[str, list[Mapping[str, str]] | None]) -> dict[int, int]:
    return {
        int(inside.split("/")[0]): int(binding["HostPort"])
        for inside, bindings in ports.items()
        for binding in bindings or []
        if binding.get("HostPort") and ":" not in binding.get("HostIp", "")
    }


def found_container(row: Mapping[str, Any]) -> Found:
    """One row of GET /containers/json"""
    names = row.get("Names") or [""]
    return Found(
        "container", row["Id"], names[0].lstrip("/"), dict(row.get("Labels") or {}), row.get("State", "")
    )


def found_network(row: Mapping[str, Any]) -> Found:
    """One row of GET /networks"""
    return Found("network", row["Id"], row["Name"], dict(row.get("Labels") or {}))


def found_volume(row: Mapping[str, Any]) -> Found:
    """One row of GET /volumes; a volume's name is its id."""
    return Found("volume", row["Name"], row["Name"], dict(row.get("Labels") or {}))


def found_image(row: Mapping[str, Any]) -> Found:
    """One row of GET /images/json"""
    tags = [tag for tag in row.get("RepoTags") or [] if tag != "<none>:<none>"]
    return Found("image", row["Id"], tags[0] if tags else "", dict(row.get("Labels") or {}))


def image(seen: Mapping[str, Any]) -> ImageState:
    """GET /images/NAME/json"""
    config = seen.get("Config") or {}
    return ImageState(
        id=seen["Id"],
        tags=tuple(seen.get("RepoTags") or ()),
        labels=dict(config.get("Labels") or {}),
        size_bytes=int(seen.get("Size") or 0),
        user=str(config.get("User") or ""),
        command=tuple(config.get("Cmd") or ()),
        digests=tuple(seen.get("RepoDigests") or ()),
    )


def split_tag(reference: str) -> tuple[str, str]:
    """Cut `127.0.0.1:5000/debian:trixie` into name and tag, "latest" where none is written."""
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "latest")


def quoted(value: str) -> str:
    """A value as a Dockerfile's LABEL takes it."""
    return json.dumps(value).replace("$", "\\$")


def check(answer: requests.Response) -> None:
    """Raise the SDK's own error for an answer of a call that went round the SDK."""
    import requests  # here, so that the fake and its tests don't load the SDK
    from docker.errors import create_api_error_from_http_exception

    try:
        answer.raise_for_status()
    except requests.HTTPError as error:
        create_api_error_from_http_exception(error)
