/* conf/: what is valid, but probably a mistake, with the exact messages. */
#include "conf_bench.h"

#define HTTP "source \"api\" { type = http url = \"http://h/{name}\" }\n"

/* Files that are dubious, but valid. */
static void test_warnings(void **state)
{
    static const struct {
        const char *text;
        const char *messages; /* see assert_messages */
    } cases[] = {
        {HTTP "source one {\n type = http\n url = \"http://h/news\"\n}\n"
              "fragment \"news\" { source = one }\nfragment \"user/*\" { source = api }\n"
              "fragment \"*\" {\n source = one\n}\n",
         "8: warning: every name of \"*\" gets the same result, since the url of source \"one\" "
         "has no {name}; add it in line 4, where the name belongs"},
        {"source one { type = http url = \"http://h/?n={name}\" }\n"
         "fragment \"user/*\" { source = one }\n",
         ""},
        {"source one { type = http url = \"http://h/\" method = POST body = '\"{name}\"' }\n"
         "fragment \"user/*\" { source = one }\n",
         ""},
        {SIMULATED "fragment \"user/*\" { source = s }\n", ""},
        {"source rest { type = http url = \"http://h/{rest}?{query}\" }\n"
         "fragment \"user/*\" { source = rest }\n",
         ""},
        {"source rest {\n type = http\n url = \"http://h/{rest}\"\n}\n"
         "fragment \"news\" { source = rest }\nfragment \"user/*\" { source = rest }\n",
         "5: warning: {rest} in the url of source \"rest\" is empty for \"news\", which has no *; "
         "use "
         "{name} in line 3, or another source"},
        {SIMULATED "fragment a {\n source = s\n stale = 1m\n stale_error = 30s\n}\n",
         "5: warning: stale_error = \"30s\" has no effect, since stale = \"1m\" already serves the "
         "result for that long; make stale_error longer than stale"},
        {SIMULATED "fragment a {\n source = s\n stale_error = 60s\n stale = 1m\n}\n",
         "4: warning: stale_error = \"60s\" has no effect, since stale = \"1m\" already serves the "
         "result for that long; make stale_error longer than stale"},
        {SIMULATED "fragment a { source = s stale = 1m stale_error = 61s }\n", ""},
        {SIMULATED "fragment a { source = s stale = 1m stale_error = 0 }\n", ""},
        {SIMULATED "fragment a { source = s stale_error = 1s }\n", ""},
        {SIMULATED "fragment a { source = s stale = 1m }\n", ""},
        {SIMULATED "fragment a { source = s hold = 55s }\n", ""},
        {SIMULATED
         "fragment a {\n source = s\n hold = 55.1s\n}\nfragment b { source = s hold = 2m }\n",
         "4: warning: hold = \"55.1s\": nginx answers 504 after 60s (fastcgi_read_timeout), and "
         "other front servers have a similar timeout; raise it above hold, or set hold to 55s or "
         "less\n"
         "6: warning: hold = \"2m\": *"},
        {SIMULATED FRAGMENT "cache { max_pending = \"2MiB\"\n"
                            "max_value = \"3MiB\" }",
         "3: warning: max_pending is less than max_value: a result between the two is never "
         "stored in Redis; raise max_pending"},
        {"cache {\n"
         "redis = \"\"\n"
         "memory = \"8MiB\"\n"
         "}\n"
         "max_unsent = \"4MiB\"\n"
         "source \"big\" { type = \"http\" url = \"http://h/{name}\"\n"
         "max_body = \"9MiB\" }\n"
         "source \"fits\" { type = \"http\" url = \"http://h/{name}\"\n"
         "max_body = \"8MiB\" }\n"
         "fragment \"a\" { source = \"big\" }\n"
         "fragment \"b\" { source = \"fits\" }\n",
         "7: warning: max_body = \"9MiB\" is more than max_unsent and more than memory: a result "
         "that fits into neither is rejected with 503; raise max_unsent"},
        {SIMULATED "fragment \"fragment/news\" { source = s }\n",
         "2: warning: the URL of fragment \"fragment/news\" is /fragment/fragment/news; for "
         "/fragment/news write \"news\""},
        {SIMULATED "fragment a {\n source = s\n ttl = 1s\n ttl_max = 2s\n default_ttl = 1s\n}\n",
         "5: warning: ttl_max has no effect, since ttl is set: then what the source says does not "
         "count\n6: warning: default_ttl has no effect, *"},
        {SIMULATED "fragment a {\n source = s\n origin = ignore\n}\n",
         "4: warning: fragment \"a\" caches results that its source forbids sharing, and every "
         "visitor gets them (origin = \"ignore\")"},
        {SIMULATED "fragment a {\n source = s\n fallback = \"cut.html\"\n}\n",
         "4: warning: fallback = \"cut.html\": DIR/cut.html has an unclosed <p> that begins at "
         "line 1, column 12: that would break the rest of a page that has it outside of a "
         "<template>, as with SSI"},
        {SIMULATED
         "fragment \"fragments/*\" { source = s }\nfragment \"fragment\" { source = s }\n",
         ""},
    };
    (void)state;
    write_text("cut.html", "<div></div><p>Not now.");
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *messages;
        size_t warnings = 0;
        struct conf *conf = load_bytes(cases[i].text, strlen(cases[i].text), &messages);
        assert_messages(cases[i].text, messages, cases[i].messages);
        assert_non_null(conf);
        for (const char *m = messages; *m; m++)
            warnings += *m == '\n';
        assert_int_equal(conf->warning_count, warnings);
        conf_free(conf);
        free(messages);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warnings),
    };
    return cmocka_run_group_tests_name("conf_warnings", tests, make_directory, remove_directory);
}
