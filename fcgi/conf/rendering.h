/* How the fragments of each route are rendered: by the options of its section, and the templates that
 * they name. */
#ifndef WORKERLESS_CONF_RENDERING_H
#define WORKERLESS_CONF_RENDERING_H

struct conf;
struct problems;
struct route;

/* Lines of a route's options; 0: the option is not set. */
struct rendering_lines {
    int template, required;
};

/* Checks whether the directory `templates`, whose path is set, is there. */
void rendering_check_directory(const struct conf *conf, int line, struct problems *problems);

/* Sets recipe.rendering of the route by its options and those of the top level, and loads its
 * template. `called` is the name of the section in messages. */
void rendering_build(struct conf *conf, struct route *route, const char *called,
                     const struct rendering_lines *lines, struct problems *problems);

/* Loads what the templates include. Call it after all routes were built; `line` is that of the option
 * `templates`. */
void rendering_complete(struct conf *conf, int line, struct problems *problems);

#endif
