/* One block for all recipes, and one for the logs of their sources. */
#include "park/rules.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "park/negatives.h"

/* Returns false when out of memory. */
static bool use_init(struct recipe_use *use, struct rules *rules, const struct recipe *recipe,
                     struct ev_loop *loop, const struct rules_events *events)
{
    use->source = rules->sources[recipe->source];
    use->failures = &rules->failures[recipe->source];
    timeout_queue_init(&use->hold, loop, recipe->hold, events->hold_over, events->context);
    timeout_queue_init(&use->stale_wait, loop, recipe->stale_wait, events->stale_wait_over,
                       events->context);
    if (recipe->freshness.negative <= 0)
        return true;
    use->negatives = negatives_new(recipe->max_negative);
    return use->negatives != NULL;
}

struct rules *rules_new(struct ev_loop *loop, struct source *const *sources,
                        struct recipe *const *recipes, size_t recipe_count,
                        const struct rules_events *events)
{
    struct rules *rules = alloc_zeroed(sizeof *rules + recipe_count * sizeof *rules->uses);
    if (!rules)
        return NULL;
    rules->sources = sources;
    rules->recipe_count = recipe_count;
    for (size_t i = 0; i < recipe_count; i++)
        if (recipes[i]->source >= rules->source_count)
            rules->source_count = recipes[i]->source + 1;
    rules->failures = alloc_zeroed((rules->source_count + 1) * sizeof *rules->failures);
    bool enough = rules->failures != NULL;
    for (size_t i = 0; enough && i < recipe_count; i++)
        enough = use_init(&rules->uses[i], rules, recipes[i], loop, events);
    if (!enough) {
        rules_free(rules);
        return NULL;
    }
    for (size_t i = 0; i < recipe_count; i++)
        recipes[i]->use = &rules->uses[i];
    return rules;
}

void rules_free(struct rules *rules)
{
    if (!rules)
        return;
    for (size_t i = 0; i < rules->recipe_count; i++) {
        struct recipe_use *use = &rules->uses[i];
        timeout_queue_stop(&use->hold);
        timeout_queue_stop(&use->stale_wait);
        outcome_end_terms_log(&use->terms_log);
        outcome_end_balance_log(&use->balance_log);
        negatives_free(use->negatives);
    }
    for (size_t i = 0; rules->failures && i < rules->source_count; i++)
        outcome_end_log(&rules->failures[i]);
    free(rules->failures);
    free(rules);
}
