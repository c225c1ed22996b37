/* The peer: the same service as it is usually written in C with libfcgi and hiredis.
 *
 *     thread: FCGX_Accept_r -> GET -> hit: answer
 *                                  -> miss: make the slow call, SET with expiry, answer
 *
 * Every thread holds a front server's connection and a Redis connection of its own and blocks on
 * both, so a request that waits for the slow call costs a thread. libfcgi does not multiplex.
 */
#include <errno.h>
#include <fcgiapp.h>
#include <getopt.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PREFIX      "/fragment/"
#define TTL_SECONDS 3600

static int listener;
static const char *redis_path;
static long delay_ms = 1000;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(2);
}

static redisReply *command(redisContext *redis, redisReply *reply)
{
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        fail("redis", reply ? reply->str : redis->errstr);
    return reply;
}

static void answer(FCGX_Request *request, const char *body, size_t len)
{
    FCGX_FPrintF(request->out,
                 "Content-Type: text/html; charset=utf-8\r\n"
                 "Content-Length: %d\r\n"
                 "\r\n",
                 (int)len);
    FCGX_PutStr(body, (int)len, request->out);
}

static void slow_call(const char *name, char *result, size_t size)
{
    struct timespec left = {.tv_sec = delay_ms / 1000, .tv_nsec = delay_ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
    snprintf(result, size, "<div id=\"%s\">result for %s</div>", name, name);
}

static void serve(FCGX_Request *request, redisContext *redis)
{
    const char *path = FCGX_GetParam("DOCUMENT_URI", request->envp);
    if (!path || strncmp(path, PREFIX, strlen(PREFIX)) != 0) {
        FCGX_PutS("Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno such fragment\n",
                  request->out);
        return;
    }
    const char *name = path + strlen(PREFIX);
    redisReply *found = command(redis, redisCommand(redis, "GET peer:%s", name));
    if (found->type == REDIS_REPLY_STRING) {
        answer(request, found->str, found->len);
    } else {
        char result[1024];
        slow_call(name, result, sizeof result);
        freeReplyObject(
            command(redis, redisCommand(redis, "SET peer:%s %s EX %d", name, result, TTL_SECONDS)));
        answer(request, result, strlen(result));
    }
    freeReplyObject(found);
}

static void *work(void *unused)
{
    (void)unused;
    FCGX_Request request;
    redisContext *redis = redisConnectUnix(redis_path);
    if (!redis || redis->err)
        fail(redis_path, redis ? redis->errstr : "out of memory");
    if (FCGX_InitRequest(&request, listener, 0) != 0)
        fail("libfcgi", "FCGX_InitRequest");
    while (FCGX_Accept_r(&request) == 0) {
        serve(&request, redis);
        FCGX_Finish_r(&request);
    }
    redisFree(redis);
    return NULL;
}

static void usage(void)
{
    fprintf(stderr, "usage: peer_threads -s PATH -r PATH [-t THREADS] [-d MILLISECONDS]\n"
                    "  -s  the unix socket to listen on, or :PORT\n"
                    "  -r  the unix socket of Redis\n"
                    "  -t  threads, which is also how many connections it can serve (default 32)\n"
                    "  -d  how long the slow call takes (default 1000)\n");
    exit(2);
}

int main(int argc, char **argv)
{
    const char *address = NULL;
    long threads = 32;
    int option;
    while ((option = getopt(argc, argv, "s:r:t:d:")) != -1) {
        if (option == 's')
            address = optarg;
        else if (option == 'r')
            redis_path = optarg;
        else if (option == 't')
            threads = strtol(optarg, NULL, 10);
        else if (option == 'd')
            delay_ms = strtol(optarg, NULL, 10);
        else
            usage();
    }
    if (!address || !redis_path || threads < 1 || optind != argc)
        usage();
    if (FCGX_Init() != 0 || (listener = FCGX_OpenSocket(address, 4096)) < 0)
        fail(address, "can't listen");
    for (long i = 1; i < threads; i++) {
        pthread_t thread;
        int error = pthread_create(&thread, NULL, work, NULL);
        if (error)
            fail("pthread_create", strerror(error));
    }
    work(NULL);
    return 0;
}
