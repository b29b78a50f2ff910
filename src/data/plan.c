/* `fengni data plan`: what protection will do to each column, before anything is done. */
#include "base/sys/json.h"
#include "base/sys/os_err.h"
#include "data/csv.h"
#include "data/data_cli.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct plan_column {
    char *name, *type; /* type: as declared, NULL for a CSV file */
    enum fn_column_role role;
    uint64_t longest, nulls, empties;
};

struct plan {
    const struct fn_call *call;
    enum fn_suite suite;
    struct plan_column *columns;
    size_t count, room;
    uint64_t rows, bad;
};

static void plan_end(struct plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->columns[i].name);
        free(p->columns[i].type);
    }
    free(p->columns);
}

static fn_err add_column(struct plan *p, struct fn_bytes name, struct fn_bytes type)
{
    FN_TRY(fn_heap_grow(&p->columns, &p->room, p->count + 1, sizeof *p->columns));
    struct plan_column *c = &p->columns[p->count];
    memset(c, 0, sizeof *c);
    FN_TRY(fn_heap_text(&c->name, (const char *)name.p, name.n));
    p->count++;
    return type.p ? fn_heap_text(&c->type, (const char *)type.p, type.n) : FN_OK;
}

static fn_err read_fd(void *self, uint8_t *out, size_t room, size_t *got)
{
    ssize_t n;
    do n = read(*(int *)self, out, room);
    while (n < 0 && errno == EINTR);
    if (n < 0) return FN_FAIL_OS("reading the input");
    *got = (size_t)n;
    return FN_OK;
}

static fn_err measure_csv(struct plan *p, struct fn_csv *csv)
{
    struct fn_csv_record r;
    bool more, first = true;
    for (;; first = false) {
        FN_TRY(fn_csv_next(csv, &r, &more));
        if (!more)
            return first ? FN_FAIL(FN_E_CSV, "the input is empty; its first line must name the columns")
                         : FN_OK;
        if (first && r.bad) return FN_FAIL(r.bad, "line 1: %s", r.reason[FN_LANG_EN]);
        for (size_t i = 0; first && i < r.count; i++) FN_TRY(add_column(p, r.fields[i], fn_bytes(NULL, 0)));
        if (first) continue;
        if (r.bad || r.count != p->count) {
            p->bad++;
            continue;
        }
        p->rows++;
        for (size_t i = 0; i < r.count; i++) {
            if (r.fields[i].n > p->columns[i].longest) p->columns[i].longest = r.fields[i].n;
            p->columns[i].empties += !r.fields[i].n;
        }
    }
}

static fn_err measure_file(struct plan *p, const char *path)
{
    enum fn_csv_encoding encoding;
    struct fn_csv *csv;
    FN_TRY(fn_csv_encoding_parse(&encoding, fn_call_text(p->call, "encoding")));
    FN_SCOPED_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return FN_FAIL_OS("%s", path);
    struct fn_csv_source source = {&fd, read_fd};
    FN_TRY(fn_csv_open(&csv, &source, encoding, 0, 1));
    fn_err err = measure_csv(p, csv);
    fn_csv_close(csv);
    return err;
}

static fn_err list_columns(struct plan *p, struct fn_store *store, const char *table)
{
    struct fn_statement *s;
    struct fn_value name = fn_value_text(table, strlen(table));
    bool row = true;
    FN_TRY(fn_store_prepare(store, "SELECT name, type FROM pragma_table_info(?1) ORDER BY cid", &s));
    fn_err err = fn_statement_bind(s, 1, &name);
    while (err == FN_OK && row) {
        err = fn_statement_step(s, &row);
        if (err == FN_OK && row)
            err = add_column(p, fn_statement_value(s, 0).bytes, fn_statement_value(s, 1).bytes);
    }
    fn_statement_free(s);
    if (err == FN_OK && !p->count) err = FN_FAIL(FN_E_NOT_FOUND, "table %s", table);
    return err;
}

static fn_err measure_column(struct plan *p, struct fn_store *store, const char *table, struct plan_column *c)
{
    FN_SCOPED_BUF struct fn_buf sql = fn_buf_heap(), name = fn_buf_heap();
    struct fn_statement *s;
    bool row;
    FN_TRY(fn_sql_name(&name, c->name));
    FN_TRY(fn_buf_u8(&name, 0));
    FN_TRY(fn_buf_format(
        &sql,
        "SELECT count(*), coalesce(max(length(CAST(%s AS BLOB))), 0), coalesce(sum(%s IS NULL), 0), "
        "coalesce(sum(%s = ''), 0) FROM ",
        (char *)name.p, (char *)name.p, (char *)name.p));
    FN_TRY(fn_sql_name(&sql, table));
    FN_TRY(fn_buf_u8(&sql, 0));
    FN_TRY(fn_store_prepare(store, (const char *)sql.p, &s));
    fn_err err = fn_statement_step(s, &row);
    if (err == FN_OK && row) {
        p->rows = (uint64_t)fn_statement_value(s, 0).integer;
        c->longest = (uint64_t)fn_statement_value(s, 1).integer;
        c->nulls = (uint64_t)fn_statement_value(s, 2).integer;
        c->empties = (uint64_t)fn_statement_value(s, 3).integer;
    }
    fn_statement_free(s);
    return err;
}

static fn_err measure_table(struct plan *p, const char *database)
{
    FN_SCOPED_STORE struct fn_store *store = NULL;
    FN_SCOPED_HEAP char *url = NULL;
    const char *path, *table = fn_call_text(p->call, "table");
    FN_TRY(fn_data_database(database, &url, &path));
    FN_TRY(fn_store_open(&store, url, false));
    FN_TRY(list_columns(p, store, table));
    for (size_t i = 0; i < p->count; i++) FN_TRY(measure_column(p, store, table, &p->columns[i]));
    return FN_OK;
}

static fn_err set_roles(struct plan *p)
{
    FN_SCOPED_NAMES struct fn_names names = {0};
    FN_TRY(fn_names_split(&names, fn_call_text(p->call, "columns")));
    for (size_t i = 0; i < p->count; i++) p->columns[i].role = FN_COLUMN_COVERED;
    for (size_t i = 0; i < names.count; i++) {
        size_t k = 0;
        while (k < p->count && strcmp(p->columns[k].name, names.name[i])) k++;
        if (k == p->count) return FN_FAIL(FN_E_COLUMN, "\"%s\"", names.name[i]);
        p->columns[k].role = FN_COLUMN_PROTECTED;
    }
    return FN_OK;
}

/* Clear length to plan for: what is declared, where characters are declared four bytes each, else what was
 * seen. */
static uint64_t clear_length(const struct plan_column *c)
{
    const char *open = c->type ? strchr(c->type, '(') : NULL;
    uint64_t declared = open ? strtoull(open + 1, NULL, 10) : 0;
    if (declared && strcasestr(c->type, "char")) declared *= 4;
    return declared > c->longest ? declared : c->longest;
}

static uint64_t new_length(const struct plan *p, const struct plan_column *c)
{
    return fn_field_text_size(p->suite, (size_t)clear_length(c));
}

/* One statement for a column, or none where the engine does not limit text. */
static fn_err alter(const struct plan *p, struct fn_buf *out, const struct plan_column *c)
{
    const char *dialect = fn_call_text(p->call, "sql"), *table = fn_call_text(p->call, "table");
    if (c->role != FN_COLUMN_PROTECTED || !strcmp(dialect, "sqlite")) return FN_OK;
    bool mysql = !strcmp(dialect, "mysql"), dm = !strcmp(dialect, "dm");
    FN_TRY(fn_buf_format(out,
                         mysql || dm ? "ALTER TABLE %s MODIFY %s VARCHAR(%llu)"
                                     : "ALTER TABLE %s ALTER COLUMN %s TYPE varchar(%llu)",
                         table, c->name, (unsigned long long)new_length(p, c)));
    return fn_buf_text(out, mysql ? " CHARACTER SET ascii;" : ";");
}

static fn_err alter_table(const struct plan *p, struct fn_buf *out)
{
    const char *dialect = fn_call_text(p->call, "sql"), *table = fn_call_text(p->call, "table");
    bool sqlite = !strcmp(dialect, "sqlite"), postgresql = !strcmp(dialect, "postgresql");
    const char *number = sqlite ? "INTEGER" : "bigint", *bytes = sqlite       ? "BLOB"
                                                                 : postgresql ? "bytea"
                                                                              : "VARBINARY(36)";
    FN_TRY(fn_buf_format(out, "ALTER TABLE %s ADD COLUMN fn_row %s;\n", table, number));
    FN_TRY(fn_buf_format(out, "ALTER TABLE %s ADD COLUMN fn_version %s;\n", table, number));
    FN_TRY(fn_buf_format(out, "ALTER TABLE %s ADD COLUMN fn_mac %s;\n", table, bytes));
    return fn_buf_format(out, "CREATE UNIQUE INDEX %s_fn_row ON %s (fn_row);", table, table);
}

static const struct {
    const char *what;
    struct fn_text effect;
} effects[] = {
    {"NULL",
     {"保持 NULL,不加密(可见有无值),但在行校验范围内",
      "stays NULL: not encrypted, its absence is visible; covered by the row's MAC"}},
    {"''",
     {"空串同样加密,密文非空", "an empty text is encrypted like any other; the stored form is not empty"}},
    {"UNIQUE",
     {"失效:同一明文每次密文不同;需要唯一性时另建盲索引列",
      "no longer works: equal texts have different ciphertexts; uniqueness needs a blind index column"}},
    {"ORDER BY",
     {"按密文排序,没有意义;需在解密后排序", "sorts ciphertext, which means nothing; sort after decryption"}},
    {"LIKE", {"匹配不到;需在解密后过滤", "finds nothing; filter after decryption"}},
    {"JOIN",
     {"受保护列不能作为连接条件;请用未加密的业务主键",
      "a protected column cannot join; use a business key that is not encrypted"}},
    {"=, IN, GROUP BY, DISTINCT", {"同 JOIN", "as JOIN"}},
    {"UPDATE",
     {"受保护列和校验范围内的列只能经本系统修改,否则被判为篡改",
      "protected and covered columns change through this system alone; anything else is found as tampering"}},
};

static const char *stored_form(const struct plan *p, const struct plan_column *c)
{
    if (c->role == FN_COLUMN_PROTECTED) return fn_suite_name(p->suite);
    return FN_SAY("明文,行校验", "clear, under the row's MAC");
}

static fn_err plan_json(const struct plan *p)
{
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap(), sql = fn_buf_heap();
    FN_TRY(fn_buf_text(&b, "{"));
    FN_TRY(fn_json_pair(&b, "table", fn_call_text(p->call, "table")));
    FN_TRY(fn_json_pair(&b, "suite", fn_suite_name(p->suite)));
    FN_TRY(fn_json_pair_number(&b, "rows", (int64_t)p->rows));
    FN_TRY(fn_json_pair_number(&b, "bad_lines", (int64_t)p->bad));
    FN_TRY(fn_json_key(&b, "columns"));
    FN_TRY(fn_buf_text(&b, "["));
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_column *c = &p->columns[i];
        bool protect = c->role == FN_COLUMN_PROTECTED;
        FN_TRY(fn_buf_text(&b, i ? ",{" : "{"));
        FN_TRY(fn_json_pair(&b, "name", c->name));
        FN_TRY(fn_json_pair(&b, "stored", protect ? "ciphertext" : "clear"));
        FN_TRY(fn_json_pair_number(&b, "longest", (int64_t)c->longest));
        FN_TRY(fn_json_pair_number(&b, "new_length", (int64_t)(protect ? new_length(p, c) : c->longest)));
        FN_TRY(fn_json_pair_number(&b, "nulls", (int64_t)c->nulls));
        FN_TRY(fn_json_pair_number(&b, "empties", (int64_t)c->empties));
        sql.n = 0;
        FN_TRY(alter(p, &sql, c));
        FN_TRY(fn_buf_u8(&sql, 0));
        FN_TRY(fn_json_pair(&b, "alter", sql.n > 1 ? (char *)sql.p : NULL));
        FN_TRY(fn_buf_text(&b, "}"));
    }
    FN_TRY(fn_buf_text(&b, "]"));
    sql.n = 0;
    FN_TRY(alter_table(p, &sql));
    FN_TRY(fn_buf_u8(&sql, 0));
    FN_TRY(fn_json_pair(&b, "alter_table", (char *)sql.p));
    FN_TRY(fn_json_key(&b, "effects"));
    FN_TRY(fn_buf_text(&b, "{"));
    for (size_t i = 0; i < FN_COUNT(effects); i++)
        FN_TRY(fn_json_pair(&b, effects[i].what, fn_say(effects[i].effect)));
    FN_TRY(fn_buf_text(&b, "}}"));
    return fn_data_print(&b);
}

static fn_err plan_text(const struct plan *p)
{
    FN_SCOPED_BUF struct fn_buf sql = fn_buf_heap();
    const char *titles[] = {FN_SAY("列", "column"),
                            FN_SAY("存储形式", "stored as"),
                            FN_SAY("现最长字节", "longest now"),
                            FN_SAY("新长度", "new length"),
                            "NULL",
                            "''"};
    struct fn_table *table = fn_table_new(FN_COUNT(titles), titles);
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_column *c = &p->columns[i];
        char longest[24], length[24], nulls[24], empties[24];
        fn_format(longest, sizeof longest, "%llu", (unsigned long long)c->longest);
        fn_format(length, sizeof length, "%llu",
                  (unsigned long long)(c->role == FN_COLUMN_PROTECTED ? new_length(p, c) : c->longest));
        fn_format(nulls, sizeof nulls, "%llu", (unsigned long long)c->nulls);
        fn_format(empties, sizeof empties, "%llu", (unsigned long long)c->empties);
        const char *cells[] = {c->name, stored_form(p, c), longest, length, nulls, empties};
        fn_table_row(table, cells);
    }
    fn_table_print(table);
    printf(FN_SAY("\n%llu 行", "\n%llu rows"), (unsigned long long)p->rows);
    printf(p->bad ? FN_SAY(",%llu 行有误将被拒收\n", ", %llu bad lines will be rejected\n") : "\n",
           (unsigned long long)p->bad);
    puts(FN_SAY("\n已有的表需要:", "\nAn existing table needs:"));
    for (size_t i = 0; i < p->count; i++) {
        sql.n = 0;
        FN_TRY(alter(p, &sql, &p->columns[i]));
        if (sql.n) printf("  %.*s\n", (int)sql.n, (char *)sql.p);
    }
    sql.n = 0;
    FN_TRY(alter_table(p, &sql));
    printf("%.*s\n", (int)sql.n, (char *)sql.p);
    puts(FN_SAY("\n受保护的列此后:", "\nOn protected columns from then on:"));
    for (size_t i = 0; i < FN_COUNT(effects); i++)
        printf("  %s: %s\n", effects[i].what, fn_say(effects[i].effect));
    return FN_OK;
}

static fn_err make_plan(struct plan *p)
{
    const char *in = fn_call_text(p->call, "in"), *db = fn_call_text(p->call, "db"),
               *dialect = fn_call_text(p->call, "sql");
    FN_TRY(fn_suite_parse(&p->suite, fn_call_text(p->call, "suite")));
    if (strcmp(dialect, "sqlite") && strcmp(dialect, "postgresql") && strcmp(dialect, "mysql") &&
        strcmp(dialect, "dm"))
        return FN_FAIL(FN_E_USAGE, "--sql sqlite, postgresql, mysql or dm");
    if (!in == !db) return FN_FAIL(FN_E_USAGE, "--in FILE or --db URL");
    FN_TRY(in ? measure_file(p, in) : measure_table(p, db));
    FN_TRY(set_roles(p));
    return fn_call_json(p->call) ? plan_json(p) : plan_text(p);
}

fn_err fn_data_plan(const struct fn_call *call)
{
    struct plan p __attribute__((cleanup(plan_end))) = {.call = call};
    return make_plan(&p);
}
