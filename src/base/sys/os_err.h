/* Failures of the operating system as error numbers. */
#ifndef FN_BASE_SYS_OS_ERR_H
#define FN_BASE_SYS_OS_ERR_H

#include "base/core/err.h"

/* The number that fits an errno value: ENOSPC and EDQUOT are FN_E_DISK_FULL, EROFS FN_E_READ_ONLY, ENOENT FN_E_NOT_FOUND,
 * EACCES and EPERM FN_E_DENIED, EEXIST FN_E_EXISTS, ENOMEM FN_E_NO_MEMORY, refused connections FN_E_CONNECTION, others FN_E_IO. */
fn_err fn_os_err(int number);

/* Fails with the current errno: the detail is the formatted text, ": " and the words of the system. */
#define FN_FAIL_OS(...) fn_os_fail(__FILE__, __LINE__, __VA_ARGS__)
fn_err fn_os_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4), cold));

#endif
