/* The command line: what the process is to do. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/signals.h"
#include "conf/conf.h"
#include "redis/tls.h"
#include "source/http_features.h"
#include "supervisor.h"

#define CONF_DEFAULT SYSCONFDIR "/workerless/workerless.conf"

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

/* Reports the config's problems where the operator sees them. */
static struct conf *load_conf(const char *file)
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

static void usage(FILE *out)
{
    fprintf(out,
            "Usage: workerless [-c FILE] [-t] [-v] | -V | -h\n"
            "\n"
            "A FastCGI responder that holds requests for slow page fragments until their results\n"
            "are ready, and caches the results in Redis. It runs in the foreground and logs to\n"
            "stderr by default.\n"
            "\n"
            "  -c FILE  the config file (default: %s)\n"
            "  -t       check the config and exit\n"
            "  -v       log in detail (debug level)\n"
            "  -V       print the version and exit\n"
            "  -h       print this help and all config options, and exit\n",
            CONF_DEFAULT);
}

int main(int argc, char **argv)
{
    const char *file = CONF_DEFAULT;
    bool check_only = false, verbose = false;
    int option;
    signals_hold();
    open_standard_descriptors();
    while ((option = getopt(argc, argv, "c:tvVh")) != -1) {
        switch (option) {
        case 'c':
            file = optarg;
            break;
        case 't':
            check_only = true;
            break;
        case 'v':
            verbose = true;
            break;
        case 'V':
            puts("workerless " PACKAGE_VERSION);
            printf("TLS to Redis: %s\n", redis_tls_is_built() ? "yes" : "no");
            http_features_print(stdout);
            return EXIT_SUCCESS;
        case 'h':
            usage(stdout);
            puts("\nConfig options and their defaults:\n");
            conf_print_options(stdout);
            return EXIT_SUCCESS;
        default:
            usage(stderr);
            return EXIT_FAILURE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "workerless: unexpected argument \"%s\"\n", argv[optind]);
        usage(stderr);
        return EXIT_FAILURE;
    }

    struct conf *conf = load_conf(file);
    if (!conf)
        return EXIT_FAILURE;
    log_configure(verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, strcmp(conf->log, "syslog") == 0);
    if (check_only) {
        fprintf(stderr, "%s: ok", file);
        if (conf->warning_count > 0)
            fprintf(stderr, ", %zu warning%s", conf->warning_count,
                    conf->warning_count == 1 ? "" : "s");
        fputc('\n', stderr);
        conf_free(conf);
        return EXIT_SUCCESS;
    }
    const char *log_file = conf_log_file(conf);
    int status = !log_file || log_open(log_file) ? supervisor_run(conf) : EXIT_FAILURE;
    conf_free(conf);
    return status;
}
