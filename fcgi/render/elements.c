#include "render/elements.h"

#include "base/byte.h"

#define NAME_MAX_LEN 14 /* of the longest name in the table, "annotation-xml" */

struct row {
    const char *name;
    unsigned traits;
};

/* In the order of strcmp. Other elements have no traits. */
static const struct row rows[] = {
    {"annotation-xml", ELEMENT_ANNOTATION},
    {"area", ELEMENT_VOID},
    {"b", ELEMENT_BREAKOUT},
    {"base", ELEMENT_VOID | ELEMENT_HEAD},
    {"basefont", ELEMENT_VOID | ELEMENT_HEAD},
    {"bgsound", ELEMENT_VOID | ELEMENT_HEAD},
    {"big", ELEMENT_BREAKOUT},
    {"blockquote", ELEMENT_BREAKOUT},
    {"body", ELEMENT_BREAKOUT | ELEMENT_PAGE},
    {"br", ELEMENT_BREAKOUT | ELEMENT_VOID},
    {"center", ELEMENT_BREAKOUT},
    {"code", ELEMENT_BREAKOUT},
    {"col", ELEMENT_VOID | ELEMENT_COLUMN},
    {"dd", ELEMENT_BREAKOUT},
    {"desc", ELEMENT_SVG_POINT},
    {"div", ELEMENT_BREAKOUT},
    {"dl", ELEMENT_BREAKOUT},
    {"dt", ELEMENT_BREAKOUT},
    {"em", ELEMENT_BREAKOUT},
    {"embed", ELEMENT_BREAKOUT | ELEMENT_VOID},
    {"font", ELEMENT_FONT},
    {"foreignobject", ELEMENT_SVG_POINT},
    {"frame", ELEMENT_VOID},
    {"frameset", ELEMENT_PAGE},
    {"h1", ELEMENT_BREAKOUT},
    {"h2", ELEMENT_BREAKOUT},
    {"h3", ELEMENT_BREAKOUT},
    {"h4", ELEMENT_BREAKOUT},
    {"h5", ELEMENT_BREAKOUT},
    {"h6", ELEMENT_BREAKOUT},
    {"head", ELEMENT_BREAKOUT | ELEMENT_PAGE},
    {"hr", ELEMENT_BREAKOUT | ELEMENT_VOID},
    {"html", ELEMENT_PAGE},
    {"i", ELEMENT_BREAKOUT},
    {"iframe", ELEMENT_RAW},
    {"image", ELEMENT_VOID},
    {"img", ELEMENT_BREAKOUT | ELEMENT_VOID},
    {"input", ELEMENT_VOID},
    {"keygen", ELEMENT_VOID},
    {"li", ELEMENT_BREAKOUT},
    {"link", ELEMENT_VOID | ELEMENT_HEAD},
    {"listing", ELEMENT_BREAKOUT},
    {"malignmark", ELEMENT_GLYPH},
    {"math", ELEMENT_MATH},
    {"menu", ELEMENT_BREAKOUT},
    {"meta", ELEMENT_BREAKOUT | ELEMENT_VOID | ELEMENT_HEAD},
    {"mglyph", ELEMENT_GLYPH},
    {"mi", ELEMENT_MATH_TEXT},
    {"mn", ELEMENT_MATH_TEXT},
    {"mo", ELEMENT_MATH_TEXT},
    {"ms", ELEMENT_MATH_TEXT},
    {"mtext", ELEMENT_MATH_TEXT},
    {"nobr", ELEMENT_BREAKOUT},
    {"noembed", ELEMENT_RAW},
    {"noframes", ELEMENT_RAW | ELEMENT_HEAD},
    {"noscript", ELEMENT_NOSCRIPT},
    {"ol", ELEMENT_BREAKOUT},
    {"p", ELEMENT_BREAKOUT},
    {"param", ELEMENT_VOID},
    {"plaintext", ELEMENT_PLAINTEXT},
    {"pre", ELEMENT_BREAKOUT},
    {"ruby", ELEMENT_BREAKOUT},
    {"s", ELEMENT_BREAKOUT},
    {"script", ELEMENT_SCRIPT | ELEMENT_HEAD},
    {"select", ELEMENT_SELECT},
    {"small", ELEMENT_BREAKOUT},
    {"source", ELEMENT_VOID},
    {"span", ELEMENT_BREAKOUT},
    {"strike", ELEMENT_BREAKOUT},
    {"strong", ELEMENT_BREAKOUT},
    {"style", ELEMENT_RAW | ELEMENT_HEAD},
    {"sub", ELEMENT_BREAKOUT},
    {"sup", ELEMENT_BREAKOUT},
    {"svg", ELEMENT_SVG},
    {"table", ELEMENT_BREAKOUT},
    {"template", ELEMENT_TEMPLATE | ELEMENT_HEAD},
    {"textarea", ELEMENT_RAW},
    {"title", ELEMENT_RAW | ELEMENT_HEAD | ELEMENT_SVG_POINT},
    {"track", ELEMENT_VOID},
    {"tt", ELEMENT_BREAKOUT},
    {"u", ELEMENT_BREAKOUT},
    {"ul", ELEMENT_BREAKOUT},
    {"var", ELEMENT_BREAKOUT},
    {"wbr", ELEMENT_VOID},
    {"xmp", ELEMENT_RAW},
};

unsigned element_traits(struct slice name)
{
    char lower[NAME_MAX_LEN + 1];
    if (name.len > NAME_MAX_LEN || memchr(name.data, '\0', name.len))
        return 0;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = byte_to_lower(name.data[i]);
    lower[name.len] = '\0';
    size_t first = 0, count = sizeof rows / sizeof *rows;
    while (count > 0) {
        size_t middle = first + count / 2;
        int order = strcmp(lower, rows[middle].name);
        if (order == 0)
            return rows[middle].traits;
        if (order > 0) {
            first = middle + 1;
            count -= count / 2 + 1;
        } else {
            count /= 2;
        }
    }
    return 0;
}
