/* UTF-8 as defined by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef WORKERLESS_BASE_UTF8_H
#define WORKERLESS_BASE_UTF8_H

#include "base/slice.h"

/* The length (1 to 4) of the well-formed sequence at the beginning of the text; 0 if there is none
 * or the text is empty. */
size_t utf8_sequence(struct slice text);

#endif
