#include "upstream.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include "address.h"
#include "frames.h"

#define DESCRIPTORS_MAX 4096
#define HEAD_MAX        4096

static const char answer_text[] = "HTTP/1.1 200 OK\r\n"
                                  "Content-Type: text/html\r\n"
                                  "Content-Length: 31\r\n"
                                  "\r\n"
                                  "<div>made by the upstream</div>";

static int epoll_fd, listener = -1;
static unsigned long number_count;
static upstream_called_fn *on_called;
static int *callers; /* by number: the descriptor of the first call; -1: none yet */

/* By descriptor: what has arrived of a head; NULL if it is not one of ours. */
static struct head {
    size_t len;
    char text[HEAD_MAX + 1];
} * heads[DESCRIPTORS_MAX];

static void watch(int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        address_fail("upstream", strerror(errno));
}

void upstream_start(int epoll, const char *address, unsigned long numbers,
                    upstream_called_fn *called)
{
    epoll_fd = epoll;
    number_count = numbers;
    on_called = called;
    callers = bench_grow(NULL, numbers * sizeof *callers);
    for (unsigned long i = 0; i < numbers; i++)
        callers[i] = -1;
    listener = address_listen(address);
    watch(listener);
}

static void accept_one(void)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (fd >= DESCRIPTORS_MAX)
        address_fail("upstream", "too many connections");
    address_no_delay(fd);
    watch(fd);
    heads[fd] = bench_grow(NULL, sizeof *heads[fd]);
    heads[fd]->len = 0;
}

static void close_one(int fd)
{
    close(fd);
    free(heads[fd]);
    heads[fd] = NULL;
}

/* Small enough for one send; if the caller has closed, the daemon's answer shows it. */
static void answer(int fd)
{
    (void)!send(fd, answer_text, sizeof answer_text - 1, MSG_NOSIGNAL);
}

/* GET /name-00000012 HTTP/1.1 */
static void take_head(int fd, const char *head)
{
    const char *end = strstr(head, " HTTP/1.1\r\n"), *digits = end;
    while (digits && digits > head && digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    unsigned long number = digits && digits < end ? strtoul(digits, NULL, 10) : number_count;
    if (number >= number_count)
        address_fail("upstream", "a call for something else");
    if (callers[number] < 0)
        callers[number] = fd;
    else
        answer(fd);
    on_called(number);
}

int upstream_serve(int fd)
{
    if (fd == listener && listener >= 0) {
        accept_one();
        return 1;
    }
    struct head *head = fd < DESCRIPTORS_MAX ? heads[fd] : NULL;
    if (!head)
        return 0;
    ssize_t got = recv(fd, head->text + head->len, HEAD_MAX - head->len, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        close_one(fd);
        return 1;
    }
    head->len += got > 0 ? (size_t)got : 0;
    head->text[head->len] = '\0';
    if (strstr(head->text, "\r\n\r\n")) {
        head->len = 0;
        take_head(fd, head->text);
    }
    return 1;
}

void upstream_answer(unsigned long number)
{
    answer(callers[number]);
}
