#!/bin/sh
# Makes ./configure. With --install-deps it first installs whatever is missing to build, run, test
# and lint: Debian's packages, and by npm the few that tests/browser/package.json names. With
# --install-deps=run, only what building and `make demo` need; with --install-deps=build, even less.
set -eu
cd "$(dirname "$0")"

# One need a line; of "a|b" either will do, and the first that apt knows is installed.
build_packages='
gcc
libc6-dev
make
autoconf
automake
pkg-config|pkgconf
libfcgi-dev
libev-dev
libhiredis-dev
libssl-dev
libcurl4-openssl-dev|libcurl4-gnutls-dev
libconfuse-dev
libjansson-dev
uthash-dev
libxxhash-dev
libsodium-dev
libseccomp-dev
'
run_packages='
python3
nginx
lighttpd
redis-server
redis-tools
php-fpm
libpq-dev
postgresql
python3-redis
'
test_packages='
libcmocka-dev
python3-pytest
python3-selenium
python3-prometheus-client
python3-jsonschema
chromium|chromium-browser
chromium-driver|chromium-chromedriver
firefox-esr
webkit2gtk-driver
xvfb
haproxy
php-cli
php-redis
jq
curl
openssl
spawn-fcgi
libfcgi-bin
systemtap-sdt-dev
faketime
valgrind
gcovr
clang
libclang-rt-dev
clang-format
clang-tidy
cppcheck
mandoc
wrk
debootstrap
debian-archive-keyring
'
# Of these, the ones that start a service as soon as they are installed.
services='nginx lighttpd haproxy php-fpm postgresql redis-server'

policy=/usr/sbin/policy-rc.d
browser_tests=tests/browser

fail()
{
    echo "autogen.sh: $*" >&2
    exit 1
}

usage()
{
    echo "usage: ./autogen.sh [--install-deps[=build|run|test]]"
    echo "  --install-deps  first install what is missing from Debian's packages (needs root or sudo):"
    echo "                  =build  what building needs"
    echo "                  =run    that, and what \`make demo\` needs"
    echo "                  =test   that, and what tests and linters need; also JavaScript libraries,"
    echo "                          into $browser_tests/node_modules. The default."
}

# Prints the needs that no installed package meets.
missing_needs()
{
    # shellcheck disable=SC2046,SC2086 # words are wanted
    installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' $(echo $packages | tr '|' ' ') \
        2>/dev/null | sed -n 's/^.i  *//p')
    for need in $packages; do
        met=no
        for name in $(echo "$need" | tr '|' ' '); do
            case " $(echo $installed) " in *" $name "*) met=yes ;; esac
        done
        test $met = yes || echo "$need"
    done
    # Not by its package: Node's own packages bring it along, and exclude Debian's.
    test $purpose != test || command -v npm >/dev/null || echo npm
}

# The libraries that the tests in a browser use, and one that a worker uses, as package-lock.json has
# them. Once they are there,
# no network is needed.
install_libraries()
{
    (cd $browser_tests && { npm ls >/dev/null 2>&1 ||
        npm ci --ignore-scripts --loglevel=error </dev/null; }) ||
        fail "npm could not install what $browser_tests/package.json names"
}

# The first package of "a|b" that apt can install.
choose()
{
    for name in $(echo "$1" | tr '|' ' '); do
        if apt-cache policy "$name" 2>/dev/null | grep 'Candidate:' | grep -qv '(none)'; then
            echo "$name"
            return
        fi
    done
    fail "apt knows no package '$1'; is this Debian 12 or newer, or a like Ubuntu?"
}

# The service of a package: that of php-fpm has PHP's version in its name.
service_of()
{
    case $1 in
    php-fpm) apt-cache depends php-fpm | sed -n 's/.*Depends: \(php[0-9.]*-fpm\)$/\1/p' ;;
    *) echo "$1" ;;
    esac
}

# While we install, keeps the services named in $1 from being started; everything else is as ever.
# It ends with us, whatever becomes of us. A policy that is already there is left alone.
hold_services()
{
    if test -e $policy && ! grep -q 'put here by workerless' $policy; then
        return
    fi
    trap '$as_root rm -f $policy' EXIT
    trap 'exit 1' HUP INT TERM
    $as_root tee $policy >/dev/null <<END
#!/bin/sh
# put here by workerless/autogen.sh for the time that it installs packages
test -d /proc/$$ || exit 0
test "\$1" != --quiet || shift
case " $1 " in *" \${1%.service} "*) exit 101 ;; esac
exit 0
END
    $as_root chmod 755 $policy
}

install_deps()
{
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        fail "--install-deps needs Debian's apt-get. Elsewhere, install what these packages hold:
$packages"
    fi
    needs=$(missing_needs)
    test -n "$needs" || return 0

    as_root=
    if test "$(id -u)" -ne 0; then
        command -v sudo >/dev/null ||
            fail "--install-deps needs root or sudo. As root, run: apt-get install" $needs
        as_root=sudo
    fi
    apt_get="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0"
    echo "autogen.sh: missing:" $needs
    $apt_get update -q || echo "autogen.sh: no fresh package lists; going on with those here" >&2

    chosen= held=
    for need in $needs; do
        name=$(choose "$need")
        chosen="$chosen $name"
        case " $services " in *" $name "*) held="$held $(service_of "$name")" ;; esac
    done

    test -z "$held" || hold_services "$held"
    # shellcheck disable=SC2086
    $apt_get install -q -y --no-install-recommends $chosen </dev/null
    for service in $held; do
        $as_root update-rc.d "$service" disable >/dev/null 2>&1 || :
    done
    test -z "$held" ||
        echo "autogen.sh: not enabled as services (and not started, unless by $policy):$held"
    needs=$(missing_needs)
    test -z "$needs" || fail "still missing after the installation:" $needs
}

need_tool()
{
    command -v "$1" >/dev/null && return
    echo "autogen.sh: $1 is missing (Debian package $2)" >&2
    tools_missing=yes
}

# What is to be installed for: build, run or test.
purpose=test packages=$build_packages
case "${1-}" in
--install-deps=build) purpose=build ;;
--install-deps=run) purpose=run packages="$build_packages $run_packages" ;;
--install-deps | --install-deps=test) packages="$build_packages $run_packages $test_packages" ;;
esac

case "${1-}" in
'') ;;
--install-deps=build | --install-deps=run) install_deps ;;
--install-deps | --install-deps=test) install_deps && install_libraries ;;
-h | --help) usage && exit ;;
*) usage >&2 && exit 2 ;;
esac

tools_missing=no
need_tool autoconf autoconf
need_tool autoreconf autoconf
need_tool automake automake
need_tool aclocal automake
need_tool pkg-config pkg-config
test $tools_missing = no || fail "run ./autogen.sh --install-deps, or install these by hand"

autoreconf -fi
echo "autogen.sh: now run ./configure"
