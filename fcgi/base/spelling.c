/* The edit distance of Damerau and Levenshtein, by its table. */
#include "base/spelling.h"

#include <string.h>

unsigned spelling_distance(const char *a, const char *b)
{
    unsigned d[SPELLING_MAX + 1][SPELLING_MAX + 1];
    size_t m = strlen(a), n = strlen(b);
    if (m > SPELLING_MAX || n > SPELLING_MAX)
        return SPELLING_MAX;
    for (size_t i = 0; i <= m; i++) {
        for (size_t j = 0; j <= n; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = (unsigned)(i + j);
                continue;
            }
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[m][n];
}

unsigned spelling_limit(const char *word)
{
    return strlen(word) < 4 ? 2 : 3;
}
