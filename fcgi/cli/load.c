/* The messages of conf_load, on their way to the operator. */
#include "cli/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "conf/conf.h"

struct conf *load_conf(const char *file)
{
    if (!log_goes_to_syslog())
        return conf_load(file, stderr);

    char *text = NULL;
    size_t len = 0;
    FILE *errors = open_memstream(&text, &len);
    if (!errors) {
        log_error("main", "out of memory");
        return NULL;
    }
    struct conf *conf = conf_load(file, errors);
    fclose(errors);
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        if (*line && conf)
            log_warning("conf", "%s", line);
        else if (*line)
            log_error("conf", "%s", line);
    }
    free(text);
    return conf;
}
