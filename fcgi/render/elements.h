/* What the HTML standard says of elements, as far as it decides where they end. Pure. */
#ifndef WORKERLESS_RENDER_ELEMENTS_H
#define WORKERLESS_RENDER_ELEMENTS_H

#include "base/slice.h"

/* The sections are of WHATWG HTML. */
enum element {
    ELEMENT_VOID = 1 << 0,      /* has no end tag (13.1.2) */
    ELEMENT_RAW = 1 << 1,       /* its content is text up to its end tag (13.2.6.2) */
    ELEMENT_SCRIPT = 1 << 2,    /* the same, with the states of a script */
    ELEMENT_PLAINTEXT = 1 << 3, /* everything after it is text */
    ELEMENT_NOSCRIPT = 1 << 4,  /* its content is text if scripts run, else HTML */
    ELEMENT_TEMPLATE = 1 << 5,  /* closes all that is open in it */
    ELEMENT_PAGE = 1 << 6,      /* a page has one of them */
    ELEMENT_SELECT = 1 << 7,    /* older browsers ignore most tags in it */
    ELEMENT_HEAD = 1 << 8,      /* leaves the insertion mode of a template as it is (13.2.6.4.22) */
    ELEMENT_COLUMN = 1 << 9,    /* as a template's first, has others ignored (13.2.6.4.12) */
    ELEMENT_SVG = 1 << 10,      /* what is in it is foreign content */
    ELEMENT_MATH = 1 << 11,     /* the same, of the other kind */
    ELEMENT_BREAKOUT = 1 << 12, /* ends foreign content (13.2.6.5) */
    ELEMENT_FONT = 1 << 13,     /* does so with certain attributes */
    ELEMENT_SVG_POINT = 1 << 14,  /* in SVG, has HTML in it (13.2.6) */
    ELEMENT_MATH_TEXT = 1 << 15,  /* the same in MathML */
    ELEMENT_ANNOTATION = 1 << 16, /* the same, depending on its encoding */
    ELEMENT_GLYPH = 1 << 17,      /* stays foreign within ELEMENT_MATH_TEXT */
};

/* What holds of the element of that name, of enum element; the case of ASCII letters is ignored. */
unsigned element_traits(struct slice name);

#endif
