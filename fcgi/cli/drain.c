/* workerless drain: tells the daemon to end when it has finished, and waits for that. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "cli/json.h"
#include "conf/conf.h"

#define LOOK_MS        50
#define MARGIN_S       5.  /* more than the config lets it take */
#define WITHOUT_CONF_S 60. /* the same if the config is not known */
#define COMMAND_MAX    4096
#define STAT_MAX       512

/* Asks the daemon for the process that signals are for. Returns 0 after reporting why
 * it is not known; then *status is set. */
static pid_t ask_process(struct daemon *daemon, int *status)
{
    struct daemon_response response;
    double number = 0;
    *status = daemon_fetch(daemon,
                           &(struct daemon_request){.method = "GET",
                                                    .target = "/workerless/status?json",
                                                    .right = RIGHT_STATUS},
                           &response);
    if (*status != CLI_OK) {
        daemon_report(daemon, *status);
    } else {
        struct slice text = buffer_slice(&response.body);
        if (response.status == 200 && json_valid(text))
            number = json_number(json_member(text, "pid"));
        if (number < 1 || number > INT_MAX) {
            fputs("workerless: the daemon does not say which process it is\n", stderr);
            *status = CLI_FAILED;
            number = 0;
        }
    }
    daemon_response_free(&response);
    return (pid_t)number;
}

/* Whether the process is one of ours: the daemon may run on another machine, or in a container,
 * where the number means another process. */
static bool is_workerless(pid_t process)
{
    char path[40], command[COMMAND_MAX];
    snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)process);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, command, sizeof command);
    close(fd);
    return len > 0 && memmem(command, (size_t)len, "workerless", strlen("workerless"));
}

/* Whether the process has ended, even if its parent has not noticed that yet. */
static bool has_ended(pid_t process)
{
    char path[40], text[STAT_MAX + 1];
    if (kill(process, 0) != 0 && errno == ESRCH)
        return true;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)process);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, text, STAT_MAX) : 0;
    if (fd >= 0)
        close(fd);
    text[len > 0 ? len : 0] = '\0';
    const char *state = strrchr(text, ')'); /* behind the name of the program: proc(5) */
    return state && (strncmp(state, ") Z", 3) == 0 || strncmp(state, ") X", 3) == 0);
}

/* Returns false if the end has not come within the time. */
static bool wait_for_end(pid_t process, double seconds)
{
    double until = clock_monotonic() + seconds;
    while (!has_ended(process)) {
        if (clock_monotonic() >= until)
            return false;
        poll(NULL, 0, LOOK_MS);
    }
    return true;
}

static double longest_drain(const struct daemon *daemon)
{
    const struct conf *conf = daemon->conf;
    if (daemon->arguments->wait != ARGUMENTS_NOT_GIVEN)
        return daemon->arguments->wait;
    if (!conf)
        return WITHOUT_CONF_S;
    return (daemon->arguments->fast ? 0 : conf->drain_timeout) + conf->shutdown_timeout + MARGIN_S;
}

/* Sends the signal and waits. Returns the exit status. */
static int drain(const struct daemon *daemon, pid_t process)
{
    double seconds = longest_drain(daemon);
    int status = CLI_OK;
    if (!is_workerless(process)) {
        fprintf(stderr,
                "workerless: process %ld is not workerless: does the daemon run on another "
                "machine, or in a container?\n",
                (long)process);
        status = CLI_FAILED;
    } else if (kill(process, daemon->arguments->fast ? SIGTERM : SIGQUIT) != 0) {
        fprintf(stderr, "workerless: cannot send a signal to process %ld: %s\n", (long)process,
                strerror(errno));
        status = CLI_FAILED;
    } else {
        printf("process %ld drains\n", (long)process);
        fflush(stdout);
        if (seconds > 0 && wait_for_end(process, seconds)) {
            printf("process %ld has ended\n", (long)process);
        } else if (seconds > 0) {
            fprintf(stderr, "workerless: process %ld has not ended within %.3gs\n", (long)process,
                    seconds);
            status = CLI_TIMED_OUT;
        }
    }
    return status;
}

int drain_command(const struct arguments *arguments)
{
    struct daemon daemon;
    int status = daemon_open(&daemon, arguments, DAEMON_SILENCE_S);
    if (status == CLI_OK) {
        pid_t process = ask_process(&daemon, &status);
        if (process > 0)
            status = drain(&daemon, process);
    }
    daemon_close(&daemon);
    return status;
}
