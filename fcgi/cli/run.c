/* workerless run: the daemon, in the foreground. */
#include <string.h>

#include "base/log.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "conf/conf.h"
#include "supervisor.h"

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
        return supervisor_run(conf);
    conf_free(conf);
    return CLI_FAILED;
}
