#include "device/persons.h"
#include "device/shamir.h"

#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/secret.h"
#include <string.h>

static const struct {
    const char *name;
    uint8_t role;
} roles[] = {{"super", FN_ROLE_SUPER},
             {"business", FN_ROLE_BUSINESS},
             {"audit", FN_ROLE_AUDIT_ADMINISTRATOR},
             {"auditor", FN_ROLE_AUDITOR},
             {"operator", FN_ROLE_OPERATOR}};

static const char *role_name(uint8_t role)
{
    for (size_t i = 0; i < FN_COUNT(roles); i++)
        if (roles[i].role == role) return roles[i].name;
    return "none";
}

fn_err fn_base64_member(struct fn_manage_call *c, int object, const char *name, size_t most, struct fn_buf *out)
{
    char *text FN_SCOPED_HEAP = NULL;
    uint8_t *where;
    size_t room = FN_BASE64_SIZE(most) + 1, n;
    FN_TRY(fn_heap_array(&text, room, 1));
    FN_TRY(fn_djson_member_text(c->doc, object, name, NULL, text, room));
    FN_TRY(fn_buf_reserve(out, most, &where));
    FN_TRY(fn_base64_decode(where, most, &n, text, strlen(text)));
    out->n += n;
    return FN_OK;
}

fn_err fn_put_base64(struct fn_buf *out, const char *name, struct fn_bytes data)
{
    uint8_t *where;
    FN_TRY(fn_djson_put_name(out, name));
    FN_TRY(fn_buf_reserve(out, FN_BASE64_SIZE(data.n) + 3, &where));
    where[0] = '"';
    fn_base64_encode((char *)where + 1, data.p, data.n);
    where[1 + FN_BASE64_SIZE(data.n)] = '"';
    out->n += FN_BASE64_SIZE(data.n) + 2;
    return FN_OK;
}

/* ---- lists of administrators ---- */

static fn_err person_read(struct fn_manage_call *c, int entry, struct fn_person *p)
{
    char role[24];
    FN_TRY(fn_djson_member_text(c->doc, entry, "name", NULL, p->name, sizeof p->name));
    FN_TRY(fn_djson_member_text(c->doc, entry, "passphrase", NULL, p->passphrase, sizeof p->passphrase));
    FN_TRY(fn_djson_member_text(c->doc, entry, "role", "super", role, sizeof role));
    if (!p->name[0]) return FN_FAIL(FN_E_ARGUMENT, "administrator without name");
    for (size_t i = 0; i < FN_COUNT(roles); i++)
        if (strcmp(role, roles[i].name) == 0) p->role = roles[i].role;
    return p->role ? FN_OK : FN_FAIL(FN_E_ARGUMENT, "role %s: super, business, audit, auditor, operator", role);
}

fn_err fn_persons_read(struct fn_manage_call *c, struct fn_person **persons, size_t *count)
{
    int list = fn_djson_member(c->doc, 0, "administrators");
    *count = fn_djson_count(c->doc, list);
    if (list < 0 || *count < 1 || *count > 64) return FN_FAIL(FN_E_ARGUMENT, "member \"administrators\": a list of 1 to 64");
    FN_TRY(fn_secret_alloc(persons, *count * sizeof **persons));
    for (size_t i = 0; i < *count; i++) {
        FN_TRY(person_read(c, fn_djson_element(c->doc, list, i), &(*persons)[i]));
        for (size_t j = 0; j < i; j++)
            if (strcmp((*persons)[i].name, (*persons)[j].name) == 0) return FN_FAIL(FN_E_ARGUMENT, "%s stands twice", (*persons)[i].name);
    }
    return FN_OK;
}

static bool holds(const struct fn_person *p) { return p->role == FN_ROLE_SUPER || p->role == FN_ROLE_BUSINESS; }

/* Those who run the device hold shares of its root; those who audit it do not. */
uint8_t fn_persons_holders(const struct fn_person *persons, size_t count)
{
    uint8_t n = 0;
    for (size_t i = 0; i < count; i++) n = (uint8_t)(n + holds(&persons[i]));
    return n;
}

/* Names of PERSON records: SM3 of the name; a byte 1 before it while not yet in force. */
static void record_name(const char *person, bool next, struct fn_record_name *name)
{
    *name = (struct fn_record_name){.kind = FN_RECORD_PERSON, .n = (uint8_t)(32 + next), .b = {1}};
    fn_sm3_digest(person, strlen(person), name->b + next);
}

static fn_err record_put(struct fn_pending *p, const struct fn_token_info *info, const struct fn_sm2_public *pub, bool next)
{
    uint8_t storage[256];
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    struct fn_record_name name;
    record_name(info->person, next, &name);
    FN_TRY(fn_buf_u8(&value, 1));
    FN_TRY(fn_buf_u8(&value, info->role));
    FN_TRY(fn_buf_var(&value, info->person, strlen(info->person)));
    FN_TRY(fn_buf_add(&value, pub, 64));
    return fn_pending_put(p, &name, fn_buf_view(&value));
}

static fn_err record_parse(struct fn_bytes value, struct fn_token_info *info)
{
    struct fn_cur c = fn_cur(value);
    struct fn_bytes person;
    uint8_t format;
    FN_TRY(fn_cur_u8(&c, &format));
    FN_TRY(fn_cur_u8(&c, &info->role));
    FN_TRY(fn_cur_var(&c, FN_NAME_MOST, &person));
    FN_TRY(fn_cur_copy(&c, &info->pub, 64));
    memcpy(info->person, person.p, person.n);
    info->person[person.n] = 0;
    return fn_cur_end(&c);
}

static fn_err token_one(struct fn_manage_call *c, const struct fn_person *person, const struct fn_token_info *info, const uint8_t *share,
                        struct fn_pending *p, bool next)
{
    struct fn_token_secret *secret FN_SCOPED_SECRET = NULL;
    struct fn_buf token FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(fn_secret_alloc(&secret, sizeof *secret));
    if (share) memcpy(secret->share, share, FN_TOKEN_SHARE);
    FN_TRY(fn_token_make(info, secret, fn_bytes(person->passphrase, strlen(person->passphrase)), fn_device_rng(), &token));
    if (p) FN_TRY(record_put(p, info, &secret->key.pub, next));
    FN_TRY(fn_buf_text(c->out, c->out->p[c->out->n - 1] == '[' ? "{" : ",{"));
    FN_TRY(fn_djson_put_member(c->out, "name", info->person));
    FN_TRY(fn_djson_put_member(c->out, "role", role_name(info->role)));
    FN_TRY(fn_djson_put_bool(c->out, "share", share != NULL));
    FN_TRY(fn_put_base64(c->out, "token", fn_buf_view(&token)));
    return fn_buf_text(c->out, "}");
}

fn_err fn_persons_tokens(struct fn_manage_call *c, const struct fn_person *persons, size_t count, uint8_t purpose, uint8_t needed,
                         uint32_t generation, const uint8_t secret[32], struct fn_pending *p, bool next)
{
    uint8_t *shares FN_SCOPED_SECRET = NULL;
    uint8_t holders = purpose == FN_SHARE_BACKUP ? (uint8_t)count : fn_persons_holders(persons, count);
    size_t at = 0;
    FN_TRY(fn_secret_alloc(&shares, 255 * FN_TOKEN_SHARE));
    FN_TRY(fn_shamir_split(secret, 32, needed, holders, fn_device_rng(), shares));
    FN_TRY(fn_djson_put_name(c->out, "tokens"));
    FN_TRY(fn_buf_text(c->out, "["));
    for (size_t i = 0; i < count; i++) {
        bool share = purpose == FN_SHARE_BACKUP || holds(&persons[i]);
        struct fn_token_info info = {.role = persons[i].role, .purpose = share ? purpose : FN_SHARE_NONE, .needed = needed,
                                     .count = holders, .generation = generation};
        memcpy(info.serial, c->device->serial, sizeof info.serial);
        memcpy(info.person, persons[i].name, sizeof info.person);
        FN_TRY(token_one(c, &persons[i], &info, share ? shares + FN_TOKEN_SHARE * at++ : NULL, p, next));
    }
    return fn_buf_text(c->out, "]");
}

struct promotion {
    struct fn_device *device;
    struct fn_pending *act;
    bool found;
};

static fn_err look(void *context, const struct fn_record_name *name)
{
    ((struct promotion *)context)->found |= name->n == 33;
    return FN_OK;
}

static fn_err promote(void *context, const struct fn_record_name *name)
{
    struct promotion *p = context;
    FN_TRY(fn_pending_remove(p->act, name));
    if (name->n != 33) return FN_OK;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    struct fn_record_name to = {.kind = FN_RECORD_PERSON, .n = 32};
    memcpy(to.b, name->b + 1, 32);
    FN_TRY(fn_device_store_get(p->device->store, name, &value));
    return fn_pending_put(p->act, &to, fn_buf_view(&value));
}

fn_err fn_persons_promote(struct fn_device *d)
{
    struct promotion p = {.device = d};
    FN_TRY(fn_device_store_each(d->store, FN_RECORD_PERSON, NULL, look, &p));
    if (!p.found) return FN_OK;
    FN_TRY(fn_pending_new(d, &p.act));
    fn_err err = fn_device_store_each(d->store, FN_RECORD_PERSON, NULL, promote, &p);
    if (err == FN_OK) err = fn_pending_commit(p.act);
    fn_pending_free(p.act);
    return err;
}

bool fn_persons_any(struct fn_device *d) { return d->store && fn_device_store_count(d->store, FN_RECORD_PERSON) > 0; }

/* ---- shares ---- */

static fn_err share_take(struct fn_manage_call *c, int entry, struct fn_share_set *set)
{
    struct fn_buf token FN_SCOPED_BUF = fn_buf_heap();
    struct fn_carrier carrier;
    char passphrase[512];
    FN_SCOPED_WIPE(passphrase);
    FN_TRY(fn_base64_member(c, entry, "token", 1024, &token));
    FN_TRY(fn_djson_member_text(c->doc, entry, "passphrase", NULL, passphrase, sizeof passphrase));
    FN_TRY(fn_token_open(&carrier, fn_buf_view(&token), fn_bytes(passphrase, strlen(passphrase))));
    uint8_t *share = set->shares[set->count];
    fn_err err = FN_OK;
    if (c->device->serial[0] && set->purpose == FN_SHARE_ROOT && strcmp(carrier.info.serial, c->device->serial) != 0)
        err = FN_FAIL(FN_E_DEVICE_SHARE, "token of device %s", carrier.info.serial);
    if (err == FN_OK && set->count >= 254) err = FN_FAIL(FN_E_TOO_LARGE, "shares");
    if (err == FN_OK) err = carrier.share(&carrier, set->purpose, share);
    if (err == FN_OK && set->count && (carrier.info.generation != set->generation || carrier.info.needed != set->needed))
        err = FN_FAIL(FN_E_DEVICE_SHARE, "share generation %u, the others are of %u", carrier.info.generation, set->generation);
    for (unsigned i = 0; i < set->count && err == FN_OK; i++)
        if (set->shares[i][32] == share[32]) err = FN_FAIL(FN_E_DEVICE_SHARE, "the share of %s is there already", carrier.info.person);
    if (err == FN_OK) {
        set->generation = carrier.info.generation;
        set->needed = carrier.info.needed;
        set->count++;
    }
    fn_carrier_close(&carrier);
    return err;
}

fn_err fn_shares_collect(struct fn_manage_call *c, struct fn_share_set *set)
{
    int list = fn_djson_member(c->doc, 0, "tokens");
    if (list < 0) return share_take(c, 0, set);
    if (!fn_djson_count(c->doc, list)) return FN_FAIL(FN_E_ARGUMENT, "member \"tokens\" is empty");
    for (size_t i = 0; i < fn_djson_count(c->doc, list); i++) FN_TRY(share_take(c, fn_djson_element(c->doc, list, i), set));
    return FN_OK;
}

fn_err fn_shares_combine(const struct fn_share_set *set, uint8_t secret[32])
{
    const uint8_t *chosen[255];
    if (set->needed < 2 || set->count < set->needed) return FN_FAIL(FN_E_DEVICE_QUORUM, "%u shares of %d", set->count, set->needed);
    for (unsigned i = 0; i < set->needed; i++) chosen[i] = set->shares[i];
    return fn_shamir_combine(chosen, set->needed, 32, secret);
}

fn_err fn_quorum(struct fn_manage_call *c)
{
    struct fn_life_head head;
    struct fn_share_set *set FN_SCOPED_SECRET = NULL;
    uint8_t root[32], check[32];
    FN_SCOPED_WIPE(root);
    FN_TRY(fn_life_head_read(c->device, &head));
    if (head.mode == FN_LIFE_UNATTENDED) return FN_OK;
    FN_TRY(fn_secret_alloc(&set, sizeof *set));
    set->purpose = FN_SHARE_ROOT;
    FN_TRY(fn_shares_collect(c, set));
    if (set->generation != head.generation) return FN_FAIL(FN_E_DEVICE_SHARE, "share generation %u, in force is %u", set->generation, head.generation);
    FN_TRY(fn_shares_combine(set, root));
    fn_root_check(root, head.serial, check);
    return fn_equal_ct(check, head.check, 32) ? FN_OK : FN_FAIL(FN_E_DEVICE_SHARE, "the shares do not give this device's root");
}

/* ---- unlock ---- */

static fn_err unlock_with(struct fn_device *d, struct fn_life_head *head, const struct fn_share_set *set)
{
    uint8_t *root FN_SCOPED_SECRET = NULL;
    uint8_t check[32];
    FN_TRY(fn_secret_alloc(&root, 32));
    FN_TRY(fn_shares_combine(set, root));
    fn_root_check(root, head->serial, check);
    bool next = set->generation == head->generation + 1;
    if (!fn_equal_ct(check, next ? head->next_check : head->check, 32)) return FN_FAIL(FN_E_DEVICE_SHARE, "the shares do not give this device's root");
    FN_TRY(fn_life_unlock(d, root));
    if (!next) return FN_OK;
    /* The new root had taken over when the device went down: from now on it is the only one. */
    FN_TRY(fn_persons_promote(d));
    head->generation++;
    head->m = head->next_m;
    head->n = head->next_n;
    head->next_m = head->next_n = 0;
    return fn_life_head_store(d, head, root);
}

fn_err fn_verb_unlock(struct fn_manage_call *c)
{
    struct fn_device *d = c->device;
    struct fn_life_head head;
    if (atomic_load(&d->state) != FN_DEVICE_LOCKED) return FN_FAIL(FN_E_DEVICE_STATE, "the device is %s", fn_state_name(atomic_load(&d->state)));
    FN_TRY(fn_life_head_read(d, &head));
    if (!d->shares) FN_TRY(fn_secret_alloc(&d->shares, sizeof *d->shares));
    d->shares->purpose = FN_SHARE_ROOT;
    FN_TRY(fn_shares_collect(c, d->shares));
    uint32_t generation = d->shares->generation;
    bool known = generation == head.generation || (head.next_m && generation == head.generation + 1);
    fn_err err = known ? FN_OK : FN_FAIL(FN_E_DEVICE_SHARE, "share generation %u, in force is %u", generation, head.generation);
    bool full = d->shares->count >= d->shares->needed;
    unsigned count = d->shares->count, needed = d->shares->needed;
    if (err == FN_OK && full) err = unlock_with(d, &head, d->shares);
    if (err != FN_OK || full) {
        fn_secret_free(d->shares);
        d->shares = NULL;
    }
    FN_TRY(err);
    if (full) atomic_store(&d->state, FN_DEVICE_READY);
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_djson_put_member(c->out, "state", fn_state_name(atomic_load(&d->state))));
    FN_TRY(fn_djson_put_number(c->out, "shares", count));
    FN_TRY(fn_djson_put_number(c->out, "shares_needed", needed));
    return fn_buf_text(c->out, "}");
}

/* ---- login: a signature over challenge ‖ serial ‖ time of challenge (hsm.md 3) ---- */

static void challenge_digest(const struct fn_manage_session *s, const char *serial, const struct fn_sm2_public *pub, uint8_t e[32])
{
    uint8_t message[32 + 16 + 8];
    memcpy(message, s->challenge, 32);
    memcpy(message + 32, serial, 16);
    fn_put_be64(message + 48, (uint64_t)s->challenge_ms);
    if (fn_sm2_digest(e, pub, FN_SM2_DEFAULT_ID, fn_bytes(message, sizeof message)) != FN_OK) memset(e, 0, 32);
}

fn_err fn_verb_login_challenge(struct fn_manage_call *c)
{
    FN_TRY(fn_rng_fill(fn_device_rng(), c->session->challenge, 32));
    c->session->challenge_ms = fn_now_ms();
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_djson_put_hex(c->out, "challenge", c->session->challenge, 32));
    FN_TRY(fn_djson_put_member(c->out, "serial", c->device->serial));
    FN_TRY(fn_djson_put_number(c->out, "time_ms", c->session->challenge_ms));
    return fn_buf_text(c->out, "}");
}

static fn_err tries_of(struct fn_device *d, const struct fn_record_name *name, uint8_t *tries)
{
    uint8_t storage[4];
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    fn_err err = fn_device_store_get(d->store, name, &value);
    *tries = err == FN_OK && value.n == 1 ? storage[0] : 0;
    return err == FN_E_NOT_FOUND ? FN_OK : err;
}

/* With a soft token the device opens it and lets it sign, as a smart token would elsewhere. */
static fn_err login_sign(struct fn_manage_call *c, const struct fn_token_info *person, uint8_t signature[64])
{
    struct fn_buf bytes FN_SCOPED_BUF = fn_buf_heap();
    if (fn_djson_member(c->doc, 0, "signature") >= 0) {
        FN_TRY(fn_base64_member(c, 0, "signature", 64, &bytes));
        if (bytes.n != 64 || !c->session->challenge_ms || fn_now_ms() - c->session->challenge_ms > 60000)
            return FN_FAIL(FN_E_DEVICE_LOGIN, "no challenge, or one of more than a minute ago");
        memcpy(signature, bytes.p, 64);
        return FN_OK;
    }
    char passphrase[512];
    FN_SCOPED_WIPE(passphrase);
    struct fn_carrier carrier;
    uint8_t e[32];
    FN_TRY(fn_base64_member(c, 0, "token", 1024, &bytes));
    FN_TRY(fn_djson_member_text(c->doc, 0, "passphrase", NULL, passphrase, sizeof passphrase));
    FN_TRY(fn_token_open(&carrier, fn_buf_view(&bytes), fn_bytes(passphrase, strlen(passphrase))));
    fn_err err = fn_rng_fill(fn_device_rng(), c->session->challenge, 32);
    c->session->challenge_ms = fn_now_ms();
    challenge_digest(c->session, c->device->serial, &person->pub, e);
    if (err == FN_OK) err = carrier.sign(&carrier, fn_device_rng(), e, signature);
    fn_carrier_close(&carrier);
    return err;
}

static fn_err login_check(struct fn_manage_call *c, const struct fn_token_info *person)
{
    uint8_t signature[64], e[32];
    FN_TRY(login_sign(c, person, signature));
    challenge_digest(c->session, c->device->serial, &person->pub, e);
    c->session->challenge_ms = 0;
    return fn_sm2_verify(&person->pub, e, signature) == FN_OK ? FN_OK : FN_FAIL(FN_E_DEVICE_LOGIN, "signature of %s", person->person);
}

fn_err fn_verb_login(struct fn_manage_call *c)
{
    struct fn_device *d = c->device;
    struct fn_token_info person = {.role = 0};
    struct fn_record_name name, retry;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    char who[FN_NAME_MOST + 1];
    uint8_t tries;
    if (!d->store) return FN_FAIL(FN_E_DEVICE_LOCKED, "unlock first");
    FN_TRY(fn_djson_member_text(c->doc, 0, "name", NULL, who, sizeof who));
    record_name(who, false, &name);
    fn_err err = fn_device_store_get(d->store, &name, &value);
    if (err == FN_E_NOT_FOUND) return FN_FAIL(FN_E_DEVICE_LOGIN, "no administrator %s", who);
    FN_TRY(err);
    FN_TRY(record_parse(fn_buf_view(&value), &person));
    retry = name;
    retry.kind = FN_RECORD_RETRY;
    FN_TRY(tries_of(d, &retry, &tries));
    if (tries >= FN_RETRY_MOST) return FN_FAIL(FN_E_DEVICE_LOGIN, "%s is locked after %d failures", who, tries);
    err = login_check(c, &person);
    struct fn_identity manager = {.uid = c->uid, .application = "management"};
    fn_dlog_event(d, &manager, "login", who, err, NULL);
    struct fn_change change = {.name = retry, .remove = err == FN_OK};
    tries++;
    if (err != FN_OK) change.value = fn_bytes(&tries, 1);
    if (err != FN_OK || tries > 1) FN_TRY(fn_device_store_commit(d->store, &change, 1));
    if (err != FN_OK) return err == FN_E_DEVICE_LOGIN ? err : FN_WRAP(FN_E_DEVICE_LOGIN, "%s", who);
    c->session->role = person.role;
    memcpy(c->session->person, person.person, sizeof c->session->person);
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_djson_put_member(c->out, "name", person.person));
    FN_TRY(fn_djson_put_member(c->out, "role", role_name(person.role)));
    return fn_buf_text(c->out, "}");
}

fn_err fn_verb_logout(struct fn_manage_call *c)
{
    c->session->role = FN_ROLE_NONE;
    c->session->person[0] = 0;
    return fn_buf_text(c->out, "{\"ok\":true}");
}

static fn_err list_person(void *context, const struct fn_record_name *name)
{
    struct fn_manage_call *c = context;
    struct fn_buf value FN_SCOPED_BUF = fn_buf_heap();
    struct fn_token_info person = {.role = 0};
    if (name->n != 32) return FN_OK;
    FN_TRY(fn_device_store_get(c->device->store, name, &value));
    FN_TRY(record_parse(fn_buf_view(&value), &person));
    FN_TRY(fn_buf_text(c->out, c->out->p[c->out->n - 1] == '[' ? "{" : ",{"));
    FN_TRY(fn_djson_put_member(c->out, "name", person.person));
    FN_TRY(fn_djson_put_member(c->out, "role", role_name(person.role)));
    FN_TRY(fn_djson_put_hex(c->out, "public", &person.pub, 64));
    return fn_buf_text(c->out, "}");
}

fn_err fn_verb_person_list(struct fn_manage_call *c)
{
    if (!c->device->store) return FN_FAIL(FN_E_DEVICE_LOCKED, "unlock first");
    FN_TRY(fn_buf_text(c->out, "{\"administrators\":["));
    FN_TRY(fn_device_store_each(c->device->store, FN_RECORD_PERSON, NULL, list_person, c));
    return fn_buf_text(c->out, "]}");
}

/* ---- a new root: handed out first, in force when its holders have it ---- */

fn_err fn_verb_reshare_begin(struct fn_manage_call *c)
{
    struct fn_device *d = c->device;
    struct fn_life_head head;
    struct fn_person *persons FN_SCOPED_SECRET = NULL;
    struct fn_pending *p;
    size_t count;
    int64_t needed;
    if (atomic_load(&d->state) != FN_DEVICE_READY) return FN_FAIL(FN_E_DEVICE_STATE, "the device is %s", fn_state_name(atomic_load(&d->state)));
    FN_TRY(fn_life_head_read(d, &head));
    if (head.mode != FN_LIFE_SHARES) return FN_FAIL(FN_E_STATE, "the root of this device is not shared");
    FN_TRY(fn_persons_read(c, &persons, &count));
    FN_TRY(fn_djson_member_number(c->doc, 0, "needed", 2, 2, 255, &needed));
    FN_TRY(fn_quorum(c));
    if (!d->next_root) FN_TRY(fn_secret_alloc(&d->next_root, 32));
    FN_TRY(fn_rng_fill(fn_device_rng(), d->next_root, 32));
    FN_TRY(fn_pending_new(d, &p));
    fn_err err = fn_buf_text(c->out, "{");
    if (err == FN_OK)
        err = fn_persons_tokens(c, persons, count, FN_SHARE_ROOT, (uint8_t)needed, head.generation + 1, d->next_root, p, true);
    if (err == FN_OK) err = fn_buf_text(c->out, "}");
    if (err == FN_OK) err = fn_pending_commit(p);
    fn_pending_free(p);
    FN_TRY(err);
    head.next_m = (uint8_t)needed;
    head.next_n = fn_persons_holders(persons, count);
    fn_root_check(d->next_root, head.serial, head.next_check);
    return fn_life_head_store(d, &head, d->secrets->root);
}

fn_err fn_verb_reshare_commit(struct fn_manage_call *c)
{
    struct fn_device *d = c->device;
    struct fn_life_head head;
    if (atomic_load(&d->state) != FN_DEVICE_READY || !d->next_root) return FN_FAIL(FN_E_DEVICE_STEP, "reshare.begin comes first");
    FN_TRY(fn_life_head_read(d, &head));
    if (!head.next_m) return FN_FAIL(FN_E_DEVICE_STEP, "reshare.begin comes first");
    FN_TRY(fn_life_rekey(d, d->next_root));
    FN_TRY(fn_persons_promote(d));
    head.generation++;
    head.m = head.next_m;
    head.n = head.next_n;
    head.next_m = head.next_n = 0;
    FN_TRY(fn_life_head_store(d, &head, d->next_root));
    fn_secret_free(d->next_root);
    d->next_root = NULL;
    struct fn_identity manager = {.uid = c->uid, .application = "management"};
    fn_dlog_event(d, &manager, "device.reshare", d->serial, FN_OK, NULL);
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_djson_put_number(c->out, "share_generation", head.generation));
    return fn_buf_text(c->out, "}");
}
