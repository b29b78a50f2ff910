#include "device/persons.h"

#include "base/sys/heap.h"
#include "base/sys/now.h"
#include "base/sys/secret.h"
#include "device/words.h"
#include <string.h>

static const struct {
    const char *name;
    enum fn_device_role role;
} roles[] = {{"super", FN_ROLE_SUPER},
             {"business", FN_ROLE_BUSINESS},
             {"audit", FN_ROLE_AUDIT_ADMIN},
             {"auditor", FN_ROLE_AUDITOR},
             {"operator", FN_ROLE_OPERATOR}};

static const char *role_name(enum fn_device_role role)
{
    for (size_t i = 0; i < FN_COUNT(roles); i++)
        if (roles[i].role == role) return roles[i].name;
    return "none";
}

fn_err fn_base64_member(struct fn_manage_call *c, int object, const char *name, size_t most,
                        struct fn_buf *out)
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

/* ---- records: u8 1 ‖ role ‖ var name ‖ signing key ‖ encryption key; named by SM3 of the person's name ----
 */

static void record_name(const char *person, struct fn_record_name *name)
{
    *name = (struct fn_record_name){.kind = FN_RECORD_PERSON, .n = 32};
    fn_sm3_digest(person, strlen(person), name->b);
}

static fn_err record_put(struct fn_pending *p, const struct fn_holder *h)
{
    uint8_t storage[256];
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    struct fn_record_name name;
    record_name(h->name, &name);
    FN_TRY(fn_buf_u8(&value, 1));
    FN_TRY(fn_buf_u8(&value, (uint8_t)h->role));
    FN_TRY(fn_buf_var(&value, h->name, strlen(h->name)));
    FN_TRY(fn_buf_add(&value, &h->sign, 64));
    FN_TRY(fn_buf_add(&value, &h->encrypt, 64));
    return fn_pending_put(p, &name, fn_buf_view(&value));
}

static fn_err record_get(struct fn_device *d, const struct fn_record_name *name, struct fn_holder *h)
{
    uint8_t storage[256], format, role;
    struct fn_buf value = fn_buf_fixed(storage, sizeof storage);
    struct fn_bytes text;
    FN_TRY(fn_device_store_get(d->store, name, &value));
    struct fn_cur c = fn_cur(fn_buf_view(&value));
    FN_TRY(fn_cur_u8(&c, &format));
    FN_TRY(fn_cur_u8(&c, &role));
    FN_TRY(fn_cur_var(&c, FN_HOLDER_MOST, &text));
    FN_TRY(fn_cur_copy(&c, &h->sign, 64));
    FN_TRY(fn_cur_copy(&c, &h->encrypt, 64));
    memcpy(h->name, text.p, text.n);
    h->name[text.n] = 0;
    h->role = (enum fn_device_role)role;
    return fn_cur_end(&c);
}

static fn_err registered(struct fn_device *d, const char *person, struct fn_holder *h)
{
    struct fn_record_name name;
    record_name(person, &name);
    fn_err err = d->store ? record_get(d, &name, h) : FN_E_NOT_FOUND;
    return err == FN_E_NOT_FOUND ? FN_FAIL(FN_E_NOT_FOUND, "no administrator %s", person) : err;
}

bool fn_person_stands(struct fn_device *d, const char *person, int role)
{
    struct fn_holder h;
    if (registered(d, person, &h) == FN_OK) return (int)h.role == role;
    fn_err_clear();
    return false;
}

bool fn_persons_any(struct fn_device *d)
{
    return d->store && fn_device_store_count(d->store, FN_RECORD_PERSON) > 0;
}

/* ---- lists ---- */

void fn_persons_free(struct fn_persons *persons)
{
    if (!persons) return;
    for (size_t i = 0; i < persons->count; i++) fn_buf_free(&persons->list[i].file);
    fn_secret_free(persons);
}

static fn_err person_read(struct fn_manage_call *c, int entry, struct fn_person *p)
{
    char role[24], name[FN_HOLDER_MOST + 1];
    FN_TRY(fn_djson_member_text(c->doc, entry, "name", NULL, name, sizeof name));
    if (fn_djson_member(c->doc, entry, "passphrase") < 0) return registered(c->device, name, &p->holder);
    FN_TRY(fn_djson_member_text(c->doc, entry, "passphrase", NULL, p->passphrase, sizeof p->passphrase));
    FN_TRY(fn_djson_member_text(c->doc, entry, "role", "super", role, sizeof role));
    for (size_t i = 0; i < FN_COUNT(roles); i++)
        if (strcmp(role, roles[i].name) == 0) p->holder.role = roles[i].role;
    if (!p->holder.role)
        return FN_FAIL(FN_E_ARGUMENT, "role %s: super, business, audit, auditor, operator", role);
    p->file = fn_buf_heap();
    return fn_soft_token_make(fn_device_rng(), name, p->holder.role,
                              fn_bytes(p->passphrase, strlen(p->passphrase)), FN_SOFT_TOKEN_ITERATIONS,
                              &p->file, &p->holder);
}

fn_err fn_persons_read(struct fn_manage_call *c, struct fn_persons **persons)
{
    int list = fn_djson_member(c->doc, 0, "administrators");
    size_t count = fn_djson_count(c->doc, list);
    if (list < 0 || count < 1 || count > FN_PERSONS_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "member \"administrators\": a list of 1 to %u", FN_PERSONS_MOST);
    FN_TRY(fn_secret_alloc(persons, sizeof **persons));
    for (size_t i = 0; i < count; i++) {
        (*persons)->count++;
        FN_TRY(person_read(c, fn_djson_element(c->doc, list, i), &(*persons)->list[i]));
        for (size_t j = 0; j < i; j++)
            if (strcmp((*persons)->list[i].holder.name, (*persons)->list[j].holder.name) == 0)
                return FN_FAIL(FN_E_ARGUMENT, "%s stands twice", (*persons)->list[i].holder.name);
    }
    return FN_OK;
}

struct gathering {
    struct fn_device *device;
    struct fn_persons *persons;
};

static fn_err gather_person(void *context, const struct fn_record_name *name)
{
    struct gathering *g = context;
    if (g->persons->count >= FN_PERSONS_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "%u administrators", FN_PERSONS_MOST);
    return record_get(g->device, name, &g->persons->list[g->persons->count++].holder);
}

fn_err fn_persons_registered(struct fn_device *d, struct fn_persons **persons)
{
    FN_TRY(fn_secret_alloc(persons, sizeof **persons));
    struct gathering g = {d, *persons};
    return fn_device_store_each(d->store, FN_RECORD_PERSON, NULL, gather_person, &g);
}

uint8_t fn_persons_holders(const struct fn_persons *persons, bool all)
{
    uint8_t n = 0;
    for (size_t i = 0; i < persons->count; i++)
        n = (uint8_t)(n + (all || fn_holds_share(&persons->list[i].holder)));
    return n;
}

fn_err fn_persons_put(const struct fn_persons *persons, struct fn_pending *p)
{
    for (size_t i = 0; i < persons->count; i++)
        if (persons->list[i].file.n) FN_TRY(record_put(p, &persons->list[i].holder));
    return FN_OK;
}

/* ---- handing out ---- */

static fn_err sign_by_device(void *self, const uint8_t e[32], uint8_t signature[64])
{
    struct fn_device *d = self;
    return fn_sm2_sign(&d->sign->secret->sm2, fn_device_rng(), e, signature);
}

static fn_err put_token(struct fn_manage_call *c, struct fn_person *person, const struct fn_share *share)
{
    struct fn_signer signer = {sign_by_device, c->device};
    struct fn_buf encoded FN_SCOPED_BUF = fn_buf_secret(), sealed FN_SCOPED_BUF = fn_buf_heap(),
                          file FN_SCOPED_BUF = fn_buf_heap();
    if (share) {
        FN_TRY(fn_share_encode(share, &signer, &encoded));
        FN_TRY(
            fn_share_seal(fn_device_rng(), &person->holder.encrypt, share, fn_buf_view(&encoded), &sealed));
        if (person->file.n)
            FN_TRY(fn_soft_token_put(fn_buf_view(&person->file), fn_buf_view(&sealed), &file));
    }
    FN_TRY(fn_buf_text(c->out, c->out->p[c->out->n - 1] == '[' ? "{" : ",{"));
    FN_TRY(fn_djson_put_member(c->out, "name", person->holder.name));
    FN_TRY(fn_djson_put_member(c->out, "role", role_name(person->holder.role)));
    FN_TRY(fn_djson_put_bool(c->out, "holds_share", share != NULL));
    if (person->file.n)
        FN_TRY(fn_put_base64(c->out, "token", fn_buf_view(share ? &file : &person->file)));
    else if (share)
        FN_TRY(fn_put_base64(c->out, "share", fn_buf_view(&sealed)));
    return fn_buf_text(c->out, "}");
}

fn_err fn_persons_hand_out(struct fn_manage_call *c, struct fn_persons *persons,
                           const struct fn_share_set *set, bool all, const uint8_t *secret, size_t size)
{
    struct fn_share *shares FN_SCOPED_SECRET = NULL;
    const char *holders[FN_PERSONS_MOST];
    size_t n = 0, at = 0;
    for (size_t i = 0; i < persons->count; i++)
        if (all || fn_holds_share(&persons->list[i].holder)) holders[n++] = persons->list[i].holder.name;
    if (set->m > n) return FN_FAIL(FN_E_ARGUMENT, "%d shares needed, %zu administrators hold one", set->m, n);
    FN_TRY(fn_secret_alloc(&shares, n * sizeof *shares));
    FN_TRY(fn_share_split(fn_device_rng(), set, fn_device_generation(c->device), fn_now_ms(), secret, size,
                          holders, shares));
    FN_TRY(fn_djson_put_name(c->out, "tokens"));
    FN_TRY(fn_buf_text(c->out, "["));
    for (size_t i = 0; i < persons->count; i++) {
        bool holds = all || fn_holds_share(&persons->list[i].holder);
        FN_TRY(put_token(c, &persons->list[i], holds ? &shares[at++] : NULL));
    }
    return fn_buf_text(c->out, "]");
}

/* ---- shares that come back ---- */

static fn_err open_token(struct fn_manage_call *c, int entry, struct fn_soft_token **token)
{
    struct fn_buf file FN_SCOPED_BUF = fn_buf_heap();
    char passphrase[FN_PASSPHRASE_MOST + 1];
    FN_SCOPED_WIPE(passphrase);
    FN_TRY(fn_base64_member(c, entry, "token", FN_SOFT_TOKEN_MOST, &file));
    FN_TRY(fn_djson_member_text(c->doc, entry, "passphrase", NULL, passphrase, sizeof passphrase));
    FN_TRY(fn_secret_alloc(token, sizeof **token));
    return fn_soft_token_open(*token, fn_device_rng(), fn_buf_view(&file),
                              fn_bytes(passphrase, strlen(passphrase)), FN_SOFT_TOKEN_ITERATIONS);
}

static fn_err share_take(struct fn_manage_call *c, int entry, struct fn_share_pool *pool)
{
    struct fn_soft_token *token FN_SCOPED_SECRET = NULL;
    struct fn_share *share FN_SCOPED_SECRET = NULL;
    struct fn_buf sealed FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(open_token(c, entry, &token));
    struct fn_carrier carrier = fn_soft_token_carrier(token);
    fn_err err = carrier.fetch(carrier.self, pool->set.kind, pool->set.serial, &sealed);
    if (err == FN_E_NOT_FOUND)
        return FN_FAIL(FN_E_DEVICE_SHARE, "%s carries no share of this kind of device %s",
                       carrier.holder.name, pool->set.serial);
    FN_TRY(err);
    FN_TRY(fn_secret_alloc(&share, sizeof *share));
    FN_TRY(carrier.open(carrier.self, fn_buf_view(&sealed), share));
    return fn_share_pool_add(pool, share);
}

fn_err fn_shares_collect(struct fn_manage_call *c, struct fn_share_pool *pool)
{
    int list = fn_djson_member(c->doc, 0, "tokens");
    if (list < 0) return share_take(c, 0, pool);
    for (size_t i = 0; i < fn_djson_count(c->doc, list); i++)
        FN_TRY(share_take(c, fn_djson_element(c->doc, list, i), pool));
    return FN_OK;
}

fn_err fn_root_set(struct fn_device *d, const struct fn_life_head *head, struct fn_share_set *set)
{
    (void)d;
    *set = (struct fn_share_set){.kind = FN_SHARE_ROOT,
                                 .device = head->device,
                                 .uuid = head->line,
                                 .generation = head->generation,
                                 .m = head->m,
                                 .n = head->n};
    memcpy(set->serial, head->serial, sizeof set->serial);
    return FN_OK;
}

fn_err fn_quorum(struct fn_manage_call *c)
{
    struct fn_life_head head;
    struct fn_share_set set;
    struct fn_share_pool *pool FN_SCOPED_SECRET = NULL;
    uint8_t root[FN_SHARE_SECRET_MOST];
    size_t size;
    FN_SCOPED_WIPE(root);
    FN_TRY(fn_life_head_read(c->device, &head));
    if (head.mode == FN_LIFE_UNATTENDED) return FN_OK;
    FN_TRY(fn_root_set(c->device, &head, &set));
    FN_TRY(fn_secret_alloc(&pool, sizeof *pool));
    fn_share_pool_start(pool, &set);
    FN_TRY(fn_shares_collect(c, pool));
    return fn_share_pool_combine(pool, root, &size);
}

/* ---- unlocking ---- */

static fn_err unlock_with(struct fn_device *d, struct fn_life_head *head, bool next)
{
    uint8_t root[FN_SHARE_SECRET_MOST];
    size_t size;
    FN_SCOPED_WIPE(root);
    FN_TRY(fn_share_pool_combine(d->shares, root, &size));
    if (size != 32) return FN_FAIL(FN_E_DEVICE_SHARE, "root of %zu bytes", size);
    fn_err err = fn_life_unlock(d, root);
    if (err == FN_E_DEVICE_STORE_OLD) {
        fn_err_pass(err, __FILE__, __LINE__);
        fn_life_exception(d, "an older copy of the store was put back");
    }
    FN_TRY(err);
    if (!next) return FN_OK;
    /* The new root had taken over when the device went down: from now on it is the only one. */
    head->generation++;
    head->m = head->next_m;
    head->n = head->next_n;
    head->next_m = head->next_n = 0;
    return fn_life_head_store(d, head, root);
}

/* While a new root is handed out and not confirmed, either generation may be the one in force; the first
 * share decides which is tried. */
static fn_err collect_either(struct fn_manage_call *c, const struct fn_life_head *head)
{
    struct fn_device *d = c->device;
    struct fn_share_set set;
    bool fresh = !d->shares;
    if (!fresh) return fn_shares_collect(c, d->shares);
    FN_TRY(fn_secret_alloc(&d->shares, sizeof *d->shares));
    FN_TRY(fn_root_set(d, head, &set));
    fn_share_pool_start(d->shares, &set);
    fn_err err = fn_shares_collect(c, d->shares);
    if (err != FN_E_DEVICE_SHARE || d->shares->count || !head->next_m) return err;
    set.generation++;
    set.m = head->next_m;
    set.n = head->next_n;
    fn_share_pool_start(d->shares, &set);
    return fn_shares_collect(c, d->shares);
}

static void forget_shares(struct fn_device *d)
{
    fn_secret_free(d->shares);
    d->shares = NULL;
}

fn_err fn_verb_unlock(struct fn_manage_call *c)
{
    struct fn_device *d = c->device;
    struct fn_life_head head;
    if (atomic_load(&d->state) != FN_DEVICE_LOCKED)
        return FN_FAIL(FN_E_DEVICE_STATE, "the device is %s", fn_state_name(atomic_load(&d->state)));
    FN_TRY(fn_life_head_read(d, &head));
    fn_err err = collect_either(c, &head);
    /* Shares that came before stay; a set that never began is not kept. */
    if (err != FN_OK && !d->shares->count) forget_shares(d);
    FN_TRY(err);
    unsigned missing = fn_share_pool_missing(d->shares);
    if (!missing) {
        err = unlock_with(d, &head, d->shares->set.generation != head.generation);
        forget_shares(d);
        FN_TRY(err);
        atomic_store(&d->state, FN_DEVICE_READY);
    }
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_djson_put_member(c->out, "state", fn_state_name(atomic_load(&d->state))));
    FN_TRY(fn_djson_put_number(c->out, "shares_missing", missing));
    return fn_buf_text(c->out, "}");
}

/* ---- login ---- */

fn_err fn_verb_login_challenge(struct fn_manage_call *c)
{
    struct fn_holder h;
    char who[FN_HOLDER_MOST + 1];
    uint8_t bytes[FN_LOGIN_BYTES];
    FN_TRY(fn_djson_member_text(c->doc, 0, "name", NULL, who, sizeof who));
    FN_TRY(registered(c->device, who, &h));
    FN_TRY(fn_login_make(&c->session->login, fn_device_rng(), c->device->serial, fn_now_ms(), h.role, NULL));
    c->session->challenged = true;
    fn_login_bytes(&c->session->login, bytes);
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_put_base64(c->out, "challenge", fn_bytes(bytes, sizeof bytes)));
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

/* With a soft token the device opens it and lets it answer, as a smart token would elsewhere. */
static fn_err login_sign(struct fn_manage_call *c, const struct fn_holder *h, uint8_t signature[64])
{
    if (fn_djson_member(c->doc, 0, "signature") >= 0) {
        struct fn_buf bytes = fn_buf_fixed(signature, 64);
        if (!c->session->challenged) return FN_FAIL(FN_E_DEVICE_LOGIN, "login.challenge comes first");
        FN_TRY(fn_base64_member(c, 0, "signature", 64, &bytes));
        return bytes.n == 64 ? FN_OK : FN_FAIL(FN_E_SIGNATURE, "%zu bytes", bytes.n);
    }
    struct fn_soft_token *token FN_SCOPED_SECRET = NULL;
    uint8_t bytes[FN_LOGIN_BYTES];
    FN_TRY(open_token(c, 0, &token));
    struct fn_carrier carrier = fn_soft_token_carrier(token);
    FN_TRY(fn_login_make(&c->session->login, fn_device_rng(), c->device->serial, fn_now_ms(), h->role, NULL));
    fn_login_bytes(&c->session->login, bytes);
    return carrier.authenticate(carrier.self, fn_bytes(bytes, sizeof bytes), signature);
}

static fn_err login_check(struct fn_manage_call *c, const struct fn_holder *h)
{
    uint8_t signature[64];
    fn_err err = login_sign(c, h, signature);
    if (err == FN_OK) err = fn_login_verify(&c->session->login, fn_now_ms(), h, signature);
    c->session->challenged = false;
    return err;
}

fn_err fn_verb_login(struct fn_manage_call *c)
{
    struct fn_device *d = c->device;
    struct fn_holder h;
    struct fn_change change = {0};
    char who[FN_HOLDER_MOST + 1];
    uint8_t tries;
    if (!d->store) return FN_FAIL(FN_E_DEVICE_LOCKED, "unlock first");
    FN_TRY(fn_djson_member_text(c->doc, 0, "name", NULL, who, sizeof who));
    if (registered(d, who, &h) != FN_OK) return FN_FAIL(FN_E_DEVICE_LOGIN, "no administrator %s", who);
    record_name(who, &change.name);
    change.name.kind = FN_RECORD_RETRY;
    FN_TRY(tries_of(d, &change.name, &tries));
    if (tries >= FN_RETRY_MOST)
        return FN_FAIL(FN_E_DEVICE_LOGIN, "%s is locked after %d failures", who, tries);
    fn_err err = login_check(c, &h);
    struct fn_identity manager = {.uid = c->uid, .application = "management"};
    fn_dlog_event(d, &manager, "login", who, err, NULL);
    bool had = tries++ > 0;
    change.remove = err == FN_OK;
    if (err != FN_OK) change.value = fn_bytes(&tries, 1);
    if (err != FN_OK || had) {
        fn_err kept = fn_device_store_commit(d->store, &change, 1);
        if (err == FN_OK) err = kept;
    }
    if (err != FN_OK) return FN_WRAP(FN_E_DEVICE_LOGIN, "%s", who);
    c->session->role = h.role;
    memcpy(c->session->person, h.name, sizeof c->session->person);
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_djson_put_member(c->out, "name", h.name));
    FN_TRY(fn_djson_put_member(c->out, "role", role_name(h.role)));
    return fn_buf_text(c->out, "}");
}

fn_err fn_verb_logout(struct fn_manage_call *c)
{
    c->session->role = 0;
    c->session->person[0] = 0;
    return fn_buf_text(c->out, "{\"ok\":true}");
}

/* ---- administrators ---- */

fn_err fn_verb_person_list(struct fn_manage_call *c)
{
    struct fn_persons *persons FN_SCOPED_PERSONS = NULL;
    if (!c->device->store) return FN_FAIL(FN_E_DEVICE_LOCKED, "unlock first");
    FN_TRY(fn_persons_registered(c->device, &persons));
    FN_TRY(fn_buf_text(c->out, "{\"administrators\":["));
    for (size_t i = 0; i < persons->count; i++) {
        const struct fn_holder *h = &persons->list[i].holder;
        FN_TRY(fn_buf_text(c->out, i ? ",{" : "{"));
        FN_TRY(fn_djson_put_member(c->out, "name", h->name));
        FN_TRY(fn_djson_put_member(c->out, "role", role_name(h->role)));
        FN_TRY(fn_djson_put_hex(c->out, "sign", &h->sign, 64));
        FN_TRY(fn_djson_put_hex(c->out, "encrypt", &h->encrypt, 64));
        FN_TRY(fn_buf_text(c->out, "}"));
    }
    return fn_buf_text(c->out, "]}");
}

static void log_person(struct fn_manage_call *c, const char *event, const char *person)
{
    struct fn_identity manager = {.uid = c->uid, .application = "management"};
    if (c->session->person[0]) memcpy(manager.application, c->session->person, sizeof manager.application);
    fn_dlog_event(c->device, &manager, event, person, FN_OK, NULL);
}

/* New ones hold no share until the next reshare. */
fn_err fn_verb_person_add(struct fn_manage_call *c)
{
    struct fn_persons *persons FN_SCOPED_PERSONS = NULL;
    struct fn_pending *p;
    struct fn_holder known;
    if (atomic_load(&c->device->state) != FN_DEVICE_READY) return FN_FAIL(FN_E_DEVICE_STATE, "not ready");
    FN_TRY(fn_persons_read(c, &persons));
    FN_TRY(fn_buf_text(c->out, "{\"tokens\":["));
    for (size_t i = 0; i < persons->count; i++) {
        if (!persons->list[i].file.n || registered(c->device, persons->list[i].holder.name, &known) == FN_OK)
            return FN_FAIL(FN_E_EXISTS, "administrator %s", persons->list[i].holder.name);
        fn_err_clear();
        FN_TRY(put_token(c, &persons->list[i], NULL));
        log_person(c, "person.add", persons->list[i].holder.name);
    }
    FN_TRY(fn_pending_new(c->device, &p));
    fn_err err = fn_persons_put(persons, p);
    if (err == FN_OK) err = fn_pending_commit(p);
    fn_pending_free(p);
    FN_TRY(err);
    return fn_buf_text(c->out, "]}");
}

fn_err fn_verb_person_remove(struct fn_manage_call *c)
{
    struct fn_persons *persons FN_SCOPED_PERSONS = NULL;
    struct fn_change changes[2] = {{.remove = true}, {.remove = true}};
    struct fn_holder h;
    char who[FN_HOLDER_MOST + 1];
    unsigned supers = 0;
    FN_TRY(fn_djson_member_text(c->doc, 0, "name", NULL, who, sizeof who));
    FN_TRY(registered(c->device, who, &h));
    FN_TRY(fn_persons_registered(c->device, &persons));
    for (size_t i = 0; i < persons->count; i++) supers += persons->list[i].holder.role == FN_ROLE_SUPER;
    if (h.role == FN_ROLE_SUPER && supers < 2)
        return FN_FAIL(FN_E_STATE, "%s is the last super administrator", who);
    record_name(who, &changes[0].name);
    /* With the failures to log in: whoever bears the name next begins anew. */
    changes[1].name = changes[0].name;
    changes[1].name.kind = FN_RECORD_RETRY;
    log_person(c, "person.remove", who);
    FN_TRY(fn_device_store_commit(c->device->store, changes, 2));
    return fn_buf_text(c->out, "{\"ok\":true}");
}

/* ---- administrators' files: work on bytes that the command line carries ---- */

fn_err fn_verb_token_put(struct fn_manage_call *c)
{
    struct fn_buf file FN_SCOPED_BUF = fn_buf_heap(), share FN_SCOPED_BUF = fn_buf_heap(),
                       out FN_SCOPED_BUF = fn_buf_heap();
    FN_TRY(fn_base64_member(c, 0, "token", FN_SOFT_TOKEN_MOST, &file));
    FN_TRY(fn_base64_member(c, 0, "share", FN_SHARE_SEALED_MOST, &share));
    FN_TRY(fn_soft_token_put(fn_buf_view(&file), fn_buf_view(&share), &out));
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_put_base64(c->out, "token", fn_buf_view(&out)));
    return fn_buf_text(c->out, "}");
}

fn_err fn_verb_token_change(struct fn_manage_call *c)
{
    struct fn_buf file FN_SCOPED_BUF = fn_buf_heap(), out FN_SCOPED_BUF = fn_buf_heap();
    char old[FN_PASSPHRASE_MOST + 1], new[FN_PASSPHRASE_MOST + 1];
    FN_SCOPED_WIPE(old);
    FN_SCOPED_WIPE(new);
    FN_TRY(fn_base64_member(c, 0, "token", FN_SOFT_TOKEN_MOST, &file));
    FN_TRY(fn_djson_member_text(c->doc, 0, "passphrase", NULL, old, sizeof old));
    FN_TRY(fn_djson_member_text(c->doc, 0, "new_passphrase", NULL, new, sizeof new));
    FN_TRY(fn_soft_token_change(fn_device_rng(), fn_buf_view(&file), fn_bytes(old, strlen(old)),
                                fn_bytes(new, strlen(new)), FN_SOFT_TOKEN_ITERATIONS,
                                FN_SOFT_TOKEN_ITERATIONS, &out));
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_put_base64(c->out, "token", fn_buf_view(&out)));
    return fn_buf_text(c->out, "}");
}

fn_err fn_verb_phrase(struct fn_manage_call *c)
{
    char phrase[FN_PHRASE_TEXT + 1];
    FN_SCOPED_WIPE(phrase);
    FN_TRY(fn_phrase_make(fn_device_rng(), phrase));
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_djson_put_member(c->out, "phrase", phrase));
    return fn_buf_text(c->out, "}");
}

/* ---- a new root: handed out first, in force when its holders have it ---- */

fn_err fn_verb_reshare_begin(struct fn_manage_call *c)
{
    struct fn_device *d = c->device;
    struct fn_life_head head;
    struct fn_persons *persons FN_SCOPED_PERSONS = NULL;
    struct fn_share_set set;
    int64_t needed;
    if (atomic_load(&d->state) != FN_DEVICE_READY)
        return FN_FAIL(FN_E_DEVICE_STATE, "the device is %s", fn_state_name(atomic_load(&d->state)));
    FN_TRY(fn_life_head_read(d, &head));
    if (head.mode != FN_LIFE_SHARES) return FN_FAIL(FN_E_STATE, "the root of this device is not shared");
    FN_TRY(fn_djson_member_number(c->doc, 0, "needed", head.m, 2, 255, &needed));
    FN_TRY(fn_persons_registered(d, &persons));
    FN_TRY(fn_quorum(c));
    FN_TRY(fn_root_set(d, &head, &set));
    set.generation++;
    set.m = (uint8_t)needed;
    set.n = fn_persons_holders(persons, false);
    if (!d->next_root) FN_TRY(fn_secret_alloc(&d->next_root, 32));
    FN_TRY(fn_rng_fill(fn_device_rng(), d->next_root, 32));
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_persons_hand_out(c, persons, &set, false, d->next_root, 32));
    FN_TRY(fn_buf_text(c->out, "}"));
    head.next_m = set.m;
    head.next_n = set.n;
    log_person(c, "reshare.begin", d->serial);
    return fn_life_head_store(d, &head, d->secrets->root);
}

fn_err fn_verb_reshare_commit(struct fn_manage_call *c)
{
    struct fn_device *d = c->device;
    struct fn_life_head head;
    if (atomic_load(&d->state) != FN_DEVICE_READY || !d->next_root)
        return FN_FAIL(FN_E_DEVICE_STEP, "reshare.begin comes first");
    FN_TRY(fn_life_head_read(d, &head));
    if (!head.next_m) return FN_FAIL(FN_E_DEVICE_STEP, "reshare.begin comes first");
    FN_TRY(fn_life_rekey(d, d->next_root));
    head.generation++;
    head.m = head.next_m;
    head.n = head.next_n;
    head.next_m = head.next_n = 0;
    FN_TRY(fn_life_head_store(d, &head, d->next_root));
    fn_secret_free(d->next_root);
    d->next_root = NULL;
    log_person(c, "device.reshare", d->serial);
    FN_TRY(fn_buf_text(c->out, "{"));
    FN_TRY(fn_djson_put_number(c->out, "share_generation", head.generation));
    return fn_buf_text(c->out, "}");
}
