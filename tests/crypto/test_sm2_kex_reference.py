"""The key exchange of the library against tests/reference/sm2_kex.py, and that against the standard's own example."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ["FENGNI_SRC"], "tests", "reference"))
import sm2_kex as ref  # noqa: E402

PROGRAM = os.path.join(os.environ["FENGNI_BIN"], "tests", "crypto.sm2_kex")


class KeyExchange(unittest.TestCase):
    def test_the_standard_s_example(self):
        d_a = 0x81EB26E941BB5AF16DF116495F90695272AE2CD63D6C4AE1678418BE48230029
        d_b = 0x785129917D45A9EA5437A59356B82338EAADDA6CEB199088F14AE10DEFA229B5
        r_a = 0xD4DE15474DB74D06491C440D305E012400990F3E390C7E87153C12DB2EA60BB3
        r_b = 0x7E07124814B309489125EAED101113164EBF0F3458C5BD88335C1F9D596243D6
        pub = [ref.multiply(k, ref.G) for k in (d_a, d_b, r_a, r_b)]
        z = [ref.z_of(p, b"1234567812345678") for p in pub[:2]]
        key, s1, s2 = ref.exchange(d_a, r_a, pub[1], pub[3], z[0], z[1], pub[2], pub[3], 16)
        self.assertEqual(key.hex().upper(), "6C89347354DE2484C60B4AB1FDE4C6E5")
        self.assertEqual(s1.hex().upper(), "D3A0FE15DEE185CEAE907A6B595CC32A266ED7B3367E9983A896DC32FA20F8EB")
        self.assertEqual(s2.hex().upper(), "18C7894B3816DF16CF07B05C5EC0BEF5D655D58F779CC1B400A4F3884644DB88")

    def test_the_library(self):
        lines = subprocess.run([PROGRAM, "print"], check=True, capture_output=True, text=True).stdout.splitlines()
        self.assertGreaterEqual(len(lines), 20)
        for line in lines:
            field = [bytes.fromhex(f) for f in line.split()[1:]]
            d_a, r_a, d_b, r_b = (int.from_bytes(field[i], "big") for i in (0, 1, 3, 4))
            pub = [ref.multiply(k, ref.G) for k in (d_a, d_b, r_a, r_b)]
            z = [ref.z_of(pub[0], field[2]), ref.z_of(pub[1], field[5])]
            for own, ephemeral, peer, peer_ephemeral in ((d_a, r_a, pub[1], pub[3]), (d_b, r_b, pub[0], pub[2])):
                got = ref.exchange(own, ephemeral, peer, peer_ephemeral, z[0], z[1], pub[2], pub[3], len(field[6]))
                self.assertEqual(got, (field[6], field[7], field[8]), line)


if __name__ == "__main__":
    unittest.main()
