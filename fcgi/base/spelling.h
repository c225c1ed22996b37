/* How similar two words are, to suggest the one that was meant. Pure. */
#ifndef WORKERLESS_BASE_SPELLING_H
#define WORKERLESS_BASE_SPELLING_H

#define SPELLING_MAX 32 /* bytes of a word; a longer one is similar to none */

/* Edit distance: bytes to change, remove, insert or swap with their neighbour. SPELLING_MAX if one
 * of the words is too long. */
unsigned spelling_distance(const char *a, const char *b);

/* The distance that a suggestion must stay below. A short word is similar to too many. */
unsigned spelling_limit(const char *word);

#endif
