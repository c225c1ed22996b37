/* redis/pipeline without a connection: how many words a command may have. */
#include "redis/pipeline.h"

#include <ev.h>

#include "base/log.h"
#include "forked.h"
#include "redis/needs.h"
#include "redis/settings.h"

static void send_words(const void *argument)
{
    static const struct redis_settings settings = {.timeout = 1, .max_pending = 1 << 20};
    static const struct redis_pipeline_events events;
    const char *words[REDIS_WORDS_MAX + 1];
    struct ev_loop *loop = ev_loop_new(0);
    struct redis_pipeline *pipeline = redis_pipeline_new(loop, &settings, &events, NULL);
    for (size_t i = 0; i < LENGTH(words); i++)
        words[i] = "word";
    bool sent = redis_pipeline_send_words(pipeline, NULL, NULL, *(const int *)argument, words);
    redis_pipeline_free(pipeline);
    ev_loop_destroy(loop);
    _exit(sent);
}

/* The longest command has as many prefixes as there can be; one word more ends the process. */
static void test_words(void **state)
{
    static const struct {
        int count;
        bool aborts;
    } cases[] = {{1, false}, {REDIS_WORDS_MAX, false}, {REDIS_WORDS_MAX + 1, true}};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char said[1000];
        int status = run_forked(send_words, &cases[i].count, said, sizeof said);
        assert_row(i, forked_was_aborted(status) == cases[i].aborts);
        assert_row(i, cases[i].aborts || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
        assert_row(i, !strstr(said, "redis_pipeline_send_words: not true: ") == !cases[i].aborts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words)};
    return cmocka_run_group_tests_name("redis_pipeline", tests, NULL, NULL);
}
