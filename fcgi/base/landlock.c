/* The system calls themselves: no library is needed. The constants are those of the kernel, since
 * the header may be older than the kernel that runs. */
#include "base/landlock.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char explained[] =
    "permission denied; with sandbox = \"yes\", files that are new in the "
    "config can be opened after a restart";
static bool entered;

const char *landlock_strerror(int error)
{
    return entered && error == EACCES ? explained : strerror(error);
}

#if HAVE_LINUX_LANDLOCK_H && defined __NR_landlock_create_ruleset

#include <linux/landlock.h>

#define RIGHT(bit)   ((uint64_t)1 << (bit))
#define WRITE_FILE   RIGHT(1)
#define READ_FILE    RIGHT(2)
#define READ_DIR     RIGHT(3)
#define REMOVE_FILE  RIGHT(5)
#define MAKE_REG     RIGHT(8)
#define TRUNCATE     RIGHT(14)
#define OF_A_FILE    (WRITE_FILE | READ_FILE | TRUNCATE)
#define SCOPE_SIGNAL RIGHT(1)

/* struct landlock_ruleset_attr; an older kernel wants less of it. */
struct ruleset {
    uint64_t files;
    uint64_t net;    /* since version 4 */
    uint64_t scoped; /* since version 6 */
};

int landlock_version(void)
{
    long version =
        syscall(__NR_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    return version > 0 ? (int)version : 0;
}

/* All rights of this version: 13 in the first one, then "refer", "truncate" and "ioctl_dev". */
static uint64_t rights_of(int version)
{
    unsigned count = 13;
    if (version >= 2)
        count++;
    if (version >= 3)
        count++;
    if (version >= 5)
        count++;
    return RIGHT(count) - 1;
}

int landlock_new(void)
{
    int version = landlock_version();
    struct ruleset ruleset = {.files = rights_of(version),
                              .scoped = version >= 6 ? SCOPE_SIGNAL : 0};
    size_t size = version >= 6   ? sizeof ruleset
                  : version >= 4 ? offsetof(struct ruleset, scoped)
                                 : offsetof(struct ruleset, net);
    if (version == 0) {
        errno = ENOSYS;
        return -1;
    }
    return (int)syscall(__NR_landlock_create_ruleset, &ruleset, size, 0U);
}

bool landlock_allow(int set, const char *path, unsigned rights)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = (rights & LANDLOCK_READ ? READ_FILE | READ_DIR : 0) |
                          (rights & LANDLOCK_WRITE ? WRITE_FILE : 0) |
                          (rights & LANDLOCK_CREATE ? MAKE_REG : 0) |
                          (rights & LANDLOCK_REMOVE ? REMOVE_FILE : 0)};
    struct stat stat;
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP;
    if (fstat(rule.parent_fd, &stat) == 0 && !S_ISDIR(stat.st_mode))
        rule.allowed_access &= OF_A_FILE;
    bool ok = !rule.allowed_access ||
              syscall(__NR_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) == 0;
    int error = errno;
    close(rule.parent_fd);
    errno = error;
    return ok;
}

static int allow_library(struct dl_phdr_info *info, size_t size, void *set)
{
    char place[PATH_MAX];
    const char *slash = strrchr(info->dlpi_name, '/');
    size_t len = slash ? (size_t)(slash - info->dlpi_name) : 0;
    (void)size;
    if (len == 0 || len >= sizeof place)
        return 0;
    memcpy(place, info->dlpi_name, len);
    place[len] = '\0';
    return !landlock_allow(*(int *)set, place, LANDLOCK_READ);
}

bool landlock_allow_libraries(int set)
{
    return dl_iterate_phdr(allow_library, &set) == 0;
}

bool landlock_enter(int set)
{
    bool ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
              syscall(__NR_landlock_restrict_self, set, 0U) == 0;
    int error = errno;
    close(set);
    errno = error;
    entered = entered || ok;
    return ok;
}

#else

int landlock_version(void)
{
    return 0;
}

int landlock_new(void)
{
    errno = ENOSYS;
    return -1;
}

bool landlock_allow(int set, const char *path, unsigned rights)
{
    (void)set, (void)path, (void)rights;
    return false;
}

bool landlock_allow_libraries(int set)
{
    (void)set;
    return false;
}

bool landlock_enter(int set)
{
    (void)set;
    return false;
}

#endif
