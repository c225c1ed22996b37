/* Scans the text of the config file before libconfuse parses it.
 *
 *     file --> scan_read_file --> scan_prepare --> libconfuse (syntax.c)
 *
 * libconfuse 3.3 counts one line too many for each comment, and none for a newline inside ${...}.
 * It skips characters that it does not know (an unquoted name with a '*' loses the '*'), treats an
 * unset environment variable as empty, reports an unclosed string or section at the end of the
 * file, and reads a ';' as the name of an option. So this scan knows libconfuse's tokens (its
 * lexer.l), blanks comments and reports the rest itself.
 */
#include "conf/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/landlock.h"

#define WORD_MAX_LEN 4096 /* bytes of a name or value; libconfuse takes quadratic time */

struct scan {
    char *at, *end; /* *end is '\0' */
    int line;
    int depth, open_line;          /* open braces, and the line of the outermost */
    bool in_list;                  /* the innermost brace is that of a list... */
    int list_line;                 /* ...which begins here */
    int unclosed_line, close_line; /* a brace that was not closed before this line; 0: none seen */
    char before[2];  /* the last two tokens: = or {, a quote for an empty string, w for a word or
                        another string, or 0 */
    int before_line; /* where the last token began */
    struct problems *problems;
};

char *scan_read_file(const char *path, size_t *len, const char **why)
{
    struct stat status;
    char *text = NULL;
    size_t room = SCAN_FILE_MAX + 1, got = 0;
    ssize_t more = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    *why = NULL;
    if (fd < 0 || fstat(fd, &status) != 0)
        *why = landlock_strerror(errno);
    else if (S_ISDIR(status.st_mode))
        *why = strerror(EISDIR);
    else if (!S_ISREG(status.st_mode))
        *why = "not a regular file";
    else if (!(text = alloc_bytes(room)))
        *why = strerror(ENOMEM);
    while (text && got < room && (more = read(fd, text + got, room - got)) > 0)
        got += (size_t)more;
    if (more < 0)
        *why = strerror(errno);
    else if (got == room)
        *why = "larger than 1 MiB";
    if (fd >= 0)
        close(fd);
    if (*why) {
        free(text);
        return NULL;
    }
    text[got] = '\0';
    *len = got;
    char *fitting = alloc_resized(text, got + 1);
    return fitting ? fitting : text;
}

static const char too_long[] = "a name or value of more than 4096 bytes";

static bool refuse(struct scan *scan, int line, const char *what)
{
    problems_add(scan->problems, line, "%s", what);
    return false;
}

/* Blanks [from, to), except for newlines. */
static void blank(struct scan *scan, char *from, char *to)
{
    for (; from < to; from++) {
        if (*from == '\n')
            scan->line++;
        else
            *from = ' ';
    }
}

static bool skip_comment(struct scan *scan)
{
    char *start = scan->at, *end;
    if (start[0] == '/' && start[1] == '*') {
        end = strstr(start + 2, "*/");
        if (!end)
            return refuse(scan, scan->line, "a comment begins here that is not closed by */");
        end += 2;
    } else {
        end = strchrnul(start, '\n');
    }
    blank(scan, start, end);
    scan->at = end;
    return true;
}

/* ${NAME}, ${NAME:-instead} or ${file:NAME}. */
static bool skip_variable(struct scan *scan, char closing_quote)
{
    char *start = scan->at, *end = start + strcspn(start, "}\n"), *name, *instead;
    char quote[QUOTE_ROOM];
    const char *value;
    if (*end != '}' || (closing_quote && memchr(start, closing_quote, (size_t)(end - start))))
        return refuse(scan, scan->line, "a ${ that is not closed by } on its line");
    scan->at = end + 1;
    if (strncmp(start + 2, "file:", strlen("file:")) == 0) {
        *start = *SCAN_FILE_MARK;
        return closing_quote || refuse(scan, scan->line, "a ${file:...} outside of double quotes");
    }
    name = alloc_copy(start + 2, (size_t)(end - start) - 2);
    if (!name)
        return refuse(scan, scan->line, "out of memory");
    instead = strchr(name, ':');
    if (instead && instead[1] == '-')
        *instead = '\0';
    value = getenv(name);
    if (value && strstr(value, SCAN_FILE_MARK)) {
        problems_add(scan->problems, scan->line, "the variable %s has a control character (0x01)",
                     problem_quote(quote, name));
    } else if (!value && !(instead && *instead == '\0')) {
        problems_add(scan->problems, scan->line,
                     "the environment has no variable %s; write ${NAME:-} if it may be missing",
                     problem_quote(quote, name));
    }
    free(name);
    return true;
}

/* A string on one line; in double quotes with escapes and variables. */
static bool skip_string(struct scan *scan)
{
    const char *start = scan->at;
    char quote = *scan->at++;
    int line = scan->line;
    while (*scan->at != quote) {
        char c = *scan->at;
        if (c == '\0' || c == '\n')
            return refuse(scan, line, "a string that is not closed on its line");
        if (quote == '"' && c == '$' && scan->at[1] == '{') {
            if (!skip_variable(scan, quote))
                return false;
            continue;
        }
        if (c == '\\' && scan->at[1] == '\n')
            scan->line++;
        else if (c == '\\' && quote == '"' && scan->at[1] && strchr("0123456789x", scan->at[1]))
            return refuse(scan, scan->line, "a numeric escape; write the character itself");
        scan->at += c == '\\' && scan->at[1] ? 2 : 1;
    }
    scan->at++;
    return scan->at - start <= WORD_MAX_LEN || refuse(scan, line, too_long);
}

/* The last token can't be inside the open brace, so a closing brace is missing before it. */
static void note_unclosed(struct scan *scan)
{
    if (scan->close_line > 0)
        return;
    scan->unclosed_line = scan->in_list ? scan->list_line : scan->open_line;
    scan->close_line = scan->before_line;
}

static bool skip_brace(struct scan *scan)
{
    if (*scan->at == '{') {
        bool is_section = scan->before[1] == 'w' || scan->before[1] == '"';
        if (is_section && scan->depth > 0) /* neither sections nor lists contain sections */
            note_unclosed(scan);
        scan->in_list = scan->before[1] == '=';
        scan->list_line = scan->line;
        if (scan->depth++ == 0)
            scan->open_line = scan->line;
    } else {
        scan->in_list = false;
        if (scan->depth > 0)
            scan->depth--;
        if (scan->depth == 0)
            scan->close_line = 0;
        if (scan->before[1] == '{' && scan->before[0] == '=')
            refuse(scan, scan->line, "an empty list: give it a value, or remove the option");
    }
    scan->at++;
    return true;
}

/* Reports ; outside of words. A line that begins with ; is a comment in other languages, and is
 * skipped. */
static void skip_semicolon(struct scan *scan, bool begins_line)
{
    scan->at += strspn(scan->at, ";");
    const char *rest = scan->at + strspn(scan->at, " \t\r");
    if (scan->in_list) {
        refuse(scan, scan->line, "no ; between the values of a list: write a comma");
    } else if (begins_line) {
        refuse(scan, scan->line, "a comment begins with #, not with ;");
        scan->at = strchrnul(scan->at, '\n');
    } else if (strchr("\n#", *rest) || (rest[0] == '/' && strchr("/*", rest[1]))) {
        refuse(scan, scan->line, "no ; at the end of a line: remove it");
    } else {
        refuse(scan, scan->line, "no ; between options: remove it");
    }
}

static bool skip_other(struct scan *scan)
{
    size_t word = 0;
    if (*scan->at == '[' && scan->before[1] == '=')
        return refuse(scan, scan->line, "a list is written in braces: { }, not in brackets");
    while (word <= WORD_MAX_LEN && !strchr(" #\"'\t\n\r={}()+,*", scan->at[word]))
        word++;
    if (word > WORD_MAX_LEN)
        return refuse(scan, scan->line, too_long);
    size_t plain = *scan->at == ';' ? 0 : word; /* length without ; at either end */
    while (plain > 0 && scan->at[plain - 1] == ';')
        plain--;
    if (plain < word) {
        scan->at += plain;
        skip_semicolon(scan, plain == 0 && scan->before_line != scan->line);
    } else if (word > 0) {
        scan->at += word;
    } else {
        if (*scan->at == '*' || (*scan->at == '+' && scan->at[1] != '='))
            problems_add(scan->problems, scan->line,
                         "a %c outside of quotes; put the name or value in double quotes",
                         *scan->at);
        scan->at++;
    }
    return true;
}

static bool skip_token(struct scan *scan)
{
    const char *start = scan->at;
    char first = start[0], second = start[1];
    int line = scan->line;
    bool good, empty, is_text;
    if (first == '\n')
        scan->line++;
    if (strchr(" \t\r\n", first)) {
        scan->at++;
        return true;
    }
    if (first == '#' || (first == '/' && (second == '/' || second == '*')))
        return skip_comment(scan);
    if (first == '"' || first == '\'')
        good = skip_string(scan);
    else if (first == '$' && second == '{')
        good = skip_variable(scan, 0);
    else if (first == '{' || first == '}')
        good = skip_brace(scan);
    else
        good = skip_other(scan);
    empty = (first == '"' || first == '\'') && scan->at - start == 2;
    is_text = !strchr("={}()+,*", first);
    if (first == '=' && scan->before[1] == '"')
        refuse(scan, scan->line, "an option without a name");
    if (first == '=' && scan->before[1] == 'w' && scan->in_list)
        note_unclosed(scan);
    scan->before[0] = scan->before[1];
    scan->before[1] = strchr("={", first) ? first : empty ? '"' : is_text ? 'w' : 0;
    scan->before_line = line;
    return good;
}

/* Whether the bytes are text. */
static bool is_text(struct scan *scan)
{
    int line = scan->line;
    for (const char *c = scan->at; c < scan->end; c++) {
        line += *c == '\n';
        if (((unsigned char)*c < ' ' && !strchr("\t\n\r", *c)) || *c == 0x7f || *c == '\0') {
            problems_add(scan->problems, line, "a control character (0x%02X): not a config file?",
                         (unsigned char)*c);
            return false;
        }
    }
    return true;
}

static int count_lines(const char *text, size_t len)
{
    int newlines = 0;
    for (size_t i = 0; i < len; i++)
        newlines += text[i] == '\n';
    return len > 0 && text[len - 1] == '\n' ? newlines : newlines + 1;
}

bool scan_prepare(char *text, size_t len, int before, int *last, struct problems *problems)
{
    struct scan scan = {.at = text, .end = text + len, .line = before + 1, .problems = problems};
    size_t errors = problems_found(problems, PROBLEM_ERROR);
    *last = before + count_lines(text, len);
    if (!is_text(&scan))
        return false;
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) /* the byte order mark of some editors */
        blank(&scan, text, text + 3);
    while (scan.at < scan.end)
        if (!skip_token(&scan))
            return false;
    if (scan.depth > 0 && scan.close_line > 0)
        problems_add(problems, scan.unclosed_line,
                     "a { that is not closed by }; the } seems to be missing before line %d",
                     scan.close_line - before);
    else if (scan.depth > 0)
        refuse(&scan, scan.open_line, "a { that is not closed by }");
    return problems_found(problems, PROBLEM_ERROR) == errors;
}
