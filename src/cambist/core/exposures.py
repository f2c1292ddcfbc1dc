"""What amounts are worth in the numeraire. docs/rules.md section 14."""
from cambist.core import layout as at
from cambist.core.arithmetic import multiply_divide
from cambist.core.layout import STATE
from cambist.core.memory import cold


@cold
def worth(state: STATE, asset: int, amount: int):
    """In the numeraire, rounded towards zero; 0 without a rate, TOO_LARGE (negative) beyond the range of a non-negative amount."""
    a = at.asset(state, asset)
    if a.rate_den == 0:
        return 0
    if amount < 0:
        return -multiply_divide(-amount, a.rate_num, a.rate_den, 0)
    return multiply_divide(amount, a.rate_num, a.rate_den, 0)
