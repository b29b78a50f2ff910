#include "data/field.h"

#include <string.h>

static const struct {
    enum fn_suite suite;
    const char *name;
    size_t nonce, tag;
} suites[] = {
    {FN_SUITE_SM4_GCM, "sm4-gcm", FN_FIELD_GCM_NONCE, FN_FIELD_GCM_TAG},
    {FN_SUITE_SM4_CBC_HMAC, "sm4-cbc+hmac-sm3", FN_FIELD_CBC_NONCE, FN_FIELD_CBC_TAG},
};

static fn_err suite_lengths(unsigned suite, size_t *nonce, size_t *tag)
{
    for (size_t i = 0; i < FN_COUNT(suites); i++) {
        if (suites[i].suite != suite) continue;
        *nonce = suites[i].nonce;
        *tag = suites[i].tag;
        return FN_OK;
    }
    return FN_FAIL(FN_E_FIELD, "unknown suite %u", suite);
}

fn_err fn_suite_parse(enum fn_suite *suite, const char *name)
{
    for (size_t i = 0; i < FN_COUNT(suites); i++) {
        if (strcmp(suites[i].name, name)) continue;
        *suite = suites[i].suite;
        return FN_OK;
    }
    return FN_FAIL(FN_E_ARGUMENT, "suite \"%s\": sm4-gcm or sm4-cbc+hmac-sm3 expected", name);
}

const char *fn_suite_name(enum fn_suite suite)
{
    for (size_t i = 0; i < FN_COUNT(suites); i++)
        if (suites[i].suite == suite) return suites[i].name;
    return "none";
}

static bool ciphertext_fits(enum fn_suite suite, size_t n)
{
    if (suite == FN_SUITE_SM4_CBC_HMAC) return n >= 16 && n % 16 == 0 && n <= FN_FIELD_MOST + 16;
    return n <= FN_FIELD_MOST;
}

fn_err fn_field_write(struct fn_buf *out, const struct fn_field *field)
{
    size_t nonce, tag, before = out->n;
    uint8_t *p;
    FN_TRY(suite_lengths(field->suite, &nonce, &tag));
    if (field->nonce.n != nonce || field->tag.n != tag || !ciphertext_fits(field->suite, field->ciphertext.n))
        return FN_FAIL(FN_E_ARGUMENT, "suite %d with nonce %zu, ciphertext %zu, tag %zu", (int)field->suite,
                       field->nonce.n, field->ciphertext.n, field->tag.n);
    FN_TRY(fn_buf_reserve(out, FN_FIELD_HEADER + nonce + field->ciphertext.n + tag, &p));
    *p++ = FN_FIELD_MARK;
    *p++ = (uint8_t)field->suite;
    memcpy(p, field->key.b, 16);
    fn_put_be32(p + 16, field->version);
    memcpy(p + 20, field->nonce.p, nonce);
    p += 20 + nonce;
    if (field->ciphertext.n) memcpy(p, field->ciphertext.p, field->ciphertext.n);
    memcpy(p + field->ciphertext.n, field->tag.p, tag);
    out->n = before + FN_FIELD_HEADER + nonce + field->ciphertext.n + tag;
    return FN_OK;
}

static fn_err read_parts(struct fn_field *field, struct fn_cur *c)
{
    uint8_t mark, suite;
    size_t nonce, tag;
    FN_TRY(fn_cur_u8(c, &mark));
    if (mark != FN_FIELD_MARK) return FN_FAIL(FN_E_FIELD, "begins with %02x, expected f1", mark);
    FN_TRY(fn_cur_u8(c, &suite));
    FN_TRY(suite_lengths(suite, &nonce, &tag));
    field->suite = suite;
    FN_TRY(fn_cur_copy(c, field->key.b, sizeof field->key.b));
    FN_TRY(fn_cur_u32(c, &field->version));
    if (!field->version) return FN_FAIL(FN_E_FIELD, "key version 0");
    FN_TRY(fn_cur_take(c, nonce, &field->nonce));
    if (fn_cur_left(c) < tag)
        return FN_FAIL(FN_E_FIELD, "%zu bytes left for a tag of %zu", fn_cur_left(c), tag);
    FN_TRY(fn_cur_take(c, fn_cur_left(c) - tag, &field->ciphertext));
    if (!ciphertext_fits(field->suite, field->ciphertext.n))
        return FN_FAIL(FN_E_FIELD, "ciphertext of %zu bytes in suite %u", field->ciphertext.n, suite);
    return fn_cur_take(c, tag, &field->tag);
}

fn_err fn_field_read(struct fn_field *field, struct fn_bytes binary)
{
    struct fn_cur c = fn_cur(binary);
    fn_err err = read_parts(field, &c);
    return err == FN_OK || err == FN_E_FIELD ? err : FN_WRAP(FN_E_FIELD, "%zu bytes", binary.n);
}

fn_err fn_field_write_text(struct fn_buf *out, const struct fn_field *field)
{
    /* The binary form is laid behind the room that its text form takes. */
    size_t start = out->n;
    uint8_t *where;
    size_t binary = FN_FIELD_HEADER + field->nonce.n + field->ciphertext.n + field->tag.n;
    size_t text = FN_BASE64URL_SIZE(binary);
    FN_TRY(fn_buf_reserve(out, text + 1 + binary, &where));
    struct fn_buf behind = fn_buf_fixed(where + text + 1, binary);
    FN_TRY(fn_field_write(&behind, field));
    fn_base64url_encode((char *)where, behind.p, behind.n);
    out->n = start + text;
    return FN_OK;
}

fn_err fn_field_read_text(struct fn_field *field, struct fn_bytes text, struct fn_buf *storage)
{
    uint8_t *where;
    size_t room = text.n / 4 * 3 + 3, n;
    if (text.n > FN_BASE64URL_SIZE((size_t)FN_FIELD_MOST + 128))
        return FN_FAIL(FN_E_FIELD, "%zu characters are too many", text.n);
    FN_TRY(fn_buf_reserve(storage, room, &where));
    if (fn_base64url_decode(where, room, &n, (const char *)text.p, text.n) != FN_OK)
        return FN_WRAP(FN_E_FIELD, "not base64url");
    FN_TRY(fn_field_read(field, fn_bytes(where, n)));
    storage->n += n;
    return FN_OK;
}

bool fn_field_like(struct fn_bytes text)
{
    /* f1 01 and f1 02 in base64url; the third character holds two bits of the key's identity. */
    return text.n >= 67 && text.p[0] == '8' && text.p[1] == 'Q' && text.p[2] >= 'E' && text.p[2] <= 'L';
}

size_t fn_field_text_size(enum fn_suite suite, size_t n)
{
    size_t binary = suite == FN_SUITE_SM4_CBC_HMAC
                        ? FN_FIELD_HEADER + FN_FIELD_CBC_NONCE + (n / 16 + 1) * 16 + FN_FIELD_CBC_TAG
                        : FN_FIELD_HEADER + FN_FIELD_GCM_NONCE + n + FN_FIELD_GCM_TAG;
    return FN_BASE64URL_SIZE(binary);
}

fn_err fn_field_aad(struct fn_buf *out, struct fn_bytes table, struct fn_bytes column, uint64_t row,
                    uint64_t version)
{
    FN_TRY(fn_buf_var(out, table.p, table.n));
    FN_TRY(fn_buf_var(out, column.p, column.n));
    FN_TRY(fn_buf_u32(out, 8));
    FN_TRY(fn_buf_u64(out, row));
    FN_TRY(fn_buf_u32(out, 8));
    return fn_buf_u64(out, version);
}

fn_err fn_field_pad(struct fn_buf *out, struct fn_bytes clear)
{
    size_t pad = 16 - clear.n % 16;
    uint8_t *where;
    FN_TRY(fn_buf_add(out, clear.p, clear.n));
    FN_TRY(fn_buf_reserve(out, pad, &where));
    memset(where, (int)pad, pad);
    out->n += pad;
    return FN_OK;
}

fn_err fn_field_unpad(struct fn_bytes padded, struct fn_bytes *clear)
{
    /* Only reached after the MAC was found right, so that this tells nothing to somebody who makes
     * ciphertexts up. */
    if (!padded.n || padded.n % 16) return FN_FAIL(FN_E_FIELD, "%zu padded bytes", padded.n);
    size_t pad = padded.p[padded.n - 1];
    if (pad < 1 || pad > 16) return FN_FAIL(FN_E_FIELD, "bad padding");
    for (size_t i = padded.n - pad; i < padded.n; i++)
        if (padded.p[i] != pad) return FN_FAIL(FN_E_FIELD, "bad padding");
    *clear = fn_bytes(padded.p, padded.n - pad);
    return FN_OK;
}

fn_err fn_field_mac_message(struct fn_buf *out, const struct fn_uuid *key, uint32_t version,
                            struct fn_bytes aad, struct fn_bytes nonce, struct fn_bytes ciphertext)
{
    FN_TRY(fn_buf_u8(out, FN_FIELD_MARK));
    FN_TRY(fn_buf_u8(out, FN_SUITE_SM4_CBC_HMAC));
    FN_TRY(fn_buf_add(out, key->b, sizeof key->b));
    FN_TRY(fn_buf_u32(out, version));
    FN_TRY(fn_buf_var(out, aad.p, aad.n));
    FN_TRY(fn_buf_add(out, nonce.p, nonce.n));
    return fn_buf_add(out, ciphertext.p, ciphertext.n);
}
