/* workerless check: what is wrong with the config. */
#include <stdio.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "conf/conf.h"

int check_command(const struct arguments *arguments)
{
    struct conf *conf = load_conf(arguments->config);
    if (!conf)
        return CLI_FAILED;
    fprintf(stderr, "%s: ok", arguments->config);
    if (conf->warning_count > 0)
        fprintf(stderr, ", %zu warning%s", conf->warning_count,
                conf->warning_count == 1 ? "" : "s");
    fputc('\n', stderr);
    conf_free(conf);
    return CLI_OK;
}
