/* workerless run: the daemon, in the foreground. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "conf/conf.h"
#include "supervisor.h"

/* Serves until it is told to stop; frees the config. Whoever has started it would not see an error
 * that is logged elsewhere. */
static int serve(struct conf *conf)
{
    char *log = alloc_copy(conf->log, strlen(conf->log));
    int status = supervisor_run(conf);
    if (status != CLI_OK && log && !log_goes_to_stderr())
        fprintf(stderr, "workerless: failed; its log says why (%s)\n", log);
    free(log);
    return status;
}

int run_command(const struct arguments *arguments)
{
    if (arguments->test)
        return check_command(arguments);
    struct conf *conf = load_conf(arguments->config);
    if (!conf)
        return CLI_FAILED;
    log_configure(arguments->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
                  strcmp(conf->log, "syslog") == 0);
    log_set_format(conf->log_format);
    const char *log_file = conf_log_file(conf);
    if (!log_file || log_open(log_file))
        return serve(conf);
    conf_free(conf);
    return CLI_FAILED;
}
