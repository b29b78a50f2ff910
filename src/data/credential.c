/* Credentials for clear text: files with an access secret, and a table of their HMACs that is itself
 * integrity-protected. */
#include "base/sys/file.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include "data/data.h"
#include "data/table.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CREDENTIAL_MARK "fengni credential 1"
#define FILE_MARK       "fengni data credential 1\n"
#define SECRET_SIZE     32

enum { ID, HOLDER, CREATED, EXPIRES, STATE, VERIFIER, COLUMNS };

static const struct fn_column columns[COLUMNS] = {
    {"id", FN_COLUMN_COVERED},         {"holder", FN_COLUMN_COVERED}, {"created_ms", FN_COLUMN_COVERED},
    {"expires_ms", FN_COLUMN_COVERED}, {"state", FN_COLUMN_COVERED},  {"verifier", FN_COLUMN_COVERED},
};

struct book {
    struct fn_store *store;
    struct fn_data_table *table;
};

static fn_err open_book(struct book *b, const struct fn_cipher *cipher, const char *instance, bool read_only)
{
    FN_SCOPED_HEAP char *path = NULL, *url = NULL;
    struct fn_data_table_options o = {
        .columns = columns, .count = COLUMNS, .read_only = read_only, .anchor_every_ms = 1};
    FN_TRY(fn_data_path(instance, "data.db", &path));
    FN_TRY(fn_heap_format(&url, "sqlite:%s", path));
    FN_TRY(fn_store_open(&b->store, url, !read_only));
    fn_err err = fn_data_table_open(&b->table, b->store, path, cipher, "credential", &o);
    if (err != FN_OK) fn_store_close(b->store);
    return err;
}

static fn_err close_book(struct book *b, fn_err before)
{
    fn_err err = fn_data_table_close(b->table);
    fn_store_close(b->store);
    return before != FN_OK ? before : err;
}

/* HMAC under the device over id, holder, times and secret: hex. */
static fn_err verifier(const struct fn_cipher *cipher, const struct fn_credential *c,
                       const uint8_t secret[SECRET_SIZE], char hex[65])
{
    struct fn_data_key key;
    uint8_t mac[32];
    FN_SCOPED_BUF struct fn_buf message = fn_buf_secret();
    FN_TRY(cipher->key(cipher->self, "data/credential", FN_DATA_KEY_MAC, true, &key));
    FN_TRY(fn_buf_add(&message, CREDENTIAL_MARK, sizeof CREDENTIAL_MARK));
    FN_TRY(fn_buf_var(&message, c->id, strlen(c->id)));
    FN_TRY(fn_buf_var(&message, c->holder, strlen(c->holder)));
    FN_TRY(fn_buf_u64(&message, (uint64_t)c->expires_ms));
    FN_TRY(fn_buf_add(&message, secret, SECRET_SIZE));
    FN_TRY(fn_cipher_mac(cipher, &key, fn_buf_view(&message), mac));
    fn_hex_encode(hex, mac, sizeof mac);
    return FN_OK;
}

static fn_err write_file(const struct fn_credential *c, const uint8_t secret[SECRET_SIZE], const char *file)
{
    const struct fn_files *f = fn_files_real();
    FN_SCOPED_BUF struct fn_buf text = fn_buf_secret();
    char code[FN_BASE64URL_SIZE(SECRET_SIZE) + 1];
    FN_SCOPED_WIPE(code);
    int handle;
    fn_base64url_encode(code, secret, SECRET_SIZE);
    FN_TRY(fn_buf_format(&text, FILE_MARK "id: %s\nholder: %s\nexpires_ms: %lld\nsecret: %s\n", c->id,
                         c->holder, (long long)c->expires_ms, code));
    FN_TRY(f->open(f, file, FN_FILE_WRITE | FN_FILE_CREATE | FN_FILE_EXCLUSIVE, 0600, &handle));
    fn_err err = f->pwrite(f, handle, 0, text.p, text.n);
    if (err == FN_OK) err = f->fsync(f, handle);
    f->close(f, handle);
    return err == FN_OK ? fn_files_fsync_parent(f, file) : err;
}

struct one_row {
    struct fn_bytes cells[COLUMNS];
    bool given;
};
static fn_err give_row(void *self, struct fn_batch *b)
{
    struct one_row *row = self;
    if (row->given) return FN_OK;
    row->given = true;
    memcpy(b->cells, row->cells, sizeof row->cells);
    b->rows = 1;
    return FN_OK;
}

static fn_err store_credential(const struct fn_cipher *cipher, const char *instance,
                               const struct fn_credential *c, const char *hex)
{
    struct book b;
    char created[24], expires[24];
    fn_format(created, sizeof created, "%lld", (long long)c->created_ms);
    fn_format(expires, sizeof expires, "%lld", (long long)c->expires_ms);
    const char *const texts[COLUMNS] = {c->id, c->holder, created, expires, c->state, hex};
    struct one_row row = {0};
    for (size_t i = 0; i < COLUMNS; i++) row.cells[i] = fn_bytes(texts[i], strlen(texts[i]));
    struct fn_row_source source = {&row, give_row, NULL, NULL};
    FN_TRY(open_book(&b, cipher, instance, false));
    return close_book(&b, fn_data_table_write(b.table, &source));
}

fn_err fn_credential_new(const struct fn_cipher *cipher, const char *instance, const char *holder,
                         int64_t expires_ms, const char *file, struct fn_credential *made)
{
    uint8_t secret[SECRET_SIZE], random[16];
    FN_SCOPED_WIPE(secret);
    struct fn_uuid id;
    char hex[65];
    memset(made, 0, sizeof *made);
    if (!*holder || strlen(holder) >= sizeof made->holder || strchr(holder, '\n'))
        return FN_FAIL(FN_E_ARGUMENT, "holder of a credential: 1 to 64 bytes on one line");
    FN_TRY(cipher->random(cipher->self, random, sizeof random));
    FN_TRY(cipher->random(cipher->self, secret, sizeof secret));
    fn_uuid_from_random(&id, random);
    fn_uuid_format(made->id, &id);
    fn_format(made->holder, sizeof made->holder, "%s", holder);
    fn_format(made->state, sizeof made->state, "active");
    made->created_ms = fn_now_ms();
    made->expires_ms = expires_ms;
    FN_TRY(verifier(cipher, made, secret, hex));
    FN_TRY(write_file(made, secret, file));
    fn_err err = store_credential(cipher, instance, made, hex);
    if (err != FN_OK) unlink(file);
    return err;
}

static fn_err field(char **text, const char *word, char **value)
{
    size_t n = strlen(word);
    char *end = strchr(*text, '\n');
    if (!end || strncmp(*text, word, n) || strncmp(*text + n, ": ", 2))
        return FN_FAIL(FN_E_CREDENTIAL, "not a credential file");
    *end = 0;
    *value = *text + n + 2;
    *text = end + 1;
    return FN_OK;
}

static fn_err parse_file(char *text, struct fn_credential *c, uint8_t secret[SECRET_SIZE])
{
    char *id, *holder, *expires, *code;
    size_t n;
    if (strncmp(text, FILE_MARK, sizeof FILE_MARK - 1))
        return FN_FAIL(FN_E_CREDENTIAL, "not a credential file");
    text += sizeof FILE_MARK - 1;
    FN_TRY(field(&text, "id", &id));
    FN_TRY(field(&text, "holder", &holder));
    FN_TRY(field(&text, "expires_ms", &expires));
    FN_TRY(field(&text, "secret", &code));
    if (strlen(id) >= sizeof c->id || strlen(holder) >= sizeof c->holder ||
        fn_base64url_decode(secret, SECRET_SIZE, &n, code, strlen(code)) != FN_OK || n != SECRET_SIZE)
        return FN_FAIL(FN_E_CREDENTIAL, "not a credential file");
    fn_format(c->id, sizeof c->id, "%s", id);
    fn_format(c->holder, sizeof c->holder, "%s", holder);
    c->expires_ms = strtoll(expires, NULL, 10);
    return FN_OK;
}

static fn_err read_file(const char *file, struct fn_credential *c, uint8_t secret[SECRET_SIZE])
{
    struct stat st;
    FN_SCOPED_BUF struct fn_buf text = fn_buf_secret();
    if (stat(file, &st)) return FN_FAIL_OS("%s", file);
    if (st.st_mode & 077) return FN_FAIL(FN_E_CREDENTIAL, "%s can be read by others; chmod 600 it", file);
    FN_TRY(fn_files_read_all(fn_files_real(), file, 4096, &text));
    FN_TRY(fn_buf_u8(&text, 0));
    return parse_file((char *)text.p, c, secret);
}

static void copy_cell(char *out, size_t size, struct fn_bytes cell)
{
    fn_format(out, size, "%.*s", (int)cell.n, cell.p ? (const char *)cell.p : "");
}

static int64_t number_cell(struct fn_bytes cell)
{
    char text[24];
    copy_cell(text, sizeof text, cell);
    return strtoll(text, NULL, 10);
}

/* Walks the credentials; rows that were tampered with fail. */
struct search {
    const char *id; /* NULL: all */
    struct fn_credential found;
    char verifier[65];
    uint64_t row;
    struct fn_bytes cells[COLUMNS];
    struct fn_buf kept;
    fn_err (*each)(void *context, const struct fn_credential *credential);
    void *context;
};

static fn_err look_at(void *self, const struct fn_batch *b, size_t r)
{
    struct search *s = self;
    const struct fn_bytes *cells = b->cells + r * COLUMNS;
    FN_TRY(b->results[r] == FN_OK
               ? FN_OK
               : FN_FAIL(b->results[r], "credential in row %llu", (unsigned long long)b->ids[r]));
    struct fn_credential c = {.created_ms = number_cell(cells[CREATED]),
                              .expires_ms = number_cell(cells[EXPIRES])};
    copy_cell(c.id, sizeof c.id, cells[ID]);
    copy_cell(c.holder, sizeof c.holder, cells[HOLDER]);
    copy_cell(c.state, sizeof c.state, cells[STATE]);
    if (s->each) return s->each(s->context, &c);
    if (strcmp(c.id, s->id)) return FN_OK;
    s->found = c;
    s->row = b->ids[r];
    copy_cell(s->verifier, sizeof s->verifier, cells[VERIFIER]);
    return FN_OK;
}

/* The whole table is verified first: a revoked credential does not come back with an older row. */
static fn_err search_book(struct book *b, struct search *s)
{
    struct fn_verdict verdict;
    FN_TRY(fn_data_table_verify(b->table, NULL, NULL, &verdict));
    if (verdict.gravest != FN_OK)
        return FN_FAIL(verdict.gravest, "the table of credentials was tampered with");
    return fn_data_table_read(b->table, 0, UINT64_MAX, look_at, s);
}

fn_err fn_credential_check(const struct fn_cipher *cipher, const char *instance, const char *file,
                           struct fn_credential *found)
{
    uint8_t secret[SECRET_SIZE];
    FN_SCOPED_WIPE(secret);
    struct book b;
    char hex[65];
    memset(found, 0, sizeof *found);
    FN_TRY(read_file(file, found, secret));
    FN_TRY(verifier(cipher, found, secret, hex));
    struct search s = {.id = found->id};
    fn_err err = open_book(&b, cipher, instance, true);
    if (err == FN_E_NOT_FOUND) return FN_WRAP(FN_E_CREDENTIAL, "this instance has issued none");
    FN_TRY(err);
    FN_TRY(close_book(&b, search_book(&b, &s)));
    if (!s.row || !fn_equal_ct(hex, s.verifier, 64))
        return FN_FAIL(FN_E_CREDENTIAL, "%s was not issued by this instance", file);
    if (strcmp(s.found.state, "active"))
        return FN_FAIL(FN_E_CREDENTIAL, "credential %s was revoked", s.found.id);
    if (s.found.expires_ms && s.found.expires_ms < fn_now_ms())
        return FN_FAIL(FN_E_CREDENTIAL, "credential %s has expired", s.found.id);
    *found = s.found;
    return FN_OK;
}

fn_err fn_credential_list(const struct fn_cipher *cipher, const char *instance,
                          fn_err (*each)(void *context, const struct fn_credential *credential),
                          void *context)
{
    struct book b;
    struct search s = {.each = each, .context = context};
    fn_err err = open_book(&b, cipher, instance, true);
    if (err == FN_E_NOT_FOUND) return FN_OK;
    FN_TRY(err);
    return close_book(&b, search_book(&b, &s));
}

static fn_err revoke_found(struct book *b, struct search *s)
{
    char created[24], expires[24];
    FN_TRY(search_book(b, s));
    if (!s->row) return FN_FAIL(FN_E_NOT_FOUND, "credential %s", s->id);
    fn_format(created, sizeof created, "%lld", (long long)s->found.created_ms);
    fn_format(expires, sizeof expires, "%lld", (long long)s->found.expires_ms);
    const char *const texts[COLUMNS] = {s->found.id, s->found.holder, created,
                                        expires,     "revoked",       s->verifier};
    for (size_t i = 0; i < COLUMNS; i++) s->cells[i] = fn_bytes(texts[i], strlen(texts[i]));
    return fn_data_table_update(b->table, s->row, s->cells);
}

fn_err fn_credential_revoke(const struct fn_cipher *cipher, const char *instance, const char *id)
{
    struct book b;
    struct search s = {.id = id};
    FN_TRY(open_book(&b, cipher, instance, false));
    return close_book(&b, revoke_found(&b, &s));
}
