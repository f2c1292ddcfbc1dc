"""The one product of money: a*b/c through more than 64 bits, rounded a named way, or -1 when the result leaves the range. Knows no state."""
from cambist.core.memory import clz, cold, high_product, hot, quotient
from cambist.messages import MAX_AMOUNT

TOO_LARGE = -1
MILLION = 1_000_000


@cold
def _long_product(a: int, b: int, c: int, up: int):
    """The slow road: quotient and remainder bit by bit; 0 <= a, b and 1 <= c, all at most MAX_AMOUNT, so that nothing doubled leaves 63 bits."""
    whole = a // c
    rest = a - whole * c
    if whole and b > MAX_AMOUNT // whole:
        return TOO_LARGE
    found, left = 0, 0
    bit = 62
    while bit >= 0:
        found += found
        left += left
        if left >= c:
            left -= c
            found += 1
        if (b >> bit) & 1:
            left += rest
            if left >= c:
                left -= c
                found += 1
        bit -= 1
    if up and left:
        found += 1
    found += whole * b
    return found if found <= MAX_AMOUNT else TOO_LARGE


@hot
def multiply_divide(a: int, b: int, c: int, up: int):
    """a*b/c of non-negative a, b and positive c, rounded down (up=0) or up (up=1); TOO_LARGE beyond MAX_AMOUNT."""
    if clz(a) + clz(b) > 65:                    # a*b < 2**62: the product fits
        return quotient(a * b + (c - 1 if up else 0), c)
    return _long_product(a, b, c, up)


@hot
def divide(a: int, c: int, inverse: int):
    """a // c of a non-negative a by what was prepared of a positive c: a product is never more than one too small, and quicker than a division."""
    found = high_product(a, inverse)
    return found + 1 if a - found * c >= c else found


@hot
def multiply_divide_by(a: int, b: int, c: int, inverse: int, up: int):
    """multiply_divide by a c whose inverse is known."""
    if clz(a) + clz(b) > 65:
        return divide(a * b + (c - 1 if up else 0), c, inverse)
    return _long_product(a, b, c, up)


@cold
def gcd(a: int, b: int):
    """The greatest common divisor of two positive numbers: at most about ninety steps."""
    while b:
        a, b = b, a % b
    return a


@hot
def fee(amount: int, ppm: int):
    """What is charged: rounded down."""
    return multiply_divide(amount, ppm, MILLION, 0)


@hot
def fee_up(amount: int, ppm: int):
    """What is held for it: rounded up, so that the sum of what is charged never exceeds it."""
    return multiply_divide(amount, ppm, MILLION, 1)
