#include "device/store_parts.h"

#include "base/sys/os_err.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define WINDOW (1u << 20)

fn_err fn_dstore_random(void *out, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = getrandom((uint8_t *)out + done, n - done, 0);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return FN_FAIL_OS("random salt");
        done += (size_t)r;
    }
    return FN_OK;
}

void fn_dstore_derive(const struct fn_hmac_key *from, const char *label, struct fn_bytes salt,
                      struct fn_bytes more, uint8_t out[FN_DSTORE_MAC])
{
    struct fn_hmac m;
    fn_hmac_init(&m, from);
    fn_hmac_update(&m, label, strlen(label) + 1); /* the NUL ends the label */
    if (salt.n) fn_hmac_update(&m, salt.p, salt.n);
    if (more.n) fn_hmac_update(&m, more.p, more.n);
    fn_hmac_final(&m, out);
}

fn_err fn_dstore_root_new(struct fn_dstore_root **root, const struct fn_device_store_keys *keys)
{
    FN_TRY(fn_secret_alloc(root, sizeof **root));
    fn_hmac_key_init(&(*root)->seal, keys->seal, sizeof keys->seal);
    fn_hmac_key_init(&(*root)->mac, keys->mac, sizeof keys->mac);
    uint8_t half[FN_DSTORE_MAC], id[FN_DSTORE_MAC];
    fn_dstore_derive(&(*root)->seal, "key id", fn_bytes(NULL, 0), fn_bytes(NULL, 0), half);
    fn_dstore_derive(&(*root)->mac, "key id", fn_bytes(half, sizeof half), fn_bytes(NULL, 0), id);
    memcpy((*root)->id, id, sizeof(*root)->id);
    return FN_OK;
}

fn_err fn_dstore_path(char **path, const struct fn_dstore_home *home, const char *stem, uint64_t generation)
{
    return fn_heap_format(path, "%s/%s.%llu", home->directory, stem, (unsigned long long)generation);
}

fn_err fn_dstore_open_new(const struct fn_dstore_home *home, const char *stem, int *handle)
{
    FN_SCOPED_HEAP char *path = NULL;
    FN_TRY(fn_heap_format(&path, "%s/%s.new", home->directory, stem));
    unsigned flags = FN_FILE_READ | FN_FILE_WRITE | FN_FILE_CREATE | FN_FILE_TRUNCATE;
    return home->files->open(home->files, path, flags, 0600, handle);
}

void fn_dstore_unlink_new(const struct fn_dstore_home *home, const char *stem)
{
    FN_SCOPED_HEAP char *path = NULL;
    if (fn_heap_format(&path, "%s/%s.new", home->directory, stem) == FN_OK)
        home->files->unlink(home->files, path);
}

fn_err fn_dstore_place(const struct fn_dstore_home *home, const char *stem, uint64_t generation)
{
    FN_SCOPED_HEAP char *from = NULL, *to = NULL;
    FN_TRY(fn_heap_format(&from, "%s/%s.new", home->directory, stem));
    FN_TRY(fn_dstore_path(&to, home, stem, generation));
    return home->files->rename(home->files, from, to);
}

fn_err fn_dstore_window_get(struct fn_dstore_window *w, uint64_t offset, size_t n, const uint8_t **p,
                            size_t *got)
{
    if (offset < w->offset || offset - w->offset > w->buf.n || w->buf.n - (size_t)(offset - w->offset) < n) {
        size_t want = n > WINDOW ? n : WINDOW, read;
        uint8_t *where;
        w->buf.n = 0;
        w->offset = offset;
        FN_TRY(fn_buf_reserve(&w->buf, want, &where));
        FN_TRY(w->files->read(w->files, w->handle, offset, where, want, &read));
        w->buf.n = read;
    }
    size_t left = w->buf.n - (size_t)(offset - w->offset);
    *p = w->buf.p + (offset - w->offset);
    *got = left < n ? left : n;
    return FN_OK;
}

fn_err fn_dstore_name(const struct fn_record_name *name, uint8_t out[FN_DSTORE_NAME])
{
    if (!name->kind || name->kind >= FN_RECORD_KINDS || name->n > FN_RECORD_NAME_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "record kind %u, name of %u bytes", name->kind, name->n);
    memset(out, 0, FN_DSTORE_NAME);
    out[0] = name->kind;
    memcpy(out + 1, name->b, name->n);
    out[FN_DSTORE_NAME - 1] = name->n;
    return FN_OK;
}

struct fn_record_name fn_dstore_name_back(const uint8_t name[FN_DSTORE_NAME])
{
    struct fn_record_name back = {.kind = name[0], .n = name[FN_DSTORE_NAME - 1]};
    memcpy(back.b, name + 1, sizeof back.b);
    return back;
}

bool fn_dstore_name_valid(const uint8_t name[FN_DSTORE_NAME])
{
    size_t n = name[FN_DSTORE_NAME - 1];
    if (!name[0] || name[0] >= FN_RECORD_KINDS || n > FN_RECORD_NAME_MOST) return false;
    for (size_t i = n; i < FN_RECORD_NAME_MOST; i++)
        if (name[1 + i]) return false;
    return true;
}

void fn_dstore_batch_add(struct fn_dstore_batch *b, const struct fn_gcm_key *key,
                         const uint8_t name[FN_DSTORE_NAME], uint64_t generation, uint64_t nonce,
                         uint32_t nonce_low, const uint8_t *in, uint8_t *out, size_t n, uint8_t *tag)
{
    size_t i = b->count++;
    fn_put_be64(b->nonces[i], nonce);
    fn_put_be32(b->nonces[i] + 8, nonce_low);
    memcpy(b->aads[i], name, FN_DSTORE_NAME);
    fn_put_be64(b->aads[i] + FN_DSTORE_NAME, generation);
    b->jobs[i] = (struct fn_gcm_job){
        .key = key,
        .nonce = fn_bytes(b->nonces[i], sizeof b->nonces[i]),
        .aad = fn_bytes(b->aads[i], sizeof b->aads[i]),
        .in = in,
        .out = out,
        .n = n,
        .tag = tag,
        .tag_size = FN_DSTORE_TAG,
    };
}
