/* The one place that knows which rooms are built in. A part that is not linked leaves its weak symbol NULL.
 */
#include "cli/cli.h"

#define WEAK __attribute__((weak))
extern const struct fn_room data_room WEAK;
extern const struct fn_verb fn_device_verbs[] WEAK;
extern const struct fn_verb fn_device_life_verbs[] WEAK;
extern const struct fn_verb fn_cli_key_verbs[] WEAK;

#define ROOMS_MOST 32

const struct fn_room *const *fn_cli_rooms(void)
{
    static const struct fn_room *const candidates[] = {&data_room};
    static const struct fn_room *present[ROOMS_MOST + 1];
    size_t n = 0;
    for (size_t i = 0; i < FN_COUNT(candidates); i++)
        if (candidates[i]) present[n++] = candidates[i];
    present[n] = NULL;
    return present;
}

size_t fn_cli_groups(const struct fn_cli_group **groups)
{
    static struct fn_cli_group all[ROOMS_MOST + 8];
    size_t n = 0;
    all[n++] = (struct fn_cli_group){{"实例", "Instance"}, fn_cli_instance_verbs};
    all[n++] = (struct fn_cli_group){{"配置", "Configuration"}, fn_cli_config_verbs};
    /* An array's address looks never NULL to the compiler. */
    const struct fn_verb *volatile device = fn_device_verbs, *volatile life = fn_device_life_verbs,
                                   *volatile key = fn_cli_key_verbs;
    if (life)
        all[n++] = (struct fn_cli_group){{"密码设备:初始化、开启与管理员",
                                          "Cryptographic device: initialising, unlocking, administrators"},
                                         life};
    if (device)
        all[n++] =
            (struct fn_cli_group){{"密码设备:使用与密钥", "Cryptographic device: use and keys"}, device};
    if (key) all[n++] = (struct fn_cli_group){{"密钥管理", "Key management"}, key};
    all[n++] = (struct fn_cli_group){{"别家密码设备", "Devices of other makers"}, fn_cli_backend_verbs};
    if (fn_cli_rng_verbs[0].path)
        all[n++] = (struct fn_cli_group){{"随机数", "Randomness"}, fn_cli_rng_verbs};
    for (const struct fn_room *const *room = fn_cli_rooms(); *room; room++)
        if ((*room)->verbs) all[n++] = (struct fn_cli_group){(*room)->product, (*room)->verbs};
    all[n++] = (struct fn_cli_group){{"通用", "General"}, fn_cli_basic_verbs};
    *groups = all;
    return n;
}
