/* Checks that a fragment of HTML ends where it began: that the parser treats what is around the
 * fragment, and what comes after it, as if the fragment were not there. Pure.
 *
 * A fragment gets into a page in one of two ways. One pass answers for both.
 *
 *   in a template   <template for="NAME">FRAGMENT</template>, as streams send it
 *   in place        the fragment replaces its placeholder in the text of the page
 *
 * In a template, the parser repairs a lot (WHATWG HTML 13.2.4.2, 13.2.6.4.4, 13.2.6.4.22). At the
 * </template> it closes all ordinary elements that are still open in it, and before that it ignores
 * the end tags of elements outside, as well as <body>, </body> and <frameset>. So these are no
 * flaws there: an open <div>, <table>, <b> or <svg>, or a stray </div>. What the parser can't
 * repair are
 *   - a tag, quote, comment, declaration or <? that is still open,
 *   - an open <textarea>, <title>, <script>, <style> and the like, whose content is text,
 *   - an open <template>, and a </template> without its start tag,
 *   - <?marker>, <?start> and <?end>, which would catch or end what is meant for a placeholder of
 *     the page, and <template for>, which would replace one.
 *
 * In place, nothing stops the damage, so every element has to be closed by its own end tag, in
 * order; an omitted </p> or </li> is a flaw too. This check looks at the fragment only. The page
 * has to avoid places where its own elements would be closed: a <p> ends at a <div> of the
 * fragment, and a <form>, <a>, <button>, <li> or heading at another of its kind; rows need their
 * table; and in an <svg> of the page, other rules apply. The page must be UTF-8.
 *
 * Some content has two readings. If they do not end at the same byte, that is a flaw. It concerns
 * <noscript> (text if scripts run, else HTML), <select> (older browsers ignore most tags in it), a
 * template that begins with <col> (the parser then ignores other tags), and SVG and MathML once
 * their end is unclear. There, <style>, <title> and <script> contain tags, and CDATA sections
 * exist.
 *
 * Whatever does not move an end is not checked: character references, doctypes, duplicate
 * attributes, bytes that are not UTF-8, zero bytes. */
#ifndef WORKERLESS_RENDER_BALANCE_H
#define WORKERLESS_RENDER_BALANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define BALANCE_DEPTH 128 /* of templates and elements of SVG and MathML, and of others in place */

enum balance_flaw {
    BALANCE_NO_FLAW,
    BALANCE_TAG,         /* open where the fragment ends, as are those until BALANCE_ELEMENT */
    BALANCE_QUOTE,       /* of an attribute */
    BALANCE_COMMENT,     /* <!-- */
    BALANCE_DECLARATION, /* <!, or </ before no letter */
    BALANCE_CDATA,       /* <![CDATA[ */
    BALANCE_INSTRUCTION, /* <? */
    BALANCE_ELEMENT,     /* the element of that name */
    BALANCE_STRAY,       /* an end tag of that name, and nothing for it to close */
    BALANCE_MARKER,      /* <?marker, <?start or <?end */
    BALANCE_PATCH,       /* <template for> */
    BALANCE_PAGE,        /* a tag of which a page has one: <body>, </html>, <frameset>… */
    BALANCE_SHADOW,      /* <template shadowrootmode> for the element around the fragment */
    BALANCE_DEEP,        /* more than BALANCE_DEPTH elements are open */
    BALANCE_AMBIGUOUS,   /* it is not certain where that ends */
};

struct balance_finding {
    enum balance_flaw flaw;
    struct slice name;   /* of the element, as it is written; points into the fragment */
    size_t offset;       /* bytes before it */
    size_t line, column; /* from 1; columns are characters */
};

/* The first flaw for each way. What has a flaw in a template has one in place too. */
struct balance {
    struct balance_finding in_template, in_place;
};

/* Reads the fragment once, and the content of each outermost <noscript> a second time. */
struct balance balance_check(struct slice html);

/* Writes an English phrase for the log, such as 'an unclosed <textarea> that begins at line 3,
 * column 5', with a zero byte at the end; the name in it is escaped and cut. Returns its length,
 * below `size`; BALANCE_PHRASE_MAX is enough for all. */
#define BALANCE_PHRASE_MAX 256
size_t balance_phrase(char *out, size_t size, const struct balance_finding *finding);

#endif
