#include "data/data.h"

#include "base/sys/file.h"
#include "base/sys/heap.h"
#include "base/sys/os_err.h"
#include "crypto/sm3/sm3.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define SEAL_MARK "fengni sealed file 1\n"
#define FILE_MARK "fengni file 1"
#define FILE_MOST (256u << 20)
#define SEAL_MOST 8192u
#define FILES_KEY "data/files"

/* What a seal says. */
struct seal {
    char *name;
    uint64_t counter, size;
    struct fn_data_key key;
    uint8_t mac[32];
};

static fn_err seal_mac(const struct fn_cipher *cipher, const struct seal *s, struct fn_bytes content,
                       uint8_t mac[32])
{
    FN_SCOPED_BUF struct fn_buf message = fn_buf_heap();
    uint8_t digest[32];
    fn_sm3_digest(content.p, content.n, digest);
    FN_TRY(fn_buf_add(&message, FILE_MARK, sizeof FILE_MARK));
    FN_TRY(fn_buf_var(&message, s->name, strlen(s->name)));
    FN_TRY(fn_buf_u64(&message, s->counter));
    FN_TRY(fn_buf_u64(&message, content.n));
    FN_TRY(fn_buf_add(&message, digest, sizeof digest));
    return fn_cipher_mac(cipher, &s->key, fn_buf_view(&message), mac);
}

/* The name is part of the anchor's only by its digest: names of any length and character. */
static void anchor_name(char out[64], const char *name)
{
    uint8_t digest[32];
    char hex[41];
    fn_sm3_digest(name, strlen(name), digest);
    fn_hex_encode(hex, digest, 20);
    fn_format(out, 64, "data/file/%s", hex);
}

static fn_err full_name(const char *path, const char *name, char **out)
{
    char whole[PATH_MAX];
    if (!name) name = realpath(path, whole);
    if (!name) return FN_FAIL_OS("%s", path);
    if (strlen(name) > 1024 || strchr(name, '\n')) return FN_FAIL(FN_E_ARGUMENT, "name of a sealed file");
    return fn_heap_text(out, name, strlen(name));
}

static fn_err write_seal(const struct seal *s, const char *path)
{
    FN_SCOPED_BUF struct fn_buf text = fn_buf_heap();
    char uuid[FN_UUID_TEXT + 1], hex[65];
    fn_uuid_format(uuid, &s->key.uuid);
    fn_hex_encode(hex, s->mac, 32);
    FN_TRY(fn_buf_format(&text, SEAL_MARK "name: %s\ncounter: %llu\nsize: %llu\nkey: %s %u\nmac: %s\n",
                         s->name, (unsigned long long)s->counter, (unsigned long long)s->size, uuid,
                         s->key.version, hex));
    return fn_files_replace(fn_files_real(), path, fn_buf_view(&text), 0644);
}

/* "word: value" of the next line; the text is changed in place. */
static fn_err line(char **text, const char *word, char **value)
{
    size_t n = strlen(word);
    char *end = strchr(*text, '\n');
    if (!end || strncmp(*text, word, n) || strncmp(*text + n, ": ", 2))
        return FN_FAIL(FN_E_FORMAT, "seal without \"%s\"", word);
    *end = 0;
    *value = *text + n + 2;
    *text = end + 1;
    return FN_OK;
}

static fn_err number(const char *text, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end ? FN_OK : FN_FAIL(FN_E_FORMAT, "number in a seal");
}

static fn_err parse_seal(struct seal *s, char *text)
{
    char *name, *counter, *size, *key, *mac;
    size_t n;
    uint64_t version;
    if (strncmp(text, SEAL_MARK, sizeof SEAL_MARK - 1)) return FN_FAIL(FN_E_FORMAT, "not a seal");
    text += sizeof SEAL_MARK - 1;
    FN_TRY(line(&text, "name", &name));
    FN_TRY(line(&text, "counter", &counter));
    FN_TRY(line(&text, "size", &size));
    FN_TRY(line(&text, "key", &key));
    FN_TRY(line(&text, "mac", &mac));
    if (*text) return FN_FAIL(FN_E_TRAILING, "seal");
    FN_TRY(number(counter, &s->counter));
    FN_TRY(number(size, &s->size));
    if (strlen(key) < FN_UUID_TEXT + 2 || key[FN_UUID_TEXT] != ' ')
        return FN_FAIL(FN_E_FORMAT, "key of a seal");
    FN_TRY(fn_uuid_parse(&s->key.uuid, key, FN_UUID_TEXT));
    FN_TRY(number(key + FN_UUID_TEXT + 1, &version));
    if (version < 1 || version > UINT32_MAX) return FN_FAIL(FN_E_FORMAT, "key version of a seal");
    s->key.version = (uint32_t)version;
    FN_TRY(fn_hex_decode(s->mac, sizeof s->mac, &n, mac, strlen(mac)));
    if (n != 32) return FN_FAIL(FN_E_FORMAT, "MAC of a seal");
    return fn_heap_text(&s->name, name, strlen(name));
}

static fn_err read_seal(struct seal *s, const char *path)
{
    FN_SCOPED_BUF struct fn_buf text = fn_buf_heap();
    FN_TRY(fn_files_read_all(fn_files_real(), path, SEAL_MOST, &text));
    FN_TRY(fn_buf_u8(&text, 0));
    fn_err err = parse_seal(s, (char *)text.p);
    return err == FN_OK || err == FN_E_NO_MEMORY ? err : FN_WRAP(FN_E_CORRUPT, "%s", path);
}

/* The file, its seal and its anchor agree. *ahead: the anchor was not yet moved to this seal. */
static fn_err check(const struct fn_cipher *cipher, const struct seal *s, const char *name,
                    struct fn_bytes content, bool *ahead)
{
    struct fn_data_key key;
    uint8_t mac[32], digest[32];
    uint64_t counter = 0;
    char anchor[64];
    FN_TRY(cipher->key(cipher->self, FILES_KEY, FN_DATA_KEY_MAC, false, &key));
    if (memcmp(key.uuid.b, s->key.uuid.b, 16)) return FN_FAIL(FN_E_CORRUPT, "the seal names another key");
    if (strcmp(name, s->name))
        return FN_FAIL(FN_E_CORRUPT, "the seal is of \"%s\", not of \"%s\"", s->name, name);
    FN_TRY(seal_mac(cipher, s, content, mac));
    if (s->size != content.n || !fn_equal_ct(mac, s->mac, 32))
        return FN_FAIL(FN_E_CORRUPT, "%s differs from its seal", name);
    anchor_name(anchor, name);
    fn_err err = cipher->anchor_get(cipher->self, anchor, &counter, digest);
    if (err != FN_OK && err != FN_E_NOT_FOUND) return err;
    if (s->counter < counter || (s->counter == counter && !fn_equal_ct(digest, s->mac, 32)))
        return FN_FAIL(FN_E_TABLE_OLD, "%s: sealed version %llu, the device knows %llu", name,
                       (unsigned long long)s->counter, (unsigned long long)counter);
    *ahead = s->counter > counter;
    return FN_OK;
}

static fn_err load(const struct fn_cipher *cipher, const char *path, const char *name, size_t most,
                   struct fn_buf *content)
{
    FN_SCOPED_HEAP char *whole = NULL, *beside = NULL;
    FN_TRY(full_name(path, name, &whole));
    FN_TRY(fn_heap_format(&beside, "%s.fnseal", path));
    struct seal s = {0};
    bool ahead = false;
    char anchor[64];
    uint64_t stands = 0;
    fn_err err = fn_files_read_all(fn_files_real(), path, most, content);
    if (err == FN_OK) err = read_seal(&s, beside);
    if (err == FN_OK) err = check(cipher, &s, whole, fn_buf_view(content), &ahead);
    /* A crash between seal and anchor is made good here. */
    anchor_name(anchor, whole);
    if (err == FN_OK && ahead) err = fn_cipher_anchor(cipher, anchor, &stands, s.counter, s.mac);
    free(s.name);
    return err;
}

fn_err fn_data_load_sealed(const struct fn_cipher *cipher, const char *path, const char *name, size_t most,
                           struct fn_buf *content)
{
    FN_SCOPED_BUF struct fn_buf own = fn_buf_heap();
    FN_TRY(load(cipher, path, name, most < FILE_MOST ? most : FILE_MOST, &own));
    return content ? fn_buf_add(content, own.p, own.n) : FN_OK;
}

static fn_err make_seal(const struct fn_cipher *cipher, struct seal *s, const char *path,
                        struct fn_bytes content)
{
    char anchor[64];
    uint8_t digest[32];
    uint64_t counter = 0;
    struct seal before = {0};
    FN_SCOPED_HEAP char *beside = NULL;
    FN_TRY(fn_heap_format(&beside, "%s.fnseal", path));
    FN_TRY(cipher->key(cipher->self, FILES_KEY, FN_DATA_KEY_MAC, true, &s->key));
    anchor_name(anchor, s->name);
    fn_err err = cipher->anchor_get(cipher->self, anchor, &counter, digest);
    if (err != FN_OK && err != FN_E_NOT_FOUND) return err;
    /* A seal that was written and not anchored has used its number. */
    if (read_seal(&before, beside) == FN_OK && before.counter > counter && before.counter < UINT64_MAX / 2)
        counter = before.counter;
    free(before.name);
    uint64_t stands = err == FN_OK ? counter : 0;
    s->counter = counter + 1;
    s->size = content.n;
    FN_TRY(seal_mac(cipher, s, content, s->mac));
    FN_TRY(write_seal(s, beside));
    return fn_cipher_anchor(cipher, anchor, &stands, s->counter, s->mac);
}

fn_err fn_data_seal_file(const struct fn_cipher *cipher, const char *path, const char *name,
                         uint64_t *counter)
{
    FN_SCOPED_BUF struct fn_buf content = fn_buf_heap();
    struct seal s = {0};
    FN_TRY(fn_files_read_all(fn_files_real(), path, FILE_MOST, &content));
    FN_TRY(full_name(path, name, &s.name));
    fn_err err = make_seal(cipher, &s, path, fn_buf_view(&content));
    if (err == FN_OK && counter) *counter = s.counter;
    free(s.name);
    return err;
}
