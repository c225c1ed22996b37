/* The problems of a config file, and of the files that it includes. */
#include "conf/problems.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define TEXT_ROOM 1000

/* Inserts in the order of lines; problems of one line stay in the order of finding. */
static void insert(struct problems *problems, struct problem problem)
{
    size_t at = problems->count++;
    for (; at > 0 && problems->list[at - 1].line > problem.line; at--)
        problems->list[at] = problems->list[at - 1];
    problems->list[at] = problem;
}

__attribute__((format(printf, 4, 0))) static void add(struct problems *problems,
                                                      enum problem_severity severity, int line,
                                                      const char *format, va_list arguments)
{
    char plain[TEXT_ROOM], escaped[4 * TEXT_ROOM], *text;
    size_t len = 0;
    if (problems->kept[severity] == PROBLEMS_MAX) {
        problems->lost[severity]++;
        return;
    }
    vsnprintf(plain, sizeof(plain), format, arguments);
    for (const char *c = plain; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            len += (size_t)sprintf(escaped + len, "\\x%02X", (unsigned char)*c);
        else
            escaped[len++] = *c;
    }
    text = alloc_copy(escaped, len);
    if (!text) {
        problems->lost[PROBLEM_ERROR]++;
        return;
    }
    problems->kept[severity]++;
    insert(problems, (struct problem){.line = line, .severity = severity, .text = text});
}

void problems_add(struct problems *problems, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(problems, PROBLEM_ERROR, line, format, arguments);
    va_end(arguments);
}

void problems_warn(struct problems *problems, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(problems, PROBLEM_WARNING, line, format, arguments);
    va_end(arguments);
}

const char *problem_quote(char room[QUOTE_ROOM], const char *text)
{
    int most = QUOTE_ROOM - 6;
    bool whole = strlen(text) <= (size_t)most;
    snprintf(room, QUOTE_ROOM, "\"%.*s%s\"", most, text, whole ? "" : "...");
    return room;
}

bool problems_include(struct problems *problems, const char *path, int before)
{
    size_t count = problems->included_count;
    struct problem_file *longer =
        alloc_resized(problems->included, (count + 1) * sizeof *problems->included);
    char *copy = longer ? alloc_copy(path, strlen(path)) : NULL;
    if (longer)
        problems->included = longer;
    if (!copy)
        return false;
    longer[count] = (struct problem_file){.path = copy, .before = before};
    problems->included_count++;
    return true;
}

const char *problems_file(const struct problems *problems, int line, int *before)
{
    for (size_t i = problems->included_count; i > 0; i--) {
        const struct problem_file *file = &problems->included[i - 1];
        if (line > file->before) {
            *before = file->before;
            return file->path;
        }
    }
    *before = 0;
    return problems->file;
}

const char *problems_place(const struct problems *problems, int about, int line,
                           char room[PLACE_ROOM])
{
    int before, unused;
    const char *file = problems_file(problems, line, &before);
    if (file == problems_file(problems, about, &unused))
        snprintf(room, PLACE_ROOM, "line %d", line - before);
    else
        snprintf(room, PLACE_ROOM, "%.*s:%d", PLACE_ROOM - 16, file, line - before);
    return room;
}

void problems_write(const struct problems *problems, FILE *out)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *problem = &problems->list[i];
        int before;
        fputs(problems_file(problems, problem->line, &before), out);
        if (problem->line > 0)
            fprintf(out, ":%d", problem->line - before);
        fprintf(out, ": %s%s\n", problem->severity == PROBLEM_WARNING ? "warning: " : "",
                problem->text);
    }
    if (problems->lost[PROBLEM_ERROR] > 0 && problems->kept[PROBLEM_ERROR] < PROBLEMS_MAX)
        fprintf(out, "%s: out of memory\n", problems->file);
    else if (problems->lost[PROBLEM_ERROR] > 0)
        fprintf(out, "%s: %zu more problems\n", problems->file, problems->lost[PROBLEM_ERROR]);
    if (problems->lost[PROBLEM_WARNING] > 0)
        fprintf(out, "%s: warning: %zu more warnings\n", problems->file,
                problems->lost[PROBLEM_WARNING]);
}

void problems_free(struct problems *problems)
{
    while (problems->count > 0)
        free(problems->list[--problems->count].text);
    while (problems->included_count > 0)
        free(problems->included[--problems->included_count].path);
    free(problems->included);
}
