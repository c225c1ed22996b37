#!/bin/bash
# Builds and tests this tree on Debian 13, whatever Debian the host runs. The tests run as an
# ordinary user with Debian's default limits, and with TLS to Redis, for which Debian 12's hiredis
# is too old.
#
# It makes a root file system with debootstrap, lets ./autogen.sh --install-deps fill it, and keeps
# it for the next run in $WORKERLESS_DEBIAN13 (default: /var/cache/workerless/debian13). It makes a
# new one after 30 days, or when autogen.sh changes, so that no package is there by accident.
#
# debian-root.sh says how the root is isolated from the host.
#
# This needs root. Without it, the script says so and exits with status 77 (skipped); with CI=true
# that is an error.
set -eu -o pipefail

suite=trixie
days=30
packages=ca-certificates # installed before autogen.sh runs, since npm needs it
user=tester
name=debian13
self=$(readlink -f "$0")
top=$(dirname "$(dirname "$self")")
root=${WORKERLESS_DEBIAN13:-${XDG_CACHE_HOME:-/var/cache}/workerless/debian13}

. "$(dirname "$self")/debian-root.sh"

# ---- in the root

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
    made=$(sha256sum <"$top/autogen.sh")
    why=$(why_make "$root/.made" "$made")
    if test -n "$why"; then
        make_root "$root" "$suite" "$why"
        printf '%s\n' 'path-exclude=/usr/share/doc/*' 'path-exclude=/usr/share/man/*' \
            'path-exclude=/usr/share/locale/*' >>"$root/etc/dpkg/dpkg.cfg.d/90small"
    fi
    rm -rf --one-file-system "$root/home/$user"
    mkdir -p "$root/home/$user"
    "$top/tests/copy-tree.sh" "$root/home/$user/workerless"
    enter_root "$root"

    id $user >/dev/null 2>&1 || as_root useradd --shell /bin/bash $user
    if ! test -e /.made; then
        as_root apt-get -q update >/dev/null
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install $packages >/dev/null
        try_demo
    fi
    install_deps --install-deps
    as_root apt-get -q clean
    test -e /.made || echo "$made" >/.made
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

    need_root
    lock "$root.lock"
    in_namespaces "$self" --inside "${@:-check}"
}

main "$@"
