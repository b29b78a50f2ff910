/* What the verbs of the room share. */
#ifndef FN_DATA_DATA_CLI_H
#define FN_DATA_DATA_CLI_H

#include "base/sys/heap.h"
#include "base/sys/verb.h"
#include "data/data.h"
#include "data/table.h"

/* A cipher over the device: --socket, else FENGNI_DEVICE_SOCKET, else run/device.sock of the instance when it
 * is there, else the system's. Close with fn_data_cipher_end. */
fn_err fn_data_cipher(const struct fn_call *call, struct fn_cipher *cipher);
void fn_data_cipher_end(struct fn_cipher *cipher);
#define FN_SCOPED_CIPHER __attribute__((cleanup(fn_data_cipher_end)))
static inline void fn_scoped_store_end(struct fn_store **s)
{
    fn_store_close(*s);
}
#define FN_SCOPED_STORE __attribute__((cleanup(fn_scoped_store_end)))

/* "sqlite:PATH" or a bare path; *path points into *url. */
fn_err fn_data_database(const char *text, char **url, const char **path);

/* A comma-separated list; empty text gives none. */
struct fn_names {
    char *text;
    char *name[FN_TABLE_COLUMNS_MOST];
    size_t count;
};
fn_err fn_names_split(struct fn_names *names, const char *list);
void fn_names_end(struct fn_names *names);
#define FN_SCOPED_NAMES __attribute__((cleanup(fn_names_end)))
bool fn_names_have(const struct fn_names *names, const char *name);

/* Writes a buffer and a line feed to standard output. */
fn_err fn_data_print(const struct fn_buf *text);

#define FN_OPTION_SOCKET                                                                                     \
    {                                                                                                        \
        "socket", 0, FN_OPTION_FILE, "PATH", NULL, false, false,                                             \
        {                                                                                                    \
            "密码设备套接字", "socket of the device"                                                         \
        }                                                                                                    \
    }
#define FN_OPTION_DB                                                                                         \
    {                                                                                                        \
        "db", 'd', FN_OPTION_FILE, "URL", NULL, true, false,                                                 \
        {                                                                                                    \
            "数据库,如 sqlite:cases.db", "database, e.g. sqlite:cases.db"                                    \
        }                                                                                                    \
    }
#define FN_OPTION_TABLE                                                                                      \
    {                                                                                                        \
        "table", 't', FN_OPTION_TEXT, "NAME", NULL, true, false,                                             \
        {                                                                                                    \
            "表名", "name of the table"                                                                      \
        }                                                                                                    \
    }

fn_err fn_data_plan(const struct fn_call *call);
fn_err fn_data_protect(const struct fn_call *call);
fn_err fn_data_reveal(const struct fn_call *call);
fn_err fn_data_verify(const struct fn_call *call);
fn_err fn_data_adopt(const struct fn_call *call);
fn_err fn_data_seal_file_verb(const struct fn_call *call);
fn_err fn_data_check_file(const struct fn_call *call);
fn_err fn_data_credential_new(const struct fn_call *call);
fn_err fn_data_credential_list(const struct fn_call *call);
fn_err fn_data_credential_revoke(const struct fn_call *call);
fn_err fn_data_log_verb(const struct fn_call *call);

#endif
