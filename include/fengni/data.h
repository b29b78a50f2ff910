/* Protected tables: rows whose chosen columns are stored as ciphertext, every row under an HMAC-SM3, every
 * table under a manifest whose head is anchored in the cryptographic device (GB/T 39786 8.4 e, f;
 * docs/formats/field.md, manifest.md).
 *
 * Link with -lfengni-data. Functions return 0 or a stable error number (docs/errors.md); the words of the
 * last failure of this thread are told by fengni_data_failure(). A handle belongs to one thread at a time.
 * Text is UTF-8 and never contains NUL. */
#ifndef FENGNI_DATA_H
#define FENGNI_DATA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define FENGNI_API __attribute__((visibility("default")))
#else
#define FENGNI_API
#endif

/* A database and a connection to the device. */
struct fengni_data;
/* database: "sqlite:PATH", made when absent. socket: the device's; NULL: environment FENGNI_DEVICE_SOCKET,
 * else /run/fengni/device.sock. */
FENGNI_API int fengni_data_open(struct fengni_data **data, const char *database, const char *socket);
FENGNI_API void fengni_data_close(struct fengni_data *data);
/* Chinese (or, with FENGNI_LANG=en, English) words of the last failure of this thread: number, text, detail,
 * what to do. Valid until the next call on this thread. */
FENGNI_API const char *fengni_data_failure(void);

/* What is done with a column. */
enum fengni_column_role {
    FENGNI_COLUMN_CLEAR = 0,     /* stored as given, not covered: others may change it */
    FENGNI_COLUMN_COVERED = 1,   /* stored as given, covered by the row's MAC */
    FENGNI_COLUMN_PROTECTED = 2, /* stored encrypted, covered by the row's MAC */
};
struct fengni_column {
    const char *name;
    enum fengni_column_role role;
};
enum fengni_suite {
    FENGNI_SUITE_SM4_GCM = 1,
    FENGNI_SUITE_SM4_CBC_HMAC_SM3 = 2, /* for devices without authenticated encryption */
};

/* A protected table opened for reading or writing. */
struct fengni_table;
struct fengni_table_options {
    /* Columns of a table that is not there yet; NULL: it must exist. When it exists they must agree with it.
     * Keys named data/TABLE/… are made in the device on first use and found by name afterwards. */
    const struct fengni_column *columns;
    size_t column_count;
    enum fengni_suite suite; /* of new tables; 0: SM4-GCM */
    int read_only;
    /* The head is anchored in the device when this many milliseconds have passed since the last anchor (0:
     * 500), at close, and with 1 before every acknowledgement. */
    uint32_t anchor_every_ms;
};
FENGNI_API int fengni_table_open(struct fengni_data *data, const char *table,
                                 const struct fengni_table_options *options, struct fengni_table **handle);
/* Anchors the head and frees the handle even when it fails. */
FENGNI_API int fengni_table_close(struct fengni_table *handle);
/* Columns in their order; valid until the handle is closed. */
FENGNI_API size_t fengni_table_columns(const struct fengni_table *handle,
                                       const struct fengni_column **columns);

/* One cell; text NULL is SQL NULL, n counts bytes. */
struct fengni_cell {
    const char *text;
    size_t n;
};

/* Called after the commit of each transaction: rows first … first + count - 1 of the call are durable, their
 * identifiers (fn_row) stand in ids. What was not acknowledged may or may not be there. */
typedef void fengni_acknowledge(void *context, size_t first, size_t count, const uint64_t *ids);
/* Inserts rows of column-count cells each (row after row). Rows go into transactions of 256; encryption of
 * the next ones runs while the former are written. Returns after the last commit. A field has at most
 * 1,000,000 bytes. */
FENGNI_API int fengni_table_insert(struct fengni_table *handle, size_t rows, const struct fengni_cell *cells,
                                   fengni_acknowledge *acknowledge, void *context);
/* Replaces the cells of one row; its version rises by one. The old row must be intact. */
FENGNI_API int fengni_table_update(struct fengni_table *handle, uint64_t id, const struct fengni_cell *cells);
FENGNI_API int fengni_table_delete(struct fengni_table *handle, uint64_t id);
/* Call it when there is nothing to write: anchors what is due. *wait_ms: when to call again, or -1. */
FENGNI_API int fengni_table_idle(struct fengni_table *handle, int *wait_ms);

/* A row on its way out: result 0 and the cells in clear, or the error that its check gave and no cells.
 * Return other than 0 to stop; fengni_table_read returns that number. */
typedef int fengni_row_reader(void *context, uint64_t id, uint64_t version, int result,
                              const struct fengni_cell *cells);
/* Rows with from <= id <= to in order of id (0, UINT64_MAX: all), each checked before it is handed out. A
 * table older than its anchor is refused (605). */
FENGNI_API int fengni_table_read(struct fengni_table *handle, uint64_t from, uint64_t to,
                                 fengni_row_reader *reader, void *context);

/* What a verification finds. Each finding is one of the error numbers 600 to 605 and 307. */
struct fengni_finding {
    int code;       /* 600 altered, 601 moved, 602 inserted, 603 missing, 604 segment old, 605 table old, 307
                       manifest altered */
    uint64_t id;    /* row; 0 when it is about a segment or the table */
    uint64_t other; /* 601: the row to which this content belongs */
    uint64_t first, last; /* rows of the segment concerned */
    const char *detail;   /* UTF-8, for people */
};
typedef void fengni_finding_reader(void *context, const struct fengni_finding *finding);
struct fengni_verdict {
    uint64_t rows, segments, findings;
    uint64_t counter, anchored; /* commits in the manifest, and at the last anchor */
};
/* Checks every row, every segment, the manifest and its anchor. Returns 0 when all is in order, else the code
 * of the gravest finding, or an error that kept it from checking. */
FENGNI_API int fengni_table_verify(struct fengni_table *handle, fengni_finding_reader *reader, void *context,
                                   struct fengni_verdict *verdict);

/* Reads a file that `fengni data seal-file` sealed, checks its MAC and that no older sealed version was put
 * back, and returns its content in *content (free with fengni_data_free). name: the name it was sealed under;
 * NULL: its absolute path. */
FENGNI_API int fengni_file_load(struct fengni_data *data, const char *path, const char *name,
                                uint8_t **content, size_t *n);
FENGNI_API void fengni_data_free(void *p);

#ifdef __cplusplus
}
#endif
#endif
