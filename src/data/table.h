/* A protected table in the customer's database: its definition, its rows, its manifests. */
#ifndef FN_DATA_TABLE_H
#define FN_DATA_TABLE_H

#include "base/sys/heap.h"
#include "base/sys/store.h"
#include "data/cipher.h"
#include "data/manifest.h"

#define FN_TABLE_NAME_MOST    64u
#define FN_TABLE_COLUMNS_MOST 256u
#define FN_BATCH_ROWS         256u

enum fn_column_role { FN_COLUMN_CLEAR = 0, FN_COLUMN_COVERED = 1, FN_COLUMN_PROTECTED = 2 };

struct fn_column {
    const char *name;
    enum fn_column_role role;
};

/* The columns, keys and suite of a table, under a MAC in fn_data_table. */
struct fn_definition {
    char *name;
    struct fn_uuid uuid;
    enum fn_suite suite; /* FN_SUITE_NONE: MAC alone */
    struct fn_data_key fields, fields_mac,
        rows; /* versions: of `rows` the one of the definition's MAC, else current */
    size_t count, protected_count, covered_count; /* covered: protected ones too */
    struct fn_column *columns;
};

struct fn_data_table_options {
    const struct fn_column *columns; /* of a table to be made; NULL: it must exist */
    size_t count;
    enum fn_suite suite; /* of a new table with protected columns; FN_SUITE_NONE: sm4-gcm */
    bool read_only;
    uint32_t anchor_every_ms; /* 0: 500; 1: before every acknowledgement */
};

struct fn_data_table {
    struct fn_store *store; /* not owned */
    const struct fn_cipher *cipher;
    struct fn_definition def;
    bool writing;
    bool stale; /* the manifest in memory is not what the database has */
    int lock;   /* handle of the file layer, -1: none */
    uint32_t writer;
    uint32_t anchor_every_ms;
    struct fn_manifest manifest;         /* of our writer */
    uint64_t anchored, issue;            /* counter at the last anchor; next sequence number to hand out */
    int64_t anchored_at_ms, fresh_at_ms; /* of the last anchor; of the last look whether the table is old */
    struct fn_ring *ring;                /* of the write path, kept from call to call */
    struct fn_statement *insert, *top, *add_head, *drop_heads, *put_segment;
};

/* Makes the room's tables in the database when they are missing. */
fn_err fn_data_schema(struct fn_store *store);
extern const struct fn_schema_step fn_data_schema_steps[];

/* path: file of the database, for the writer's lock; may be NULL when read-only. */
fn_err fn_data_table_open(struct fn_data_table **table, struct fn_store *store, const char *path,
                          const struct fn_cipher *cipher, const char *name,
                          const struct fn_data_table_options *options);
/* Anchors what is due; frees in any case. */
fn_err fn_data_table_close(struct fn_data_table *table);
/* Advances the anchor to the last commit when `now` or when the interval has passed. */
fn_err fn_data_table_anchor(struct fn_data_table *table, bool now);

/* Reads and checks the definition; FN_E_NOT_FOUND, FN_E_CORRUPT. */
fn_err fn_definition_load(struct fn_definition *def, struct fn_store *store, const struct fn_cipher *cipher,
                          const char *name);
void fn_definition_free(struct fn_definition *def);
/* A definition of these columns without keys; and its record into the database. */
fn_err fn_definition_make(struct fn_definition *def, const char *name, const struct fn_column *columns,
                          size_t count);
fn_err fn_definition_store(const struct fn_definition *def, struct fn_store *store,
                           const struct fn_cipher *cipher);
/* Position of a column; FN_E_COLUMN. */
fn_err fn_definition_column(const struct fn_definition *def, const char *name, size_t *at);
/* Appends the identifier quoted for SQL. */
fn_err fn_sql_name(struct fn_buf *sql, const char *name);

/* Rows on their way. Cells with p == NULL are SQL NULL. */
struct fn_batch {
    size_t rows;
    uint64_t ids[FN_BATCH_ROWS], versions[FN_BATCH_ROWS];
    struct fn_bytes *cells;          /* rows × columns: clear (covered and clear columns: as stored) */
    struct fn_bytes *stored;         /* rows × columns: as stored in the database */
    uint8_t macs[FN_BATCH_ROWS][36]; /* u32 key version ‖ MAC */
    fn_err results[FN_BATCH_ROWS];
    struct fn_buf text; /* what cells point to, when the filler wants it here */
    struct fn_buf aad, sealed, message;
    struct fn_cipher_item *fields, *rows_mac;
    struct fn_cipher_job seal, mac;
    bool sealing, macing;
    /* For the filler: where in the input the batch ends. */
    uint64_t mark[4];
};
fn_err fn_batch_make(struct fn_batch *b, const struct fn_definition *def);
void fn_batch_free(struct fn_batch *b, const struct fn_cipher *cipher);
/* Empties it for the next rows. */
void fn_batch_clear(struct fn_batch *b, const struct fn_cipher *cipher);
/* Encrypts the protected cells into `stored`: begin, then end. */
fn_err fn_batch_seal_start(struct fn_batch *b, const struct fn_definition *def,
                           const struct fn_cipher *cipher);
fn_err fn_batch_seal_finish(struct fn_batch *b, const struct fn_definition *def,
                            const struct fn_cipher *cipher);
/* Row MACs over `stored`, under the key version that stands in macs[i] (fill: the current one). */
fn_err fn_batch_mac_start(struct fn_batch *b, const struct fn_definition *def,
                          const struct fn_cipher *cipher);
/* make: into macs; otherwise compared with them, results[i] = FN_OK or FN_E_ROW_ALTERED. */
fn_err fn_batch_mac_finish(struct fn_batch *b, const struct fn_cipher *cipher, bool make);
/* Decrypts `stored` into `cells` for rows whose result is FN_OK; failures go to results. */
fn_err fn_batch_open(struct fn_batch *b, const struct fn_definition *def, const struct fn_cipher *cipher);
/* Appends the message of one row's MAC (docs/formats/manifest.md 2). */
fn_err fn_row_message(struct fn_buf *out, const struct fn_definition *def, uint64_t row, uint64_t version,
                      const struct fn_bytes *stored);

/* Writing. */
struct fn_row_source {
    void *self;
    /* Sets b->rows (0: end of input) and b->cells; what they point to stays until the batch is committed. */
    fn_err (*fill)(void *self, struct fn_batch *b);
    /* Within the transaction that writes the batch; may be NULL. */
    fn_err (*record)(void *self, const struct fn_batch *b);
    /* After its commit; may be NULL. */
    void (*committed)(void *self, const struct fn_batch *b);
};
fn_err fn_data_table_write(struct fn_data_table *table, const struct fn_row_source *source);
void fn_data_ring_free(struct fn_data_table *table);
fn_err fn_data_table_update(struct fn_data_table *table, uint64_t id, const struct fn_bytes *cells);
fn_err fn_data_table_delete(struct fn_data_table *table, uint64_t id);

/* Reading. The heads are checked against the anchors (at most twice a second), then every row; the reader
 * returns a failure to stop. FN_E_TABLE_OLD, FN_E_CORRUPT. */
typedef fn_err fn_row_reader(void *context, const struct fn_batch *b, size_t row);
fn_err fn_data_table_read(struct fn_data_table *table, uint64_t from, uint64_t to, fn_row_reader *reader,
                          void *context);
/* Up to FN_BATCH_ROWS rows as stored, from a statement that selects all columns, fn_row, fn_version, fn_mac.
 * Rows whose fn_ columns are not of our making get result FN_E_ROW_INSERTED, cells that are neither text nor
 * NULL FN_E_ROW_ALTERED. */
fn_err fn_batch_load(struct fn_batch *b, const struct fn_definition *def, struct fn_statement *rows,
                     bool *more);
/* Prepares such a statement; `where` begins with a space or is empty. */
fn_err fn_data_table_select(struct fn_data_table *table, const char *where, struct fn_statement **rows);

/* Manifests in the database (manifest_store.c). */
/* Segments and last head as they stand; FN_E_CORRUPT when the segments are not those of the head, whose MAC
 * is not checked here. */
fn_err fn_manifest_load(struct fn_data_table *table, uint32_t writer, struct fn_manifest *m);
/* The same after the heads were checked against the anchor: fit to be continued. */
fn_err fn_manifest_load_checked(struct fn_data_table *table, uint32_t writer, struct fn_manifest *m);
/* Loads it and makes sure that it is the manifest of this head, which was checked before. */
fn_err fn_manifest_load_head(struct fn_data_table *table, const struct fn_head *head, struct fn_manifest *m);
/* What the device holds of a writer's manifest; counter 0: nothing. To be read before the database: commits
 * go on while we look, and anchors follow commits. */
struct fn_anchor {
    uint64_t counter;
    uint8_t digest[32];
};
fn_err fn_anchor_read(struct fn_data_table *table, uint32_t writer, struct fn_anchor *anchor);
/* Reads it again; whether it has moved since. */
bool fn_anchor_moved(struct fn_data_table *table, uint32_t writer, struct fn_anchor *anchor);
/* Reads the heads of a writer and checks them against its anchor: MACs, unbroken chain from the anchored head
 * to the last. FN_E_NOT_FOUND: neither heads nor anchor. Without an anchor only an empty manifest at counter
 * 1 is right. */
fn_err fn_heads_check(struct fn_data_table *table, uint32_t writer, const struct fn_anchor *anchor,
                      struct fn_head *last);
/* MAC over a head record as stored: u32 key version ‖ MAC. */
fn_err fn_head_mac(struct fn_data_table *table, const struct fn_head *head, uint8_t mac[36]);
fn_err fn_head_put(struct fn_data_table *table, const struct fn_head *head, const uint8_t mac[36]);
fn_err fn_segment_put(struct fn_data_table *table, const struct fn_manifest *m, size_t segment);
/* Highest counter of a writer's heads in the database, 0: none. */
fn_err fn_heads_top(struct fn_data_table *table, uint32_t writer, uint64_t *counter);
/* Every writer's heads against its anchor. */
fn_err fn_data_table_fresh(struct fn_data_table *table);
#define FN_ANCHOR_NAME 80
void fn_anchor_name(char out[FN_ANCHOR_NAME], const struct fn_uuid *table, uint32_t writer);

/* After a restore from backup the table is older than its anchors, and no writer goes on. This accepts what
 * is there as the state from now on: heads and segments must fit each other and carry our MACs; a new head
 * beyond the anchor is written and anchored. *writers: how many manifests were taken up (0: none was old). To
 * be logged with who and why. */
fn_err fn_data_table_adopt(struct fn_data_table *table, unsigned *writers);

/* Verification. */
struct fn_finding {
    fn_err code; /* FN_E_ROW_ALTERED, _MOVED, _INSERTED, _MISSING, FN_E_SEGMENT_OLD, FN_E_TABLE_OLD,
                    FN_E_CORRUPT */
    uint64_t row, other, first, last;
    const char *detail;
};
struct fn_verdict {
    uint64_t rows, segments, findings, counter, anchored;
    fn_err gravest;
};
typedef void fn_finding_reader(void *context, const struct fn_finding *finding);
/* Returns failures to check; what was found stands in the verdict. */
fn_err fn_data_table_verify(struct fn_data_table *table, fn_finding_reader *reader, void *context,
                            struct fn_verdict *verdict);

#endif
