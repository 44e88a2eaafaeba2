# Sourced after setup.sh by the scripts in bin/: sees to an engine where none answers. Knows nothing of what runs on it.

socket=$sysroot/var/run/docker.sock
engine_log=$sysroot/var/log/roadmap-labs-dockerd.log
base_image=roadmap-labs/debian:trixie
patience=60 # seconds for a daemon to answer after its start

needs_engine() { # ARGUMENTS of the command line; every other command says itself what it lacks
    for word; do
        case $word in --help | -h) return 1 ;; esac
    done
    while [ $# -gt 0 ]; do
        case $1 in
            start | check) return 0 ;;
            images) [ "${2-}" = build ] && return 0 || return 1 ;;
            -C) [ $# -gt 1 ] && shift ;;
            -*) ;;
            *) return 1 ;;
        esac
        shift
    done
    return 1
}

chosen_by_user() { # an engine that somebody chose is theirs to start
    [ -z "${DOCKER_HOST-}" ] || return 0
    case ${DOCKER_CONTEXT-} in
        "") current=$(sed -n 's/.*"currentContext": *"\([^"]*\)".*/\1/p' "${DOCKER_CONFIG:-${HOME-}/.docker}/config.json" 2>/dev/null) ;;
        *) current=$DOCKER_CONTEXT ;;
    esac
    [ "${current:-default}" != default ]
}

look() { # sets $seen to the code of ping.py
    seen=0
    "$venv/bin/python" -I -S "$root/bin/lib/ping.py" "$socket" "$base_image" 9>&- || seen=$?
}

await_daemon() { # PID ; as root, because the user may not be let in yet
    as_root "$venv/bin/python" -I -S "$root/bin/lib/ping.py" "$socket" "$base_image" "$patience" "$1" 9>&- || true
    look
}

missing_packages() { # one line of the packages that are not there yet
    if [ "$seen" = 1 ]; then
        has dockerd || printf 'docker.io '
        has iptables || printf 'iptables '
    fi
    has mmdebstrap || printf 'mmdebstrap '
    is_root || has newuidmap || printf 'uidmap ' # without root, mmdebstrap works in a user namespace
    [ "$(field_of_os ID)" = debian ] || [ -e "$sysroot/usr/share/keyrings/debian-archive-keyring.gpg" ] ||
        printf 'debian-archive-keyring ' # mmdebstrap builds a Debian
}

start_daemon() { # sets $pid where it is ours to watch
    pid=
    if [ -d "$sysroot/run/systemd/system" ]; then
        quietly as_root systemctl start docker
    else
        pid=$(as_root sh "$root/bin/lib/start-dockerd" "$engine_log" "$sysroot" 9>&-)
    fi
}

last_words() {
    if [ -d "$sysroot/run/systemd/system" ]; then
        as_root journalctl --no-pager -q -n 8 -u docker
    else
        as_root tail -n 8 "$engine_log"
    fi 2>/dev/null | sed 's/^/  /' >&2
}

set_up_engine() {
    packages=$(missing_packages)
    user=$(id -un)
    steps="${packages:+install ${packages% } with apt-get, }start the daemon"
    is_root || steps="$steps, let $user use it (group docker, as good as root)"
    say "no Docker engine answers on $socket. To be done as root: $steps"
    agreed || fail 69 "left as it is. Start an engine yourself, or name one in DOCKER_HOST, then type the same command again."
    # shellcheck disable=SC2086 # a list of words
    [ -z "$packages" ] || { say "installing ${packages% }" && apt_install $packages; } ||
        fail 75 "apt-get could not install ${packages}(the lines above say why). Cure that, then type the same command again."
    # From Debian 13 on the client, which `shell` needs, is a package of its own; before, there is no such package.
    has docker || { say "installing docker-cli" && apt_install docker-cli; } || say "that failed; going on without"
    say "starting the daemon"
    if start_daemon; then await_daemon "$pid"; else look; fi
    if [ "$seen" = 1 ]; then
        last_words
        fail 69 "the Docker daemon did not start (its last lines are above). Cure that, then type the same command again."
    fi
    is_root || quietly as_root usermod -aG docker "$user"
}

set_up_builder() { # the base image is pulled or built; a machine without the builder may still be able to pull
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0 # somebody else has just done it
    say "installing ${packages% }: the base image is built with it"
    # shellcheck disable=SC2086 # a list of words
    apt_install $packages || say "that failed; going on without"
}

quoted() { # WORDS as a shell would have to read them
    for word; do printf "'%s' " "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"; done
}

with_new_group() { # ARGUMENTS ; a user who has just come into the group docker need not log in again
    user=$(id -un)
    if [ "${ROADMAP_LABS_NEW_GROUP-}" != 1 ] && id -nG "$user" | grep -qw docker; then
        export ROADMAP_LABS_NEW_GROUP=1
        # sudo gives all groups in their order; sg makes docker the main one, which new files then belong to.
        if has sudo && sudo -n -E -u "$user" true 2>/dev/null; then
            exec sudo -n -E -u "$user" env PATH="$PATH" HOME="$HOME" "$0" "$@"
        elif has sg; then
            exec sg docker -c "exec $(quoted "$0" "$@")"
        fi
    fi
    fail 69 "a Docker engine answers on $socket, but not to $user." \
        "Type: sudo usermod -aG docker $user; log in again, then type the same command again."
}

engine() { # ARGUMENTS of the script, to begin again with
    chosen_by_user && return 0
    look
    if [ "$seen" = 1 ]; then
        is_debian && may_become_root ||
            fail 69 "no Docker engine answers on $socket, and one can be set up from here only on Debian or Ubuntu" \
                "with root or sudo (this is $(name_of_os)). Install and start Docker Engine 20.10 or newer," \
                "or name one in DOCKER_HOST, then type the same command again."
        lock
        look
        [ "$seen" != 1 ] || set_up_engine
        unlock
    elif [ "$seen" = 3 ] && is_root && is_debian && [ -n "$(missing_packages)" ]; then
        lock
        set_up_builder
        unlock
    fi
    [ "$seen" != 4 ] || with_new_group "$@"
}
