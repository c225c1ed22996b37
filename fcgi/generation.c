/* The list of configs in use. Whoever keeps something of a config counts as its user; the last one
 * may go anywhere, such as within a callback of a source, so the config is freed in the next turn
 * of the loop. */
#include "generation.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/users.h"
#include "conf/compare.h"
#include "conf/conf.h"
#include "park/flights.h"
#include "park/rules.h"
#include "source/source.h"

/* A source, which several generations may have. */
struct shared_source {
    struct source *source;
    struct source_settings *settings; /* held */
    size_t generations;
};

struct generation {
    struct users users; /* it counts itself while it is the current one */
    struct generations *all;
    struct generation *next, *prev;
    struct conf *conf;
    struct shared_source **shared; /* by source; NULL: not created yet */
    struct source **sources;       /* likewise */
    struct recipe **recipes;
    struct rules *rules;
};

/* --- sources --- */

static struct shared_source *shared_new(const struct source_environment *environment,
                                        struct source_settings *settings)
{
    struct shared_source *shared = alloc_zeroed(sizeof *shared);
    if (!shared)
        return NULL;
    if (!(shared->source = source_create(environment, settings))) {
        free(shared);
        return NULL;
    }
    shared->settings = conf_hold_settings(settings);
    shared->generations = 1;
    return shared;
}

static void shared_drop(struct shared_source *shared)
{
    if (!shared || --shared->generations > 0)
        return;
    source_destroy(shared->source);
    conf_release_settings(shared->settings);
    free(shared);
}

/* The source of the current generation that has the same settings, or NULL. */
static struct shared_source *find_same(const struct generations *all,
                                       const struct source_settings *settings)
{
    const struct generation *current = all->current;
    for (size_t i = 0; current && i < current->conf->source_count; i++)
        if (conf_same_source(current->shared[i]->settings, settings))
            return current->shared[i];
    return NULL;
}

/* Returns false if one can't be created. */
static bool get_sources(struct generation *generation)
{
    struct conf *conf = generation->conf;
    for (size_t i = 0; i < conf->source_count; i++) {
        struct shared_source *same = find_same(generation->all, conf->sources[i]);
        if (same)
            same->generations++;
        else
            same = shared_new(&generation->all->environment, conf->sources[i]);
        if (!same)
            return false;
        generation->shared[i] = same;
        generation->sources[i] = same->source;
    }
    return true;
}

/* --- one generation --- */

static void generation_free(struct generation *generation)
{
    struct generations *all = generation->all;
    DL_DELETE(all->list, generation);
    counter_sub(COUNTER_CONFIGS, 1);
    rules_free(generation->rules);
    for (size_t i = 0; generation->shared && i < generation->conf->source_count; i++)
        shared_drop(generation->shared[i]);
    free(generation->shared);
    free(generation->sources);
    free(generation->recipes);
    conf_free(generation->conf);
    free(generation);
}

static void on_gone(struct users *users)
{
    struct generations *all = container_of(users, struct generation, users)->all;
    if (ev_is_active(&all->reaper))
        return;
    ev_timer_set(&all->reaper, 0., 0.);
    ev_timer_start(all->environment.loop, &all->reaper);
}

static void on_reaper(struct ev_loop *loop, ev_timer *reaper, int events)
{
    struct generations *all = reaper->data;
    struct generation *generation, *next;
    (void)loop, (void)events;
    for (generation = all->list; generation; generation = next) {
        next = generation->next;
        if (generation->users.count == 0)
            generation_free(generation);
    }
}

/* Returns false when out of memory, or if a source can't be created. */
static bool generation_fill(struct generation *generation)
{
    struct conf *conf = generation->conf;
    generation->shared = alloc_zeroed((conf->source_count + 1) * sizeof(struct shared_source *));
    generation->sources = alloc_zeroed((conf->source_count + 1) * sizeof(struct source *));
    generation->recipes = alloc_zeroed((conf->route_count + 1) * sizeof(struct recipe *));
    if (!generation->shared || !generation->sources || !generation->recipes ||
        !get_sources(generation))
        return false;
    for (size_t i = 0; i < conf->route_count; i++) {
        generation->recipes[i] = &conf->routes[i].recipe;
        generation->recipes[i]->users = &generation->users;
    }
    for (size_t i = 0; i < conf->page_count; i++)
        conf->pages[i].users = &generation->users;
    generation->rules = flights_rules(generation->all->flights, generation->sources,
                                      generation->recipes, conf->route_count);
    return generation->rules != NULL;
}

struct generation *generation_new(struct generations *all, struct conf *conf)
{
    struct generation *generation = alloc_zeroed(sizeof *generation);
    if (!generation) {
        conf_free(conf);
        return NULL;
    }
    generation->all = all;
    generation->conf = conf;
    generation->users = (struct users){.count = 1, .gone = on_gone};
    DL_PREPEND(all->list, generation);
    counter_add(COUNTER_CONFIGS, 1);
    if (generation_fill(generation))
        return generation;
    generation_free(generation);
    return NULL;
}

void generation_begin(struct generation *generation)
{
    struct generations *all = generation->all;
    struct generation *before = all->current;
    all->current = generation;
    flights_use(all->flights, generation->rules);
    if (before)
        users_drop(&before->users);
}

void generation_drop(struct generation *generation)
{
    check(generation != generation->all->current);
    generation_free(generation);
}

struct conf *generation_conf(const struct generation *generation)
{
    return generation->conf;
}

/* --- all --- */

void generations_init(struct generations *all, const struct source_environment *environment,
                      struct flights *flights)
{
    *all = (struct generations){.environment = *environment, .flights = flights};
    ev_timer_init(&all->reaper, on_reaper, 0., 0.);
    all->reaper.data = all;
}

void generations_end(struct generations *all)
{
    while (all->list) {
        check(all->list->users.count == (all->list == all->current));
        generation_free(all->list);
    }
    if (all->environment.loop)
        ev_timer_stop(all->environment.loop, &all->reaper);
    *all = (struct generations){0};
}
