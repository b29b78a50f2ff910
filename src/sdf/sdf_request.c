#include "sdf/sdf_private.h"

#include <stdlib.h>
#include <string.h>

/* From the small array to the heap, wiping what is left behind: items carry data and passwords. */
static fn_err grow(struct fn_buf *b, size_t need)
{
    struct build *whole = (struct build *)((char *)b - offsetof(struct build, items));
    size_t room = need < 2 * b->room ? 2 * b->room : need;
    uint8_t *p = malloc(room);
    if (!p) return FN_FAIL(FN_E_NO_MEMORY, "request of %zu bytes", need);
    memcpy(p, b->p, b->n);
    fn_wipe(b->p, b->n);
    if (b->p != whole->small) free(b->p);
    b->p = p;
    b->room = room;
    return FN_OK;
}

void build_start(struct build *b)
{
    b->items = fn_buf_fixed(b->small, sizeof b->small);
    b->items.grow = grow;
    b->failed = FN_OK;
    b->epoch = 0;
}

void build_end(struct build *b)
{
    fn_wipe(b->items.p, b->items.n);
    if (b->items.p != b->small) free(b->items.p);
}

static void note(struct build *b, fn_err failed)
{
    if (b->failed == FN_OK) b->failed = failed;
}

void put_u8(struct build *b, uint8_t v)
{
    note(b, fn_buf_u8(&b->items, v));
}
void put_u16(struct build *b, uint16_t v)
{
    note(b, fn_buf_u16(&b->items, v));
}
void put_u32(struct build *b, uint32_t v)
{
    note(b, fn_buf_u32(&b->items, v));
}
void put_u64(struct build *b, uint64_t v)
{
    note(b, fn_buf_u64(&b->items, v));
}
void put_raw(struct build *b, const void *p, size_t n)
{
    note(b, fn_buf_add(&b->items, p, n));
}
void put_var(struct build *b, const void *p, size_t n)
{
    note(b, fn_buf_var(&b->items, p, n));
}
void put_index(struct build *b, uint32_t index, enum fn_key_half half)
{
    note(b, fn_client_put_index(&b->items, index, half));
}

void put_key(struct build *b, const struct sdf_key *key)
{
    put_var(b, key->ref, key->ref_size);
    if (key->epoch && b->epoch && b->epoch != key->epoch)
        note(b, FN_FAIL(FN_E_KEY_HANDLE, "keys of different connections"));
    if (key->epoch) b->epoch = key->epoch;
}

void put_external(struct build *b, uint32_t algorithm, const uint8_t *key, size_t n)
{
    note(b, fn_client_put_external(&b->items, algorithm, fn_bytes(key, n)));
}

int sdf_call(struct sdf_session *s, uint16_t operation, struct build *b, struct answer *a)
{
    if (b->failed != FN_OK) return sdf_code(b->failed);
    fn_err failed =
        fn_client_call_in(s->client, b->epoch, s->number, operation, 1, fn_buf_view(&b->items), &a->response);
    if (failed != FN_OK) return sdf_code(failed);
    a->cur = fn_cur(a->response.items);
    failed = fn_client_item_status(&a->cur);
    if (failed == FN_E_FORMAT || failed == FN_E_TRUNCATED) return SDR_COMMFAIL;
    return sdf_code(failed);
}

void answer_end(struct answer *a)
{
    fn_client_response_free(&a->response);
}

uint32_t take_u32(struct answer *a)
{
    uint32_t v = 0;
    if (a->failed == FN_OK) a->failed = fn_cur_u32(&a->cur, &v);
    return v;
}

uint64_t take_u64(struct answer *a)
{
    uint64_t v = 0;
    if (a->failed == FN_OK) a->failed = fn_cur_u64(&a->cur, &v);
    return v;
}

struct fn_bytes take_var(struct answer *a)
{
    struct fn_bytes v = {0};
    if (a->failed == FN_OK) a->failed = fn_cur_var(&a->cur, 2 * FN_DEVICE_FRAME_MOST, &v);
    return v;
}

void take_exact(struct answer *a, void *out, size_t n)
{
    struct fn_bytes v = take_var(a);
    if (a->failed == FN_OK && v.n != n) a->failed = FN_FAIL(FN_E_FORMAT, "%zu bytes instead of %zu", v.n, n);
    if (a->failed == FN_OK)
        memcpy(out, v.p, n);
    else
        memset(out, 0, n);
}

int answer_code(struct answer *a)
{
    if (a->failed == FN_OK) a->failed = fn_cur_end(&a->cur);
    return a->failed == FN_OK ? SDR_OK : SDR_COMMFAIL;
}

static int new_key(struct sdf_session *s, const void *ref, size_t n, uint64_t epoch, uint64_t handle,
                   void **phKeyHandle)
{
    struct sdf_key *k = sdf_object_new(OBJECT_KEY, sizeof *k, &s->object);
    if (!k) return SDR_NOBUFFER;
    void *name = k->object.handle;
    k->ref = malloc(n);
    if (!k->ref) {
        sdf_object_close(name, OBJECT_KEY);
        sdf_object_release(&k->object);
        return SDR_NOBUFFER;
    }
    memcpy(k->ref, ref, n);
    k->ref_size = n;
    k->epoch = epoch;
    k->handle = handle;
    *phKeyHandle = name;
    sdf_object_release(&k->object);
    return SDR_OK;
}

int sdf_new_session_key(struct sdf_session *s, struct answer *a, uint64_t handle, void **phKeyHandle)
{
    uint8_t ref[9] = {FN_KEY_HANDLE};
    fn_put_be64(ref + 1, handle);
    return new_key(s, ref, sizeof ref, a->response.epoch, handle, phKeyHandle);
}

int sdf_new_reference(struct sdf_session *s, const void *ref, size_t n, void **phKeyHandle)
{
    return new_key(s, ref, n, 0, 0, phKeyHandle);
}
