#include "base/sys/log.h"

#include "base/core/clock.h"
#include "base/core/text.h"
#include "base/sys/heap.h"
#include "base/sys/json.h"
#include "base/sys/now.h"
#include "base/sys/os_err.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static const char *const level_names[] = {"debug", "info", "warning", "error"};
/* RFC 5424 6.2.1: severities of the four levels, facility 10 (authpriv). */
static const int severities[] = {7, 6, 4, 3};
#define FACILITY 10

static struct {
    pthread_mutex_t mutex;
    _Atomic int level;
    enum fn_log_target target;
    int fd; /* file or socket; standard error is 2 */
    bool journal;
    bool cut; /* the last line stands there in part */
    char part[32], file[256], host[64];
    _Atomic uint64_t lost;
} logger = {.mutex = PTHREAD_MUTEX_INITIALIZER, .level = FN_LOG_INFO, .fd = 2, .part = "fengni"};

static _Thread_local char request[64];

/* systemd names the device and inode of the stream that it reads: then a line may begin with its severity. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat s;
    char mine[64];
    if (!stream || fstat(2, &s)) return false;
    fn_format(mine, sizeof mine, "%lu:%lu", (unsigned long)s.st_dev, (unsigned long)s.st_ino);
    return !strcmp(mine, stream);
}

static fn_err open_file(const char *file, int *fd)
{
    *fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
    return *fd < 0 ? FN_FAIL_OS("log file %s", file) : FN_OK;
}

static fn_err open_syslog(int *fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    const char *other = getenv("FENGNI_SYSLOG_SOCKET");
    if (other) fn_format(address.sun_path, sizeof address.sun_path, "%s", other);
    *fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (*fd < 0) return FN_FAIL_OS("socket");
    if (connect(*fd, (struct sockaddr *)&address, sizeof address) == 0) return FN_OK;
    fn_err err = FN_FAIL_OS("%s", address.sun_path);
    close(*fd);
    return err;
}

fn_err fn_log_open(const char *part, enum fn_log_target target, const char *file, enum fn_log_level level)
{
    int fd = 2;
    if (target == FN_LOG_FILE) {
        if (strlen(file) >= sizeof logger.file)
            return FN_FAIL(FN_E_TOO_LARGE, "log file name of %zu bytes", strlen(file));
        FN_TRY(open_file(file, &fd));
    }
    if (target == FN_LOG_SYSLOG) FN_TRY(open_syslog(&fd));
    pthread_mutex_lock(&logger.mutex);
    if (logger.fd != 2) close(logger.fd);
    logger.fd = fd;
    logger.target = target;
    logger.cut = false;
    logger.level = level;
    logger.journal = target == FN_LOG_STDERR && stderr_is_journal();
    fn_format(logger.part, sizeof logger.part, "%s", part);
    fn_format(logger.file, sizeof logger.file, "%s", target == FN_LOG_FILE ? file : "");
    if (gethostname(logger.host, sizeof logger.host - 1)) fn_format(logger.host, sizeof logger.host, "-");
    pthread_mutex_unlock(&logger.mutex);
    return FN_OK;
}

void fn_log_level_set(enum fn_log_level level)
{
    logger.level = level;
}

fn_err fn_log_level_parse(enum fn_log_level *level, const char *text)
{
    for (size_t i = 0; i < FN_COUNT(level_names); i++)
        if (!strcmp(level_names[i], text)) {
            *level = (enum fn_log_level)i;
            return FN_OK;
        }
    return FN_FAIL(FN_E_ARGUMENT, "log level \"%s\"", text);
}

fn_err fn_log_reopen(void)
{
    if (logger.target != FN_LOG_FILE) return FN_OK;
    int fd;
    FN_TRY(open_file(logger.file, &fd));
    pthread_mutex_lock(&logger.mutex);
    int old = logger.fd;
    logger.fd = fd;
    logger.cut = false;
    pthread_mutex_unlock(&logger.mutex);
    close(old);
    return FN_OK;
}

void fn_log_request(const char *id)
{
    fn_format(request, sizeof request, "%s", id ? id : "");
}
uint64_t fn_log_lost(void)
{
    return logger.lost;
}

static fn_err put_error(struct fn_buf *b, fn_err code)
{
    FN_TRY(fn_buf_format(b, "{\"number\":%d", code));
    FN_TRY(fn_json_pair(b, "name", fn_err_text(code)->name));
    FN_TRY(fn_buf_text(b, ",\"causes\":["));
    const struct fn_err_cause *causes;
    size_t n = fn_err_chain(&causes), written = 0;
    for (size_t i = n; i-- > 0;) {
        if (!causes[i].detail[0]) continue;
        if (written++) FN_TRY(fn_buf_u8(b, ','));
        FN_TRY(fn_json_string(b, causes[i].detail));
    }
    return fn_buf_text(b, "]}");
}

static fn_err put_hex(struct fn_buf *b, struct fn_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    FN_TRY(fn_buf_u8(b, '"'));
    for (size_t i = 0; i < bytes.n; i++) {
        FN_TRY(fn_buf_u8(b, (uint8_t)digits[bytes.p[i] >> 4]));
        FN_TRY(fn_buf_u8(b, (uint8_t)digits[bytes.p[i] & 15]));
    }
    return fn_buf_u8(b, '"');
}

static fn_err put_field(struct fn_buf *b, const struct fn_field *f)
{
    FN_TRY(fn_json_key(b, f->key));
    switch (f->kind) {
    case FN_FIELD_TEXT:
        return fn_json_string(b, f->text);
    case FN_FIELD_NUMBER:
        return fn_buf_format(b, "%lld", (long long)f->number);
    case FN_FIELD_BOOL:
        return fn_buf_text(b, f->number ? "true" : "false");
    case FN_FIELD_HEX:
        return put_hex(b, f->bytes);
    case FN_FIELD_ERR:
        return put_error(b, (fn_err)f->number);
    }
    return FN_OK;
}

/* RFC 5424 6: <PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG. */
static fn_err put_head(struct fn_buf *b, enum fn_log_level level, const char *event, const char *time)
{
    if (logger.target == FN_LOG_SYSLOG)
        return fn_buf_format(b, "<%d>1 %s %s fengni-%s %d %.*s - ", FACILITY * 8 + severities[level], time,
                             logger.host, logger.part, (int)getpid(), 32, event);
    if (logger.journal) return fn_buf_format(b, "<%d>", severities[level]);
    return FN_OK;
}

static fn_err put_line(struct fn_buf *b, enum fn_log_level level, const char *event,
                       const struct fn_field *fields)
{
    char time[FN_TIME_TEXT];
    fn_time_utc(time, fn_now_ms());
    FN_TRY(put_head(b, level, event, time));
    FN_TRY(fn_buf_u8(b, '{'));
    FN_TRY(fn_json_pair(b, "time", time));
    FN_TRY(fn_json_pair(b, "level", level_names[level]));
    FN_TRY(fn_json_pair(b, "part", logger.part));
    FN_TRY(fn_json_pair_number(b, "pid", getpid()));
    FN_TRY(fn_json_pair(b, "event", event));
    if (request[0]) FN_TRY(fn_json_pair(b, "request", request));
    for (const struct fn_field *f = fields; f->key; f++) FN_TRY(put_field(b, f));
    FN_TRY(fn_buf_u8(b, '}'));
    return logger.target == FN_LOG_SYSLOG ? FN_OK : fn_buf_u8(b, '\n');
}

/* True when the line is where it belongs. The system's log may have been restarted: connect once more. */
static bool emit(struct fn_bytes line)
{
    size_t whole = line.n;
    if (logger.target == FN_LOG_SYSLOG) {
        if (send(logger.fd, line.p, line.n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)line.n) return true;
        int fd;
        if (open_syslog(&fd) != FN_OK) return false;
        close(logger.fd);
        logger.fd = fd;
        return send(logger.fd, line.p, line.n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)line.n;
    }
    /* A full disk may have taken part of a line: what comes after it begins a line of its own. */
    if (logger.cut && write(logger.fd, "\n", 1) == 1) logger.cut = false;
    while (line.n && !logger.cut) {
        ssize_t r = write(logger.fd, line.p, line.n);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) {
            logger.cut = line.n < whole;
            return false;
        }
        line.p += r;
        line.n -= (size_t)r;
    }
    return !line.n;
}

void fn_log_write(enum fn_log_level level, const char *event, const struct fn_field *fields)
{
    if ((int)level < logger.level) return;
    FN_SCOPED_BUF struct fn_buf b = fn_buf_heap();
    int kept = errno;
    pthread_mutex_lock(&logger.mutex);
    bool done = put_line(&b, level, event, fields) == FN_OK && emit(fn_buf_view(&b));
    pthread_mutex_unlock(&logger.mutex);
    if (!done) logger.lost++;
    errno = kept;
}
