/* The storey that every parser stands on: text forms, the reading cursor, the growing buffer, times, the
 * formatter of errors. What a decoder accepts must come back as the same text; what an encoder writes must be
 * accepted. */
#include "base/core/clock.h"
#include "base/core/text.h"
#include "base/sys/heap.h"
#include "base/sys/json.h"
#include <stdlib.h>
#include <string.h>

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) abort();                                                                           \
    } while (0)

typedef fn_err decoder(void *out, size_t room, size_t *n, const char *text, size_t length);
typedef void encoder(char *out, const void *p, size_t n);

/* A room one byte short must be refused, and exactly as much must do. */
static void codec(const uint8_t *data, size_t size, decoder *decode, encoder *encode, size_t text_size,
                  bool fold_case)
{
    FN_SCOPED_HEAP uint8_t *bytes = malloc(size + 1);
    FN_SCOPED_HEAP char *text = malloc(text_size + size + 5);
    size_t n = SIZE_MAX, again = 0;
    if (decode(bytes, size, &n, (const char *)data, size) == FN_OK) {
        MUST(n <= size);
        encode(text, bytes, n);
        MUST(strlen(text) == size);
        if (size) MUST(fold_case ? !strncasecmp(text, (const char *)data, size) : !memcmp(text, data, size));
        if (n) MUST(decode(bytes, n - 1, &again, text, size) == FN_E_TOO_LARGE);
        MUST(decode(bytes, n, &again, text, size) == FN_OK && again == n);
    }
    encode(text, data, size);
    MUST(strlen(text) == text_size);
    MUST(decode(bytes, size, &n, text, text_size) == FN_OK && n == size &&
         (!size || !memcmp(bytes, data, size)));
}

static void uuid(const uint8_t *data, size_t size)
{
    struct fn_uuid u, v;
    char text[FN_UUID_TEXT + 1];
    if (fn_uuid_parse(&u, (const char *)data, size) != FN_OK) return;
    fn_uuid_format(text, &u);
    MUST(size == FN_UUID_TEXT && !strncasecmp(text, (const char *)data, size));
    MUST(fn_uuid_parse(&v, text, FN_UUID_TEXT) == FN_OK && !memcmp(&u, &v, sizeof u));
}

static void utf8(const uint8_t *data, size_t size)
{
    size_t bad = SIZE_MAX, bad2 = SIZE_MAX;
    bool good = fn_utf8_valid(fn_bytes(data, size), &bad);
    if (!good) MUST(bad < size && fn_utf8_valid(fn_bytes(data, bad), &bad2));
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    MUST(fn_json_text(&b, (const char *)data, size) == FN_OK);
    MUST(fn_utf8_valid(fn_buf_view(&b), &bad2) && b.n >= 2 && b.p[0] == '"' && b.p[b.n - 1] == '"');
    for (size_t i = 0; i < b.n; i++) MUST(b.p[i] >= 0x20);
}

static void times(const uint8_t *data, size_t size)
{
    fn_ms t, u;
    char text[FN_TIME_TEXT];
    if (fn_time_parse(&t, (const char *)data, size) == FN_OK) {
        fn_time_utc(text, t);
        /* An offset may lead out of the years of four digits. */
        if (strlen(text) == 24 && text[0] != '-') MUST(fn_time_parse(&u, text, 24) == FN_OK && u == t);
        fn_time_beijing(text, t);
    }
    if (size < 8) return;
    t = (fn_ms)fn_get_be64(data); /* any number may stand in a database */
    fn_time_utc(text, t);
    fn_time_beijing(text, t);
}

/* The data are steps: how to read on, then what is read. Moves of the cursor are followed by hand. */
static void cursor(const uint8_t *data, size_t size)
{
    struct fn_cur c = fn_cur(fn_bytes(data, size));
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    uint8_t op = 0, v8, copy[40];
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;
    struct fn_bytes view;
    while (fn_cur_u8(&c, &op) == FN_OK) {
        size_t before = fn_cur_offset(&c), most = op >> 3;
        fn_err err = FN_OK;
        switch (op & 7) {
        case 0:
            if ((err = fn_cur_u8(&c, &v8)) == FN_OK) MUST(!fn_buf_u8(&b, v8));
            break;
        case 1:
            if ((err = fn_cur_u16(&c, &v16)) == FN_OK) MUST(!fn_buf_u16(&b, v16));
            break;
        case 2:
            if ((err = fn_cur_u32(&c, &v32)) == FN_OK) MUST(!fn_buf_u32(&b, v32));
            break;
        case 3:
            if ((err = fn_cur_u64(&c, &v64)) == FN_OK) MUST(!fn_buf_u64(&b, v64));
            break;
        case 4:
            if ((err = fn_cur_take(&c, most, &view)) == FN_OK)
                MUST(view.n == most && !fn_buf_add(&b, view.p, view.n));
            break;
        case 5:
            if ((err = fn_cur_copy(&c, copy, most)) == FN_OK) MUST(!fn_buf_add(&b, copy, most));
            break;
        case 6:
            if ((err = fn_cur_var(&c, most, &view)) == FN_OK)
                MUST(view.n <= most && !fn_buf_var(&b, view.p, view.n));
            break;
        default:
            err = fn_cur_take(&c, SIZE_MAX - most, &view);
            MUST(err == FN_E_TRUNCATED);
        }
        if (err) MUST(fn_cur_offset(&c) == before);
        /* What was read and written again is what stood there. */
        size_t moved = fn_cur_offset(&c) - before;
        MUST(b.n >= moved && (!moved || !memcmp(b.p + b.n - moved, data + before, moved)));
        MUST(fn_cur_offset(&c) + fn_cur_left(&c) == size);
    }
    MUST(fn_cur_end(&c) == FN_OK);
}

/* A detail that quotes what came from outside is cut between characters and always ends. */
static void details(const uint8_t *data, size_t size)
{
    char text[FN_ERR_DETAIL];
    size_t wanted = fn_format(text, sizeof text, "%.*s", (int)size, (const char *)data);
    MUST(wanted <= size && strlen(text) == (wanted < sizeof text ? wanted : sizeof text - 1));
    size_t bad;
    (void)FN_FAIL(FN_E_FORMAT, "%.*s", (int)size, (const char *)data);
    const struct fn_err_cause *causes;
    MUST(fn_err_chain(&causes) == 1 && memchr(causes[0].detail, 0, FN_ERR_DETAIL));
    if (fn_utf8_valid(fn_bytes(data, wanted), &bad))
        MUST(fn_utf8_valid(fn_bytes(causes[0].detail, strlen(causes[0].detail)), &bad));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) data = NULL; /* no bytes are allowed to be nowhere */
    codec(data, size, fn_hex_decode, fn_hex_encode, FN_HEX_SIZE(size), true);
    codec(data, size, fn_base64_decode, fn_base64_encode, FN_BASE64_SIZE(size), false);
    codec(data, size, fn_base64url_decode, fn_base64url_encode, FN_BASE64URL_SIZE(size), false);
    uuid(data, size);
    utf8(data, size);
    times(data, size);
    cursor(data, size);
    details(data, size);
    return 0;
}
