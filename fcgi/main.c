/* What comes before everything else in the process. */
#include <fcntl.h>
#include <unistd.h>

#include "base/signals.h"
#include "cli/cli.h"

/* If stderr were closed, a socket could get its number, and the log would be sent to it. */
static void open_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    signals_hold();
    open_standard_descriptors();
    return cli_main(argc, argv);
}
