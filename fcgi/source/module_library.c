/* A list of what is loaded, by path; dlopen(3) would find a library by its path as well, but could
 * not say whether it is still that file. */
#include "source/module_library.h"

#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/landlock.h"

#define SYMBOL "workerless_module"

struct module_library {
    struct module_library *next;
    char *path;         /* owned */
    struct stat status; /* of the file when it was loaded */
    struct workerless_module module;
};

static struct module_library *loaded;

/* --- the file --- */

/* Whoever owns a file or a directory can change it, and would have root's rights then. */
static bool is_foreign(const struct stat *status)
{
    return geteuid() == 0 && status->st_uid != 0;
}

/* Whoever may write to the directory can put another file there, unless it is one like /tmp. */
static const char *directory_problem(const char *path)
{
    struct stat status;
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) + 1 : 0;
    if (len >= sizeof directory)
        return strerror(ENAMETOOLONG);
    memcpy(directory, path, len);
    strcpy(directory + len, ".");
    if (stat(directory, &status) != 0)
        return strerror(errno);
    if ((status.st_mode & S_IWOTH) && !(status.st_mode & S_ISVTX))
        return "every user of this host may change its directory; remove that by chmod o-w";
    if (is_foreign(&status))
        return "its directory belongs to another user, who would get root's rights; give it to "
               "root";
    return NULL;
}

/* The same for what a symbolic link leads to. */
static const char *places_problem(const char *path)
{
    char *target = realpath(path, NULL);
    if (!target)
        return strerror(errno);
    const char *problem = directory_problem(path);
    if (!problem)
        problem = directory_problem(target);
    free(target);
    return problem;
}

/* Returns what is wrong with the file, or NULL. */
static const char *file_problem(const char *path, struct stat *status)
{
    const char *problem = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (fd < 0)
        return landlock_strerror(errno);
    if (fstat(fd, status) != 0)
        problem = strerror(errno);
    else if (!S_ISREG(status->st_mode))
        problem = "not a regular file";
    else if (status->st_mode & S_IWOTH)
        problem = "every user of this host may change it; remove that by chmod o-w";
    else if (is_foreign(status))
        problem = "it belongs to another user, who would get root's rights; give it to root";
    else
        problem = places_problem(path);
    close(fd);
    return problem;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* --- what it exports --- */

struct size_row {
    const char *of;
    size_t at;    /* of the member of struct workerless_module */
    size_t ours;  /* bytes */
    size_t least; /* up to the last member that the first header of this WORKERLESS_ABI had */
};

#define ROW(member, name, last)                                                                    \
    {                                                                                              \
        "struct " #name, offsetof(struct workerless_module, member), sizeof(struct name),          \
            offsetof(struct name, last) + sizeof(((struct name *)0)->last)                         \
    }

/* A struct that gets new members keeps its row, so modules without these are still accepted. Those
 * of which there are arrays can't grow. */
static const struct size_row sizes[] = {
    ROW(size, workerless_module, close),
    ROW(host_size, workerless_host, now),
    ROW(source_size, workerless_source, timeout),
    ROW(setting_size, workerless_setting, value),
    ROW(call_size, workerless_call, traceparent),
    ROW(input_size, workerless_input, value),
    ROW(result_size, workerless_result, retry_after_s),
};

static bool sizes_fit(const char *exported, char why[MODULE_PROBLEM_ROOM])
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t theirs;
        memcpy(&theirs, exported + sizes[i].at, sizeof theirs);
        if (theirs >= sizes[i].least && theirs <= sizes[i].ours)
            continue;
        snprintf(why, MODULE_PROBLEM_ROOM,
                 "its %s has %u bytes, but that of workerless %s has %zu: build it again with the "
                 "header of this version",
                 sizes[i].of, theirs, VERSION, sizes[i].ours);
        return false;
    }
    return true;
}

bool module_library_judge(const void *exported, size_t size, struct workerless_module *module,
                          char why[MODULE_PROBLEM_ROOM])
{
    const size_t head = offsetof(struct workerless_module, name); /* of any version */
    uint32_t abi, theirs;
    *module = (struct workerless_module){0};
    if (size > 0 && size < head) {
        snprintf(why, MODULE_PROBLEM_ROOM, "its %s has only %zu bytes", SYMBOL, size);
        return false;
    }
    memcpy(&abi, exported, sizeof abi);
    if (abi != WORKERLESS_ABI) {
        snprintf(why, MODULE_PROBLEM_ROOM,
                 "it was built for version %u of the interface (WORKERLESS_ABI), but workerless %s "
                 "has version %u: build it again",
                 abi, VERSION, WORKERLESS_ABI);
        return false;
    }
    if (!sizes_fit(exported, why))
        return false;
    memcpy(&theirs, (const char *)exported + offsetof(struct workerless_module, size),
           sizeof theirs);
    if (size > 0 && size < theirs) {
        snprintf(why, MODULE_PROBLEM_ROOM, "its %s has %zu bytes, and says that it has %u", SYMBOL,
                 size, theirs);
        return false;
    }
    memcpy(module, exported, theirs);
    const char *lacks = !module->name ? "name" : !module->start ? "start" : NULL;
    if (lacks)
        snprintf(why, MODULE_PROBLEM_ROOM, "its %s has no %s", SYMBOL, lacks);
    return !lacks;
}

/* --- loading --- */

/* The size of the symbol, or 0 if that is unknown. */
static size_t symbol_size(const void *symbol)
{
    Dl_info info;
    void *entry = NULL;
    if (!dladdr1(symbol, &info, &entry, RTLD_DL_SYMENT) || !entry || info.dli_saddr != symbol)
        return 0;
    return (size_t)((const ElfW(Sym) *)entry)->st_size;
}

/* Returns false if the library can't be used; then it is not loaded. */
static bool load(const char *path, struct workerless_module *module, char why[MODULE_WHY_ROOM])
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *problem = dlerror();
        snprintf(why, MODULE_WHY_ROOM, "%s", problem ? problem : "it can't be loaded");
        return false;
    }
    char problem[MODULE_PROBLEM_ROOM] = "it does not export " SYMBOL;
    const void *symbol = dlsym(handle, SYMBOL);
    if (symbol && module_library_judge(symbol, symbol_size(symbol), module, problem))
        return true;
    snprintf(why, MODULE_WHY_ROOM, "%.*s: %s", MODULE_WHY_ROOM - MODULE_PROBLEM_ROOM - 3, path,
             problem);
    dlclose(handle);
    return false;
}

static struct module_library *find(const char *path)
{
    struct module_library *library = loaded;
    while (library && strcmp(library->path, path) != 0)
        library = library->next;
    return library;
}

const struct module_library *module_library_load(const char *path, char why[MODULE_WHY_ROOM])
{
    struct module_library *library = find(path);
    struct stat status;
    const char *problem = file_problem(path, &status);
    if (problem) {
        snprintf(why, MODULE_WHY_ROOM, "%s: %s", path, problem);
        return NULL;
    }
    if (library)
        return library;
    library = alloc_zeroed(sizeof *library);
    if (library && (library->path = alloc_copy(path, strlen(path)))) {
        library->status = status;
        if (load(path, &library->module, why)) {
            library->next = loaded;
            loaded = library;
            return library;
        }
    } else {
        snprintf(why, MODULE_WHY_ROOM, "out of memory");
    }
    if (library)
        free(library->path);
    free(library);
    return NULL;
}

const struct workerless_module *module_library_module(const struct module_library *library)
{
    return &library->module;
}

bool module_library_has_changed(const struct module_library *library)
{
    struct stat status;
    return stat(library->path, &status) == 0 && !same_file(&status, &library->status);
}
