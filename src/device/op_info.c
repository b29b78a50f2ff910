/* What a client may ask in every state: who am I, what is this device, how is it. */
#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/secret.h"
#include "device/json.h"
#include "device/manage.h"
#include "device/sgd.h"
#include <openssl/crypto.h>
#include <string.h>

const char *fn_state_name(int state)
{
    switch (state) {
    case FN_DEVICE_INITIAL:
        return "INITIAL";
    case FN_DEVICE_READY:
        return "READY";
    case FN_DEVICE_LOCKED:
        return "LOCKED";
    default:
        return "EXCEPTION";
    }
}

fn_err fn_hello(struct fn_device *d, const char *tenant, const char *application, uint32_t version,
                struct fn_buf *out)
{
    if (version != FN_DEVICE_PROTOCOL_VERSION)
        return FN_FAIL(FN_E_VERSION, "client speaks %u, device %d", version, FN_DEVICE_PROTOCOL_VERSION);
    FN_TRY(fn_buf_u32(out, FN_DEVICE_PROTOCOL_VERSION));
    FN_TRY(fn_buf_u32(out, FN_DEVICE_FRAME_MOST));
    FN_TRY(fn_buf_u32(out, FN_DEVICE_VECTOR_MOST));
    FN_TRY(fn_buf_u32(out, FN_DEVICE_OUTSTANDING_MOST));
    FN_TRY(fn_buf_add(out, d->boot.b, 16));
    FN_TRY(fn_buf_u32(out, (uint32_t)atomic_load(&d->state)));
    FN_TRY(fn_buf_var(out, tenant, strlen(tenant)));
    return fn_buf_var(out, application, strlen(application));
}

void fn_run_HELLO(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct fn_identity *who = items[i]->request->who;
        fn_item_fail(items[i],
                     fn_hello(fn_work_device(w), who ? who->tenant : "", who ? who->application : "",
                              (uint32_t)items[i]->f[0].n, &items[i]->out));
    }
}

/* DEVICEINFO of GM/T 0018 5.1 with big-endian numbers. */
fn_err fn_info(struct fn_device *d, struct fn_buf *out)
{
    uint8_t info[100] = {0};
    memcpy(info, "Fengni", 6);
    memcpy(info + 40, "fengni-device", 13);
    memcpy(info + 56, d->serial, strlen(d->serial));
    fn_put_be32(info + 72, 0x00000100);
    fn_put_be32(info + 76, 2);
    fn_put_be32(info + 80, FN_SGD_RSA | FN_SGD_SM2 | 0x200 | 0x400 | 0x800);
    fn_put_be32(info + 84, 256 | 2048 | 3072);
    fn_put_be32(info + 88, FN_SGD_SM4_ECB | FN_SGD_SM4_CBC | FN_SGD_SM4_CFB | FN_SGD_SM4_OFB |
                               FN_SGD_SM4_MAC | FN_SGD_SM4_CTR | FN_SGD_SM4_XTS | FN_SGD_SM4_GCM |
                               FN_SGD_SM4_CCM);
    fn_put_be32(info + 92, FN_SGD_SM3 | FN_SGD_SHA256);
    fn_put_be32(info + 96, FN_DEVICE_FRAME_MOST - 4096);
    return fn_buf_var(out, info, sizeof info);
}

void fn_run_INFO(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) fn_item_fail(items[i], fn_info(fn_work_device(w), &items[i]->out));
}

fn_err fn_capabilities(struct fn_buf *json)
{
    FN_TRY(fn_buf_text(json, "{"));
    for (size_t i = 0; fn_operation_at(i); i++)
        FN_TRY(fn_djson_put_member(json, fn_operation_at(i)->name, "native"));
    return fn_buf_text(json, "}");
}

void fn_run_CAPABILITIES(struct fn_work *w, struct fn_item **items, size_t n)
{
    (void)w;
    for (size_t i = 0; i < n; i++) {
        struct fn_buf json = fn_buf_arena();
        fn_err err = fn_capabilities(&json);
        if (err == FN_OK) err = fn_buf_var(&items[i]->out, json.p, json.n);
        fn_item_fail(items[i], err);
    }
}

static const char *verdict(int v)
{
    return v == 1 ? "good" : v == 2 ? "bad" : "not run";
}

static fn_err status_tests(struct fn_device *d, struct fn_buf *out)
{
    FN_TRY(fn_djson_put_name(out, "self_test"));
    FN_TRY(fn_buf_text(out, "{"));
    FN_TRY(fn_djson_put_member(out, "algorithms", verdict(atomic_load(&d->test.algorithms))));
    FN_TRY(fn_djson_put_member(out, "random", verdict(atomic_load(&d->test.random))));
    FN_TRY(fn_djson_put_member(out, "keys", verdict(atomic_load(&d->test.keys))));
    FN_TRY(fn_djson_put_member(out, "service", verdict(atomic_load(&d->test.service))));
    FN_TRY(fn_djson_put_number(out, "at_ms", atomic_load(&d->test.at_ms)));
    if (d->test.detail[0]) FN_TRY(fn_djson_put_member(out, "detail", d->test.detail));
    return fn_buf_text(out, "}");
}

static fn_err status_store(struct fn_device *d, struct fn_buf *out)
{
    uint64_t records;
    size_t cached;
    fn_dlog_figures(d, &records);
    fn_keys_count(d, &cached);
    FN_TRY(fn_djson_put_number(out, "generation", (int64_t)fn_device_generation(d)));
    FN_TRY(fn_djson_put_number(out, "keys", (int64_t)fn_device_store_count(d->store, FN_RECORD_KEY_HEAD)));
    FN_TRY(fn_djson_put_number(out, "keys_destroyed",
                               (int64_t)fn_device_store_count(d->store, FN_RECORD_DESTROYED)));
    FN_TRY(fn_djson_put_number(out, "keys_in_clear", (int64_t)cached));
    FN_TRY(fn_djson_put_number(out, "anchors", (int64_t)fn_device_store_count(d->store, FN_RECORD_ANCHOR)));
    FN_TRY(fn_djson_put_number(out, "files", (int64_t)fn_device_store_count(d->store, FN_RECORD_FILE)));
    FN_TRY(fn_djson_put_number(out, "log_records", (int64_t)records));
    FN_TRY(fn_djson_put_bool(out, "last_stop_clean", d->store_report.clean));
    return fn_djson_put_number(out, "open_ms", d->open_ms);
}

static fn_err status_process(struct fn_device *d, struct fn_buf *out)
{
    struct fn_secret_figures figures;
    fn_secret_figures(&figures);
    FN_TRY(fn_djson_put_number(out, "threads", d->options.threads));
    FN_TRY(fn_djson_put_number(out, "connections", (int64_t)atomic_load(&d->connections)));
    FN_TRY(fn_djson_put_number(out, "sessions", (int64_t)atomic_load(&d->sessions)));
    FN_TRY(fn_djson_put_number(out, "operations", (int64_t)atomic_load(&d->operations)));
    FN_TRY(fn_djson_put_number(out, "refusals", (int64_t)atomic_load(&d->refusals)));
    FN_TRY(fn_djson_put_number(out, "locked_bytes", (int64_t)figures.locked_bytes));
    FN_TRY(fn_djson_put_number(out, "unlocked_bytes", (int64_t)figures.unlocked_bytes));
    FN_TRY(fn_djson_put_bool(out, "secure_heap_locked", d->secure_heap_locked));
    FN_TRY(fn_djson_put_number(out, "secure_heap_used", (int64_t)CRYPTO_secure_used()));
    FN_TRY(fn_djson_put_bool(out, "seccomp", d->confined_seccomp));
    return fn_djson_put_bool(out, "landlock", d->confined_landlock);
}

fn_err fn_status_json(struct fn_device *d, bool management, struct fn_buf *out)
{
    int state = atomic_load(&d->state);
    struct fn_buf sources FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(fn_buf_text(out, "{"));
    FN_TRY(fn_djson_put_member(out, "state", fn_state_name(state)));
    FN_TRY(fn_djson_put_member(out, "serial", d->serial));
    FN_TRY(fn_djson_put_member(out, "version", FN_VERSION));
    FN_TRY(fn_djson_put_member(out, "separation", d->separation_weak ? "weak" : "strong"));
    FN_TRY(fn_djson_put_bool(out, "unattended", d->unattended));
    FN_TRY(fn_djson_put_bool(out, "test_tenants", fn_clients_test(d)));
    FN_TRY(fn_djson_put_number(out, "uptime_ms", fn_monotonic_ms() - d->started_ms));
    FN_TRY(fn_device_random_names(fn_device_random_source(), &sources));
    FN_TRY(fn_djson_put_name(out, "random_sources"));
    FN_TRY(fn_djson_put_text(out, fn_buf_view(&sources)));
    FN_TRY(fn_djson_put_bool(out, "random_degraded", fn_device_random_degraded()));
    FN_TRY(status_tests(d, out));
    if (state == FN_DEVICE_READY) FN_TRY(status_store(d, out));
    if (state == FN_DEVICE_LOCKED) FN_TRY(fn_life_locked_json(d, out));
    if (management) FN_TRY(status_process(d, out));
    return fn_buf_text(out, "}");
}

void fn_run_STATUS(struct fn_work *w, struct fn_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct fn_buf json = fn_buf_arena();
        fn_err err = fn_status_json(fn_work_device(w), false, &json);
        if (err == FN_OK) err = fn_buf_var(&items[i]->out, json.p, json.n);
        fn_item_fail(items[i], err);
    }
}
