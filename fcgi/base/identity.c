/* Names come from the system's databases; root gives up what it may do. */
#include "base/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"

const char *identity_check_user(const char *name)
{
    return !*name || getpwnam(name) ? NULL : "there is no such user";
}

const char *identity_check_group(const char *name)
{
    return !*name || getgrnam(name) ? NULL : "there is no such group";
}

bool identity_find(struct identity *identity, const char *user, const char *group)
{
    const struct passwd *of_user = *user ? getpwnam(user) : NULL;
    const struct group *of_group = *group ? getgrnam(group) : NULL;
    *identity = (struct identity){user, group, geteuid(), getegid()};
    if ((*user && !of_user) || (*group && !of_group)) {
        log_error("main", "there is no %s \"%s\"", *user && !of_user ? "user" : "group",
                  *user && !of_user ? user : group);
        return false;
    }
    if (of_user) {
        identity->uid = of_user->pw_uid;
        identity->gid = of_user->pw_gid;
    }
    if (of_group)
        identity->gid = of_group->gr_gid;
    return true;
}

bool identity_differs(const struct identity *identity)
{
    return geteuid() != identity->uid || getegid() != identity->gid;
}

bool identity_assume(const struct identity *identity)
{
    const char *option = *identity->user ? "user" : "group";
    const char *name = *identity->user ? identity->user : identity->group;
    if (!identity_differs(identity))
        return true;
    if ((*identity->user ? initgroups(identity->user, identity->gid)
                         : setgroups(1, &identity->gid)) != 0 ||
        setgid(identity->gid) != 0 || setuid(identity->uid) != 0) {
        log_error("main", "%s = \"%s\": %s: %s", option, name, strerror(errno),
                  errno == EPERM ? "start as root, or as that user" : "can't become that");
        return false;
    }
    if (identity->uid != 0 && setuid(0) == 0) {
        log_error("main", "%s = \"%s\": the process could become root again", option, name);
        return false;
    }
#ifdef PR_SET_DUMPABLE
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* or there would be no core files */
#endif
    return true;
}
