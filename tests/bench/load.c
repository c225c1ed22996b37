/* A FastCGI load generator: what a busy front server does, as fast as one thread can.
 *
 * This file has the options. throughput.c measures answers, to requests that it sends all the time
 * or that are released at once; park.c and streams.c hold requests open. The result is one line of
 * JSON (streams: one for each release). Exit status: 0 if nothing failed, 1 if something did, 2 if
 * it could not run.
 */
#include "load.h"

#include <getopt.h>
#include <limits.h>
#include <sys/resource.h>

void load_fail(const char *what)
{
    perror(what);
    exit(2);
}

static void usage(void)
{
    fprintf(stderr, "usage: load -s ADDRESS [options] throughput | release | park | streams\n"
                    "  -s  unix:PATH or tcp:HOST:PORT of the FastCGI responder\n"
                    "  -c  connections (default 16)\n"
                    "  -m  requests in flight on each (default 1)\n"
                    "  -u  path to ask for (default /fragment/a); %% stands for an 8-digit number\n"
                    "  -k  how many numbers: they run from 0 to this, exclusive (default 1)\n"
                    "  -d  seconds to measure (default 2)\n"
                    "  -w  seconds of warm-up before that (default 0)\n"
                    "  -n  measure so many requests instead\n"
                    "  -o  write an answer, head and body, to this file\n"
                    "  -b  stay busy: do not sleep while no answer is there; takes a whole core\n"
                    "release, streams:\n"
                    "  -r  unix:PATH or tcp:HOST:PORT of Redis\n"
                    "  -K  the key there whose value releases all that is parked; of streams, what "
                    "stands before each name of a fragment that is read from stdin\n");
    exit(2);
}

static unsigned long positive(const char *text, unsigned long most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || value < 1 || value > most)
        usage();
    return value;
}

static double seconds(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (*end || !(value >= 0 && value <= 3600))
        usage();
    return value;
}

/* Returns the mode. */
static const char *take_options(int argc, char **argv, struct load_options *options)
{
    int option;
    while ((option = getopt(argc, argv, "s:c:m:u:k:d:w:n:o:br:K:")) != -1) {
        switch (option) {
        case 's':
            options->address = optarg;
            break;
        case 'c':
            options->connections = positive(optarg, 1000000);
            break;
        case 'm':
            options->ids = positive(optarg, LOAD_IDS_MAX);
            break;
        case 'u':
            options->path = optarg;
            break;
        case 'k':
            options->keys = positive(optarg, 99999999);
            break;
        case 'd':
            options->seconds = seconds(optarg);
            break;
        case 'w':
            options->warm_up_seconds = seconds(optarg);
            break;
        case 'n':
            options->requests = positive(optarg, ULONG_MAX);
            break;
        case 'o':
            options->save = optarg;
            break;
        case 'b':
            options->busy = true;
            break;
        case 'r':
            options->redis = optarg;
            break;
        case 'K':
            options->key = optarg;
            break;
        default:
            usage();
        }
    }
    if (!options->address || optind != argc - 1)
        usage();
    return argv[optind];
}

int main(int argc, char **argv)
{
    struct load_options options = {.path = "/fragment/a",
                                   .connections = 16,
                                   .ids = 1,
                                   .keys = 1,
                                   .seconds = 2.};
    const char *mode = take_options(argc, argv, &options);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    struct request request = request_build(options.path);
    int status = -1;
    if (strcmp(mode, "throughput") == 0)
        status = throughput_run(&options, &request);
    else if (strcmp(mode, "release") == 0 && options.redis && options.key)
        status = release_run(&options, &request);
    else if (strcmp(mode, "park") == 0)
        status = park_run(&options, &request);
    else if (strcmp(mode, "streams") == 0 && !options.redis == !options.key)
        status = streams_run(&options, &request);
    request_free(&request);
    if (status < 0)
        usage();
    return status;
}
