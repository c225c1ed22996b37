/* Reads the status at intervals, and draws it on the terminal's alternate screen.
 *
 * A signal that ends the process may come at any time, also while the daemon does not answer. So
 * its handler gives the terminal back itself. */
#include "cli/watch.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/arguments.h"
#include "cli/daemon.h"
#include "cli/snapshot.h"
#include "cli/view.h"

#define INTERVAL_S 1.
#define SHORTEST_S 0.1
#define COLUMNS    80
#define ROWS       24

#define ENTER      "\033[?1049h\033[?25l" /* the alternate screen, without a cursor */
#define LEAVE      "\033[?25h\033[?1049l"
#define TO_TOP     "\033[H\033[2K"
#define NEXT_LINE  "\r\n\033[2K"
#define CLEAR_REST "\033[J"

static struct termios terminal_before;
static bool terminal_is_read; /* stdin is the terminal, and is not echoed */

/* --- the terminal --- */

static void put_bytes(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, len);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return;
        if (written > 0) {
            bytes += written;
            len -= (size_t)written;
        }
    }
}

static void enter(void)
{
    struct termios quiet = terminal_before;
    quiet.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    if (terminal_is_read)
        tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
    put_bytes(ENTER, strlen(ENTER));
}

static void leave(void)
{
    put_bytes(LEAVE, strlen(LEAVE));
    if (terminal_is_read)
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
}

/* Ends the process, as the signal would. Ctrl-C is the usual way to end it, so no failure. */
static void on_end(int number)
{
    leave();
    if (number == SIGINT)
        _exit(CLI_OK);
    signal(number, SIG_DFL);
    raise(number);
}

/* Ctrl-Z: goes on when the process does. */
static void on_stop(int number)
{
    int before = errno;
    (void)number;
    leave();
    raise(SIGSTOP);
    enter();
    errno = before;
}

/* Interrupts the pause, so that the screen is drawn in its new size. */
static void on_resize(int number)
{
    (void)number;
}

static void watch_signals(void)
{
    static const struct {
        int number;
        void (*handler)(int);
    } signals[] = {{SIGINT, on_end},  {SIGTERM, on_end},  {SIGHUP, on_end},
                   {SIGQUIT, on_end}, {SIGTSTP, on_stop}, {SIGWINCH, on_resize}};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction action = {.sa_handler = signals[i].handler};
        sigfillset(&action.sa_mask);
        sigaction(signals[i].number, &action, NULL);
    }
}

static bool wants_colours(void)
{
    const char *no_colour = getenv("NO_COLOR"); /* https://no-color.org */
    return !no_colour || !*no_colour;
}

static void draw(const struct snapshot *before, const struct snapshot *now, const char *trouble)
{
    struct winsize size = {0};
    struct buffer out = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    struct view view = {.width = size.ws_col > 0 ? size.ws_col : COLUMNS,
                        .height = size.ws_row > 0 ? size.ws_row : ROWS,
                        .coloured = wants_colours(),
                        .line_end = NEXT_LINE};
    if (buffer_append(&out, TO_TOP, strlen(TO_TOP), SIZE_MAX) &&
        view_draw(&view, before, now, trouble, &out) &&
        buffer_append(&out, CLEAR_REST, strlen(CLEAR_REST), SIZE_MAX))
        put_bytes(out.data, out.len);
    buffer_free(&out);
}

/* --- reading --- */

/* Returns the exit status; if it is not CLI_OK, daemon->why says why. */
static int read_status(struct daemon *daemon, struct snapshot *snapshot)
{
    struct daemon_response response;
    int status = daemon_fetch(daemon,
                              &(struct daemon_request){.method = "GET",
                                                       .target = "/workerless/status?json&full",
                                                       .right = RIGHT_STATUS},
                              &response);
    if (status == CLI_OK &&
        (response.status != 200 || !snapshot_read(snapshot, buffer_slice(&response.body)))) {
        snprintf(daemon->why, sizeof daemon->why, "the daemon's status cannot be read");
        status = CLI_FAILED;
    }
    snapshot->taken = clock_monotonic();
    daemon_response_free(&response);
    return status;
}

/* Waits until then. Returns false if the user wants to end it. *resized: it was interrupted. */
static bool pause_until(double until, bool *resized)
{
    struct pollfd input = {.fd = terminal_is_read ? STDIN_FILENO : -1, .events = POLLIN};
    char key;
    *resized = false;
    for (;;) {
        double left = until - clock_monotonic();
        if (left <= 0)
            return true;
        int count = poll(&input, 1, (int)(left < 1e6 ? left * 1000 + 1 : 1e9));
        if (count < 0) {
            *resized = true;
            return true;
        }
        if (count > 0 && read(STDIN_FILENO, &key, 1) != 1)
            input.fd = -1; /* the terminal is gone */
        else if (count > 0 && key == 'q')
            return false;
    }
}

static double interval_of(const struct arguments *arguments)
{
    if (arguments->interval == ARGUMENTS_NOT_GIVEN)
        return INTERVAL_S;
    return arguments->interval > SHORTEST_S ? arguments->interval : SHORTEST_S;
}

/* The loop. The first of the readings is new. */
static void show(struct daemon *daemon, struct snapshot readings[3])
{
    double interval = interval_of(daemon->arguments), due = clock_monotonic();
    struct snapshot *before = NULL, *now = &readings[0], *next = &readings[1];
    const char *trouble = NULL;
    for (;;) {
        bool resized = true, goes_on = true;
        due = due + interval > clock_monotonic() ? due + interval : clock_monotonic();
        while (resized && goes_on) {
            draw(before, now, trouble);
            goes_on = pause_until(due, &resized);
        }
        if (!goes_on)
            return;
        trouble = read_status(daemon, next) == CLI_OK ? NULL : daemon->why;
        if (trouble)
            continue;
        struct snapshot *spare = before ? before : &readings[2];
        before = now;
        now = next;
        next = spare;
    }
}

int watch(struct daemon *daemon)
{
    static struct snapshot readings[3];
    if (!isatty(STDOUT_FILENO)) {
        fputs("workerless: --watch needs a terminal; try --json\n", stderr);
        return CLI_FAILED;
    }
    int status = read_status(daemon, &readings[0]);
    if (status != CLI_OK)
        return daemon_report(daemon, status);
    setlocale(LC_CTYPE, "");
    terminal_is_read = tcgetattr(STDIN_FILENO, &terminal_before) == 0;
    watch_signals();
    enter();
    show(daemon, readings);
    leave();
    return CLI_OK;
}
