#!/bin/bash
# Builds the Debian package, checks it with lintian, installs it on a bare Debian, and starts the
# service by the command line of its unit: with Redis and nginx as Debian has them and one copied
# file, the demo's page is served. Then removes and purges it, and looks at what is left.
#
# This is done on Debian 12 and 13, whatever Debian the host runs. For each it keeps two roots below
# $WORKERLESS_DEBIAN_PACKAGE (default: /var/cache/workerless/package): a bare one, and one with what
# conf/debian/control names for the build, and nothing else. It makes new ones after 30 days, or when
# these packages change. debian-root.sh says how the roots are isolated from the host.
#
# This needs root. Without it, the script says so and exits with status 77 (skipped); with CI=true
# that is an error.
set -eu -o pipefail

suites='bookworm trixie'
days=30
name=debian-package
# To check the package. What building needs is in conf/debian/control.
tools='lintian'
# Beside the package. Nothing is started when it is installed.
servers='nginx redis-server curl'
self=$(readlink -f "$0")
top=$(dirname "$(dirname "$self")")
cache=${WORKERLESS_DEBIAN_PACKAGE:-${XDG_CACHE_HOME:-/var/cache}/workerless/package}

. "$(dirname "$self")/debian-root.sh"

apt_get()
{
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >/apt.log 2>&1 || {
        tail -n 40 /apt.log
        fail "apt-get $* failed"
    }
}

# ---- the roots

# in_root ROOT FUNCTION...: calls a function of this script in that root.
in_root()
{
    in_namespaces "$self" --inside "$@"
}

# The same without a network but its own loopback.
in_root_offline()
{
    in_namespaces unshare --net -- "$self" --inside "$@"
}

fill_build_root()
{
    apt_get update
    # shellcheck disable=SC2086
    apt_get install $tools
    apt_get build-dep /conf
    apt_get clean
}

# make_roots SUITE: those that are missing or too old.
make_roots()
{
    local suite=$1 bare=$cache/$1 build=$cache/$1-build why wanted
    why=$(why_make "$bare/.made" "$suite")
    if test -n "$why"; then
        make_root "$bare" "$suite" "$why"
        echo "$suite" >"$bare/.made"
        rm -f "$build/.made"
    fi
    wanted=$(sed -n '/^Build-Depends:/,/^[^ ]*: /p' "$top/conf/debian/control" | sha256sum)$tools
    why=$(why_make "$build/.made" "$wanted")
    test -n "$why" || return 0
    say "making $build: $why"
    rm -rf --one-file-system "$build"
    cp -a "$bare" "$build"
    rm -f "$build/.made"
    mkdir -p "$build/conf"
    cp -R "$top/conf/debian" "$build/conf/debian"
    in_root "$build" fill_build_root
    echo "$wanted" >"$build/.made"
}

# ---- building

# In a root for building, with the sources in /tree. The unit tests run elsewhere.
build()
{
    cd /tree
    if ! { as_root ./autogen.sh && as_root ./configure -q &&
        as_root env DEB_BUILD_OPTIONS=nocheck make deb; } >/build.log 2>&1; then
        tail -n 40 /build.log
        fail "the package could not be built"
    fi
    as_root lintian --version
    as_root lintian --allow-root --display-info --fail-on error,warning \
        build-deb/workerless_*.changes
}

# ---- checking, in a bare root

# check WHAT COMMAND...: whether it succeeds. What it prints is shown if it does not.
check()
{
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then
        echo ok >>/checks
    else
        echo failed >>/checks
        say "FAILED: $what"
        test -z "$said" || tail -n 20 <<<"$said"
    fi
}

# is WANTED COMMAND...: whether it prints that.
is()
{
    local wanted=$1 printed
    shift
    printed=$("$@" 2>&1) || :
    test "$printed" = "$wanted" || { echo "$*: \"$printed\" instead of \"$wanted\"" && false; }
}

# has TEXT COMMAND...: whether it prints a line with the text.
has()
{
    local wanted=$1 printed
    shift
    printed=$("$@" 2>&1) || { echo "$printed" && return 1; }
    grep -qF -- "$wanted" <<<"$printed" || { echo "no \"$wanted\" in: $printed" && false; }
}

# eventually COMMAND...: whether it succeeds within 20 seconds.
eventually()
{
    local end=$((SECONDS + 20))
    until "$@" >/dev/null 2>&1; do
        test $SECONDS -lt $end || { "$@" && return; return 1; }
        sleep 0.1
    done
}

owner_and_mode()
{
    stat -c '%U:%G %a' "$1"
}

units_dir()
{
    dirname "$(dpkg -L workerless | grep '/workerless\.service$')"
}

# setting UNIT NAME: its value.
setting()
{
    sed -n "s/^$2=//p" "$(units_dir)/workerless.$1"
}

# Installs the package in /, and looks at what it has brought.
install_package()
{
    local file
    apt_get update
    apt_get install /workerless.deb
    check 'the user' is "$(setting service User)" id -nu workerless
    check 'it can have no password and no shell' \
        is "workerless:/:/usr/sbin/nologin" sh -c 'getent passwd workerless | cut -d: -f1,6,7'
    check 'the config is for the group' \
        is 'root:workerless 640' owner_and_mode /etc/workerless/workerless.conf
    check 'the variables are for root' is 'root:root 600' owner_and_mode /etc/workerless/environment
    for file in workerless.service workerless@.service workerless.socket; do
        check "$file" is 'root:root 644' owner_and_mode "$(units_dir)/$file"
    done
    for file in /usr/share/workerless/www/index.html /usr/lib/sysusers.d/workerless.conf \
        /etc/logrotate.d/workerless /usr/share/doc/workerless/copyright \
        /usr/share/workerless/conf/nginx.conf /usr/share/workerless/workers/worker.py; do
        check "$file" is 'root:root 644' owner_and_mode "$file"
    done
    check 'the binary' is 'root:root 755' owner_and_mode /usr/bin/workerless
    check 'the examples are in the documentation' \
        cmp /usr/share/doc/workerless/examples/nginx.conf /usr/share/workerless/conf/nginx.conf
    for file in man5/workerless.conf.5 man7/workerless-protocol.7 man8/workerless.8; do
        check "the man page $file" test -e /usr/share/man/$file.gz
    done
    check 'the completion for bash' \
        test -e /usr/share/bash-completion/completions/workerless
    check 'README is there' sh -c 'ls /usr/share/doc/workerless/README.md*'
    # shellcheck disable=SC2046
    check 'no file of it belongs to somebody else' \
        is '' find $(dpkg -L workerless) -maxdepth 0 ! -user root
    check 'the service is enabled' \
        test -L /etc/systemd/system/multi-user.target.wants/workerless.service
    check 'the socket is enabled' \
        test -L /etc/systemd/system/sockets.target.wants/workerless.socket
    check 'its version' has "workerless $(dpkg-query -W -f '${Version}' workerless)" workerless -V
    # shellcheck disable=SC2086
    apt_get install $servers
}

# systemd in a few lines: passes on the socket that the socket unit describes.
socket_starter='
use Fcntl; use POSIX; use Socket;
my ($path, $mode, $group, $backlog, $user, @command) = @ARGV;
POSIX::close($_) for 3 .. 20;
my $socket;
socket($socket, PF_UNIX, SOCK_STREAM, 0) && bind($socket, pack_sockaddr_un($path)) &&
    chown(0, scalar getgrnam($group), $path) && chmod(oct $mode, $path) &&
    listen($socket, $backlog) or die "$path: $!";
fileno($socket) == 3 && fcntl($socket, F_SETFD, 0) or die "it is not descriptor 3: $!";
@ENV{"LISTEN_FDS", "LISTEN_PID"} = (1, $$);
exec "setpriv", "--reuid=$user", "--regid=$user", "--init-groups", "--no-new-privs",
    "--bounding-set=-all", "--inh-caps=-all", @command or die "setpriv: $!";'

as_user()
{
    local user=$1
    shift
    setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
}

get()
{
    curl -sS --fail --max-time 10 "http://127.0.0.1:8080$1"
}

# How it is asked to read its config again, as systemd does it.
reload()
{
    local command
    setting service ExecReload | while read -r command; do
        # shellcheck disable=SC2086
        MAINPID=$1 as_user workerless sh -c "$command" || return
    done
}

# Starts the service, Redis and nginx as their packages have them, and requests the demo's page.
serve()
{
    local path user command status
    path=$(setting socket ListenStream)
    user=$(setting service User)
    command=$(setting service ExecStart)
    perl -MSocket -e 'my ($s, $up) = (undef, pack("a16 s x14", "lo", 1));
        socket($s, AF_INET, SOCK_DGRAM, 0) && ioctl($s, 0x8914, $up) or die "lo: $!"'
    install -d "$(dirname "$path")"
    install -d -o redis -g redis /run/redis

    # shellcheck disable=SC2046
    check 'the config is accepted' as_user "$user" $(setting service ExecStartPre)
    setpriv --reuid=redis --regid=redis --init-groups -- redis-server /etc/redis/redis.conf \
        --daemonize no --supervised no --logfile '' >/redis.log 2>&1 &
    redis=$!
    # shellcheck disable=SC2086
    env -i PATH="$PATH" perl -e "$socket_starter" "$path" "$(setting socket SocketMode)" \
        "$(setting socket SocketGroup)" "$(setting socket Backlog)" "$user" $command \
        2>/service.log &
    service=$!
    cp /usr/share/workerless/conf/nginx.conf /etc/nginx/nginx.conf
    nginx -g 'daemon off;' >/nginx.log 2>&1 &
    nginx=$!

    check 'Redis is there' eventually has PONG redis-cli ping
    check 'workerless has begun' eventually grep 'fragments: ' /service.log
    check 'as its user' is "$user" stat -c %U "/proc/$service"
    check 'the socket' is 'root:www-data 660' owner_and_mode "$path"
    check 'the page is served' eventually has '<page-fragment' get /
    check 'its script is served' has 'customElements' get /page-fragment.js
    check 'a fragment is served' has '<div id="a">result for a</div>' get /fragment/a
    check 'Redis has it' eventually has worker:a redis-cli keys '*'
    check 'it can be asked to reload' reload "$service"
    check 'and does' eventually grep 'main: reloaded' /service.log
    check 'it still serves' has 'result for a' get /fragment/a
    kill "$service"
    wait "$service" && status=0 || status=$?
    check 'it ends with status 0' test "$status" -eq 0
    kill "$nginx" "$redis"
    wait
    test -z "$(grep failed /checks)" || tail -n 20 /service.log /nginx.log /redis.log
}

# What has its name, apart from what dpkg, apt and logs note.
traces()
{
    find / -xdev -name '*workerless*' ! -path '/var/log/*' ! -path '/var/cache/*' \
        ! -path '/workerless.deb' ! -path '/tree/*' | sort
}

remove_package()
{
    chmod 600 /etc/workerless/workerless.conf
    echo '# mine' >>/etc/workerless/workerless.conf
    as_root dpkg --force-confold -i /workerless.deb >/dpkg.log 2>&1 || cat /dpkg.log
    check 'an upgrade keeps what the administrator has written' \
        grep '^# mine$' /etc/workerless/workerless.conf
    check 'and its mode' is 'root:workerless 600' owner_and_mode /etc/workerless/workerless.conf
    mkdir -p /var/log/workerless # as systemd makes it
    touch /var/log/workerless/workerless.log

    apt_get remove workerless
    check 'removal keeps the config' grep '^# mine$' /etc/workerless/workerless.conf
    check 'and nothing to run' is '' sh -c "find /usr -name '*workerless*'"
    apt_get purge workerless
    check 'purge leaves no file' is '' traces
    check 'nor a directory for logs' test ! -e /var/log/workerless
    check 'it leaves the user, and its name nowhere else' \
        is '/etc/group /etc/gshadow /etc/passwd /etc/shadow' sh -c "grep -rl workerless /etc \
            --exclude='*-' --exclude=nginx.conf | sort | paste -sd ' '"
}

# ---- on the host

# test_suite SUITE
test_suite()
{
    local build=$cache/$1-build root=$work/root begun=$SECONDS
    make_roots "$1"
    rm -rf --one-file-system "$build/tree" "$root"
    "$top/tests/copy-tree.sh" "$build/tree"
    say "building on $1"
    in_root "$build" build
    say "installing on $1"
    cp -a "$cache/$1" "$root"
    cp "$build"/tree/build-deb/workerless_*.deb "$root/workerless.deb"
    rm -rf --one-file-system "$build/tree"
    in_root "$root" install_package
    in_root_offline "$root" serve
    in_root "$root" remove_package
    cat "$root/checks" >>"$work/checks"
    rm -rf --one-file-system "$root"
    say "$1 took $((SECONDS - begun)) s"
}

main()
{
    local suite failed
    if test "${1:-}" = --inside; then
        exec </dev/null
        enter_root "$2"
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        "${@:3}"
        return
    fi
    need_root
    lock "$cache.lock"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/run.XXXXXX")
    trap 'rm -rf --one-file-system "$work"' EXIT
    # shellcheck disable=SC2086
    for suite in ${*:-$suites}; do
        test_suite "$suite"
    done
    failed=$(grep -c failed "$work/checks" || :)
    echo "$(grep -c ok "$work/checks" || :) passed, $failed failed"
    test "$failed" -eq 0
}

main "$@"
