#!/bin/bash
# Builds and tests this tree on Debian 13, whatever Debian the host runs. The tests run as an
# ordinary user with Debian's default limits, and with TLS to Redis, for which Debian 12's hiredis
# is too old.
#
# It makes a root file system with debootstrap, lets ./autogen.sh --install-deps fill it, and keeps
# it for the next run in $WORKERLESS_DEBIAN13 (default: /var/cache/workerless/debian13). It makes a
# new one after 30 days, or when autogen.sh changes, so that no package is there by accident.
#
# The root uses the host's Debian mirror, apt settings and CA certificates. All mounts are made in a
# mount namespace and all processes run in a PID namespace, so nothing is left behind on the host.
#
# This needs root. Without it, the script says so and exits with status 77 (skipped); with CI=true
# that is an error.
set -eu -o pipefail

suite=trixie
days=30
packages=ca-certificates # installed before autogen.sh runs, since npm needs it
user=tester
self=$(readlink -f "$0")
top=$(dirname "$(dirname "$self")")
codename=$(. /etc/os-release && test "$ID" = debian && echo "$VERSION_CODENAME") || codename=
root=${WORKERLESS_DEBIAN13:-${XDG_CACHE_HOME:-/var/cache}/workerless/debian13}

say()
{
    echo "debian13: $*"
}

fail()
{
    say "$*" >&2
    exit 1
}

# skip WHY: a local run may do without this test, CI may not.
skip()
{
    test "${CI:-}" != true || fail "$*"
    say "skipped: $*"
    exit 77
}

# ---- on the host

# Prints where the host's apt gets the suite $1 from; nothing if it has no such suite.
host_mirror()
{
    test -n "$codename" || return 0
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n "s/^$1 //p" | head -n 1
}

# The host's mirrors, if it is a Debian. If not, debootstrap has taken its default and written that.
write_sources()
{
    local list=$1/etc/apt/sources.list part mirror
    test -n "$(host_mirror "$codename")" || return 0
    : >"$list"
    for part in '' -updates -security; do
        mirror=$(host_mirror "$codename$part")
        test -z "$mirror" || echo "deb $mirror $suite$part main" >>"$list"
    done
}

# How the host reaches its mirrors: proxy, checks, CA certificates.
write_settings()
{
    local to=$1
    apt-config dump Acquire 2>/dev/null |
        grep -vE '^Acquire::(IndexTargets|CompressionTypes|Changelogs|cdrom)|^Acquire ' \
            >"$to/etc/apt/apt.conf.d/90host" || :
    echo 'APT::Install-Recommends "false";' >"$to/etc/apt/apt.conf.d/91small"
    # What is thrown away need not survive a crash, nor be read.
    printf '%s\n' force-unsafe-io 'path-exclude=/usr/share/doc/*' 'path-exclude=/usr/share/man/*' \
        'path-exclude=/usr/share/locale/*' >"$to/etc/dpkg/dpkg.cfg.d/90small"
    mkdir -p "$to/etc/ssl/certs" "$to/usr/local/share/ca-certificates"
    cp -L /etc/ssl/certs/ca-certificates.crt "$to/etc/ssl/certs/" 2>/dev/null || :
    cp -L /usr/local/share/ca-certificates/*.crt "$to/usr/local/share/ca-certificates/" \
        2>/dev/null || :
    cp -L /etc/resolv.conf "$to/etc/resolv.conf"
    echo '127.0.0.1 localhost' >"$to/etc/hosts"
}

# Empty, or why the root has to be made.
why_make()
{
    if ! test -e "$root/.made"; then
        echo "there is none"
    elif test "$(cat "$root/.made")" != "$(sha256sum <"$top/autogen.sh")"; then
        echo "autogen.sh has changed"
    elif test -z "$(find "$root/.made" -mtime "-$days")"; then
        echo "it is more than $days days old"
    fi
}

make_root()
{
    local mirror proxy='' begun=$SECONDS
    say "making $root: $1"
    rm -rf --one-file-system "$root" "$root.new"
    mkdir -p "$root.new"
    mirror=$(host_mirror "$codename")
    eval "$(apt-config shell proxy Acquire::http::Proxy 2>/dev/null || :)"
    http_proxy=${http_proxy:-$proxy} debootstrap --variant=minbase "$suite" "$root.new" \
        ${mirror:+"$mirror"} >"$root.log" 2>&1 || {
        tail -n 20 "$root.log"
        fail "debootstrap failed; all it said is in $root.log"
    }
    write_sources "$root.new"
    write_settings "$root.new"
    mv "$root.new" "$root"
    say "made it in $((SECONDS - begun)) s"
}

# Makes $root the root of this mount namespace. A chroot would not do: Chromium's sandbox needs user
# namespaces, which Linux refuses to a process in one.
enter_root()
{
    local device
    mount --bind "$root" "$root"
    cd "$root"
    mount -t proc -o nosuid,nodev,noexec proc proc
    mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs tmp
    mount -t tmpfs -o nosuid,mode=755 tmpfs dev
    for device in null zero full random urandom tty; do
        : >dev/$device
        mount --bind /dev/$device dev/$device
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o nosuid,noexec,newinstance,mode=620,ptmxmode=666 devpts dev/pts
    mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs dev/shm
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    ln -s fd/0 dev/stdin
    ln -s fd/1 dev/stdout
    ln -s fd/2 dev/stderr
    pivot_root . .
    umount -l .
    cd /
}

# ---- in the root

# clean_env HOME PATH COMMAND...: runs it without the host's environment, except for what the
# network needs and what the caller of this script sets for make and the tests.
clean_env()
{
    local home=$1 path=$2 name kept=()
    shift 2
    for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY \
        npm_config_registry MAKEFLAGS PYTEST_ARGS TERM CI; do
        test -z "${!name:-}" || kept+=("$name=${!name}")
    done
    env -i HOME="$home" PATH="$path" LANG=C.UTF-8 SHELL=/bin/bash \
        NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
        npm_config_cafile=/etc/ssl/certs/ca-certificates.crt "${kept[@]}" "$@"
}

as_root()
{
    clean_env /root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# With the limits and the PATH of somebody who has just logged in.
as_user()
{
    clean_env /home/$user /usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games \
        USER=$user LOGNAME=$user setpriv --reuid=$user --regid=$user --init-groups \
        bash -c 'ulimit -Sn 1024 && cd ~/workerless && "$@"' bash "$@"
}

# install_deps OPTION: ./autogen.sh with that option.
install_deps()
{
    local begun=$SECONDS log=/autogen.log
    (cd /home/$user/workerless && as_root ./autogen.sh "$1") >$log 2>&1 || {
        tail -n 40 $log
        fail "./autogen.sh $1 failed"
    }
    chown -R $user: /home/$user
    say "./autogen.sh $1 took $((SECONDS - begun)) s"
    grep '^Need to get\|^After this operation' $log || : # nothing was missing
}

# README's first command, on a system that has nothing beside what it installs.
try_demo()
{
    install_deps --install-deps=run
    as_user ./configure -q --enable-werror
    as_user make
    as_user python3 tests/demo/smoke.py
}

# What happens in namespaces of its own.
inside()
{
    exec </dev/null
    why=$(why_make)
    test -z "$why" || make_root "$why"
    rm -rf --one-file-system "$root/home/$user"
    mkdir -p "$root/home/$user"
    "$top/tests/copy-tree.sh" "$root/home/$user/workerless"
    enter_root

    id $user >/dev/null 2>&1 || as_root useradd --shell /bin/bash $user
    if ! test -e /.made; then
        as_root apt-get -q update >/dev/null
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install $packages >/dev/null
        try_demo
    fi
    install_deps --install-deps
    as_root apt-get -q clean
    test -e /.made || sha256sum </home/$user/workerless/autogen.sh >/.made
    say "building and testing as $user"
    # Warnings are errors, and TLS to Redis may not be left out.
    as_user ./configure -q --enable-werror --enable-redis-tls
    as_user make
    as_user fcgi/workerless -V
    as_user make "${targets[@]}"
    rm -rf /home/$user
}

main()
{
    case "${1:-}" in
    --inside)
        targets=("${@:2}")
        inside
        return
        ;;
    -*)
        echo "usage: tests/debian13.sh [TARGET...]: make these (default: check) on Debian 13" >&2
        exit 2
        ;;
    esac

    test "$(id -u)" -eq 0 || skip "making a Debian root needs root"
    for tool in debootstrap unshare pivot_root setpriv flock; do
        command -v $tool >/dev/null ||
            skip "$tool is missing (./autogen.sh --install-deps installs it)"
    done
    unshare --mount --pid --fork true 2>/dev/null || skip "this system lets us make no namespaces"

    mkdir -p "$(dirname "$root")"
    exec 9>"$root.lock"
    flock -n 9 || { say "waiting for another run to end" && flock 9; }
    unshare --mount --propagation private --pid --fork --kill-child -- \
        "$self" --inside "${@:-check}"
}

main "$@"
