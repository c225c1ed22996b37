/* Values in a JSON text (RFC 8259), found where they stand. Pure.
 *
 * A value is a slice of the text. Check the text with json_valid first; the other functions rely on
 * that. A value of another kind than the one asked for, or an empty slice, is taken for none.
 */
#ifndef WORKERLESS_CLI_JSON_H
#define WORKERLESS_CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define JSON_DEPTH_MAX 32

/* Whether the text is one value, nested no deeper than that. */
bool json_valid(struct slice text);

/* The member of that name of an object, the first if there are several; its data is NULL if there
 * is none. The name must stand in the text as it is, without escapes. */
struct slice json_member(struct slice object, const char *name);

/* Iterates over the elements of an array: *rest is the array at first. Returns false at the end. */
bool json_next(struct slice *rest, struct slice *element);

/* The same for the members of an object. */
bool json_next_member(struct slice *rest, struct slice *name, struct slice *value);

/* 0 if it is no number; at most JSON_NUMBER_MAX, which fits any 64-bit integer, and at least the
 * negative of it. */
#define JSON_NUMBER_MAX 1e15
double json_number(struct slice value);

bool json_is_true(struct slice value);
bool json_is_null(struct slice value); /* or there is none */

/* Writes the characters of a string, terminated; cuts it, never within a character, where there is
 * no room. "" if it is no string. Returns the length. */
size_t json_text(struct slice value, char *out, size_t size);

#endif
