/* Whether the store at hand is an older copy put back (issue: destroyed keys would live again). A store
 * carries its generation; what is compared with it: the device's log (dlog.c), the shares that unlock it
 * (share.c), the device-signed DIR/generation, and statements that somebody kept elsewhere and brings
 * (statement.check). A whole directory put back with everything in it looks right from inside; only the last
 * kind shows that. */
#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "device/persons.h"
#include <string.h>

#define STATEMENT_MOST 4096u
#define NOTE_PERIOD_MS 60000
#define NOTE_COMMITS   1024u

uint64_t fn_device_generation(const struct fn_device *d)
{
    return d->generation_before + fn_device_store_generation(d->store);
}

/* Of a device restored from a backup: it goes on counting where the backup stood, so that statements of
 * before and after compare. */
static void before_name(struct fn_record_name *name)
{
    fn_name_text(name, FN_RECORD_META, "generation.before");
}

fn_err fn_generation_open(struct fn_device *d)
{
    struct fn_record_name name;
    uint8_t storage[16];
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    before_name(&name);
    d->generation_before = 0;
    fn_err err = fn_device_store_get(d->store, &name, &value);
    if (err == FN_E_NOT_FOUND) return FN_OK;
    FN_TRY(err);
    if (value.n != 8) return FN_FAIL(FN_E_CORRUPT, "generation of the backup");
    d->generation_before = fn_get_be64(storage);
    return FN_OK;
}

fn_err fn_generation_follow(struct fn_device *d, struct fn_pending *p, uint64_t generation)
{
    struct fn_record_name name;
    uint8_t value[8];
    before_name(&name);
    fn_put_be64(value, generation);
    FN_TRY(fn_pending_put(p, &name, fn_bytes(value, 8)));
    d->generation_before = generation;
    return FN_OK;
}

static fn_err older(const struct fn_device *d, const char *what, uint64_t told)
{
    return FN_FAIL(FN_E_DEVICE_STORE_OLD, "store of generation %llu, %s says %llu",
                   (unsigned long long)fn_device_generation(d), what, (unsigned long long)told);
}

fn_err fn_device_verify(const struct fn_device *d, struct fn_bytes statement, const uint8_t signature[64])
{
    struct fn_sm3 h;
    uint8_t e[32];
    fn_sm3_init(&h);
    fn_sm3_update(&h, d->sign_z, 32);
    fn_sm3_update(&h, statement.p, statement.n);
    fn_sm3_final(&h, e);
    return fn_sm2_verify(&d->sign->pub, e, signature);
}

/* ---- DIR/generation ---- */

static fn_err note_write(struct fn_device *d, uint64_t generation)
{
    uint8_t storage[1024], signature[64];
    char time[FN_TIME_TEXT], path[4096];
    struct fn_buf statement = fn_buf_fixed(storage, 512), file = fn_buf_fixed(storage + 512, 512);
    fn_time_utc(time, fn_now_ms());
    FN_TRY(fn_buf_text(&statement, "{"));
    FN_TRY(fn_djson_put_member(&statement, "statement", "fengni generation 1"));
    FN_TRY(fn_djson_put_member(&statement, "device", d->serial));
    FN_TRY(fn_djson_put_member(&statement, "time", time));
    FN_TRY(fn_djson_put_number(&statement, "generation", (int64_t)generation));
    FN_TRY(fn_buf_text(&statement, "}"));
    FN_TRY(fn_device_sign(d, fn_device_rng(), fn_buf_view(&statement), signature));
    FN_TRY(fn_buf_text(&file, "{\"statement\":"));
    FN_TRY(fn_djson_put_text(&file, fn_buf_view(&statement)));
    FN_TRY(fn_djson_put_hex(&file, "signature", signature, sizeof signature));
    FN_TRY(fn_buf_text(&file, "}\n"));
    fn_path(d, "generation", path, sizeof path);
    return fn_files_replace(d->files, path, fn_buf_view(&file), 0600);
}

void fn_generation_note(struct fn_device *d, bool now)
{
    if (!d->sign || !d->store || atomic_load(&d->state) != FN_DEVICE_READY) return;
    uint64_t generation = fn_device_generation(d);
    int64_t at = fn_monotonic_ms();
    if (generation == d->generation_noted) return;
    if (!now && generation < d->generation_noted + NOTE_COMMITS &&
        at - d->generation_noted_ms < NOTE_PERIOD_MS)
        return;
    if (note_write(d, generation) != FN_OK) {
        fn_err_clear(); /* a full disk; the next one will tell */
        return;
    }
    d->generation_noted = generation;
    d->generation_noted_ms = at;
}

/* ---- statements, of whatever kind ---- */

static fn_err signature_member(const struct fn_djson_doc *doc, uint8_t signature[64])
{
    char text[132];
    size_t n;
    FN_TRY(fn_djson_member_text(doc, 0, "signature", NULL, text, sizeof text));
    FN_TRY(fn_hex_decode(signature, 64, &n, text, strlen(text)));
    return n == 64 ? FN_OK : FN_FAIL(FN_E_SIGNATURE, "%zu bytes", n);
}

/* A key said to be destroyed lives here, whatever the generation: the copy has gone on by itself. */
static fn_err destroyed_here(struct fn_device *d, const struct fn_djson_doc *told)
{
    struct fn_record_name name;
    struct fn_uuid uuid;
    char text[FN_UUID_TEXT + 1];
    int64_t version = 0;
    FN_TRY(fn_djson_member_text(told, 0, "key", NULL, text, sizeof text));
    FN_TRY(fn_uuid_parse(&uuid, text, strlen(text)));
    int at = fn_djson_member(told, 0, "version");
    if (at >= 0 && told->nodes[at].kind == FN_DJSON_NUMBER)
        FN_TRY(fn_djson_number(told, at, 1, UINT32_MAX, &version));
    fn_name_version(&name, FN_RECORD_DESTROYED, &uuid, (uint32_t)version);
    if (fn_device_store_has(d->store, &name)) return FN_OK;
    return FN_FAIL(FN_E_DEVICE_STORE_OLD, "key %s was destroyed and is not destroyed here", text);
}

static fn_err signed_text(struct fn_device *d, const struct fn_djson_doc *doc)
{
    struct fn_djson_doc *told FN_SCOPED_HEAP = NULL;
    char *text FN_SCOPED_HEAP = NULL;
    char kind[32], serial[FN_SERIAL_TEXT + 1];
    uint8_t signature[64];
    int64_t generation;
    FN_TRY(fn_heap_array(&text, STATEMENT_MOST, 1));
    FN_TRY(fn_heap_array(&told, 1, sizeof *told));
    FN_TRY(fn_djson_member_text(doc, 0, "statement", NULL, text, STATEMENT_MOST));
    FN_TRY(signature_member(doc, signature));
    FN_TRY(fn_device_verify(d, fn_bytes(text, strlen(text)), signature));
    FN_TRY(fn_djson_read(told, fn_bytes(text, strlen(text))));
    FN_TRY(fn_djson_member_text(told, 0, "statement", NULL, kind, sizeof kind));
    FN_TRY(fn_djson_member_text(told, 0, "device", NULL, serial, sizeof serial));
    FN_TRY(fn_djson_member_number(told, 0, "generation", 0, 0, INT64_MAX, &generation));
    if (strcmp(serial, d->serial) != 0) return FN_FAIL(FN_E_ARGUMENT, "statement of device %s", serial);
    if ((uint64_t)generation > fn_device_generation(d))
        return older(d, "a signed statement", (uint64_t)generation);
    if (strcmp(kind, "fengni destroyed 1") == 0) return destroyed_here(d, told);
    return FN_OK;
}

static fn_err anchor_text(struct fn_device *d, const struct fn_djson_doc *doc, int at)
{
    struct fn_anchor_receipt r = {0};
    char tenant[FN_NAME_MOST + 1], owner[FN_NAME_MOST + 1], name[257], hex[68];
    int64_t counter;
    size_t n;
    FN_TRY(fn_djson_member_text(doc, at, "tenant", "default", tenant, sizeof tenant));
    FN_TRY(fn_djson_member_text(doc, at, "owner", NULL, owner, sizeof owner));
    FN_TRY(fn_djson_member_text(doc, at, "name", NULL, name, sizeof name));
    FN_TRY(fn_djson_member_number(doc, at, "counter", 0, 0, INT64_MAX, &counter));
    FN_TRY(fn_djson_member_text(doc, at, "digest", NULL, hex, sizeof hex));
    FN_TRY(fn_hex_decode(r.digest, 32, &n, hex, strlen(hex)));
    if (n != 32) return FN_FAIL(FN_E_ARGUMENT, "digest of %zu bytes", n);
    FN_TRY(fn_djson_member_text(doc, at, "challenge", "", hex, sizeof hex));
    FN_TRY(fn_hex_decode(r.challenge, 32, &n, hex, strlen(hex)));
    if (n != 0 && n != 32) return FN_FAIL(FN_E_ARGUMENT, "challenge of %zu bytes", n);
    FN_TRY(signature_member(doc, r.signature));
    r.tenant = tenant;
    r.owner = fn_bytes(owner, strlen(owner));
    r.name = fn_bytes(name, strlen(name));
    r.counter = (uint64_t)counter;
    return fn_anchor_receipt_check(d, &r);
}

/* FN_E_DEVICE_STORE_OLD when the store does not know what the statement says. */
static fn_err evaluate(struct fn_device *d, const struct fn_djson_doc *doc)
{
    int anchor = fn_djson_member(doc, 0, "anchor");
    return anchor >= 0 ? anchor_text(d, doc, anchor) : signed_text(d, doc);
}

static fn_err evaluate_file(struct fn_device *d, const char *name)
{
    struct fn_djson_doc *doc FN_SCOPED_HEAP = NULL;
    struct fn_buf content FN_SCOPED_BUF = fn_buf_heap();
    char path[4096];
    fn_path(d, name, path, sizeof path);
    FN_TRY(fn_files_read_all(d->files, path, 2 * STATEMENT_MOST, &content));
    while (content.n && content.p[content.n - 1] == '\n') content.n--;
    FN_TRY(fn_heap_array(&doc, 1, sizeof *doc));
    FN_TRY(fn_djson_read(doc, fn_buf_view(&content)));
    return evaluate(d, doc);
}

fn_err fn_generation_check(struct fn_device *d)
{
    static const char *const names[] = {"generation", "refused"};
    for (size_t i = 0; i < FN_COUNT(names); i++) {
        char path[4096];
        fn_err err = evaluate_file(d, names[i]);
        if (err == FN_E_NOT_FOUND) {
            fn_err_clear();
            continue;
        }
        if (err == FN_E_DEVICE_STORE_OLD || err == FN_E_NO_MEMORY || err == FN_E_IO) return err;
        /* What is not signed by this device says nothing about its store; that it lies here is worth a
         * record. */
        if (err != FN_OK) fn_dlog_event(d, NULL, "generation.unreadable", names[i], err, NULL);
        fn_err_clear();
        fn_path(d, names[i], path, sizeof path);
        if (i == 1 && err == FN_OK && d->files->unlink(d->files, path) != FN_OK) fn_err_clear();
    }
    return FN_OK;
}

fn_err fn_verb_statement_check(struct fn_manage_call *c)
{
    struct fn_device *d = c->device;
    char path[4096];
    if (!d->store || !d->sign)
        return FN_FAIL(FN_E_DEVICE_STATE, "the device is %s", fn_state_name(atomic_load(&d->state)));
    fn_err err = evaluate(d, c->doc);
    if (err == FN_E_DEVICE_STORE_OLD) {
        /* Kept, so that a restart does not forget it; gone when a store is there that knows it. */
        fn_path(d, "refused", path, sizeof path);
        fn_err_pass(err, __FILE__, __LINE__);
        fn_life_exception(d, "the store is older than a signed statement");
        d->store_old = true;
        if (c->doc->text.n <= 2 * STATEMENT_MOST) (void)fn_files_replace(d->files, path, c->doc->text, 0600);
        return FN_FAIL(FN_E_DEVICE_STORE_OLD, "store of generation %llu",
                       (unsigned long long)fn_device_generation(d));
    }
    FN_TRY(err);
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_djson_put_bool(c->out, "known", true));
    FN_TRY(fn_djson_put_number(c->out, "generation", (int64_t)fn_device_generation(d)));
    return fn_buf_text(c->out, "}");
}
