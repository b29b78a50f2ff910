/* Readers of administrators' files, login challenges and typed passphrases. */
#include "device/carrier.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[2 * FN_SOFT_TOKEN_MOST];
    struct fn_bytes input = fn_bytes(data, size), sealed;
    struct fn_holder holder;
    struct fn_login login;
    uint8_t passphrase[FN_PASSPHRASE_MOST], back[FN_LOGIN_BYTES];
    size_t n, shares = 0;
    if (fn_soft_token_read(input, &holder, &shares) == FN_OK) {
        for (size_t i = 0; i < shares; i++) {
            struct fn_buf out = fn_buf_fixed(room, sizeof room);
            if (fn_soft_token_share(input, i, &sealed)) __builtin_trap();
            /* A share put in its own place changes nothing. */
            if (fn_soft_token_put(input, sealed, &out) || !fn_bytes_equal(fn_buf_view(&out), input))
                __builtin_trap();
        }
    }
    if (fn_login_read(&login, input) == FN_OK) {
        fn_login_bytes(&login, back);
        if (!fn_bytes_equal(fn_bytes(back, sizeof back), input)) __builtin_trap();
    }
    (void)fn_passphrase_read(input, passphrase, &n);
    return 0;
}
