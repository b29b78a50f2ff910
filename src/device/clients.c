/* The client table: which uid is which application of which tenant. Connections are recognised by it and by
 * nothing else. */
#include "base/sys/heap.h"
#include "device/device.h"
#include "device/json.h"
#include <string.h>

static fn_err text_check(const char *text, const char *what)
{
    size_t n = strlen(text);
    if (n < 1 || n > FN_NAME_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "%s of %zu bytes, 1 to %u", what, n, FN_NAME_MOST);
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)text[i] < 0x21 || text[i] == ',' || text[i] == '"')
            return FN_FAIL(FN_E_ARGUMENT, "character %02x in %s", (uint8_t)text[i], what);
    return FN_OK;
}

static fn_err identity_make(uint32_t uid, const char *tenant, const char *application, bool test,
                            struct fn_identity **out)
{
    struct fn_identity *who;
    struct fn_sm3 h;
    uint8_t hash[32];
    FN_TRY(text_check(tenant, "tenant"));
    FN_TRY(text_check(application, "application"));
    FN_TRY(fn_heap_array(&who, 1, sizeof *who));
    who->uid = uid;
    who->test = test;
    memcpy(who->tenant, tenant, strlen(tenant) + 1);
    memcpy(who->application, application, strlen(application) + 1);
    fn_sm3_digest(tenant, strlen(tenant), hash);
    memcpy(who->tenant_hash, hash, 16);
    fn_sm3_init(&h);
    fn_sm3_update(&h, tenant, strlen(tenant) + 1);
    fn_sm3_update(&h, application, strlen(application));
    fn_sm3_final(&h, hash);
    memcpy(who->client, hash, 16);
    *out = who;
    return FN_OK;
}

static void table_add(struct fn_device *d, struct fn_identity *who)
{
    pthread_mutex_lock(&d->clients_mutex);
    for (struct fn_identity *i = d->clients; i; i = i->next)
        if (i->uid == who->uid) atomic_store(&i->gone, true);
    who->next = d->clients;
    d->clients = who;
    pthread_mutex_unlock(&d->clients_mutex);
    atomic_fetch_add(&d->clients_version, 1);
}

static void client_name(struct fn_record_name *name, uint32_t uid)
{
    *name = (struct fn_record_name){.kind = FN_RECORD_CLIENT, .n = 4};
    fn_put_be32(name->b, uid);
}

static fn_err found_client(void *context, const struct fn_record_name *name)
{
    struct fn_device *d = context;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    struct fn_bytes tenant, application;
    struct fn_identity *who;
    char texts[2][FN_NAME_MOST + 1] = {{0}};
    uint8_t format, test;
    FN_TRY(fn_device_store_get(d->store, name, &value));
    struct fn_cur c = fn_cur(fn_buf_view(&value));
    FN_TRY(fn_cur_u8(&c, &format));
    FN_TRY(fn_cur_u8(&c, &test));
    FN_TRY(fn_cur_var(&c, FN_NAME_MOST, &tenant));
    FN_TRY(fn_cur_var(&c, FN_NAME_MOST, &application));
    FN_TRY(fn_cur_end(&c));
    if (name->n != 4 || format != 1) return FN_FAIL(FN_E_CORRUPT, "client record");
    memcpy(texts[0], tenant.p, tenant.n);
    memcpy(texts[1], application.p, application.n);
    FN_TRY(identity_make(fn_get_be32(name->b), texts[0], texts[1], test != 0, &who));
    table_add(d, who);
    return FN_OK;
}

fn_err fn_clients_open(struct fn_device *d)
{
    /* Entries of a store that was opened and given up again; connections may still point at them. */
    pthread_mutex_lock(&d->clients_mutex);
    for (struct fn_identity *i = d->clients; i; i = i->next) atomic_store(&i->gone, true);
    pthread_mutex_unlock(&d->clients_mutex);
    atomic_fetch_add(&d->clients_version, 1);
    return fn_device_store_each(d->store, FN_RECORD_CLIENT, NULL, found_client, d);
}

void fn_clients_close(struct fn_device *d)
{
    while (d->clients) {
        struct fn_identity *next = d->clients->next;
        free(d->clients);
        d->clients = next;
    }
}

const struct fn_identity *fn_client_find(struct fn_device *d, uint32_t uid)
{
    const struct fn_identity *found = NULL;
    pthread_mutex_lock(&d->clients_mutex);
    for (const struct fn_identity *i = d->clients; i && !found; i = i->next)
        if (i->uid == uid && !atomic_load(&i->gone)) found = i;
    pthread_mutex_unlock(&d->clients_mutex);
    return found;
}

bool fn_clients_test(struct fn_device *d)
{
    bool test = false;
    pthread_mutex_lock(&d->clients_mutex);
    for (const struct fn_identity *i = d->clients; i; i = i->next) test |= i->test && !atomic_load(&i->gone);
    pthread_mutex_unlock(&d->clients_mutex);
    return test;
}

/* Whether a tenant is one for tests is settled when its first client is registered, for ever. */
static fn_err tenant_kind(struct fn_device *d, struct fn_pending *p, const struct fn_identity *who)
{
    struct fn_record_name name;
    uint8_t storage[8], kind = who->test ? 2 : 1;
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    name = (struct fn_record_name){.kind = FN_RECORD_META, .n = 23};
    memcpy(name.b, "tenant:", 7);
    memcpy(name.b + 7, who->tenant_hash, 16);
    fn_err err = fn_device_store_get(d->store, &name, &value);
    if (err == FN_E_NOT_FOUND) return fn_pending_put(p, &name, fn_bytes(&kind, 1));
    FN_TRY(err);
    if (value.n == 1 && storage[0] == kind) return FN_OK;
    return FN_FAIL(FN_E_STATE, "tenant %s was initialised %s", who->tenant,
                   who->test ? "for real keys" : "as a test tenant");
}

fn_err fn_client_put(struct fn_device *d, uint32_t uid, const char *tenant, const char *application,
                     bool test)
{
    struct fn_identity *who;
    struct fn_record_name name;
    struct fn_pending *p;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(identity_make(uid, tenant, application, test, &who));
    client_name(&name, uid);
    fn_err err = fn_pending_new(d, &p);
    if (err != FN_OK) {
        free(who);
        return err;
    }
    err = tenant_kind(d, p, who);
    if (err == FN_OK) err = fn_buf_u8(&value, 1);
    if (err == FN_OK) err = fn_buf_u8(&value, test);
    if (err == FN_OK) err = fn_buf_var(&value, tenant, strlen(tenant));
    if (err == FN_OK) err = fn_buf_var(&value, application, strlen(application));
    if (err == FN_OK) err = fn_pending_put(p, &name, fn_buf_view(&value));
    if (err == FN_OK) err = fn_pending_commit(p);
    fn_pending_free(p);
    if (err == FN_OK)
        table_add(d, who);
    else
        free(who);
    return err;
}

fn_err fn_client_remove(struct fn_device *d, uint32_t uid)
{
    struct fn_change change = {.remove = true};
    client_name(&change.name, uid);
    if (!fn_client_find(d, uid)) return FN_FAIL(FN_E_NOT_FOUND, "uid %u", uid);
    FN_TRY(fn_device_store_commit(d->store, &change, 1));
    pthread_mutex_lock(&d->clients_mutex);
    for (struct fn_identity *i = d->clients; i; i = i->next)
        if (i->uid == uid) atomic_store(&i->gone, true);
    pthread_mutex_unlock(&d->clients_mutex);
    atomic_fetch_add(&d->clients_version, 1);
    return FN_OK;
}

fn_err fn_clients_json(struct fn_device *d, struct fn_buf *out)
{
    fn_err err = fn_buf_text(out, "[");
    pthread_mutex_lock(&d->clients_mutex);
    for (const struct fn_identity *i = d->clients; i && err == FN_OK; i = i->next) {
        if (atomic_load(&i->gone)) continue;
        err = fn_buf_text(out, out->p[out->n - 1] == '[' ? "{" : ",{");
        if (err == FN_OK) err = fn_djson_put_number(out, "uid", i->uid);
        if (err == FN_OK) err = fn_djson_put_member(out, "tenant", i->tenant);
        if (err == FN_OK) err = fn_djson_put_member(out, "application", i->application);
        if (err == FN_OK) err = fn_djson_put_bool(out, "test", i->test);
        if (err == FN_OK) err = fn_buf_text(out, "}");
    }
    pthread_mutex_unlock(&d->clients_mutex);
    return err == FN_OK ? fn_buf_text(out, "]") : err;
}
