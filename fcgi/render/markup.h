/* Where the pieces of HTML text end, as the tokenizer of the HTML standard (WHATWG HTML 13.2.5)
 * sees them: tags, comments, CDATA sections, raw text and scripts. Pure.
 *
 * A place is the number of bytes before it. A function looks at the text from the place `from`,
 * which is not beyond its end, and returns MARKUP_NONE if the piece does not end within the text.
 * Bytes that are not UTF-8, and zero bytes, are like any other. Names ignore the case of ASCII
 * letters. */
#ifndef WORKERLESS_RENDER_MARKUP_H
#define WORKERLESS_RENDER_MARKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define MARKUP_NONE SIZE_MAX

/* What of a tag's attributes matters for where things end. */
enum markup_attribute {
    MARKUP_FOR = 1 << 0,           /* for: of a template, it names what the template replaces */
    MARKUP_SHADOW = 1 << 1,        /* shadowrootmode */
    MARKUP_FONT = 1 << 2,          /* color, face or size */
    MARKUP_ENCODING = 1 << 3,      /* encoding, whatever its value */
    MARKUP_ENCODING_HTML = 1 << 4, /* its first one: text/html or application/xhtml+xml */
    MARKUP_ENCODING_ODD = 1 << 5,  /* its first one has character references, which are not read */
};

struct markup_tag {
    struct slice name;   /* points into the text */
    bool self_closing;   /* it ends with "/>" */
    unsigned attributes; /* of enum markup_attribute */
    size_t end;          /* after its ">", or MARKUP_NONE */
    size_t quote;        /* the quote that is open where the text ends, or MARKUP_NONE */
};

/* Tab, LF, FF, CR or space. */
bool markup_is_space(char byte);

/* After the next such byte. */
size_t markup_after(struct slice text, size_t from, char byte);

/* The tag at `from`, where its "<" and for an end tag "</" stand before a letter. */
struct markup_tag markup_tag(struct slice text, size_t from);

/* The attribute at `from`, a byte that is neither a space nor "/" nor ">". Sets its name and its
 * value, as it is written but without quotes, and returns the place after it. If a quote is still
 * open where the text ends, returns MARKUP_NONE, and value->data points to the quote. */
size_t markup_attribute(struct slice text, size_t from, struct slice *name, struct slice *value);

/* After the end of a comment, from after its "<!--" (13.2.5.43 to 13.2.5.52): "-->", "--!>", and
 * directly at `from` also ">" and "->". */
size_t markup_comment_end(struct slice text, size_t from);

/* After the "]]>" of a CDATA section, from after its "<![CDATA[" (13.2.5.69 to 13.2.5.71). */
size_t markup_cdata_end(struct slice text, size_t from);

/* The "<" of the end tag of that name, from after the start tag of raw text, or of text with
 * character references (13.2.5.9 to 13.2.5.14). */
size_t markup_raw_end(struct slice text, size_t from, struct slice name);

/* The same of a script, where "<!--" and then "<script" hide an end tag (13.2.5.15 on). */
size_t markup_script_end(struct slice text, size_t from);

/* The line of a place, and its column in characters; both count from 1. */
void markup_position(struct slice text, size_t place, size_t *line, size_t *column);

#endif
