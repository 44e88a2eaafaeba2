# Sourced by the scripts in bin/: makes and checks the virtual environment. Knows nothing of engines and commands.
#
# Asks for $root (the checkout). Sets $venv. Variables that change what it does:
#   ROADMAP_LABS_VENV      the virtual environment; default: .venv in the checkout
#   ROADMAP_LABS_YES=1     never ask; CI=true and a missing terminal mean the same
#   ROADMAP_LABS_SYSROOT   for tests only: put before the system's own paths that the scripts look at

venv=${ROADMAP_LABS_VENV:-$root/.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
sysroot=${ROADMAP_LABS_SYSROOT-}
made=$venv/roadmap-labs.stamp         # written first and empty: ours, half made; with a line in it: whole
made_tests=$venv/roadmap-labs-tests.stamp
PATH=$PATH:$sysroot/usr/sbin:$sysroot/sbin # a user's PATH often lacks them, and the engine lives there

say() { printf 'roadmap-labs: %s\n' "$*" >&2; }

fail() { # CODE WORDS...
    code=$1
    shift
    say "$@"
    exit "$code"
}

has() { command -v "$1" >/dev/null 2>&1; }

quietly() { # a step whose output matters only if it fails; the lock (9) must not live on in what it starts
    output=$(mktemp)
    if "$@" >"$output" 2>&1 </dev/null 9>&-; then
        rm -f "$output"
        return 0
    else
        code=$?
    fi
    tail -n 8 "$output" | sed 's/^/  /' >&2
    rm -f "$output"
    return "$code"
}

# --- the right to install -------------------------------------------------------------------------------------------

on_terminal() { [ -t 0 ] && [ -t 2 ] && [ "${CI-}" != true ] && [ "${ROADMAP_LABS_YES-}" != 1 ]; }

is_root() { [ "$(id -u)" = 0 ]; }

may_become_root() { is_root || { has sudo && { sudo -n true 2>/dev/null || on_terminal; }; }; }

as_root() { if is_root; then "$@"; else sudo "$@"; fi; }

field_of_os() { sed -n "s/^$1=//p" "$sysroot/etc/os-release" 2>/dev/null | tr -d "\"'"; }

name_of_os() {
    name=$(field_of_os PRETTY_NAME)
    printf '%s' "${name:-$(uname -s)}"
}

is_debian() {
    case " $(field_of_os ID) $(field_of_os ID_LIKE) " in
        *" debian "* | *" ubuntu "*) has apt-get ;;
        *) return 1 ;;
    esac
}

agreed() { # asks on a terminal, default yes; elsewhere the answer is yes
    on_terminal || return 0
    printf 'roadmap-labs: go on? [Y/n] ' >&2
    IFS= read -r answer || answer=n
    case $answer in "" | [yY] | [yY][eE][sS]) return 0 ;; *) return 1 ;; esac
}

apt_install() { # PACKAGE... ; an update that fails is no matter as long as the packages can be had
    is_root || sudo -v || return
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 update || true
    quietly as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@"
}

# --- the virtual environment ------------------------------------------------------------------------------------------

find_python() { # sets $python: 3.11 or newer and, where pip has to do the work, able to make an environment
    wanted='import sys; sys.exit(sys.version_info < (3, 11))'
    has uv || wanted="import ensurepip, venv; $wanted"
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        python=$(command -v "$name") && "$python" -I -c "$wanted" 2>/dev/null && return 0
    done
    has uv && python=$(uv python find --no-project '>=3.11' 2>/dev/null)
}

need_python() {
    find_python && return 0
    if has uv; then
        say "no Python 3.11 or newer found: uv fetches one"
        quietly uv python install 3.13 && find_python && return 0
    elif is_debian && may_become_root; then
        say "no Python 3.11 or newer that can make a virtual environment: as root, apt-get is to install" \
            "python3 and python3-venv"
        agreed && apt_install python3 python3-venv && find_python && return 0
    fi
    fail 69 "Python 3.11 or newer with its venv module is needed, and $(name_of_os) has none here." \
        "Install it (Debian, Ubuntu: sudo apt-get install python3 python3-venv), then type the same command again."
}

lock() { # one set-up at a time; descriptor 9 holds it, and the kernel lets it go however this process ends
    mkdir -p "${venv%/*}" 2>/dev/null && (exec 9>>"$venv.lock") 2>/dev/null ||
        fail 73 "${venv%/*} can't be written. Name a place that can: ROADMAP_LABS_VENV=\$HOME/.roadmap-labs-venv $0"
    exec 9>>"$venv.lock"
    locked 1 && return 0
    say "another roadmap-labs is setting things up; waiting for it"
    locked
}

locked() { # WITHOUT_WAITING; flock is missing on macOS
    if has flock; then
        flock ${1:+-n} 9
    else
        "${python:-$venv/bin/python}" -I -c "import fcntl; fcntl.flock(9, 2 ${1:+| 4})" 2>/dev/null
    fi
}

unlock() { exec 9>&-; }

sum_of() { cksum <"$1"; }

stamp() { printf '1 %s %s %s' "$(sum_of "$root/requirements.lock")" "$root" "$(readlink -f "$venv/bin/python")"; }

is_made() { # no Python and no more than two short children: this runs before every command
    [ -s "$made" ] && [ -x "$venv/bin/python" ] || return 1
    IFS= read -r line <"$made" || true
    [ "$line" = "$(stamp)" ]
}

is_made_for_tests() {
    [ -s "$made_tests" ] || return 1
    IFS= read -r line <"$made_tests" || true
    [ "$line" = "$(sum_of "$root/requirements-dev.lock")" ]
}

install_locked() { # LOCK ; every file is known by its hash, so nothing has to be resolved
    if has uv; then
        quietly uv pip install --quiet --no-deps --require-hashes --compile-bytecode --python "$venv/bin/python" -r "$1"
    else
        # uv, which made the environment some day without pip, may not be on the path any more.
        "$venv/bin/python" -I -c 'import pip' 2>/dev/null || quietly "$venv/bin/python" -I -m ensurepip
        quietly env -u PIP_TARGET -u PIP_PREFIX PIP_USER=0 "$venv/bin/python" -I -m pip install --quiet --no-input \
            --disable-pip-version-check --no-deps --require-hashes -r "$1"
    fi || fail 75 "the packages of ${1##*/} could not be installed (the lines above say why)." \
        "Check the network, then type the same command again."
}

clear_place() { # what is not ours is never removed
    [ -e "$venv" ] || return 0
    [ -e "$made" ] || [ "$venv" = "$root/.venv" ] || rmdir "$venv" 2>/dev/null ||
        fail 73 "$venv is not an environment of roadmap-labs and is left alone." \
            "Give another folder in ROADMAP_LABS_VENV, or remove this one."
    rm -rf "$venv" || fail 73 "$venv can't be replaced. Remove it, then type the same command again."
}

make_environment() {
    clear_place
    mkdir "$venv" && printf '' >"$made" || fail 73 "$venv can't be made. Name another folder in ROADMAP_LABS_VENV."
    if has uv; then
        quietly uv venv --quiet --no-project --allow-existing --python "$python" "$venv"
    else
        quietly "$python" -I -m venv "$venv"
    fi || fail 73 "the virtual environment $venv could not be made (the lines above say why)."
    install_locked "$root/requirements.lock"
    for site in "$venv"/lib/python3*/site-packages; do printf '%s\n' "$root/src" >"$site/roadmap-labs.pth"; done
    printf '%s\n' "#!$venv/bin/python -I" 'import sys' 'from roadmap_labs.cli.main import main' 'sys.exit(main())' \
        >"$venv/bin/roadmap-labs"
    chmod +x "$venv/bin/roadmap-labs"
    stamp >"$made" # last: without it the next command begins again
}

environment() { # what the command line needs
    is_made && return 0
    need_python
    lock
    if ! is_made; then
        say "setting up Python in $venv"
        make_environment
    fi
    unlock
}

environment_for_tests() { # what the tests need on top
    environment
    is_made_for_tests && return 0
    need_python
    lock
    if ! is_made_for_tests; then
        say "installing what the tests need"
        install_locked "$root/requirements-dev.lock"
        sum_of "$root/requirements-dev.lock" >"$made_tests"
    fi
    unlock
}
