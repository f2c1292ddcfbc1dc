"""SHA-256 (FIPS 180-4) of a held command's 128 bytes: what an approver signed is what is run. Knows only bytes."""
import numpy as np

from cambist.core.layout import HELD, STATE, L
from cambist.core.memory import cold, hot, wrap
from cambist.messages import Kind

APPROVE = L[Kind.APPROVE]
M32 = 0xFFFFFFFF


def _primes(count: int) -> list[int]:
    found: list[int] = []
    n = 2
    while len(found) < count:
        if all(n % p for p in found):
            found.append(n)
        n += 1
    return found


def _root_bits(n: int, power: int) -> int:
    """The first 32 bits of the fraction of n's square or cube root, exactly."""
    target = n << (32 * power)
    low, high = 0, 1 << 48
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle ** power <= target else (low, middle)
    return low & M32


K256 = np.array([_root_bits(p, 3) for p in _primes(64)], np.int64)
START = np.array([_root_bits(p, 2) for p in _primes(8)], np.int64)


@hot
def _rotate(x: int, n: int):
    return ((x >> n) | (x << (32 - n))) & M32


@hot
def _swap(x: int):
    """Byte order of a 32-bit word."""
    return ((x & 0xFF) << 24) | ((x & 0xFF00) << 8) | ((x >> 8) & 0xFF00) | ((x >> 24) & 0xFF)


@cold
def _compress(state: STATE):
    """One block: the message schedule is in `schedule`, the hash so far in `chain`."""
    w, s = state.schedule, state.chain
    for i in range(16, 64):
        x, y = w[i - 15], w[i - 2]
        w[i] = (w[i - 16] + (_rotate(x, 7) ^ _rotate(x, 18) ^ (x >> 3)) + w[i - 7] + (_rotate(y, 17) ^ _rotate(y, 19) ^ (y >> 10))) & M32
    a, b, c, d, e, f, g, h = s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
    for i in range(64):
        one = (h + (_rotate(e, 6) ^ _rotate(e, 11) ^ _rotate(e, 25)) + ((e & f) ^ (~e & M32 & g)) + K256[i] + w[i]) & M32
        two = ((_rotate(a, 2) ^ _rotate(a, 13) ^ _rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) & M32
        h, g, f, e, d, c, b, a = g, f, e, (d + one) & M32, c, b, a, (one + two) & M32
    s[0] = (s[0] + a) & M32
    s[1] = (s[1] + b) & M32
    s[2] = (s[2] + c) & M32
    s[3] = (s[3] + d) & M32
    s[4] = (s[4] + e) & M32
    s[5] = (s[5] + f) & M32
    s[6] = (s[6] + g) & M32
    s[7] = (s[7] + h) & M32


@cold
def same_digest(state: STATE, h: HELD, c: APPROVE):
    """Whether the four words of an approval are the digest of the held bytes."""
    w, s = state.schedule, state.chain
    for i in range(8):
        s[i] = START[i]
    for block in range(3):                      # 128 bytes, then the padding block: a one bit, zeros, the length in bits
        for i in range(16):
            w[i] = 0
            if block < 2:
                w[i] = _swap((h.words[block * 8 + i // 2] >> (32 * (i & 1))) & M32)
        if block == 2:
            w[0] = 0x80000000
            w[15] = 1024
        _compress(state)
    if wrap(s[0] << 32) | s[1] != c.digest0 or wrap(s[2] << 32) | s[3] != c.digest1:
        return 0
    return 1 if wrap(s[4] << 32) | s[5] == c.digest2 and wrap(s[6] << 32) | s[7] == c.digest3 else 0
