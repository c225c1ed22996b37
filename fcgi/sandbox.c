/* The files of the sandbox. Some belong to the system: what the C library reads to resolve a name,
 * and OpenSSL to verify a certificate. The others are those of the config, which a reload reads
 * again.
 *
 * A file is often replaced by a new one of the same name (by an editor, certbot, a DHCP client), and
 * rights belong to the file, not to its name. So they are given to the directory that has it, and if
 * it is a symbolic link, also to that of what it leads to. For this reason all of /etc may be read.
 * There, modes protect what is secret, but not from root: for root, only the files by themselves. */
#include "sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/alloc.h"
#include "base/landlock.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "conf/conf.h"

#if defined __SANITIZE_ADDRESS__
#define SANITIZED true
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static const char *const system_directories[] = {
    "/usr", "/lib", "/lib64", "/sys/devices/system/cpu", "/proc/sys/vm/overcommit_memory",
};

static const char *const system_files[] = {
    "/etc/resolv.conf",   "/etc/hosts",
    "/etc/nsswitch.conf", "/etc/host.conf",
    "/etc/gai.conf",      "/etc/services",
    "/etc/protocols",     "/etc/localtime",
    "/etc/passwd",        "/etc/group",
    "/etc/ld.so.cache",   "/etc/ssl/openssl.cnf",
    "/etc/ssl/certs",     "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs",
};

static const char *const devices[] = {"/dev/null", "/dev/urandom", "/dev/random"};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The directory that has the file, or the file itself if that would be too much. The caller frees
 * it. NULL: out of memory. */
static char *place_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    bool too_much = slash && (len == 0 || (len == 4 && strncmp(path, "/etc", 4) == 0));
    if (too_much)
        return alloc_copy(path, strlen(path));
    return slash ? alloc_copy(path, len) : alloc_copy(".", 1);
}

/* Allows a file, whatever will be there under this name. */
static bool allow_place(int set, const char *path, unsigned rights)
{
    char *place = place_of(path);
    bool ok = place && landlock_allow(set, place, rights);
    free(place);
    return ok;
}

/* The same for what a symbolic link leads to. */
static bool allow_named(int set, const char *path, unsigned rights)
{
    char *target = realpath(path, NULL);
    bool ok = allow_place(set, path, rights) &&
              (!target || strcmp(target, path) == 0 || allow_place(set, target, rights));
    free(target);
    return ok;
}

static bool allow_system(int set)
{
    bool ok = geteuid() == 0 || landlock_allow(set, "/etc", LANDLOCK_READ);
    for (size_t i = 0; i < LENGTH(system_directories) && ok; i++)
        ok = landlock_allow(set, system_directories[i], LANDLOCK_READ);
    for (size_t i = 0; i < LENGTH(system_files) && ok; i++) {
        char *target = realpath(system_files[i], NULL);
        ok = landlock_allow(set, system_files[i], LANDLOCK_READ) &&
             (!target || strcmp(target, system_files[i]) == 0 ||
              allow_place(set, target, LANDLOCK_READ));
        free(target);
    }
    for (size_t i = 0; i < LENGTH(devices) && ok; i++)
        ok = landlock_allow(set, devices[i], LANDLOCK_READ | LANDLOCK_WRITE);
    return ok && landlock_allow_libraries(set);
}

/* OpenSSL may be told of other certificates. systemd tells of the directory that it has made for
 * logs: a reload may turn on a log there. */
static bool allow_variables(int set)
{
    const char *file = getenv("SSL_CERT_FILE"), *directory = getenv("SSL_CERT_DIR");
    const char *logs = getenv("LOGS_DIRECTORY");
    return (!file || allow_named(set, file, LANDLOCK_READ)) &&
           (!directory || landlock_allow(set, directory, LANDLOCK_READ)) &&
           (!logs || landlock_allow(set, logs, LANDLOCK_WRITE | LANDLOCK_CREATE));
}

static bool allow_conf(int set, const struct conf *conf)
{
    bool ok = true;
    const char *log_file = conf_log_file(conf), *access_log = conf_access_log_file(conf);
    for (size_t i = 0; i < conf->files.count && ok; i++)
        ok = allow_named(set, conf->files.list[i], LANDLOCK_READ);
    if (ok && *conf->templates) /* with what is below it */
        ok = landlock_allow(set, conf->templates, LANDLOCK_READ);
    for (size_t i = 0; i < conf->listen.count && ok; i++) {
        const char *path = address_path(conf->listen.addresses[i]);
        ok = !path || allow_place(set, path, LANDLOCK_REMOVE);
    }
    return ok && (!log_file || allow_place(set, log_file, LANDLOCK_WRITE | LANDLOCK_CREATE)) &&
           (!access_log || allow_place(set, access_log, LANDLOCK_WRITE | LANDLOCK_CREATE));
}

/* Returns false if it fails; see errno. */
static bool restrict_files(const struct conf *conf)
{
    int set = landlock_new();
    if (set < 0)
        return false;
    if (allow_system(set) && allow_variables(set) && allow_conf(set, conf))
        return landlock_enter(set);
    int error = errno;
    close(set);
    errno = error;
    return false;
}

static void log_refused(const char *what)
{
    log_error("sandbox", "can't restrict %s: %s; sandbox = \"no\" does without", what,
              strerror(errno));
}

bool sandbox_enter_files(const struct conf *conf)
{
    if (!conf->sandbox || SANITIZED || landlock_version() == 0 || restrict_files(conf))
        return true;
    log_refused("files");
    return false;
}

bool sandbox_enter(const struct conf *conf, struct ev_loop *loop)
{
    if (!conf->sandbox)
        return true;
    if (SANITIZED) {
        log_warning("sandbox", "not restricted: the sanitizers of this build could not work");
        return true;
    }
    const char *what = "files";
    int version = landlock_version();
    bool ok = version == 0 || restrict_files(conf);
    if (ok && syscalls_are_built()) {
        what = "system calls";
        ok = syscalls_deny();
    }
    if (!ok) {
        log_refused(what);
        return false;
    }
    if (version == 0)
        log_warning("sandbox", "this system has no landlock: all files can still be opened");
    if (syscalls_are_built())
        syscalls_watch(loop);
    else
        log_warning("sandbox", "built without libseccomp: all system calls are still allowed");
    log_info("sandbox", "restricted: %s%s%s", version ? "files" : "",
             version && syscalls_are_built() ? ", " : "",
             syscalls_are_built() ? "system calls" : "");
    return true;
}

void sandbox_leave_loop(void)
{
    syscalls_unwatch();
}
