#include "device/carrier.h"
#include "crypto/sm3/sm3.h"
#include "crypto/sm4/sm4.h"
#include "device/words.h"

#define VERSION   1u
#define METHOD    1u /* PBKDF2-HMAC-SM3, SM4-GCM */
#define SALT      16u
#define NONCE     12u
#define BODY      64u /* both private keys */
#define HEAD_MOST 256u

static const uint8_t token_magic[4] = {'F', 'N', 'A', 'T'};
static const char login_domain[] = "fengni login 1";

static fn_err role_check(unsigned role)
{
    if (role >= FN_ROLE_SUPER && role <= FN_ROLE_OPERATOR) return FN_OK;
    return FN_FAIL(FN_E_FORMAT, "role %u", role);
}

/* ---- login ---- */

void fn_login_subject(struct fn_bytes verb, struct fn_bytes body, uint8_t subject[32])
{
    struct fn_sm3 h;
    fn_sm3_init(&h);
    fn_sm3_update(&h, verb.p, verb.n);
    fn_sm3_update(&h, "", 1);
    fn_sm3_update(&h, body.p, body.n);
    fn_sm3_final(&h, subject);
}

static fn_err login_check(const struct fn_login *login)
{
    FN_TRY(role_check(login->role));
    if (login->made < 0) return FN_FAIL(FN_E_FORMAT, "time of the challenge is out of range");
    return fn_serial_check(login->serial);
}

fn_err fn_login_make(struct fn_login *login, const struct fn_rng *rng, const char *serial, fn_ms now,
                     enum fn_device_role role, const uint8_t *subject)
{
    *login = (struct fn_login){.made = now, .role = role};
    if (fn_serial_check(serial) != FN_OK) return FN_WRAP(FN_E_ARGUMENT, "login challenge");
    memcpy(login->serial, serial, FN_SERIAL_TEXT);
    if (subject) memcpy(login->subject, subject, 32);
    if (login_check(login) != FN_OK) return FN_WRAP(FN_E_ARGUMENT, "login challenge");
    return fn_rng_fill(rng, login->random, sizeof login->random);
}

void fn_login_bytes(const struct fn_login *login, uint8_t out[FN_LOGIN_BYTES])
{
    uint8_t *p = out;
    memcpy(p, login_domain, sizeof login_domain);
    p += sizeof login_domain;
    memcpy(p, login->random, 32);
    memcpy(p + 32, login->serial, FN_SERIAL_TEXT);
    fn_put_be64(p + 48, (uint64_t)login->made);
    p[56] = (uint8_t)login->role;
    memcpy(p + 57, login->subject, 32);
}

fn_err fn_login_read(struct fn_login *login, struct fn_bytes bytes)
{
    struct fn_cur c = fn_cur(bytes);
    struct fn_bytes domain;
    uint64_t made;
    uint8_t role;
    *login = (struct fn_login){0};
    FN_TRY(fn_cur_take(&c, sizeof login_domain, &domain));
    if (memcmp(domain.p, login_domain, sizeof login_domain) != 0)
        return FN_FAIL(FN_E_FORMAT, "not a login challenge");
    FN_TRY(fn_cur_copy(&c, login->random, 32));
    FN_TRY(fn_cur_copy(&c, login->serial, FN_SERIAL_TEXT));
    FN_TRY(fn_cur_u64(&c, &made));
    FN_TRY(fn_cur_u8(&c, &role));
    FN_TRY(fn_cur_copy(&c, login->subject, 32));
    FN_TRY(fn_cur_end(&c));
    login->made = made > INT64_MAX ? -1 : (fn_ms)made;
    login->role = (enum fn_device_role)role;
    return login_check(login);
}

fn_err fn_login_verify(const struct fn_login *login, fn_ms now, const struct fn_holder *holder,
                       const uint8_t signature[64])
{
    uint8_t bytes[FN_LOGIN_BYTES], e[32];
    if (holder->role != login->role)
        return FN_FAIL(FN_E_DEVICE_ROLE, "%s has role %d, the challenge is for role %d", holder->name,
                       holder->role, login->role);
    if (now < login->made || now - login->made > FN_LOGIN_VALID_MS)
        return FN_FAIL(FN_E_TIMEOUT, "answered %lld ms after the challenge, at most %d allowed",
                       (long long)(now - login->made), FN_LOGIN_VALID_MS);
    fn_login_bytes(login, bytes);
    FN_TRY(fn_sm2_public_check(&holder->sign));
    FN_TRY(fn_sm2_digest(e, &holder->sign, FN_SM2_DEFAULT_ID, fn_bytes(bytes, sizeof bytes)));
    return fn_sm2_verify(&holder->sign, e, signature);
}

/* ---- passphrases ---- */

/* Length, and which bytes belong to one character, count as public; which characters they are does not. */
fn_err fn_passphrase_read(struct fn_bytes typed, uint8_t out[FN_PASSPHRASE_MOST], size_t *n)
{
    char phrase[FN_PHRASE_TEXT + 1];
    FN_SCOPED_WIPE(phrase);
    size_t bad, characters = 0;
    uint32_t control = 0;
    if (typed.n > FN_PASSPHRASE_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "passphrase of %zu bytes, at most %u", typed.n, FN_PASSPHRASE_MOST);
    if (!fn_utf8_valid(typed, &bad)) return FN_FAIL(FN_E_ENCODING, "passphrase at byte %zu", bad);
    if (fn_phrase_read(typed, phrase)) {
        memcpy(out, phrase, FN_PHRASE_TEXT);
        *n = FN_PHRASE_TEXT;
        return FN_OK;
    }
    for (size_t i = 0; i < typed.n; i++) {
        characters += (typed.p[i] & 0xc0) != 0x80;
        control |= (uint32_t)(typed.p[i] < 0x20) | (typed.p[i] == 0x7f);
    }
    if (control) return FN_FAIL(FN_E_ARGUMENT, "control character in the passphrase");
    if (characters < FN_PASSPHRASE_LEAST)
        return FN_FAIL(FN_E_PASSPHRASE_WEAK, "%zu characters, at least %u", characters, FN_PASSPHRASE_LEAST);
    memcpy(out, typed.p, typed.n);
    *n = typed.n;
    return FN_OK;
}

/* ---- the file: head ‖ sealed private keys ‖ tag ‖ shares ---- */

struct token {
    struct fn_holder holder;
    uint32_t iterations;
    uint8_t salt[SALT], nonce[NONCE];
    struct fn_bytes head; /* authenticated with the body */
    struct fn_bytes body, tag;
    size_t count;
    struct fn_bytes shares[FN_SOFT_TOKEN_SHARES_MOST];
};

static fn_err write_head(const struct token *t, struct fn_buf *out)
{
    FN_TRY(fn_buf_add(out, token_magic, 4));
    FN_TRY(fn_buf_u8(out, VERSION));
    FN_TRY(fn_buf_u8(out, METHOD));
    FN_TRY(fn_buf_u32(out, t->iterations));
    FN_TRY(fn_buf_add(out, t->salt, SALT));
    FN_TRY(fn_buf_add(out, t->nonce, NONCE));
    FN_TRY(fn_buf_u8(out, (uint8_t)t->holder.role));
    FN_TRY(fn_buf_add(out, &t->holder.sign, 64));
    FN_TRY(fn_buf_add(out, &t->holder.encrypt, 64));
    return fn_buf_var(out, t->holder.name, fn_short_length(t->holder.name, FN_HOLDER_MOST));
}

static fn_err read_head(struct fn_cur *c, struct token *t)
{
    struct fn_bytes b;
    uint8_t version, method, role;
    FN_TRY(fn_cur_take(c, 4, &b));
    if (memcmp(b.p, token_magic, 4) != 0) return FN_FAIL(FN_E_FORMAT, "not an administrator's file");
    FN_TRY(fn_cur_u8(c, &version));
    FN_TRY(fn_cur_u8(c, &method));
    if (version != VERSION || method != METHOD)
        return FN_FAIL(FN_E_VERSION, "administrator's file of version %d, method %d", version, method);
    FN_TRY(fn_cur_u32(c, &t->iterations));
    FN_TRY(fn_cur_copy(c, t->salt, SALT));
    FN_TRY(fn_cur_copy(c, t->nonce, NONCE));
    FN_TRY(fn_cur_u8(c, &role));
    FN_TRY(role_check(role));
    t->holder.role = (enum fn_device_role)role;
    FN_TRY(fn_cur_copy(c, &t->holder.sign, 64));
    FN_TRY(fn_cur_copy(c, &t->holder.encrypt, 64));
    FN_TRY(fn_sm2_public_check(&t->holder.sign));
    FN_TRY(fn_sm2_public_check(&t->holder.encrypt));
    FN_TRY(fn_cur_var(c, FN_HOLDER_MOST, &b));
    FN_TRY(fn_holder_name_check(b));
    memcpy(t->holder.name, b.p, b.n);
    return FN_OK;
}

static fn_err write_shares(const struct token *t, struct fn_buf *out)
{
    FN_TRY(fn_buf_u8(out, (uint8_t)t->count));
    for (size_t i = 0; i < t->count; i++) FN_TRY(fn_buf_var(out, t->shares[i].p, t->shares[i].n));
    return FN_OK;
}

static bool same_place(const struct fn_share_label *a, const struct fn_share_label *b)
{
    return a->kind == b->kind && memcmp(a->serial, b->serial, FN_SERIAL_TEXT) == 0;
}

/* At most one share of a kind and device, each sealed to this holder. */
static fn_err share_check(const struct token *t, struct fn_bytes sealed, struct fn_share_label *label)
{
    uint8_t recipient[32];
    FN_TRY(fn_share_label_read(label, sealed));
    fn_sm3_digest(&t->holder.encrypt, 64, recipient);
    if (memcmp(recipient, label->recipient, 32) != 0)
        return FN_FAIL(FN_E_DEVICE_SHARE, "the share is sealed to another administrator than %s",
                       t->holder.name);
    return FN_OK;
}

static fn_err read_shares(struct fn_cur *c, struct token *t)
{
    struct fn_share_label labels[FN_SOFT_TOKEN_SHARES_MOST];
    uint8_t count;
    FN_TRY(fn_cur_u8(c, &count));
    if (count > FN_SOFT_TOKEN_SHARES_MOST) return FN_FAIL(FN_E_TOO_LARGE, "%d shares in one file", count);
    for (t->count = 0; t->count < count; t->count++) {
        struct fn_bytes *sealed = &t->shares[t->count];
        FN_TRY(fn_cur_var(c, FN_SHARE_SEALED_MOST, sealed));
        FN_TRY(share_check(t, *sealed, &labels[t->count]));
        for (size_t i = 0; i < t->count; i++)
            if (same_place(&labels[i], &labels[t->count]))
                return FN_FAIL(FN_E_FORMAT, "two shares of one device and kind");
    }
    return FN_OK;
}

static fn_err read_token(struct token *t, struct fn_bytes file)
{
    struct fn_cur c = fn_cur(file);
    if (file.n > FN_SOFT_TOKEN_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "administrator's file of %zu bytes", file.n);
    FN_TRY(read_head(&c, t));
    t->head = fn_bytes(file.p, fn_cur_offset(&c));
    FN_TRY(fn_cur_take(&c, BODY, &t->body));
    FN_TRY(fn_cur_take(&c, 16, &t->tag));
    FN_TRY(read_shares(&c, t));
    return fn_cur_end(&c);
}

/* The key that the private keys are sealed under. */
static fn_err body_key(const struct token *t, struct fn_bytes typed, struct fn_gcm_key *key)
{
    uint8_t passphrase[FN_PASSPHRASE_MOST], k[FN_SM4_KEY];
    FN_SCOPED_WIPE(passphrase);
    FN_SCOPED_WIPE(k);
    size_t n = 0;
    FN_TRY(fn_passphrase_read(typed, passphrase, &n));
    fn_pbkdf2_sm3(passphrase, n, t->salt, SALT, t->iterations, k, sizeof k);
    fn_gcm_key_init(key, k);
    return FN_OK;
}

/* Head with fresh salt and nonce, and the keys sealed under it. */
static fn_err write_token(const struct fn_rng *rng, struct token *t, const uint8_t body[BODY],
                          struct fn_bytes passphrase, struct fn_buf *out)
{
    struct fn_gcm_key key;
    FN_SCOPED_WIPE(key);
    uint8_t room[HEAD_MOST], sealed[BODY], tag[16];
    struct fn_buf head = fn_buf_fixed(room, sizeof room);
    if (t->iterations < 1 || t->iterations > FN_SOFT_TOKEN_ITERATIONS_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "%u iterations", t->iterations);
    FN_TRY(fn_rng_fill(rng, t->salt, SALT));
    FN_TRY(fn_rng_fill(rng, t->nonce, NONCE));
    FN_TRY(write_head(t, &head));
    FN_TRY(body_key(t, passphrase, &key));
    struct fn_gcm_job job = {.key = &key,
                             .nonce = fn_bytes(t->nonce, NONCE),
                             .aad = fn_buf_view(&head),
                             .in = body,
                             .out = sealed,
                             .n = BODY,
                             .tag = tag,
                             .tag_size = 16};
    FN_TRY(fn_gcm_encrypt(&job));
    FN_TRY(fn_buf_add(out, head.p, head.n));
    FN_TRY(fn_buf_add(out, sealed, BODY));
    FN_TRY(fn_buf_add(out, tag, 16));
    return write_shares(t, out);
}

fn_err fn_soft_token_make(const struct fn_rng *rng, const char *name, enum fn_device_role role,
                          struct fn_bytes passphrase, uint32_t iterations, struct fn_buf *file,
                          struct fn_holder *holder)
{
    struct fn_sm2_private sign, encrypt;
    uint8_t body[BODY];
    FN_SCOPED_WIPE(sign);
    FN_SCOPED_WIPE(encrypt);
    FN_SCOPED_WIPE(body);
    struct token t = {.iterations = iterations};
    struct fn_bytes text = fn_bytes(name, fn_short_length(name, FN_HOLDER_MOST));
    if (role_check(role) != FN_OK || fn_holder_name_check(text) != FN_OK)
        return FN_WRAP(FN_E_ARGUMENT, "new administrator");
    FN_TRY(fn_sm2_generate(&sign, rng));
    FN_TRY(fn_sm2_generate(&encrypt, rng));
    memcpy(t.holder.name, text.p, text.n);
    t.holder.role = role;
    t.holder.sign = sign.pub;
    t.holder.encrypt = encrypt.pub;
    memcpy(body, sign.d, 32);
    memcpy(body + 32, encrypt.d, 32);
    FN_TRY(write_token(rng, &t, body, passphrase, file));
    *holder = t.holder;
    return FN_OK;
}

fn_err fn_soft_token_read(struct fn_bytes file, struct fn_holder *holder, size_t *shares)
{
    struct token t = {0};
    FN_TRY(read_token(&t, file));
    *holder = t.holder;
    if (shares) *shares = t.count;
    return FN_OK;
}

fn_err fn_soft_token_share(struct fn_bytes file, size_t i, struct fn_bytes *sealed)
{
    struct token t = {0};
    FN_TRY(read_token(&t, file));
    if (i >= t.count) return FN_FAIL(FN_E_NOT_FOUND, "share %zu of %zu", i, t.count);
    *sealed = t.shares[i];
    return FN_OK;
}

/* Where a new share goes: the place of the one it replaces, or the end. */
static fn_err place_of(const struct token *t, const struct fn_share_label *label, size_t *place)
{
    for (*place = 0; *place < t->count; ++*place) {
        struct fn_share_label old;
        FN_TRY(fn_share_label_read(&old, t->shares[*place]));
        if (!same_place(&old, label)) continue;
        if (memcmp(old.set.b, label->set.b, 16) == 0 && old.generation > label->generation)
            return FN_FAIL(FN_E_DEVICE_SHARE, "share of generation %u, %s holds one of %u", label->generation,
                           t->holder.name, old.generation);
        return FN_OK;
    }
    if (t->count == FN_SOFT_TOKEN_SHARES_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "the file holds %zu shares", t->count);
    return FN_OK;
}

fn_err fn_soft_token_put(struct fn_bytes file, struct fn_bytes sealed, struct fn_buf *out)
{
    struct token t = {0};
    struct fn_share_label label;
    size_t place;
    FN_TRY(read_token(&t, file));
    FN_TRY(share_check(&t, sealed, &label));
    FN_TRY(place_of(&t, &label, &place));
    t.shares[place] = sealed;
    if (place == t.count) t.count++;
    /* Up to the shares nothing changes. */
    FN_TRY(fn_buf_add(out, file.p, t.head.n + BODY + 16));
    return write_shares(&t, out);
}

/* ---- opened ---- */

static fn_err open_body(const struct token *t, struct fn_bytes passphrase, uint8_t body[BODY])
{
    struct fn_gcm_key key;
    FN_SCOPED_WIPE(key);
    uint8_t tag[16];
    FN_TRY(body_key(t, passphrase, &key));
    memcpy(tag, t->tag.p, 16);
    struct fn_gcm_job job = {.key = &key,
                             .nonce = fn_bytes(t->nonce, NONCE),
                             .aad = t->head,
                             .in = t->body.p,
                             .out = body,
                             .n = BODY,
                             .tag = tag,
                             .tag_size = 16};
    fn_err err = fn_gcm_decrypt(&job);
    if (err == FN_E_TAG) return FN_WRAP(FN_E_PASSPHRASE, "file of %s", t->holder.name);
    return err;
}

static fn_err open_token(struct fn_soft_token *token, struct fn_bytes file, struct fn_bytes passphrase,
                         uint32_t least)
{
    struct token t = {0};
    uint8_t body[BODY];
    FN_SCOPED_WIPE(body);
    FN_TRY(read_token(&t, file));
    if (t.iterations < least || t.iterations > FN_SOFT_TOKEN_ITERATIONS_MOST)
        return FN_FAIL(FN_E_FORMAT, "%u iterations, %u to %u expected", t.iterations, least,
                       FN_SOFT_TOKEN_ITERATIONS_MOST);
    FN_TRY(open_body(&t, passphrase, body));
    FN_TRY(fn_sm2_private_load(&token->sign, body));
    FN_TRY(fn_sm2_private_load(&token->encrypt, body + 32));
    if (memcmp(&token->sign.pub, &t.holder.sign, 64) != 0 ||
        memcmp(&token->encrypt.pub, &t.holder.encrypt, 64) != 0)
        return FN_FAIL(FN_E_KEY_PAIR, "file of %s", t.holder.name);
    token->holder = t.holder;
    token->size = file.n;
    memcpy(token->file, file.p, file.n);
    return FN_OK;
}

fn_err fn_soft_token_open(struct fn_soft_token *token, const struct fn_rng *rng, struct fn_bytes file,
                          struct fn_bytes passphrase, uint32_t least)
{
    fn_wipe(token, sizeof *token);
    token->rng = rng;
    fn_err err = open_token(token, file, passphrase, least);
    if (err != FN_OK) fn_wipe(token, sizeof *token);
    return err;
}

fn_err fn_soft_token_change(const struct fn_rng *rng, struct fn_bytes file, struct fn_bytes old_passphrase,
                            struct fn_bytes passphrase, uint32_t iterations, uint32_t least,
                            struct fn_buf *out)
{
    struct token t = {0};
    uint8_t body[BODY];
    FN_SCOPED_WIPE(body);
    FN_TRY(read_token(&t, file));
    if (t.iterations < least || t.iterations > FN_SOFT_TOKEN_ITERATIONS_MOST)
        return FN_FAIL(FN_E_FORMAT, "%u iterations, %u to %u expected", t.iterations, least,
                       FN_SOFT_TOKEN_ITERATIONS_MOST);
    FN_TRY(open_body(&t, old_passphrase, body));
    t.iterations = iterations;
    return write_token(rng, &t, body, passphrase, out);
}

static fn_err carrier_authenticate(void *self, struct fn_bytes challenge, uint8_t signature[64])
{
    struct fn_soft_token *token = self;
    struct fn_login login;
    uint8_t e[32];
    FN_TRY(fn_login_read(&login, challenge));
    if (login.role != token->holder.role)
        return FN_FAIL(FN_E_DEVICE_ROLE, "%s has role %d, the challenge is for role %d", token->holder.name,
                       token->holder.role, login.role);
    FN_TRY(fn_sm2_digest(e, &token->sign.pub, FN_SM2_DEFAULT_ID, challenge));
    return fn_sm2_sign(&token->sign, token->rng, e, signature);
}

static fn_err carrier_keep(void *self, struct fn_bytes sealed)
{
    struct fn_soft_token *token = self;
    uint8_t room[FN_SOFT_TOKEN_MOST];
    struct fn_buf next = fn_buf_fixed(room, sizeof room);
    FN_TRY(fn_soft_token_put(fn_bytes(token->file, token->size), sealed, &next));
    memcpy(token->file, next.p, next.n);
    token->size = next.n;
    token->changed = true;
    return FN_OK;
}

static fn_err carrier_fetch(void *self, enum fn_share_kind kind, const char *serial, struct fn_buf *sealed)
{
    const struct fn_soft_token *token = self;
    struct token t = {0};
    FN_TRY(read_token(&t, fn_bytes(token->file, token->size)));
    for (size_t i = 0; i < t.count; i++) {
        struct fn_share_label label;
        FN_TRY(fn_share_label_read(&label, t.shares[i]));
        if (label.kind == kind && fn_short_length(serial, FN_SERIAL_TEXT) == FN_SERIAL_TEXT &&
            memcmp(label.serial, serial, FN_SERIAL_TEXT) == 0)
            return fn_buf_add(sealed, t.shares[i].p, t.shares[i].n);
    }
    return FN_FAIL(FN_E_NOT_FOUND, "%s holds no such share of device %.16s", token->holder.name, serial);
}

static fn_err carrier_open(void *self, struct fn_bytes sealed, struct fn_share *share)
{
    const struct fn_soft_token *token = self;
    return fn_share_open(share, &token->encrypt, sealed);
}

struct fn_carrier fn_soft_token_carrier(struct fn_soft_token *token)
{
    return (struct fn_carrier){token,        token->holder, carrier_authenticate,
                               carrier_keep, carrier_fetch, carrier_open};
}

void fn_soft_token_wipe(struct fn_soft_token *token)
{
    fn_wipe(token, sizeof *token);
}
