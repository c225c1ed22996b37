/* Applies the options of logs. */
#include "logs.h"

#include "base/log.h"
#include "conf/conf.h"
#include "park/timing.h"
#include "web/access_log.h"

bool logs_configure(struct ev_loop *loop, const struct conf *conf)
{
    if (!access_log_configure(loop, &conf->access_log))
        return false;
    log_set_format(conf->log_format);
    timing_configure(conf->slow, access_log_on);
    return true;
}

bool logs_try(const struct conf *conf)
{
    return access_log_try(&conf->access_log);
}

void logs_reopen(void)
{
    bool log = log_reopen(), access_log = access_log_reopen();
    if (!log && !access_log)
        log_info("log", "ignoring SIGUSR2: the log is not a file");
}

void logs_end(void)
{
    access_log_end();
}
