#include "base/sys/os_err.h"

#include <errno.h>
#include <string.h>

fn_err fn_os_err(int number)
{
    switch (number) {
    case 0:
        return FN_OK;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return FN_E_DISK_FULL;
    case EROFS:
        return FN_E_READ_ONLY;
    case ENOENT:
        return FN_E_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return FN_E_EXISTS;
    case EACCES:
    case EPERM:
        return FN_E_DENIED;
    case ENOMEM:
        return FN_E_NO_MEMORY;
    case EAGAIN:
    case EBUSY:
        return FN_E_BUSY;
    case ETIMEDOUT:
        return FN_E_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case ENOTCONN:
    case EPIPE:
        return FN_E_CONNECTION;
    default:
        return FN_E_IO;
    }
}

fn_err fn_os_fail(const char *file, int line, const char *format, ...)
{
    int number = errno;
    char what[FN_ERR_DETAIL], words[80];
    va_list args;
    va_start(args, format);
    fn_format_v(what, sizeof what, format, args);
    va_end(args);
    return fn_err_fail(fn_os_err(number), file, line, "%s: %s", what,
                       strerror_r(number, words, sizeof words));
}
