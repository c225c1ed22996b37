# What scripts share that work in a Debian root of their own. They source this file, and set before:
#   name   begins what they print
#   top    the top of the sources
#   days   how long a root is kept
# The roots use the host's Debian mirror, apt settings and CA certificates. All mounts are made in a
# mount namespace and all processes run in a PID namespace, so nothing is left behind on the host.
# shellcheck shell=bash

codename=$(. /etc/os-release && test "$ID" = debian && echo "$VERSION_CODENAME") || codename=

say()
{
    echo "$name: $*"
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

# need_root TOOL...: roots can be made and entered here, and these tools are there, too.
need_root()
{
    local tool
    test "$(id -u)" -eq 0 || skip "making a Debian root needs root"
    for tool in debootstrap unshare pivot_root setpriv flock "$@"; do
        command -v "$tool" >/dev/null ||
            skip "$tool is missing (./autogen.sh --install-deps installs it)"
    done
    unshare --mount --pid --fork true 2>/dev/null || skip "this system lets us make no namespaces"
}

# lock FILE: waits until no other script has it, and holds it until this one ends.
lock()
{
    mkdir -p "$(dirname "$1")"
    exec 9>"$1"
    flock -n 9 || { say "waiting for another run to end" && flock 9; }
}

# in_namespaces COMMAND...: where it may mount and start what it wants, and all of it ends with it.
in_namespaces()
{
    unshare --mount --propagation private --pid --fork --kill-child -- "$@"
}

# Prints where the host's apt gets the suite $1 from; nothing if it has no such suite.
host_mirror()
{
    test -n "$codename" || return 0
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n "s/^$1 //p" | head -n 1
}

# write_sources ROOT SUITE: the host's mirrors, if it is a Debian. If not, debootstrap has taken its
# default and written that.
write_sources()
{
    local list=$1/etc/apt/sources.list suite=$2 part mirror
    test -n "$(host_mirror "$codename")" || return 0
    : >"$list"
    for part in '' -updates -security; do
        mirror=$(host_mirror "$codename$part")
        test -z "$mirror" || echo "deb $mirror $suite$part main" >>"$list"
    done
}

# write_settings ROOT: how the host reaches its mirrors: proxy, checks, CA certificates.
write_settings()
{
    local to=$1
    apt-config dump Acquire 2>/dev/null |
        grep -vE '^Acquire::(IndexTargets|CompressionTypes|Changelogs|cdrom)|^Acquire ' \
            >"$to/etc/apt/apt.conf.d/90host" || :
    echo 'APT::Install-Recommends "false";' >"$to/etc/apt/apt.conf.d/91small"
    # What is thrown away need not survive a crash.
    echo force-unsafe-io >"$to/etc/dpkg/dpkg.cfg.d/90small"
    mkdir -p "$to/etc/ssl/certs" "$to/usr/local/share/ca-certificates"
    cp -L /etc/ssl/certs/ca-certificates.crt "$to/etc/ssl/certs/" 2>/dev/null || :
    cp -L /usr/local/share/ca-certificates/*.crt "$to/usr/local/share/ca-certificates/" \
        2>/dev/null || :
    cp -L /etc/resolv.conf "$to/etc/resolv.conf"
    echo '127.0.0.1 localhost' >"$to/etc/hosts"
}

# make_root ROOT SUITE WHY: with debootstrap, instead of the one that may be there.
make_root()
{
    local root=$1 suite=$2 mirror proxy='' begun=$SECONDS
    say "making $root: $3"
    rm -rf --one-file-system "$root" "$root.new"
    mkdir -p "$root.new"
    mirror=$(host_mirror "$codename")
    eval "$(apt-config shell proxy Acquire::http::Proxy 2>/dev/null || :)"
    http_proxy=${http_proxy:-$proxy} debootstrap --variant=minbase "$suite" "$root.new" \
        ${mirror:+"$mirror"} >"$root.log" 2>&1 || {
        tail -n 20 "$root.log"
        fail "debootstrap failed; all it said is in $root.log"
    }
    write_sources "$root.new" "$suite"
    write_settings "$root.new"
    mv "$root.new" "$root"
    say "made it in $((SECONDS - begun)) s"
}

# why_make STAMP WANTED: why what this file stands for has to be made; empty if it is there, young
# enough, and the file's content is WANTED.
why_make()
{
    if ! test -e "$1"; then
        echo "there is none"
    elif test "$(cat "$1")" != "$2"; then
        echo "what it is made from has changed"
    elif test -z "$(find "$1" -mtime "-$days")"; then
        echo "it is more than $days days old"
    fi
}

# enter_root ROOT: makes it the root of this mount namespace. A chroot would not do: Chromium's
# sandbox needs user namespaces, which Linux refuses to a process in one.
enter_root()
{
    local device
    mount --bind "$1" "$1"
    cd "$1"
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

# clean_env HOME PATH COMMAND...: runs it without the host's environment, except for what the
# network needs and what the caller of the script sets for make and the tests.
clean_env()
{
    local home=$1 path=$2 variable kept=()
    shift 2
    for variable in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY \
        npm_config_registry MAKEFLAGS PYTEST_ARGS TERM CI; do
        test -z "${!variable:-}" || kept+=("$variable=${!variable}")
    done
    env -i HOME="$home" PATH="$path" LANG=C.UTF-8 SHELL=/bin/bash \
        NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
        npm_config_cafile=/etc/ssl/certs/ca-certificates.crt "${kept[@]}" "$@"
}

as_root()
{
    clean_env /root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
