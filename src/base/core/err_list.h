/* FN_E(number, NAME, English, Chinese, what to do in English, in Chinese): numbers are stable for ever.
 * 1- general, 100- cryptography, 200- formats and parsing, 300- system and store, 400- device, 500- keys and policy,
 * 600- data protection, 700- command line. A new code goes to the end of its block. */
FN_E(1, INTERNAL, "internal error", "内部错误", "report this with the log", "请附日志报告此问题")
FN_E(2, NO_MEMORY, "out of memory", "内存不足", "free memory or lower the limits", "请释放内存或降低限额")
FN_E(3, ARGUMENT, "invalid argument", "参数无效", "", "")
FN_E(4, TOO_LARGE, "larger than allowed", "超过允许的大小", "", "")
FN_E(5, TRUNCATED, "input ends too early", "输入不完整", "", "")
FN_E(6, NOT_FOUND, "not found", "未找到", "", "")
FN_E(7, EXISTS, "already exists", "已存在", "", "")
FN_E(8, UNSUPPORTED, "not supported", "不支持", "", "")
FN_E(9, STATE, "not allowed in this state", "当前状态不允许此操作", "", "")
FN_E(10, DENIED, "permission denied", "权限不足", "", "")
FN_E(11, BUSY, "busy", "忙", "try again later", "请稍后重试")
FN_E(12, TIMEOUT, "timed out", "超时", "", "")
FN_E(13, CANCELLED, "cancelled", "已取消", "", "")

FN_E(100, CRYPTO_SELF_TEST, "known-answer test failed", "已知答案自检失败", "do not use this machine; run the self-test report",
     "请停用本机并导出自检报告")
FN_E(101, SM2_POINT, "not a valid SM2 public key", "不是有效的 SM2 公钥", "check that the point is on the SM2 curve",
     "请检查公钥点是否在 SM2 曲线上")
FN_E(102, SM2_PRIVATE, "SM2 private key out of range", "SM2 私钥超出范围", "", "")
FN_E(103, SIGNATURE, "signature does not verify", "签名验证失败",
     "likely causes: identifier is not 1234567812345678, digest hashed twice, Z missing, DER instead of r||s",
     "常见原因:签名者标识不是 1234567812345678、重复杂凑、缺少 Z 值、编码为 DER 而非 r||s")
FN_E(104, TAG, "authentication tag does not match", "认证标签不匹配", "the ciphertext, its associated data or the key differs",
     "密文、附加数据或密钥不一致")
FN_E(105, SM2_CIPHERTEXT, "SM2 ciphertext does not open", "SM2 密文无法解密",
     "likely causes: other key, C1C2C3 order instead of C1C3C2", "常见原因:密钥不符、密文顺序为 C1C2C3 而非 C1C3C2")
FN_E(106, CIPHER_LENGTH, "length not allowed for this mode", "该工作模式不允许此长度",
     "ECB and CBC take whole blocks of 16 bytes and add no padding", "ECB、CBC 只接受 16 字节的整数倍,不做填充")
FN_E(107, RANDOM_SOURCE, "random source failed its health test", "随机源健康测试失败", "service stops until a self-test passes",
     "自检通过之前停止服务")
FN_E(108, RANDOM_LEFT, "random generator not ready", "随机数发生器未就绪", "", "")
FN_E(109, SM2_KEX, "key agreement confirmation does not match", "密钥协商确认值不匹配", "", "")
FN_E(110, RSA, "RSA operation failed", "RSA 运算失败", "", "")

FN_E(200, FORMAT, "malformed input", "输入格式错误", "", "")
FN_E(201, ENCODING, "text is not in the expected encoding", "文本编码错误", "use UTF-8 or name the encoding", "请使用 UTF-8 或指明编码")
FN_E(202, TRAILING, "extra bytes after the end", "末尾有多余字节", "", "")
FN_E(203, VERSION, "unknown version", "未知版本", "", "")

FN_E(300, IO, "input/output error", "输入输出错误", "", "")
FN_E(301, DISK_FULL, "no space left on the disk", "磁盘空间不足", "free space, then repeat; nothing acknowledged was lost",
     "请清理磁盘后重试;已确认的数据没有丢失")
FN_E(302, READ_ONLY, "file system is read-only", "文件系统只读", "", "")
FN_E(303, CONFIG, "configuration error", "配置错误", "run `fengni config check`", "请运行 `fengni config check`")
FN_E(304, DATABASE, "database error", "数据库错误", "", "")
FN_E(305, SCHEMA, "database schema does not match this version", "数据库结构与本版本不符", "", "")
FN_E(306, LOCKED, "in use by another process", "正被另一进程使用", "stop the other process first", "请先停止另一进程")
FN_E(307, CORRUPT, "stored data is damaged or was altered", "存储的数据已损坏或被篡改", "restore from backup and tell the auditor",
     "请从备份恢复并通知审计管理员")
FN_E(308, CLOCK, "clock stepped back", "系统时钟回退", "correct the clock (NTP)", "请校正系统时钟(NTP)")
FN_E(309, CONNECTION, "connection failed", "连接失败", "is the service running? see `fengni status`", "服务是否已启动?请查看 `fengni status`")

FN_E(400, DEVICE_STATE, "the device is not ready", "密码设备未就绪", "see `fengni device status`", "请查看 `fengni device status`")
FN_E(401, DEVICE_LOCKED, "the device is locked", "密码设备处于锁定状态", "unlock it: `fengni device unlock`", "请解锁:`fengni device unlock`")
FN_E(402, DEVICE_EXCEPTION, "the device stopped after a failed self-test", "自检失败,密码设备已停止服务",
     "run `fengni device self-test --report`", "请运行 `fengni device self-test --report`")
FN_E(403, DEVICE_FRAME, "malformed request frame", "请求帧格式错误", "", "")
FN_E(404, DEVICE_OPERATION, "unknown operation", "未知操作", "", "")
FN_E(405, DEVICE_VECTOR, "vector has too many items", "向量项数超限", "split the request", "请拆分请求")
FN_E(406, DEVICE_CLIENT, "this user is not a client of the device", "该用户不是密码设备的登记客户", "register it: `fengni device client add`",
     "请登记:`fengni device client add`")
FN_E(407, DEVICE_CANNOT, "this device cannot do that", "该密码设备不支持此功能", "see `fengni device capabilities`",
     "请查看 `fengni device capabilities`")
FN_E(408, DEVICE_STEP, "call out of order", "调用顺序错误", "", "")
FN_E(409, DEVICE_BUSY, "the device is overloaded", "密码设备过载", "retry after the stated time", "请按提示时间后重试")
FN_E(410, DEVICE_LOST, "connection to the device lost", "与密码设备的连接中断", "", "")
FN_E(411, DEVICE_STORE_OLD, "the device store is older than a signed statement at hand", "密码设备存储比已签名的凭据更旧",
     "an old copy was put back; restore from backup", "存储被换回旧副本,请从备份恢复")
FN_E(412, DEVICE_LOGIN, "administrator login required", "需要管理员登录", "", "")
FN_E(413, DEVICE_QUORUM, "not enough administrators", "管理员人数不足", "", "")
FN_E(414, DEVICE_SHARE, "key share is not of this device or is superseded", "密钥分量不属于本设备或已作废", "", "")
FN_E(415, PASSPHRASE, "wrong passphrase, or the administrator's file was altered", "口令错误,或管理员凭证文件被改动",
     "check the keyboard layout and the file; use the copy kept apart", "请检查输入法与文件,或使用另行保管的副本")
FN_E(416, PASSPHRASE_WEAK, "passphrase is too weak", "口令强度不足", "at least 14 characters, or a generated phrase of eight words",
     "至少 14 个字符,或使用生成的八词口令")
FN_E(417, DEVICE_ROLE, "not the role of this administrator", "与该管理员的角色不符", "", "")

FN_E(500, KEY_NOT_FOUND, "no such key", "密钥不存在", "", "")
FN_E(501, KEY_DESTROYED, "the key was destroyed", "密钥已销毁", "data under it can no longer be read", "该密钥保护的数据不可再读取")
FN_E(502, KEY_STATE, "key state does not allow this", "密钥状态不允许此操作", "", "")
FN_E(503, KEY_USAGE, "key usage does not allow this", "密钥用途不允许此操作", "use a key made for this purpose", "请使用为该用途生成的密钥")
FN_E(504, KEY_OWNER, "the key belongs to another application", "密钥属于其他应用", "", "")
FN_E(505, KEY_POLICY, "forbidden by key Table 1 or 2", "密钥表 1、表 2 禁止此操作", "see `fengni key policy`", "请查看 `fengni key policy`")
FN_E(506, KEY_PASSWORD, "private-key access password is wrong", "私钥访问控制码错误", "", "")
FN_E(507, KEY_RIGHT, "private-key access right not taken", "未取得私钥使用权限", "call SDF_GetPrivateKeyAccessRight first",
     "请先调用 SDF_GetPrivateKeyAccessRight")
FN_E(508, KEY_RETRY_LOCK, "private-key access locked after too many wrong passwords", "口令错误次数过多,私钥访问已锁定",
     "an operator must reset it", "须由操作员复位")
FN_E(509, KEY_EXHAUSTED, "the key has reached its use limit", "密钥使用次数已达上限", "rotate the key", "请更新密钥")
FN_E(510, KEY_INDEX, "no key at this index", "该索引处没有密钥", "", "")
FN_E(511, KEY_ALGORITHM, "algorithm does not fit the key", "算法与密钥不符", "", "")
FN_E(512, KEY_HANDLE, "key handle is not valid", "密钥句柄无效", "after a device restart session keys must be made again",
     "设备重启后须重新建立会话密钥")
FN_E(513, KEY_BLOB, "wrapped key was not made by this device", "密钥密文不是由本设备生成", "", "")
FN_E(514, KEY_PAIR, "public key does not match the private key", "公钥与私钥不匹配", "", "")
FN_E(515, KEY_NONCE, "the device makes nonces of this key itself", "该密钥的初始向量只能由设备生成", "leave the nonce empty", "请将初始向量留空")
FN_E(516, ANCHOR_OLD, "anchor does not advance", "锚点未前进", "", "")
FN_E(517, ANCHOR_OWNER, "anchor belongs to another application", "锚点属于其他应用", "", "")
FN_E(518, FILE_SIZE, "beyond the size of the file", "超出文件大小", "", "")
FN_E(519, FILE_OFFSET, "offset beyond the end of the file", "偏移超出文件范围", "", "")
FN_E(520, CLEAR_KEY, "clear keys enter or leave only a test tenant", "只有测试租户允许明文密钥进出", "", "")

FN_E(600, ROW_ALTERED, "row was altered", "行被篡改", "", "")
FN_E(601, ROW_MOVED, "row or field stands in another place", "行或字段被移位", "", "")
FN_E(602, ROW_INSERTED, "row was not written by this system", "行为非法插入", "", "")
FN_E(603, ROW_MISSING, "row is missing", "行缺失", "", "")
FN_E(604, SEGMENT_OLD, "segment differs from its manifest", "数据段与清单不符", "a row was deleted or put back to an old version",
     "有行被删除或被换回旧版本")
FN_E(605, TABLE_OLD, "table is older than its anchor", "数据表比锚点更旧", "an old copy was put back", "被换回旧副本")
FN_E(606, FIELD, "not a protected field", "不是受保护字段", "", "")
FN_E(607, CSV, "malformed CSV line", "CSV 行格式错误", "", "")
FN_E(608, COLUMN, "no such column", "列不存在", "", "")
FN_E(609, CREDENTIAL, "clear text needs a credential and a reason", "查看明文须提供凭证和理由", "", "")

FN_E(700, USAGE, "wrong usage", "用法错误", "see --help", "请查看 --help")
