/* Formats that are read for ever: fields and a table written once, kept in golden/. `data.golden --make DIR`
 * wrote them; the keys are those of the software cipher (secret = SM3(label), uuid = first half of
 * SM3(secret)). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/sys/file.h"
#include "data/table.h"
#include "soft_cipher.h"
#include <sqlite3.h>
#include <stdio.h>

/* --- fields
 * -----------------------------------------------------------------------------------------------------------------
 */

struct golden_field {
    enum fn_suite suite;
    const char *table, *column;
    uint64_t row, version;
    const char *clear;
};

static const struct golden_field fields[] = {
    {FN_SUITE_SM4_GCM, "citizens", "id_card", 1, 1, "11010519491231002X"},
    {FN_SUITE_SM4_GCM, "citizens", "phone", 2, 1, ""},
    {FN_SUITE_SM4_GCM, "办件", "联系人", 1099511627777, 7, "欧阳某某"},
    {FN_SUITE_SM4_GCM, "citizens", "address", 256, 2, "北京市朝阳区建国门外大街1号,\"甲\"座\n16字节的块"},
    {FN_SUITE_SM4_CBC_HMAC, "citizens", "id_card", 1, 1, "11010519491231002X"},
    {FN_SUITE_SM4_CBC_HMAC, "citizens", "phone", 2, 1, ""},
    {FN_SUITE_SM4_CBC_HMAC, "citizens", "code", 3, 1, "0123456789abcdef"},
    {FN_SUITE_SM4_CBC_HMAC, "办件", "联系人", 1099511627777, 7, "欧阳某某"},
};

static void find_keys(struct soft_cipher *s, struct fn_data_key *key, struct fn_data_key *mac)
{
    assert_int_equal(s->cipher.key(s, "golden/fields", FN_DATA_KEY_STORAGE, true, key), FN_OK);
    assert_int_equal(s->cipher.key(s, "golden/fields-mac", FN_DATA_KEY_MAC, true, mac), FN_OK);
}

static void add_aad(struct fn_buf *aad, const struct golden_field *f)
{
    assert_int_equal(fn_field_aad(aad, fn_bytes(f->table, strlen(f->table)),
                                  fn_bytes(f->column, strlen(f->column)), f->row, f->version),
                     FN_OK);
}

static void make_fields(const char *dir)
{
    struct soft_cipher s;
    struct fn_data_key key, mac;
    char path[512];
    soft_cipher_init(&s);
    find_keys(&s, &key, &mac);
    snprintf(path, sizeof path, "%s/fields.tsv", dir);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    for (size_t i = 0; i < FN_COUNT(fields); i++) {
        struct fn_buf aad = fn_buf_heap(), text = fn_buf_heap();
        char hex[256];
        add_aad(&aad, &fields[i]);
        struct fn_cipher_item item = {.aad = fn_buf_view(&aad),
                                      .in = fn_bytes(fields[i].clear, strlen(fields[i].clear))};
        struct fn_cipher_job job = {.work = FN_CIPHER_SEAL,
                                    .suite = fields[i].suite,
                                    .key = key,
                                    .mac_key = mac,
                                    .count = 1,
                                    .items = &item};
        assert_int_equal(fn_cipher_run(&s.cipher, &job), FN_OK);
        struct fn_field field = {fields[i].suite, key.uuid, item.key_version, item.nonce, item.out, item.tag};
        assert_int_equal(fn_field_write_text(&text, &field), FN_OK);
        fn_hex_encode(hex, fields[i].clear, strlen(fields[i].clear));
        fprintf(out, "%s\t%s\t%llu\t%llu\t%s\t%.*s\n", fields[i].table, fields[i].column,
                (unsigned long long)fields[i].row, (unsigned long long)fields[i].version, hex, (int)text.n,
                (char *)text.p);
        fn_cipher_done(&s.cipher, &job);
        fn_buf_free(&aad);
        fn_buf_free(&text);
    }
    fclose(out);
}

static fn_err open_field(struct soft_cipher *s, const struct golden_field *f, struct fn_bytes text,
                         const char *want)
{
    struct fn_buf aad = fn_buf_heap(), storage = fn_buf_heap();
    struct fn_data_key key, mac;
    struct fn_field field;
    find_keys(s, &key, &mac);
    add_aad(&aad, f);
    fn_err err = fn_field_read_text(&field, text, &storage);
    struct fn_cipher_item item = {.aad = fn_buf_view(&aad),
                                  .in = field.ciphertext,
                                  .key_version = field.version,
                                  .nonce = field.nonce,
                                  .tag = field.tag};
    struct fn_cipher_job job = {
        .work = FN_CIPHER_OPEN, .suite = field.suite, .key = key, .mac_key = mac, .count = 1, .items = &item};
    if (err == FN_OK) {
        assert_memory_equal(field.key.b, key.uuid.b, 16);
        assert_int_equal(fn_cipher_run(&s->cipher, &job), FN_OK);
        err = item.result;
    }
    if (err == FN_OK && want) {
        assert_int_equal(item.out.n, strlen(want));
        if (item.out.n) assert_memory_equal(item.out.p, want, item.out.n);
    }
    fn_cipher_done(&s->cipher, &job);
    fn_buf_free(&aad);
    fn_buf_free(&storage);
    return err;
}

static char golden_dir[400];

static void golden_fields_open(void **state)
{
    struct soft_cipher s;
    char path[512], line[4096];
    (void)state;
    soft_cipher_init(&s);
    snprintf(path, sizeof path, "%s/fields.tsv", golden_dir);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    for (size_t i = 0; i < FN_COUNT(fields); i++) {
        assert_non_null(fgets(line, sizeof line, in));
        line[strcspn(line, "\n")] = 0;
        struct fn_bytes text = fn_bytes(strrchr(line, '\t') + 1, strlen(strrchr(line, '\t') + 1));
        assert_int_equal(open_field(&s, &fields[i], text, fields[i].clear), FN_OK);
        assert_true(fn_field_like(text));
        assert_int_equal(text.n, fn_field_text_size(fields[i].suite, strlen(fields[i].clear)));
        /* Another place does not open it. */
        struct golden_field other = fields[i];
        other.row++;
        assert_int_equal(open_field(&s, &other, text, NULL), FN_E_TAG);
        other = fields[i];
        other.version++;
        assert_int_equal(open_field(&s, &other, text, NULL), FN_E_TAG);
        other = fields[i];
        other.column = "x";
        assert_int_equal(open_field(&s, &other, text, NULL), FN_E_TAG);
        /* Nor does any changed character behind the key's identity. */
        for (size_t at = 30; at < text.n; at++) {
            char kept = line[text.p - (uint8_t *)line + (ptrdiff_t)at], *c = (char *)text.p + at;
            *c = kept == 'A' ? 'B' : 'A';
            fn_err err = open_field(&s, &fields[i], text, NULL);
            assert_true(err == FN_E_TAG || err == FN_E_FIELD);
            *c = kept;
        }
    }
    assert_null(fgets(line, sizeof line, in));
    fclose(in);
}

static void strict_parser(void **state)
{
    static const char good[] = "8QE";
    (void)state;
    struct fn_field field;
    struct fn_buf storage = fn_buf_heap();
    uint8_t binary[120] = {0xf1, 1};
    binary[21] = 1; /* version */
    for (size_t n = 0; n < 50; n++) assert_int_equal(fn_field_read(&field, fn_bytes(binary, n)), FN_E_FIELD);
    assert_int_equal(fn_field_read(&field, fn_bytes(binary, 50)), FN_OK);
    assert_int_equal(field.ciphertext.n, 0);
    binary[0] = 0xf0;
    assert_int_equal(fn_field_read(&field, fn_bytes(binary, 50)), FN_E_FIELD);
    binary[0] = 0xf1;
    for (int suite = 0; suite < 256; suite++) {
        binary[1] = (uint8_t)suite;
        assert_int_equal(fn_field_read(&field, fn_bytes(binary, 90)),
                         suite == 1 || suite == 2 ? FN_OK : FN_E_FIELD);
    }
    binary[1] = 2;
    for (size_t n = 0; n < 120; n++)
        assert_int_equal(fn_field_read(&field, fn_bytes(binary, n)),
                         n >= 90 && (n - 74) % 16 == 0 ? FN_OK : FN_E_FIELD);
    binary[21] = 0;
    assert_int_equal(fn_field_read(&field, fn_bytes(binary, 90)), FN_E_FIELD);
    assert_int_equal(fn_field_read_text(&field, fn_bytes(good, 3), &storage), FN_E_FIELD);
    assert_int_equal(fn_field_read_text(&field, FN_BYTES_LITERAL("8Q=="), &storage), FN_E_FIELD);
    assert_int_equal(fn_field_read_text(&field, FN_BYTES_LITERAL(""), &storage), FN_E_FIELD);
    fn_buf_free(&storage);
}

/* --- a table
 * ----------------------------------------------------------------------------------------------------------------
 */

static const struct fn_column columns[] = {{"name", FN_COLUMN_COVERED},
                                           {"id_card", FN_COLUMN_PROTECTED},
                                           {"address", FN_COLUMN_PROTECTED},
                                           {"note", FN_COLUMN_CLEAR}};
#define COLUMNS    FN_COUNT(columns)
#define TABLE_ROWS 300u

struct maker {
    size_t next;
    char text[TABLE_ROWS + 1][COLUMNS][1200];
};

static void make_cells(size_t i, char text[COLUMNS][1200])
{
    snprintf(text[0], 1200, "姓名%zu", i);
    snprintf(text[1], 1200, "11010519491231%04zu", i);
    snprintf(text[2], 1200, "地址%zu", i);
    if (i == 5) memset(text[2], 'x', 1100), text[2][1100] = 0; /* its text form is a long value */
    snprintf(text[3], 1200, "n");
}

static fn_err fill(void *self, struct fn_batch *b)
{
    struct maker *m = self;
    for (; m->next <= TABLE_ROWS && b->rows < FN_BATCH_ROWS; m->next++, b->rows++) {
        make_cells(m->next, m->text[m->next]);
        for (size_t c = 0; c < COLUMNS; c++) {
            const char *t = m->text[m->next][c];
            b->cells[b->rows * COLUMNS + c] = fn_bytes(m->next % 50 == 0 && c == 2 ? NULL : t, strlen(t));
            if (!b->cells[b->rows * COLUMNS + c].p) b->cells[b->rows * COLUMNS + c].n = 0;
        }
    }
    return FN_OK;
}

static void make_table(const char *dir)
{
    struct soft_cipher s;
    struct fn_store *store;
    struct fn_data_table *t;
    struct maker *m = calloc(1, sizeof *m);
    char path[500], url[512], command[2200], hex[65];
    struct fn_data_table_options o = {.columns = columns, .count = COLUMNS, .anchor_every_ms = 100000};
    struct fn_row_source source = {m, fill, NULL, NULL};
    struct fn_bytes cells[COLUMNS] = {FN_BYTES_LITERAL("新"), FN_BYTES_LITERAL("1"), {NULL, 0}, {NULL, 0}};
    soft_cipher_init(&s);
    m->next = 1;
    snprintf(path, sizeof path, "%s/table.db", dir);
    snprintf(url, sizeof url, "sqlite:%s", path);
    assert_int_equal(fn_store_open(&store, url, true), FN_OK);
    assert_int_equal(fn_data_table_open(&t, store, path, &s.cipher, "citizens", &o), FN_OK);
    assert_int_equal(fn_data_table_write(t, &source), FN_OK);
    assert_int_equal(fn_data_table_anchor(t, true), FN_OK);
    assert_int_equal(fn_data_table_update(t, 7, cells), FN_OK);
    assert_int_equal(fn_data_table_delete(t, 300), FN_OK);
    /* Closed without a last anchor: the heads since the anchored one are there. */
    s.anchor_fails = 1;
    assert_int_equal(fn_data_table_close(t), FN_E_DEVICE_LOST);
    fn_store_close(store);
    snprintf(command, sizeof command, "sqlite3 %s .dump > %s/table.sql && rm -f %s %s-*", path, dir, path,
             path);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/table.anchor", dir);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    for (size_t i = 0; i < s.anchor_count; i++) {
        fn_hex_encode(hex, s.anchors[i].digest, 32);
        fprintf(out, "%s %llu %s\n", s.anchors[i].name, (unsigned long long)s.anchors[i].counter, hex);
    }
    fclose(out);
    free(m);
}

static void load_sql(const char *file, const char *path)
{
    struct fn_buf text = fn_buf_heap();
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(fn_files_read_all(fn_files_real(), file, 16 << 20, &text), FN_OK);
    assert_int_equal(fn_buf_u8(&text, 0), FN_OK);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, (char *)text.p, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s", message);
    sqlite3_close(db);
    fn_buf_free(&text);
}

static void load_anchors(struct soft_cipher *s, const char *file)
{
    FILE *in = fopen(file, "r");
    char name[96], hex[65];
    unsigned long long counter;
    size_t n;
    assert_non_null(in);
    while (fscanf(in, "%95s %llu %64s", name, &counter, hex) == 3) {
        struct soft_anchor *a = &s->anchors[s->anchor_count++];
        snprintf(a->name, sizeof a->name, "%s", name);
        a->counter = counter;
        assert_int_equal(fn_hex_decode(a->digest, 32, &n, hex, 64), FN_OK);
    }
    fclose(in);
}

static fn_err check_row(void *context, const struct fn_batch *b, size_t r)
{
    char text[COLUMNS][1200];
    size_t i = (size_t)b->ids[r];
    const struct fn_bytes *cells = b->cells + r * COLUMNS;
    make_cells(i, text);
    assert_int_equal(b->results[r], FN_OK);
    assert_int_equal(b->versions[r], i == 7 ? 2 : 1);
    if (i == 7) snprintf(text[1], sizeof text[1], "1");
    assert_int_equal(cells[1].n, strlen(text[1]));
    assert_memory_equal(cells[1].p, text[1], cells[1].n);
    if (i % 50 == 0 || i == 7)
        assert_null(cells[2].p);
    else
        assert_memory_equal(cells[2].p, text[2], strlen(text[2]));
    ++*(size_t *)context;
    return FN_OK;
}

static void golden_table_verifies(void **state)
{
    struct soft_cipher s;
    struct fn_store *store;
    struct fn_data_table *t;
    struct fn_verdict v;
    struct fn_data_table_options o = {.read_only = true};
    char dir[] = "/tmp/fengni-golden-XXXXXX", path[64], url[80], file[512];
    struct fn_data_key key;
    size_t rows = 0;
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/table.db", dir);
    snprintf(url, sizeof url, "sqlite:%s", path);
    soft_cipher_init(&s);
    assert_int_equal(s.cipher.key(&s, "data/citizens/fields", FN_DATA_KEY_STORAGE, true, &key), FN_OK);
    assert_int_equal(s.cipher.key(&s, "data/citizens/rows", FN_DATA_KEY_MAC, true, &key), FN_OK);
    snprintf(file, sizeof file, "%s/table.sql", golden_dir);
    load_sql(file, path);
    snprintf(file, sizeof file, "%s/table.anchor", golden_dir);
    load_anchors(&s, file);
    assert_int_equal(fn_store_open(&store, url, false), FN_OK);
    assert_int_equal(fn_data_table_open(&t, store, NULL, &s.cipher, "citizens", &o), FN_OK);
    assert_int_equal(fn_data_table_verify(t, NULL, NULL, &v), FN_OK);
    assert_int_equal(v.gravest, FN_OK);
    assert_int_equal(v.rows, TABLE_ROWS - 1);
    assert_int_equal(v.counter, 5);
    assert_int_equal(v.anchored, 3);
    assert_int_equal(fn_data_table_read(t, 0, UINT64_MAX, check_row, &rows), FN_OK);
    assert_int_equal(rows, TABLE_ROWS - 1);
    assert_int_equal(fn_data_table_close(t), FN_OK);
    fn_store_close(store);
    snprintf(file, sizeof file, "rm -rf %s", dir);
    assert_int_equal(system(file), 0);
}

static void sums(void **state)
{
    uint8_t sum[32] = {0}, a[32], b[32], zero[32] = {0};
    (void)state;
    memset(a, 0xff, 32);
    for (int i = 0; i < 32; i++) b[i] = (uint8_t)(i * 7 + 1);
    fn_sum_add(sum, a);
    fn_sum_add(sum, b);
    fn_sum_add(sum, a);
    fn_sum_subtract(sum, a);
    fn_sum_subtract(sum, b);
    assert_memory_equal(sum, a, 32);
    fn_sum_subtract(sum, a);
    assert_memory_equal(sum, zero, 32);
    b[0] = 0;
    fn_sum_subtract(sum, a); /* 0 - (2^256 - 1) = 1 */
    zero[31] = 1;
    assert_memory_equal(sum, zero, 32);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden_fields_open), cmocka_unit_test(strict_parser),
                                       cmocka_unit_test(golden_table_verifies), cmocka_unit_test(sums)};
    if (argc == 3 && !strcmp(argv[1], "--make")) {
        make_fields(argv[2]);
        make_table(argv[2]);
        return 0;
    }
    const char *source = getenv("FENGNI_SRC");
    snprintf(golden_dir, sizeof golden_dir, "%s/tests/data/golden", source ? source : ".");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
