/* Verbs of the management socket, one function each. */
#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/secret.h"
#include "device/persons.h"
#include <string.h>
#include <unistd.h>

#define M(c) ((c)->doc), 0

static fn_err open_object(struct fn_manage_call *c)
{
    return fn_buf_text(c->out, "{");
}
static fn_err close_object(struct fn_manage_call *c)
{
    return fn_buf_text(c->out, "}");
}

static fn_err done(struct fn_manage_call *c)
{
    FN_TRY(open_object(c));
    FN_TRY(fn_djson_put_bool(c->out, "ok", true));
    return close_object(c);
}

static void log_act(struct fn_manage_call *c, const char *event, const char *object, const char *more)
{
    struct fn_identity manager = {.uid = c->uid, .tenant = "", .application = "management"};
    if (c->session->person[0]) memcpy(manager.application, c->session->person, sizeof manager.application);
    fn_dlog_event(c->device, &manager, event, object, FN_OK, more);
}

static fn_err need_ready(const struct fn_device *d)
{
    int state = atomic_load(&d->state);
    if (state == FN_DEVICE_READY) return FN_OK;
    return FN_FAIL(state == FN_DEVICE_LOCKED      ? FN_E_DEVICE_LOCKED
                   : state == FN_DEVICE_EXCEPTION ? FN_E_DEVICE_EXCEPTION
                                                  : FN_E_DEVICE_STATE,
                   "the device is %s", fn_state_name(state));
}

/* ---- init ---- */

static fn_err init_clients(struct fn_manage_call *c)
{
    const struct fn_djson_doc *doc = c->doc;
    int list = fn_djson_member(M(c), "clients");
    if (list < 0) return fn_client_put(c->device, c->uid, "default", "default", false);
    for (size_t i = 0; i < fn_djson_count(doc, list); i++) {
        int entry = fn_djson_element(doc, list, i);
        char tenant[FN_NAME_MOST + 1], application[FN_NAME_MOST + 1];
        int64_t uid;
        bool test;
        FN_TRY(fn_djson_member_number(doc, entry, "uid", -1, 0, UINT32_MAX - 1, &uid));
        if (uid < 0) return FN_FAIL(FN_E_ARGUMENT, "client without uid");
        FN_TRY(fn_djson_member_text(doc, entry, "tenant", "default", tenant, sizeof tenant));
        FN_TRY(fn_djson_member_text(doc, entry, "application", NULL, application, sizeof application));
        FN_TRY(fn_djson_member_bool(doc, entry, "test", false, &test));
        FN_TRY(fn_client_put(c->device, (uint32_t)uid, tenant, application, test));
    }
    return FN_OK;
}

/* What was done, for signature on paper (GM/T 0030 5.1). */
static fn_err minutes(struct fn_manage_call *c, const struct fn_life_head *head)
{
    struct fn_device *d = c->device;
    char time[FN_TIME_TEXT];
    struct fn_buf sources FN_SCOPED_BUF = fn_buf_heap();
    fn_time_utc(time, fn_now_ms());
    FN_TRY(fn_djson_put_member(c->out, "serial", d->serial));
    FN_TRY(fn_djson_put_member(c->out, "time", time));
    FN_TRY(fn_djson_put_member(c->out, "mode", head->mode == FN_LIFE_UNATTENDED ? "unattended" : "shares"));
    FN_TRY(fn_djson_put_bool(c->out, "unattended", head->mode == FN_LIFE_UNATTENDED));
    FN_TRY(fn_djson_put_member(c->out, "separation", d->separation_weak ? "weak" : "strong"));
    FN_TRY(fn_djson_put_hex(c->out, "device_public", d->sign->public_key, 64));
    FN_TRY(fn_djson_put_hex(c->out, "device_public_encrypt", d->encrypt->public_key, 64));
    FN_TRY(fn_device_random_names(fn_device_random_source(), &sources));
    FN_TRY(fn_djson_put_name(c->out, "random_sources"));
    FN_TRY(fn_djson_put_text(c->out, fn_buf_view(&sources)));
    FN_TRY(fn_djson_put_name(c->out, "clients"));
    return fn_clients_json(d, c->out);
}

static fn_err init_unattended(struct fn_manage_call *c, struct fn_life_head *head, uint8_t root[32],
                              bool restore)
{
    struct fn_device *d = c->device;
    char key_file[4096];
    if (!d->options.unattended_key)
        return FN_FAIL(FN_E_ARGUMENT, "unattended start needs the device started with --unattended-key FILE");
    FN_TRY(fn_djson_member_text(M(c), "key_file", d->options.unattended_key, key_file, sizeof key_file));
    if (strcmp(key_file, d->options.unattended_key) != 0)
        return FN_FAIL(FN_E_ARGUMENT, "the device was started with --unattended-key %s",
                       d->options.unattended_key);
    head->mode = FN_LIFE_UNATTENDED;
    d->unattended = true;
    FN_TRY(restore ? fn_restore(c, head, root) : fn_life_begin(d, head, root));
    FN_TRY(init_clients(c));
    FN_TRY(open_object(c));
    FN_TRY(minutes(c, head));
    FN_TRY(close_object(c));
    return fn_life_head_store(d, head, root);
}

/* Root and administrators: the device splits the root, seals the shares, and forgets the passphrases. */
static fn_err init_shares(struct fn_manage_call *c, struct fn_life_head *head, uint8_t root[32], bool restore)
{
    struct fn_persons *persons FN_SCOPED_PERSONS = NULL;
    struct fn_share_set set;
    struct fn_pending *p;
    int64_t needed;
    FN_TRY(fn_persons_read(c, &persons));
    FN_TRY(fn_djson_member_number(M(c), "needed", 2, 2, 255, &needed));
    head->mode = FN_LIFE_SHARES;
    head->n = fn_persons_holders(persons, false);
    head->m = (uint8_t)needed;
    head->generation = 1;
    if (head->m > head->n)
        return FN_FAIL(FN_E_ARGUMENT, "%d shares needed, %d administrators hold one", head->m, head->n);
    FN_TRY(restore ? fn_restore(c, head, root) : fn_life_begin(c->device, head, root));
    FN_TRY(init_clients(c));
    FN_TRY(fn_pending_new(c->device, &p));
    fn_err err = fn_persons_put(persons, p);
    if (err == FN_OK) err = fn_pending_commit(p);
    fn_pending_free(p);
    FN_TRY(err);
    FN_TRY(open_object(c));
    FN_TRY(minutes(c, head));
    FN_TRY(fn_djson_put_number(c->out, "shares_needed", head->m));
    FN_TRY(fn_djson_put_number(c->out, "shares_of", head->n));
    FN_TRY(fn_root_set(c->device, head, &set));
    FN_TRY(fn_persons_hand_out(c, persons, &set, false, root, 32));
    FN_TRY(close_object(c));
    return fn_life_head_store(c->device, head, root);
}

static fn_err verb_init(struct fn_manage_call *c)
{
    struct fn_device *d = c->device;
    struct fn_life_head head = {0};
    uint8_t *root FN_SCOPED_SECRET = NULL;
    bool unattended;
    if (atomic_load(&d->state) != FN_DEVICE_INITIAL)
        return FN_FAIL(FN_E_DEVICE_STATE, "initialised already; the device is %s",
                       fn_state_name(atomic_load(&d->state)));
    FN_TRY(fn_djson_member_bool(M(c), "unattended", false, &unattended));
    FN_TRY(fn_secret_alloc(&root, 32));
    bool restore = fn_djson_member(M(c), "restore") >= 0;
    fn_err err = (unattended ? init_unattended : init_shares)(c, &head, root, restore);
    if (err != FN_OK) {
        fn_life_abandon(d);
        d->unattended = false;
        return err;
    }
    log_act(c, "device.init", d->serial, unattended ? "\"unattended\":true" : "\"unattended\":false");
    atomic_store(&d->state, FN_DEVICE_READY);
    return FN_OK;
}

/* ---- clients ---- */

static fn_err verb_client_add(struct fn_manage_call *c)
{
    char tenant[FN_NAME_MOST + 1], application[FN_NAME_MOST + 1], object[16];
    int64_t uid;
    bool test;
    FN_TRY(need_ready(c->device));
    FN_TRY(fn_djson_member_number(M(c), "uid", -1, 0, UINT32_MAX - 1, &uid));
    if (uid < 0) return FN_FAIL(FN_E_ARGUMENT, "member \"uid\" is missing");
    FN_TRY(fn_djson_member_text(M(c), "tenant", "default", tenant, sizeof tenant));
    FN_TRY(fn_djson_member_text(M(c), "application", NULL, application, sizeof application));
    FN_TRY(fn_djson_member_bool(M(c), "test", false, &test));
    FN_TRY(fn_client_put(c->device, (uint32_t)uid, tenant, application, test));
    fn_format(object, sizeof object, "%u", (unsigned)uid);
    log_act(c, "client.add", object, test ? "\"test_tenant\":true" : NULL);
    return done(c);
}

static fn_err verb_client_remove(struct fn_manage_call *c)
{
    char object[16];
    int64_t uid;
    FN_TRY(need_ready(c->device));
    FN_TRY(fn_djson_member_number(M(c), "uid", -1, 0, UINT32_MAX - 1, &uid));
    if (uid < 0) return FN_FAIL(FN_E_ARGUMENT, "member \"uid\" is missing");
    FN_TRY(fn_client_remove(c->device, (uint32_t)uid));
    fn_format(object, sizeof object, "%u", (unsigned)uid);
    log_act(c, "client.remove", object, NULL);
    return done(c);
}

static fn_err verb_client_list(struct fn_manage_call *c)
{
    FN_TRY(need_ready(c->device));
    FN_TRY(open_object(c));
    FN_TRY(fn_djson_put_name(c->out, "clients"));
    FN_TRY(fn_clients_json(c->device, c->out));
    return close_object(c);
}

/* ---- keys ---- */

static fn_err alg_parse(const char *text, uint16_t *alg)
{
    static const struct {
        const char *name;
        uint16_t alg;
    } names[] = {
        {"sm2", FN_ALG_SM2}, {"p256", FN_ALG_P256}, {"rsa2048", FN_ALG_RSA2048}, {"rsa3072", FN_ALG_RSA3072}};
    for (size_t i = 0; i < FN_COUNT(names); i++)
        if (strcmp(text, names[i].name) == 0) return *alg = names[i].alg, FN_OK;
    return FN_FAIL(FN_E_ARGUMENT, "algorithm %s: sm2, p256, rsa2048, rsa3072", text);
}

struct place {
    char tenant[FN_NAME_MOST + 1], owner[FN_NAME_MOST + 1], applications[1024],
        password[FN_PASSWORD_MOST + 1];
    int64_t index;
    struct fn_key_spec spec;
};

static fn_err place_read(struct fn_manage_call *c, struct place *p)
{
    uint8_t hash[32];
    FN_TRY(fn_djson_member_text(M(c), "tenant", "default", p->tenant, sizeof p->tenant));
    FN_TRY(fn_djson_member_text(M(c), "owner", "management", p->owner, sizeof p->owner));
    /* A key made by index is for every application of its tenant unless a list says otherwise. */
    FN_TRY(fn_djson_member_text(M(c), "applications", "*", p->applications, sizeof p->applications));
    FN_TRY(fn_djson_member_text(M(c), "password", "", p->password, sizeof p->password));
    FN_TRY(fn_djson_member_number(M(c), "index", 0, 1, 1000000, &p->index));
    if (!p->index) return FN_FAIL(FN_E_ARGUMENT, "member \"index\" is missing");
    fn_sm3_digest(p->tenant, strlen(p->tenant), hash);
    p->spec = (struct fn_key_spec){.tenant = p->tenant,
                                   .owner = p->owner,
                                   .index = (uint32_t)p->index,
                                   .applications = fn_bytes(p->applications, strlen(p->applications)),
                                   .password = fn_bytes(p->password, strlen(p->password))};
    memcpy(p->spec.tenant_hash, hash, 16);
    return FN_OK;
}

/* One right covers both halves of an index, so both have the same access password. */
static fn_err other_half_fits(struct fn_manage_call *c, const struct fn_key_spec *spec, uint8_t half)
{
    struct fn_record_name name;
    struct fn_key_head head;
    struct fn_uuid uuid;
    uint8_t storage[32], verifier[32];
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    fn_name_index(&name, spec->tenant_hash, half, spec->index);
    fn_err err = fn_device_store_get(c->device->store, &name, &value);
    if (err == FN_E_NOT_FOUND) return fn_err_clear(), FN_OK;
    FN_TRY(err);
    memcpy(uuid.b, storage, 16);
    FN_TRY(fn_key_head_read(c->device, &uuid, &head));
    bool same = !head.iterations == !spec->password.n;
    if (same && head.iterations) {
        fn_password_verifier(spec->password, head.salt, head.iterations, verifier);
        same = fn_equal_ct(verifier, head.verifier, 32);
    }
    return same ? FN_OK
                : FN_FAIL(FN_E_KEY_PASSWORD, "the other half of index %u has another one", spec->index);
}

static fn_err make_at(struct fn_manage_call *c, struct fn_pending *p, const struct fn_key_spec *spec,
                      const char *name)
{
    struct fn_key *key;
    char text[FN_UUID_TEXT + 1];
    FN_TRY(fn_policy_ask(spec->key_class, FN_POLICY_GENERATE, FN_KEY_PRE_ACTIVE, FN_DOOR_MANAGEMENT, true));
    FN_TRY(fn_key_generate(fn_device_rng(), spec->alg, &key));
    fn_err err = fn_key_act_new(c->device, fn_device_rng(), spec, key, p);
    fn_uuid_format(text, &p->uuid);
    if (err == FN_OK) err = fn_djson_put_member(c->out, name, text);
    if (err == FN_OK && key->public_n) {
        char member[40];
        fn_format(member, sizeof member, "%s_public", name);
        err = fn_djson_put_hex(c->out, member, key->public_key, key->public_n);
    }
    if (err == FN_OK) log_act(c, "key.create_index", text, NULL);
    fn_key_release(key);
    return err;
}

/* A pair made here stands outside key Table 1, which has the CA make encryption pairs: its class is the
 * product's own. */
static fn_err verb_create_index(struct fn_manage_call *c)
{
    struct place at = {0};
    FN_SCOPED_WIPE(at.password);
    char half[16], alg[16];
    struct fn_pending *p;
    FN_TRY(need_ready(c->device));
    FN_TRY(place_read(c, &at));
    FN_TRY(fn_djson_member_text(M(c), "half", "both", half, sizeof half));
    FN_TRY(fn_djson_member_text(M(c), "algorithm", "sm2", alg, sizeof alg));
    FN_TRY(alg_parse(alg, &at.spec.alg));
    bool sign = strcmp(half, "encrypt") != 0, encrypt = strcmp(half, "sign") != 0;
    if (strcmp(half, "both") != 0 && sign == encrypt)
        return FN_FAIL(FN_E_ARGUMENT, "half: sign, encrypt or both");
    if (encrypt && at.spec.alg == FN_ALG_P256) return FN_FAIL(FN_E_ARGUMENT, "P-256 pairs sign only");
    FN_TRY(open_object(c));
    FN_TRY(fn_pending_new(c->device, &p));
    fn_err err = FN_OK;
    if (sign) {
        at.spec.half = FN_HALF_SIGN;
        at.spec.key_class = FN_CLASS_SRV_SIGN;
        at.spec.usage = FN_USE_SIGN | FN_USE_VERIFY;
        err = make_at(c, p, &at.spec, "sign");
    }
    if (err == FN_OK && encrypt) {
        at.spec.half = FN_HALF_ENCRYPT;
        at.spec.key_class = FN_CLASS_DEVICE;
        at.spec.usage = FN_USE_ENCRYPT | FN_USE_DECRYPT | FN_USE_WRAP | FN_USE_UNWRAP |
                        (at.spec.alg == FN_ALG_SM2 ? FN_USE_AGREE : 0);
        err = make_at(c, p, &at.spec, "encrypt");
    }
    if (err == FN_OK && sign != encrypt)
        err = other_half_fits(c, &at.spec, sign ? FN_HALF_ENCRYPT : FN_HALF_SIGN);
    if (err == FN_OK) err = fn_pending_commit(p);
    fn_pending_free(p);
    FN_TRY(err);
    return close_object(c);
}

static fn_err verb_kek_create(struct fn_manage_call *c)
{
    struct place at = {0};
    struct fn_pending *p;
    FN_TRY(need_ready(c->device));
    FN_TRY(place_read(c, &at));
    at.spec.half = FN_HALF_KEK;
    at.spec.key_class = FN_CLASS_KEK;
    at.spec.alg = FN_ALG_SM4;
    at.spec.usage = FN_USE_WRAP | FN_USE_UNWRAP;
    at.spec.password = fn_bytes(NULL, 0);
    FN_TRY(open_object(c));
    FN_TRY(fn_pending_new(c->device, &p));
    fn_err err = make_at(c, p, &at.spec, "kek");
    if (err == FN_OK) err = fn_pending_commit(p);
    fn_pending_free(p);
    FN_TRY(err);
    return close_object(c);
}

static fn_err uuid_member(struct fn_manage_call *c, const char *name, struct fn_uuid *uuid)
{
    char text[FN_UUID_TEXT + 1];
    FN_TRY(fn_djson_member_text(M(c), name, NULL, text, sizeof text));
    return fn_uuid_parse(uuid, text, strlen(text));
}

static fn_err verb_key_list(struct fn_manage_call *c)
{
    struct fn_uuid after = {{0}};
    char tenant[FN_NAME_MOST + 1];
    int64_t limit;
    FN_TRY(need_ready(c->device));
    if (fn_djson_member(M(c), "after") >= 0) FN_TRY(uuid_member(c, "after", &after));
    FN_TRY(fn_djson_member_number(M(c), "limit", 100, 1, 1000, &limit));
    FN_TRY(fn_djson_member_text(M(c), "tenant", "", tenant, sizeof tenant));
    FN_TRY(open_object(c));
    FN_TRY(fn_djson_put_name(c->out, "keys"));
    struct fn_buf list FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(fn_keys_list(c->device, NULL, tenant[0] ? tenant : NULL, after.b, (uint32_t)limit, &list));
    FN_TRY(fn_buf_add(c->out, list.p, list.n));
    return close_object(c);
}

static fn_err verb_key_destroy(struct fn_manage_call *c)
{
    struct fn_uuid uuid;
    struct fn_pending *p;
    int64_t version;
    char text[FN_UUID_TEXT + 1];
    uint8_t signature[64];
    struct fn_buf statement FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(need_ready(c->device));
    FN_TRY(uuid_member(c, "uuid", &uuid));
    FN_TRY(fn_djson_member_number(M(c), "version", 0, 0, UINT32_MAX, &version));
    FN_TRY(fn_pending_new(c->device, &p));
    fn_err err = fn_key_act_destroy(c->device, fn_device_rng(), &uuid, (uint32_t)version, NULL, NULL, p);
    fn_uuid_format(text, &uuid);
    if (err == FN_OK) log_act(c, "key.destroy", text, NULL);
    if (err == FN_OK) err = fn_pending_commit(p);
    fn_pending_free(p);
    FN_TRY(err);
    FN_TRY(fn_key_statement(c->device, fn_device_rng(), &uuid, (uint32_t)version, &statement, signature));
    FN_TRY(open_object(c));
    FN_TRY(fn_djson_put_name(c->out, "statement"));
    FN_TRY(fn_djson_put_text(c->out, fn_buf_view(&statement)));
    FN_TRY(fn_djson_put_hex(c->out, "signature", signature, 64));
    return close_object(c);
}

/* An operator sets the count of wrong passwords back. */
static fn_err verb_password_reset(struct fn_manage_call *c)
{
    struct fn_change change = {.remove = true};
    struct fn_uuid uuid;
    char text[FN_UUID_TEXT + 1];
    FN_TRY(need_ready(c->device));
    FN_TRY(uuid_member(c, "uuid", &uuid));
    fn_name_uuid(&change.name, FN_RECORD_RETRY, &uuid);
    fn_uuid_format(text, &uuid);
    log_act(c, "key.password_reset", text, NULL);
    if (fn_device_store_has(c->device->store, &change.name))
        FN_TRY(fn_device_store_commit(c->device->store, &change, 1));
    return done(c);
}

/* ---- the device ---- */

static fn_err verb_status(struct fn_manage_call *c)
{
    return fn_status_json(c->device, true, c->out);
}

static fn_err verb_self_test(struct fn_manage_call *c)
{
    struct fn_device *d = c->device;
    int state = atomic_load(&d->state);
    fn_err err = FN_OK;
    if (d->store_old) return FN_FAIL(FN_E_DEVICE_STORE_OLD, "put the right store back and start again");
    if (state == FN_DEVICE_EXCEPTION) err = fn_device_random_recheck();
    if (err == FN_OK) err = fn_self_test_all(d);
    log_act(c, "device.self_test", d->serial, err == FN_OK ? NULL : "\"failed\":true");
    if (err != FN_OK) {
        fn_life_exception(d, "self-test on demand");
        return FN_WRAP(FN_E_DEVICE_EXCEPTION, "self-test");
    }
    /* Passed after the operator's repair: service goes on (hsm.md 3); what had not been opened is opened now.
     */
    if (state == FN_DEVICE_EXCEPTION && d->store) {
        atomic_store(&d->state, FN_DEVICE_READY);
    } else if (state == FN_DEVICE_EXCEPTION) {
        pthread_rwlock_wrlock(&d->life_lock);
        err = fn_life_open(d);
        pthread_rwlock_unlock(&d->life_lock);
        if (err != FN_OK) {
            fn_err_pass(err, __FILE__, __LINE__);
            fn_life_exception(d, "opening the store");
            return err;
        }
    }
    return fn_status_json(d, true, c->out);
}

static fn_err verb_log_verify(struct fn_manage_call *c)
{
    uint64_t records;
    FN_TRY(need_ready(c->device));
    FN_TRY(fn_dlog_verify(c->device, &records));
    FN_TRY(open_object(c));
    FN_TRY(fn_djson_put_number(c->out, "records", (int64_t)records));
    return close_object(c);
}

static fn_err verb_shutdown(struct fn_manage_call *c)
{
    FN_TRY(done(c));
    fn_device_stop(c->device);
    return FN_OK;
}

#define SUPER    FN_ROLE_BIT(FN_ROLE_SUPER)
#define BUSINESS (SUPER | FN_ROLE_BIT(FN_ROLE_BUSINESS))
#define AUDIT    (FN_ROLE_BIT(FN_ROLE_AUDIT_ADMIN) | FN_ROLE_BIT(FN_ROLE_AUDITOR))
#define OPERATOR (BUSINESS | FN_ROLE_BIT(FN_ROLE_OPERATOR))

/* Roles are asked once the device has administrators (hsm.md 3); 0: nobody need be logged in. */
static const struct {
    const char *name;
    fn_manage_verb *run;
    unsigned roles;
    bool life; /* changes what background work stands on: that waits */
} verbs[] = {
    {"init", verb_init, 0, true},
    {"status", verb_status, 0, false},
    {"unlock", fn_verb_unlock, 0, true},
    {"login.challenge", fn_verb_login_challenge, 0, false},
    {"login", fn_verb_login, 0, false},
    {"logout", fn_verb_logout, 0, false},
    {"person.list", fn_verb_person_list, 0, false},
    {"person.add", fn_verb_person_add, SUPER, false},
    {"person.remove", fn_verb_person_remove, SUPER, false},
    {"token.put", fn_verb_token_put, 0, false},
    {"token.change", fn_verb_token_change, 0, false},
    {"phrase", fn_verb_phrase, 0, false},
    {"reshare.begin", fn_verb_reshare_begin, SUPER, true},
    {"reshare.commit", fn_verb_reshare_commit, SUPER, true},
    {"backup.create", fn_verb_backup_create, SUPER, false},
    {"client.add", verb_client_add, BUSINESS, false},
    {"client.remove", verb_client_remove, BUSINESS, false},
    {"client.list", verb_client_list, 0, false},
    {"key.create_index", verb_create_index, BUSINESS, false},
    {"key.import_enveloped", fn_verb_import_enveloped, BUSINESS, false},
    {"kek.create", verb_kek_create, BUSINESS, false},
    {"kek.rotate", fn_verb_kek_rotate, BUSINESS, false},
    {"kek.retire", fn_verb_kek_retire, BUSINESS, false},
    {"key.list", verb_key_list, 0, false},
    {"key.destroy", verb_key_destroy, BUSINESS, false},
    {"key.password_reset", verb_password_reset, OPERATOR, false},
    {"self_test", verb_self_test, 0, false},
    {"log.verify", verb_log_verify, AUDIT, false},
    {"statement.check", fn_verb_statement_check, 0, false},
    {"shutdown", verb_shutdown, OPERATOR, false},
};

static fn_err role_allows(struct fn_manage_call *c, unsigned allowed)
{
    if (!allowed || atomic_load(&c->device->state) == FN_DEVICE_INITIAL || !fn_persons_any(c->device))
        return FN_OK;
    if (!c->session->role) return FN_FAIL(FN_E_DEVICE_LOGIN, "log in first");
    if (!fn_person_stands(c->device, c->session->person, c->session->role))
        return FN_FAIL(FN_E_DEVICE_LOGIN, "%s is no administrator any more", c->session->person);
    if (allowed & FN_ROLE_BIT(c->session->role)) return FN_OK;
    return FN_FAIL(FN_E_DENIED, "not for the role of %s", c->session->person);
}

fn_err fn_manage(struct fn_device *d, struct fn_manage_session *session, struct fn_bytes verb,
                 struct fn_bytes body, struct fn_buf *out)
{
    struct fn_djson_doc *doc FN_SCOPED_HEAP = NULL;
    struct fn_manage_call call = {.device = d, .session = session, .uid = session->uid, .out = out};
    FN_TRY(fn_heap_array(&doc, 1, sizeof *doc));
    FN_TRY(fn_djson_read(doc, body.n ? body : FN_BYTES_LITERAL("{}")));
    if (doc->nodes[0].kind != FN_DJSON_OBJECT) return FN_FAIL(FN_E_ARGUMENT, "an object is wanted");
    call.doc = doc;
    for (size_t i = 0; i < FN_COUNT(verbs); i++) {
        if (!fn_bytes_equal(verb, fn_bytes(verbs[i].name, strlen(verbs[i].name)))) continue;
        FN_TRY(role_allows(&call, verbs[i].roles));
        if (verbs[i].life) pthread_rwlock_wrlock(&d->life_lock);
        fn_err err = verbs[i].run(&call);
        if (verbs[i].life) pthread_rwlock_unlock(&d->life_lock);
        return err;
    }
    return FN_FAIL(FN_E_NOT_FOUND, "no management verb \"%.*s\"", (int)(verb.n < 64 ? verb.n : 64),
                   (const char *)verb.p);
}
