/* What files this process may open: landlock(7), which needs no privileges. Rights are given for
 * what a path leads to at that moment, and, if that is a directory, for everything below it. They do
 * not follow a name: if a file may be replaced by another one, the rights belong to its directory.
 *
 * What is already open stays so. stat(2), and connecting to a unix socket, are not restricted. */
#ifndef WORKERLESS_BASE_LANDLOCK_H
#define WORKERLESS_BASE_LANDLOCK_H

#include <stdbool.h>

enum landlock_right {
    LANDLOCK_READ = 1,   /* files and directories */
    LANDLOCK_WRITE = 2,  /* to files */
    LANDLOCK_CREATE = 4, /* regular files */
    LANDLOCK_REMOVE = 8, /* files */
};

/* The version of the kernel's landlock ABI; 0: it has none, or this program was built without. */
int landlock_version(void);

/* A descriptor for a set of rights, which landlock_enter closes; -1: see errno. */
int landlock_new(void);

/* Gives rights, which are those of enum landlock_right. A path that does not lead anywhere is left
 * out. Returns false if it fails otherwise; see errno. */
bool landlock_allow(int set, const char *path, unsigned rights);

/* The same for reading what is in the directories of all libraries that are loaded: more may be
 * loaded from there later. */
bool landlock_allow_libraries(int set);

/* From now on the calling thread, and all threads and processes that it starts, may open nothing
 * else, and may send signals only to each other. This also sets no_new_privs. Returns false if it
 * fails; see errno. */
bool landlock_enter(int set);

/* As strerror(3), for a file that can't be opened. If landlock may be why, the text says so. */
const char *landlock_strerror(int error);

#endif
