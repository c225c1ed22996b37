/* conf/: files that the config includes. */
#include "conf_bench.h"

#include "base/alloc.h"

/* Files by name and text; the first one is the config. */
struct files {
    const char *names[6], *texts[6];
};

static void make_room(const char *name)
{
    char path[PATH_MAX];
    assert_true(snprintf(path, sizeof path, "%s/%s", directory, name) < PATH_MAX);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int clear(void **state)
{
    return remove_directory(state);
}

static void write_files(const struct files *files)
{
    for (size_t i = 0; i < COUNT(files->names) && files->names[i]; i++)
        write_text(files->names[i], files->texts[i]);
}

static int make_directories(void **state)
{
    if (make_directory(state) != 0)
        return -1;
    make_room("conf.d");
    make_room("deep");
    make_room("deep/er");
    make_room("sp[a]ce");
    make_room("directory.conf");
    return 0;
}

#define TAIL SIMULATED FRAGMENT

/* What is included stands where the include stands: the order of the routes shows it. */
static void test_order(void **state)
{
    static const struct {
        struct files files;
        const char *routes; /* their patterns in order */
    } cases[] = {
        {{{"t.conf"}, {"include = 'conf.d/*.none'\n" TAIL}}, "a"},
        {{{"t.conf"}, {"include = 'no/such/place/*.conf'\n" TAIL}}, "a"},
        {{{"t.conf"}, {"include = 'unavailable.html/*.conf'\n" TAIL}}, "a"},
        {{{"t.conf", "conf.d/1.conf"},
          {TAIL "include = 'conf.d/1.conf'\nfragment z { source = s }\n",
           "fragment b { source = s }"}},
         "a b z"},
        {{{"t.conf", "conf.d/1.conf"},
          {"include = 'conf.d/1.conf' fragment z { source = s }\n" TAIL,
           "# a comment at the end, without a newline\nfragment b { source = s } # end"}},
         "b z a"},
        /* Sorted, whatever the order in which they were made; not the hidden ones. */
        {{{"t.conf", "conf.d/b.conf", "conf.d/10.conf", "conf.d/9.conf", "conf.d/.h.conf",
           "conf.d/b.conf~"},
          {"include = 'conf.d/*.conf'\n" TAIL, "fragment b { source = s }\n",
           "fragment c { source = s }\n", "fragment d { source = s }\n", "nonsense", "nonsense"}},
         "c d b a"},
        /* A list, appended to; twice; the options of sections that exist once. */
        {{{"t.conf", "conf.d/1.conf", "conf.d/2.conf", "deep/3.conf"},
          {"include = {'conf.d/2.conf', \"conf.d/1.conf\"}\n" TAIL
           "include += {deep/3.conf}\ninclude = 'deep/*.none'\nmax_parked = 7\n",
           "cache { memory = 0 }\nfragment b { source = s }\n",
           "cache { namespace = x }\nfragment c { source = s }\n",
           "max_flights = 8\nfragment d { source = s }\n"}},
         "c b a d"},
        /* Relative to the file that includes, in names with special characters, too. */
        {{{"t.conf", "deep/1.conf", "deep/er/2.conf", "sp[a]ce/3.conf", "sp[a]ce/4.inc"},
          {"include = 'deep/1.conf'\n" TAIL, "include = 'er/*'\nfragment b { source = s }\n",
           "fragment c { source = s }\ninclude = '../../sp[[]a]ce/*.conf'\n",
           "fragment d { source = s }\ninclude = '*.inc'\n", "fragment e { source = s }\n"}},
         "c d e b a"},
        {{{"t.conf", "conf.d/1.conf"},
          {"include = \"conf.d/${TEST_INCLUDE:-1}.conf\"\n" TAIL, "fragment b { source = s }\n"}},
         "b a"},
        {{{"t.conf", "conf.d/1.conf", "t.value"},
          {"include = \"conf.d/${file:t.value}.conf\"\n" TAIL, "fragment b { source = s }\n",
           "1\n"}},
         "b a"},
        {{{"t.conf", "conf.d/1.conf"}, {"include = 'conf.d/1.conf'\n", TAIL}}, "a"},
        {{{"t.conf", "conf.d/1.conf"}, {"include = 'conf.d/1.conf'\n" TAIL, ""}}, "a"},
        /* Files that it names are relative to it. */
        {{{"t.conf", "deep/1.conf", "deep/f.html", "deep/er/p"},
          {"include = 'deep/1.conf'\n" TAIL,
           "fragment \"${file:er/p}\" { source = s fallback = f.html }\n", "<p>x</p>", "p\n"}},
         "p a"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char routes[100] = "", *messages;
        assert_int_equal(make_directories(state), 0);
        write_files(&cases[i].files);
        struct conf *conf = load_file(config, &messages);
        if (!conf || *messages)
            fail_msg("case %zu: %s", i, messages);
        for (size_t j = 0; j < conf->route_count; j++)
            sprintf(routes + strlen(routes), "%s%s", j > 0 ? " " : "", conf->routes[j].pattern);
        assert_string_equal(routes, cases[i].routes);
        conf_free(conf);
        free(messages);
        assert_int_equal(clear(state), 0);
    }
}

static void test_bad(void **state)
{
    static const struct {
        struct files files;
        const char *messages;
    } cases[] = {
        {{{"t.conf"}, {TAIL "include = 'conf.d/1.conf'\n"}},
         "DIR/t.conf:3: include = \"conf.d/1.conf\": DIR/conf.d/1.conf: No such file or "
         "directory\n"},
        {{{"t.conf"}, {"include = ''\n" TAIL}},
         "DIR/t.conf:1: include = \"\": DIR/: Is a directory\n"},
        {{{"t.conf"}, {"include = conf.d\n" TAIL}},
         "DIR/t.conf:1: include = \"conf.d\": DIR/conf.d: Is a directory\n"},
        {{{"t.conf"}, {"\ninclude = \"*o\"\n" TAIL}},
         "DIR/t.conf:2: include = \"*o\": DIR/fifo: not a regular file\n"},
        {{{"t.conf", "conf.d/1.conf"}, {"include = 'direct*'\n" TAIL, ""}},
         "DIR/t.conf:1: include = \"direct*\": DIR/directory.conf: Is a directory\n"},
        {{{"t.conf"}, {"include = 'too-large.html'\n" TAIL}},
         "DIR/t.conf:1: include = \"too-large.html\": DIR/too-large.html: larger than 1 MiB\n"},
        {{{"t.conf"}, {"include = 'largest.html'\n" TAIL}},
         "DIR/largest.html:1: a control character (0x00): not a config file?\n"},
        {{{"t.conf"}, {"include = \"${file:none}\"\n" TAIL}},
         "DIR/t.conf:1: ${file:none}: DIR/none: No such file or directory\n"},
        /* The line is that of the included file; the main file's come first. */
        {{{"t.conf", "conf.d/1.conf", "conf.d/2.conf"},
          {"include = 'conf.d/*.conf'\n" TAIL "log = x\n",
           "# one\nmax_parked = 0\nsource t { type = simulated\n delay = 1 }\n",
           "\n\n\nzap = 1\nfragment b { source = s\n ttl = 1 }\nfragment c { source = none }\n"}},
         "DIR/t.conf:4: log = \"x\": must be stderr, syslog or file:PATH\n"
         "DIR/conf.d/1.conf:2: max_parked = \"0\": must be from 1 to 100000000\n"
         "DIR/conf.d/1.conf:4: delay = \"1\": a bare number; write it with a unit: 60s, 5m, "
         "250ms\n"
         "DIR/conf.d/2.conf:4: no option \"zap\" at the top level\n"
         "DIR/conf.d/2.conf:6: ttl = \"1\": a bare number; write it with a unit: 60s, 5m, 250ms\n"
         "DIR/conf.d/2.conf:7: fragment \"c\": no source named \"none\" (there are: t, s)\n"},
        /* A file ends what it begins. */
        {{{"t.conf", "conf.d/1.conf"},
          {"include = 'conf.d/1.conf'\n" TAIL, "\nfragment b { source = s\n"}},
         "DIR/conf.d/1.conf:2: a { that is not closed by }\n"},
        {{{"t.conf", "conf.d/1.conf"},
          {"include = 'conf.d/1.conf'\n" TAIL,
           "\ncache {\n memory = 0\nfragment b { source = s }\n"}},
         "DIR/conf.d/1.conf:2: a { that is not closed by }; the } seems to be missing before line "
         "4\n"},
        {{{"t.conf", "conf.d/1.conf"}, {"include = 'conf.d/1.conf'\n" TAIL, "\nlog =\n"}},
         "DIR/conf.d/1.conf:2: premature end of file\n"},
        {{{"t.conf", "conf.d/1.conf"}, {"include = 'conf.d/1.conf'\n" TAIL, "\n\n}\n"}},
         "DIR/conf.d/1.conf:3: unexpected closing brace\n"},
        /* Twice: both places. */
        {{{"t.conf", "conf.d/1.conf", "conf.d/2.conf"},
          {"max_parked = 1\ninclude = 'conf.d/*.conf'\n" TAIL,
           "\nmax_parked = 2\ncache { lease = 1s\n lease = 2s }\nfragment a { source = s }\n",
           "source s { type = simulated }\ncache { lease = 3s }\n"}},
         "DIR/t.conf:3: source \"s\" is defined twice; first in DIR/conf.d/2.conf:1\n"
         "DIR/t.conf:4: fragment \"a\" is defined twice; first in DIR/conf.d/1.conf:5\n"
         "DIR/conf.d/1.conf:2: max_parked is set twice; first in DIR/t.conf:1\n"
         "DIR/conf.d/1.conf:4: lease is set twice; first in line 3\n"
         "DIR/conf.d/2.conf:2: lease is set twice; first in DIR/conf.d/1.conf:3\n"},
        {{{"t.conf", "conf.d/1.conf"},
          {"include = 'conf.d/1.conf'\n" TAIL, "fragment \"*\" { source = s }\n"}},
         "DIR/t.conf:3: fragment \"a\" is never used: \"*\" in DIR/conf.d/1.conf:1 comes first and "
         "matches all of it\n"},
        {{{"t.conf", "conf.d/1.conf"},
          {"include = {'conf.d/1.conf'}\n" TAIL "include = 'conf.d/*.conf'\n", "\n"}},
         "DIR/t.conf:4: include = \"conf.d/*.conf\": DIR/conf.d/1.conf is included twice; first in "
         "line 1\n"},
        /* Cycles. */
        {{{"t.conf"}, {TAIL "include = 't.conf'\n"}},
         "DIR/t.conf:3: include = \"t.conf\": a cycle: DIR/t.conf includes DIR/t.conf\n"},
        {{{"t.conf"}, {TAIL "include = '*.conf'\n"}},
         "DIR/t.conf:3: include = \"*.conf\": DIR/directory.conf: Is a directory\n"
         "DIR/t.conf:3: include = \"*.conf\": a cycle: DIR/t.conf includes DIR/t.conf\n"},
        {{{"t.conf", "conf.d/1.conf", "conf.d/2.conf"},
          {TAIL "include = 'conf.d/1.conf'\n", "include = \"2.conf\"\n",
           "\ninclude = \"./1.conf\"\n"}},
         "DIR/conf.d/2.conf:2: include = \"./1.conf\": a cycle: DIR/conf.d/1.conf includes "
         "DIR/conf.d/2.conf, which includes DIR/conf.d/1.conf\n"},
        {{{"t.conf", "conf.d/1.conf", "conf.d/2.conf"},
          {TAIL "include = 'conf.d/1.conf'\n", "include = \"2.conf\"\n",
           "\ninclude = \"../t.conf\"\n"}},
         "DIR/conf.d/2.conf:2: include = \"../t.conf\": a cycle: DIR/t.conf includes "
         "DIR/conf.d/1.conf, which includes DIR/conf.d/2.conf, which includes DIR/t.conf\n"},
        /* Only at the top level, and as an option. */
        {{{"t.conf"}, {TAIL "cache {\n include = 'conf.d/*.conf' }\n"}},
         "DIR/t.conf:4: no option \"include\" in a cache section; it belongs at the top level\n"},
        {{{"t.conf"}, {TAIL "include 'conf.d/*.conf'\n"}},
         "DIR/t.conf:3: missing equal sign after option 'include'\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *messages;
        assert_int_equal(make_directories(state), 0);
        write_files(&cases[i].files);
        assert_null(load_file(config, &messages));
        if (strcmp(messages, cases[i].messages) != 0)
            fail_msg("case %zu: expected\n%s--- got\n%s", i, cases[i].messages, messages);
        free(messages);
        assert_int_equal(clear(state), 0);
    }
}

static void test_unreadable(void **state)
{
    char path[PATH_MAX], *messages;
    if (geteuid() == 0) /* who may read all */
        skip();
    assert_int_equal(make_directories(state), 0);
    write_text("t.conf", TAIL "include = 'conf.d/*.conf'\n");
    write_text("conf.d/1.conf", "");
    assert_true(snprintf(path, sizeof path, "%s/conf.d/1.conf", directory) < PATH_MAX);
    assert_int_equal(chmod(path, 0), 0);
    assert_null(load_file(config, &messages));
    assert_string_equal(messages, "DIR/t.conf:3: include = \"conf.d/*.conf\": DIR/conf.d/1.conf: "
                                  "Permission denied\n");
    free(messages);
    assert_true(snprintf(path, sizeof path, "%s/conf.d", directory) < PATH_MAX);
    assert_int_equal(chmod(path, 0), 0);
    assert_null(load_file(config, &messages));
    assert_string_equal(messages, "DIR/t.conf:3: include = \"conf.d/*.conf\": DIR/conf.d: "
                                  "Permission denied\n");
    free(messages);
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(clear(state), 0);
}

/* A chain of files of that length, each of which includes the next one. */
static struct conf *load_chain(int length, char **messages)
{
    char name[30], text[60];
    write_text("t.conf", TAIL "include = 'conf.d/1'\n");
    for (int i = 1; i <= length; i++) {
        snprintf(name, sizeof name, "conf.d/%d", i);
        snprintf(text, sizeof text, i < length ? "\ninclude = '%d'\n" : "max_parked = %d\n", i + 1);
        write_text(name, text);
    }
    return load_file(config, messages);
}

static void test_depth(void **state)
{
    char *messages;
    assert_int_equal(make_directories(state), 0);
    struct conf *conf = load_chain(8, &messages);
    assert_non_null(conf);
    assert_int_equal(conf->flights.max_parked, 9);
    conf_free(conf);
    free(messages);
    assert_null(load_chain(9, &messages));
    assert_string_equal(messages, "DIR/conf.d/8:2: include = \"9\": files that include each other "
                                  "in more than 8 levels\n");
    free(messages);
    assert_int_equal(clear(state), 0);
}

static void test_many_files(void **state)
{
    char name[30], *messages;
    assert_int_equal(make_directories(state), 0);
    write_text("t.conf", TAIL "include = 'conf.d/*'\ninclude = 'deep/*'\n");
    for (int i = 1; i < 1000; i++) {
        snprintf(name, sizeof name, "conf.d/%d", i);
        write_text(name, "# nothing\n");
    }
    struct conf *conf = load_file(config, &messages);
    assert_null(conf); /* deep/er is a directory */
    assert_string_equal(messages,
                        "DIR/t.conf:4: include = \"deep/*\": DIR/deep/er: Is a directory\n");
    free(messages);
    write_text("t.conf", TAIL "include = 'conf.d/*'\n");
    conf = load_file(config, &messages);
    assert_non_null(conf);
    conf_free(conf);
    free(messages);
    write_text("conf.d/x", "# nothing\n");
    write_text("conf.d/y", "# nothing\n");
    assert_null(load_file(config, &messages));
    assert_string_equal(messages, "DIR/t.conf:3: include = \"conf.d/*\": the config has more than "
                                  "1000 files\n");
    free(messages);
    assert_int_equal(clear(state), 0);
}

static void test_no_memory(void **state)
{
    static const struct files files = {{"t.conf", "conf.d/1.conf", "conf.d/2.conf", "deep/3.conf"},
                                       {"include = {'conf.d/*.conf'}\nlog = x\n" TAIL,
                                        "include = '../deep/3.conf'\n",
                                        "fragment b { source = s }\n",
                                        "cache { memory = 1 }\nsource t { type = simulated }\n"}};
    bool enough = false;
    assert_int_equal(make_directories(state), 0);
    write_files(&files);
    for (long successes = 0; !enough && successes < 1000; successes++) {
        char *messages;
        alloc_fail_after(successes);
        struct conf *conf = load_file(config, &messages);
        alloc_fail_after(-1);
        assert_null(conf);
        assert_true(*messages);
        enough = !strstr(messages, "memory\n");
        free(messages);
    }
    assert_true(enough);
    assert_int_equal(clear(state), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),      cmocka_unit_test(test_bad),
        cmocka_unit_test(test_unreadable), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_files), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("conf_include", tests, NULL, NULL);
}
