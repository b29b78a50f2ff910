/* A skip list: ordered, so that names can be walked and a base written without sorting; an insertion
 * allocates nothing, so that a commit which is already durable cannot fail to become visible. */
#include "device/store_parts.h"

#include <string.h>

/* One level more with probability 1/4. */
static uint8_t draw_levels(void)
{
    static _Thread_local uint64_t x = 0x9e3779b97f4a7c15u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    int levels = 1 + __builtin_ctzll(x | 1ull << 40) / 2;
    return (uint8_t)(levels < FN_DSTORE_LEVELS ? levels : FN_DSTORE_LEVELS);
}

fn_err fn_dstore_node_new(struct fn_dstore_node **node, const uint8_t name[FN_DSTORE_NAME], bool removes,
                          uint32_t size)
{
    uint8_t levels = draw_levels();
    size_t links = levels * sizeof(struct fn_dstore_node *);
    size_t sealed = removes ? 0 : (size_t)size + FN_DSTORE_TAG;
    struct fn_dstore_node *n;
    FN_TRY(fn_heap_array(&n, sizeof *n + links + sealed, 1));
    memcpy(n->name, name, sizeof n->name);
    n->removes = removes;
    n->levels = levels;
    n->size = removes ? 0 : size;
    n->sealed = removes ? NULL : (uint8_t *)(n + 1) + links;
    *node = n;
    return FN_OK;
}

/* Links that lead to the first node not below the name (above it, unless `from`). */
static void search(const struct fn_dstore_overlay *o, const uint8_t *name, bool from,
                   struct fn_dstore_node *const *links[FN_DSTORE_LEVELS])
{
    struct fn_dstore_node *const *row = o->head;
    for (int level = FN_DSTORE_LEVELS - 1; level >= 0; level--) {
        for (const struct fn_dstore_node *n; (n = row[level]); row = n->next) {
            int order = memcmp(n->name, name, FN_DSTORE_NAME);
            if (from ? order >= 0 : order > 0) break;
        }
        links[level] = &row[level];
    }
}

const struct fn_dstore_node *fn_dstore_overlay_after(const struct fn_dstore_overlay *o,
                                                     const uint8_t name[FN_DSTORE_NAME], bool from)
{
    struct fn_dstore_node *const *links[FN_DSTORE_LEVELS];
    search(o, name, from, links);
    return *links[0];
}

const struct fn_dstore_node *fn_dstore_overlay_find(const struct fn_dstore_overlay *o,
                                                    const uint8_t name[FN_DSTORE_NAME])
{
    const struct fn_dstore_node *n = fn_dstore_overlay_after(o, name, true);
    return n && memcmp(n->name, name, FN_DSTORE_NAME) == 0 ? n : NULL;
}

static uint64_t weight(const struct fn_dstore_node *n)
{
    return sizeof *n + n->levels * sizeof n->next[0] + (n->removes ? 0 : n->size + FN_DSTORE_TAG);
}

static void unlink_at(struct fn_dstore_overlay *o, struct fn_dstore_node *const *links[FN_DSTORE_LEVELS],
                      struct fn_dstore_node *n)
{
    for (int level = 0; level < n->levels; level++) *(struct fn_dstore_node **)links[level] = n->next[level];
    o->count--;
    o->bytes -= weight(n);
    free(n);
}

void fn_dstore_overlay_drop(struct fn_dstore_overlay *o, const uint8_t name[FN_DSTORE_NAME])
{
    struct fn_dstore_node *const *links[FN_DSTORE_LEVELS];
    search(o, name, true, links);
    struct fn_dstore_node *n = *links[0];
    if (n && memcmp(n->name, name, FN_DSTORE_NAME) == 0) unlink_at(o, links, n);
}

void fn_dstore_overlay_put(struct fn_dstore_overlay *o, struct fn_dstore_node *node)
{
    struct fn_dstore_node *const *links[FN_DSTORE_LEVELS];
    search(o, node->name, true, links);
    struct fn_dstore_node *same = *links[0];
    if (same && memcmp(same->name, node->name, FN_DSTORE_NAME) == 0) unlink_at(o, links, same);
    for (int level = 0; level < node->levels; level++) {
        node->next[level] = *links[level];
        *(struct fn_dstore_node **)links[level] = node;
    }
    o->count++;
    o->bytes += weight(node);
}

void fn_dstore_overlay_absorb(struct fn_dstore_overlay *o, struct fn_dstore_overlay *newer)
{
    for (struct fn_dstore_node *n = newer->head[0], *next; n; n = next) {
        next = n->next[0];
        fn_dstore_overlay_put(o, n);
    }
    struct fn_dstore_seal **end = &o->seals;
    while (*end) end = &(*end)->next;
    *end = newer->seals;
    *newer = (struct fn_dstore_overlay){0};
}

void fn_dstore_overlay_clear(struct fn_dstore_overlay *o)
{
    for (struct fn_dstore_node *n = o->head[0], *next; n; n = next) {
        next = n->next[0];
        free(n);
    }
    for (struct fn_dstore_seal *s = o->seals, *next; s; s = next) {
        next = s->next;
        fn_secret_free(s);
    }
    *o = (struct fn_dstore_overlay){0};
}
