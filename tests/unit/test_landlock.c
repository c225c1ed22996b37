/* base/landlock: what can be opened afterwards, and what can't. */
#include "base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "forked.h"

static char top[] = "/tmp/landlock-XXXXXX";

static const char *under(const char *name)
{
    static char path[100];
    snprintf(path, sizeof path, "%s/%s", top, name);
    return path;
}

static int move_away(const char *name)
{
    char from[100];
    snprintf(from, sizeof from, "%s", under(name));
    return rename(from, under("moved"));
}

static int put(const char *name)
{
    int fd = open(under(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    close(fd);
    return fd;
}

static int bind_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", under(name));
    int result = bind(fd, (struct sockaddr *)&address, sizeof address);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

enum attempt { READ, LIST, APPEND, CREATE, SOCKET, REMOVE, MOVE };

static int try(enum attempt attempt, const char *name)
{
    switch (attempt) {
    case READ:
        return open(under(name), O_RDONLY | O_CLOEXEC);
    case LIST:
        return open(under(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    case APPEND:
        return open(under(name), O_WRONLY | O_APPEND | O_CLOEXEC);
    case CREATE:
        return open(under(name), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    case SOCKET:
        return bind_at(name);
    case REMOVE:
        return unlink(under(name));
    case MOVE:
        return move_away(name);
    }
    return -1;
}

static const struct row {
    enum attempt attempt;
    const char *name;
    bool works;
} rows[] = {
    {READ, "read/a", true},    {LIST, "read", true},          {READ, "read/below/b", true},
    {READ, "link", true},      {READ, "read/new", true},      {APPEND, "read/a", false},
    {CREATE, "read/x", false}, {REMOVE, "read/a", false},     {MOVE, "read/a", false},
    {READ, "one", true},       {READ, "two", false},          {READ, "out", false},
    {LIST, ".", false},        {APPEND, "logs/log", true},    {CREATE, "logs/new", true},
    {READ, "logs/log", false}, {REMOVE, "logs/log", false},   {SOCKET, "sockets/a", false},
    {SOCKET, "logs/a", false}, {REMOVE, "sockets/old", true}, {CREATE, "sockets/b", false},
};

/* Writes to stderr what is not as it should be. */
static void restrict_and_try(const void *argument)
{
    int set = landlock_new();
    (void)argument;
    if (set < 0 || !landlock_allow(set, under("read"), LANDLOCK_READ) ||
        !landlock_allow(set, under("one"), LANDLOCK_READ | LANDLOCK_CREATE) ||
        !landlock_allow(set, under("logs"), LANDLOCK_WRITE | LANDLOCK_CREATE) ||
        !landlock_allow(set, under("sockets"), LANDLOCK_REMOVE) ||
        !landlock_allow(set, under("none/at/all"), LANDLOCK_READ) ||
        strcmp(landlock_strerror(EACCES), strerror(EACCES)) != 0 || !landlock_enter(set)) {
        perror("landlock");
        _exit(1);
    }

    for (size_t i = 0; i < LENGTH(rows); i++) {
        int result = try(rows[i].attempt, rows[i].name);
        if ((result >= 0) != rows[i].works || (result < 0 && errno != EACCES))
            fprintf(stderr, "row %zu, %s: %s; ", i, rows[i].name,
                    result < 0 ? strerror(errno) : "allowed");
        if (result > 0)
            close(result);
    }
    if (!strstr(landlock_strerror(EACCES), "sandbox") ||
        strcmp(landlock_strerror(ENOENT), strerror(ENOENT)) != 0)
        fputs("no explanation; ", stderr);
    if (landlock_version() >= 6 && (kill(getppid(), 0) == 0 || errno != EPERM))
        fputs("a signal to another process; ", stderr);
    if (kill(getpid(), 0) != 0)
        fputs("no signal to itself; ", stderr);
}

static void set_up(void)
{
    static const char *const directories[] = {"read", "read/below", "logs", "sockets"};
    static const char *const files[] = {"read/a", "read/below/b", "read/new",   "one",
                                        "two",    "logs/log",     "sockets/old"};
    assert_non_null(mkdtemp(top));
    for (size_t i = 0; i < LENGTH(directories); i++)
        assert_int_equal(mkdir(under(directories[i]), 0700), 0);
    for (size_t i = 0; i < LENGTH(files); i++)
        assert_true(put(files[i]) >= 0);
    assert_int_equal(symlink("read/a", under("link")), 0);
    assert_int_equal(symlink("two", under("out")), 0);
}

static void test_landlock(void **state)
{
    char said[2000], command[100];
    (void)state;
    if (landlock_version() == 0 || getenv("WORKERLESS_WRAPPER"))
        skip();
    set_up();
    int status = run_forked(restrict_and_try, NULL, said, sizeof said);
    snprintf(command, sizeof command, "rm -r %s", top);
    assert_int_equal(system(command), 0);
    assert_string_equal(said, "");
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_landlock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
