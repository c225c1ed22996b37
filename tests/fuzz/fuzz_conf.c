/* The config: any text is loaded, with warnings, or rejected with a reason, and nothing leaks. */
#include "conf/conf.h"

#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *reasons;
    if (!reasons)
        reasons = tmpfile();
    FUZZ_CHECK(reasons && ftruncate(fileno(reasons), 0) == 0);
    rewind(reasons);

    int fd = memfd_create("conf", 0);
    FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct conf *conf = conf_load(path, reasons);
    FUZZ_CHECK(conf ? (conf->warning_count > 0) == (ftell(reasons) > 0) : ftell(reasons) > 0);
    conf_free(conf);
    close(fd);
    return 0;
}
