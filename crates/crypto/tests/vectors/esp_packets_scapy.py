"""Writes esp_packets_scapy.json: ESP packets of every suite, sealed by scapy 2.8 over OpenSSL.

Run as `python3 esp_packets_scapy.py > esp_packets_scapy.json` with scapy and cryptography from PyPI.
Keys, IVs and payloads come from SHA-256 of the suite's name, so a second run writes the same file.
"""

import hashlib
import json

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scapy.layers.ipsec import AUTH_ALGOS, CRYPT_ALGOS, ESP, AuthAlgo, SecurityAssociation, _ESPPlain


class Xcbc:
    """AES-XCBC-MAC (RFC 3566), which neither scapy nor OpenSSL has."""

    def __init__(self, key, _digest, _backend):
        self.keys = [self.aes(key, bytes([octet]) * 16) for octet in (1, 2, 3)]
        self.message = b""

    @staticmethod
    def aes(key, block):
        return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)

    def update(self, octets):
        self.message += octets

    def finalize(self):
        def xor(a, b):
            return bytes(x ^ y for x, y in zip(a, b))

        blocks = [self.message[at:at + 16] for at in range(0, len(self.message), 16)] or [b""]
        last = blocks.pop()
        last = xor(last, self.keys[1]) if len(last) == 16 else xor((last + b"\x80").ljust(16, b"\0"), self.keys[2])
        state = bytes(16)
        for block in blocks + [last]:
            state = self.aes(self.keys[0], xor(state, block))
        return state


AUTH_ALGOS["AES-XCBC-96"] = AuthAlgo("AES-XCBC-96", mac=Xcbc, digestmod=lambda: None, icv_size=12)

MACS = {
    "hmac-sha1-96": ("HMAC-SHA1-96", 20),
    "hmac-sha2-256-128": ("SHA2-256-128", 32),
    "hmac-sha2-384-192": ("SHA2-384-192", 48),
    "hmac-sha2-512-256": ("SHA2-512-256", 64),
    "aes-xcbc-96": ("AES-XCBC-96", 16),
}
COMBINED = [(f"aes-{bits}-gcm-16", "AES-GCM", bits // 8, 4, 16) for bits in (128, 192, 256)]
COMBINED += [("chacha20-poly1305", "CHACHA20-POLY1305", 32, 4, 16)]
COMBINED += [(f"aes-{bits}-gmac", "AES-NULL-GMAC", bits // 8, 4, 16) for bits in (128, 192, 256)]
COMBINED += [(f"aes-{bits}-ccm-{icv}", "AES-CCM", bits // 8, 3, icv) for icv in (8, 12, 16) for bits in (128, 192, 256)]
SEPARATE = [(f"aes-{bits}-cbc", "AES-CBC", bits // 8, 0) for bits in (128, 192, 256)]
SEPARATE += [(f"aes-{bits}-ctr", "AES-CTR", bits // 8, 4) for bits in (128, 192, 256)]
SEPARATE += [("null", "NULL", 0, 0)]


def octets(*names):
    """As many octets as the last name says, drawn from the other names."""
    *names, count = names
    return hashlib.shake_256("/".join(names).encode()).digest(count)


def packet(suite, crypt, key, salt, icv, auth, extended, payload):
    form = "extended" if extended else "short"
    key, salt = octets(suite, "key", key), octets(suite, "salt", salt)
    mac, mac_key = MACS[auth] if auth else ("NULL", 0)
    mac_key = octets(suite, "authentication key", mac_key)
    spi = int.from_bytes(octets(suite, form, "spi", 4), "big")
    sequence = int.from_bytes(octets(suite, form, "sequence", 8), "big")
    low, high = sequence & 0xFFFFFFFF, sequence >> 32
    algorithm = CRYPT_ALGOS[crypt]
    esp = _ESPPlain(spi=spi, seq=low, iv=octets(suite, form, "iv", algorithm.iv_size),
                    data=octets(suite, form, "payload", payload), nh=41)
    esp = algorithm.pad(esp)
    sa = SecurityAssociation(ESP, spi=spi, crypt_algo=crypt, crypt_key=key + salt,
                             auth_algo=mac, auth_key=mac_key, crypt_icv_size=icv)
    text = esp.data_for_encryption()
    sealed = algorithm.encrypt(sa, esp, sa.crypt_key, icv, esn_en=extended, esn=high)
    sealed = AUTH_ALGOS[mac].sign(sealed, mac_key, esn_en=extended, esn=high)
    return {
        "suite": suite, "key": (key + salt).hex(), "authentication_key": mac_key.hex(), "extended": extended,
        "sequence": f"{sequence:016x}", "text": text.hex(), "packet": bytes(sealed).hex(),
    }


def packets():
    for extended, payload in ((False, 21), (True, 100)):
        for suite, crypt, key, salt, icv in COMBINED:
            yield packet(suite, crypt, key, salt, icv, None, extended, payload)
        for cipher, crypt, key, salt in SEPARATE:
            for auth in MACS:
                yield packet(f"{cipher}+{auth}", crypt, key, salt, None, auth, extended, payload)


print("[\n" + ",\n".join("  " + json.dumps(row) for row in packets()) + "\n]")
